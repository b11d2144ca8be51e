// Which journey an inventory id stands for, in words: the same lines on the seat page, the hold and the ticket.
import { h } from "./dom.js";
import { className, day, inventoryParts } from "./format.js";

/** Gives what is known of a journey: the id says train, day and class; the search remembered the rest. */
export function tripOf(id, more = {}) {
  const parts = inventoryParts(id) ?? { train: id, date: "", class: "" };
  const run = more.train ?? {};
  const kept = JSON.parse(sessionStorage.getItem(`trip ${id}`) ?? "null") ?? {};
  return { ...parts, name: run.name ?? kept.name ?? "", from: kept.from ?? run.origin ?? null, to: kept.to ?? run.destination ?? null };
}

/** Draws the journey as a line between two stations; `named` says whether the train is named here too. */
export function journey(trip, named = true) {
  const end = (station, note) => h("div", {}, h("b", {}, station.code), h("span", {}, station.name), h("small", {}, note));
  return h("div", { class: "journey" },
    trip.from && trip.to && h("div", { class: "ends" }, end(trip.from, "Board"), h("i", { "aria-hidden": "true" }), end(trip.to, "Leave")),
    h("dl", { class: "facts" },
      named && h("div", {}, h("dt", {}, "Train"), h("dd", {}, `${trip.train} ${trip.name}`)),
      h("div", {}, h("dt", {}, "Leaves its first station on"), h("dd", {}, day(trip.date))),
      h("div", {}, h("dt", {}, "Class"), h("dd", {}, `${className(trip.class)} (${trip.class})`))));
}
