// Which journey an inventory id stands for, in words: the same lines on the seat page, the hold and the ticket.
import { search } from "./api.js";
import { h } from "./dom.js";
import { className, day, duration, inventoryParts } from "./format.js";

const slot = (id) => `trip ${id}`;

/** Keeps where one boards and leaves in this tab, for the pages that follow. */
export function keepTrip(id, from, to) {
  sessionStorage.setItem(slot(id), JSON.stringify({ from, to }));
}

const kept = (id) => JSON.parse(sessionStorage.getItem(slot(id)) ?? "null");

/** Makes the address of a class, with where one boards and leaves: so it can be shared, and opened in another tab. */
export function trainPath(id, { from, to }) {
  return `/train/${id}?${new URLSearchParams({ from: from.code, to: to.code })}`;
}

/** Looks up where the address says that one boards and leaves, and keeps it if the train stops at both in that order. */
export async function readTrip(id, query, signal) {
  const [from, to] = [query.get("from"), query.get("to")], known = kept(id);
  if (!from || !to || (known?.from.code === from && known.to.code === to)) return;
  const { train, date } = inventoryParts(id);
  // What cannot be had is left out: the seats are the same wherever one boards.
  const found = await search({ from, to, date }, signal).catch(() => null);
  if (found?.trains.some((one) => String(one.number) === train)) keepTrip(id, found.from, found.to);
}

/** Gives what is known of a journey: the id says train, day and class, the API its run, the search where one boards. */
export function tripOf(id, { train: run } = {}) {
  const parts = inventoryParts(id) ?? { train: id, date: "", class: "" };
  const ends = kept(id);
  return { ...parts, name: run?.name ?? "", minutes: run?.duration_min ?? null, boards: ends !== null, from: ends?.from ?? run?.origin ?? null, to: ends?.to ?? run?.destination ?? null };
}

/** Draws the journey as a line between two stations; `named` says whether the train is named here too. */
export function journey(trip, named = true) {
  const end = (station, note) => h("div", {}, h("b", {}, station.code), h("span", {}, station.name), h("small", {}, note));
  const fact = (name, words) => h("div", {}, h("dt", {}, name), h("dd", {}, words));
  return h("div", { class: "journey" },
    trip.from && trip.to && h("div", { class: "ends" }, end(trip.from, trip.boards ? "Board" : "The run begins"), h("i", { "aria-hidden": "true" }), end(trip.to, trip.boards ? "Leave" : "The run ends")),
    h("dl", { class: "facts" },
      named && fact("Train", `${trip.train} ${trip.name}`),
      fact("Leaves its first station on", day(trip.date)),
      trip.minutes != null && fact("The whole run takes", duration(trip.minutes)),
      fact("Class", `${className(trip.class)} (${trip.class})`)));
}
