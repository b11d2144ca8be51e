// The front page: from, to, day; then the trains of that day with live availability for each class.
import { stations, trains } from "./api.js";
import { stationField } from "./combobox.js";
import { every, h, say, text } from "./dom.js";
import { className, day, dayFromToday, duration, money } from "./format.js";
import { keepTrip, trainPath } from "./trip.js";
import { sorry } from "./words.js";

const JOURNEYS = [
  ["NDLS", "New Delhi", "MMCT", "Mumbai Central"], ["HWH", "Howrah", "NDLS", "New Delhi"], ["MAS", "Chennai", "SBC", "Bengaluru"],
  ["CSMT", "Mumbai CSMT", "PUNE", "Pune"], ["NDLS", "New Delhi", "LKO", "Lucknow"], ["ADI", "Ahmedabad", "MMCT", "Mumbai Central"],
];
const LAST_DAY = 120, REFRESH_MS = 5000;

/** Shows the front page; the search stands in the address, so that it can be kept and shared. */
export async function searchView({ query, go, signal }) {
  const wanted = { from: query.get("from"), to: query.get("to"), date: query.get("date") ?? dayFromToday(1) };
  const [from, to] = await Promise.all([known(wanted.from, signal), known(wanted.to, signal)]);
  const results = h("div", { class: "results" });
  const full = from && to;
  const element = h("div", { class: "search" }, h("section", { class: full ? "hero small" : "hero" }, h("h1", {}, full ? "Trains" : "Where to?"), searchForm(from, to, wanted.date, go)), results);
  if (!full) results.append(ideas(wanted.date));
  if (full) showTrains({ from, to, date: wanted.date }, results, signal);
  return { element, title: full ? `${from.code} to ${to.code}` : "Search" };
}

/** Some journeys to begin with. */
function ideas(date) {
  const link = ([from, start, to, end]) => h("li", {}, h("a", { href: `/?${new URLSearchParams({ from, to, date })}` }, h("span", {}, start), h("i", { "aria-hidden": "true" }, "→"), h("span", {}, h("span", { class: "unseen" }, "to "), end)));
  return h("section", { class: "ideas" }, h("h2", {}, "Or start with one of these, tomorrow"), h("ul", {}, JOURNEYS.map(link)));
}

async function known(code, signal) {
  if (!code) return null;
  const found = await stations(code, signal).catch(() => []);
  return found.find((station) => station.code === code) ?? { code, name: code };
}

function searchForm(from, to, date, go) {
  const start = stationField("From", from), end = stationField("To", to);
  const when = h("input", { id: "when", type: "date", required: true, min: dayFromToday(0), max: dayFromToday(LAST_DAY), value: date });
  const swap = h("button", { type: "button", class: "swap", "aria-label": "Swap from and to", onclick: async () => {
    const [a, b] = [await start.value(), await end.value()];
    if (a && b) start.put(b), end.put(a);
  } }, "⇄");
  async function send(event) {
    event.preventDefault();
    const a = await start.value(), b = a && (await end.value());
    if (a && b) go(`/?${new URLSearchParams({ from: a.code, to: b.code, date: when.value })}`);
  }
  return h("form", { class: "trip", onsubmit: send, role: "search" }, start.element, swap, end.element, h("div", { class: "field" }, h("label", { for: "when" }, "Day"), when), h("button", { class: "solid go" }, "Find trains"));
}

const asked = ({ from, to, date }) => ({ from: from.code, to: to.code, date });

async function showTrains(trip, results, signal) {
  results.replaceChildren(h("p", { class: "hint" }, "Looking for trains…"));
  try {
    const found = await trains(asked(trip), signal);
    if (signal.aborted) return;
    drawTrains(trip, found, results, signal);
  } catch (fault) {
    if (!signal.aborted) results.replaceChildren(fault.kind === "refused" ? h("p", { class: "card" }, fault.message) : sorry(fault));
  }
}

function drawTrains(trip, found, results, signal) {
  const words = found.length ? `${found.length} ${found.length === 1 ? "train" : "trains"} on ${day(trip.date)}` : `No train on ${day(trip.date)} stops at both, in that order. Another day may have one.`;
  const fresh = h("p", { class: "hint" }, "Availability is live.");
  const cards = new Map();
  results.replaceChildren(h("div", { class: "heads" }, h("h2", {}, words), found.length > 0 && fresh), ...found.map((train) => {
    const card = trainCard(train, trip);
    cards.set(String(train.number), card);
    return card.element;
  }));
  say(words);
  if (!found.length) return;
  every(REFRESH_MS, signal, async () => {
    try {
      for (const train of await trains(asked(trip), signal)) cards.get(String(train.number))?.update(train);
      text(fresh, "Availability is live.");
    } catch (fault) {
      if (!signal.aborted) text(fresh, fault.kind === "line" ? "Your time inside has ended; reload to join the line again." : "Availability cannot be had just now; trying again.");
    }
  });
}

function trainCard(train, trip) {
  const offers = h("ul", { class: "offers" });
  const update = (next) => {
    for (const one of next.classes) {
      const id = one.inventory;
      const old = [...offers.children].find((item) => item.dataset.id === id);
      (old ?? offers.appendChild(offer(id))).update(one);
    }
  };
  function offer(id) {
    const code = id.split(":").at(-1);
    const left = h("span", { class: "left" }), fare = h("span", { class: "fare" });
    const link = h("a", { href: trainPath(id, trip) }, h("b", {}, code), h("span", { class: "in-words" }, className(code)), fare, left);
    const item = h("li", { "data-id": id }, link);
    item.update = (one) => {
      text(fare, money(one.price_paise));
      text(left, one.available == null ? "see availability" : one.available > 0 ? `${one.available} left` : "sold out");
      item.dataset.level = one.available == null ? "unknown" : one.available === 0 ? "none" : one.available <= 20 ? "few" : "many";
      keepTrip(id, trip.from, trip.to);
    };
    return item;
  }
  update(train);
  const element = h("article", { class: "card train" },
    h("div", { class: "train-head" }, h("h3", {}, h("span", { class: "number" }, String(train.number)), ` ${train.name}`), h("p", { class: "hint" }, facts(train, trip))), offers);
  return { element, update };
}

function facts(train, trip) {
  const stops = train.stops_between === 0 ? "no stop between" : `${train.stops_between} ${train.stops_between === 1 ? "stop" : "stops"} between`;
  const run = `runs ${train.origin.name} to ${train.destination.name} in ${duration(train.duration_min)}`;
  return `${trip.from.name} → ${trip.to.name}, ${stops} · ${run}`;
}
