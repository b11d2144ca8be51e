// All rooms at a glance: one card each, the figures that decide whether to look closer.
import { niceTop } from "./axis.js";
import { h, s, text } from "./dom.js";
import { count, newcomerWaits, rate } from "./format.js";
import { inForce } from "./health.js";
import { SPAN_MS } from "./history.js";
import { path } from "./plot.js";

const SPARK = { wide: 320, high: 54 };

const PHASES = { open: "Open", paused: "Paused", draining: "Draining", closed: "Closed", early: "Not open yet", gathering: "Gathering", ended: "Ended", sold_out: "Sold out" };

/** The item that stands for all. */
export const EVERYTHING = "*";

/** Makes the badge that says where a room stands, by its operator's hand, by its schedule or by what is left, in words and colour. */
export function badge() {
  const element = h("span", { class: "badge" });
  return {
    element,
    update(room) {
      const isSoldOut = room.sold_out?.some((item) => item === EVERYTHING || item === room.item);
      const running = isSoldOut ? "sold_out" : "open";
      const phase = room.phase === "open" ? { running }[room.stage ?? "running"] ?? room.stage : room.phase;
      element.dataset.phase = phase;
      text(element, PHASES[phase] ?? phase);
    },
  };
}

/** Makes the overview. */
export function overview(history) {
  const grid = h("div", { class: "cards" });
  const empty = h("p", { class: "card hint", hidden: true }, "This gateway has no rooms yet. Rooms stand in vestibule.toml; a changed file is picked up without a restart.");
  const cards = new Map();

  function update({ rooms }, now) {
    empty.hidden = rooms.length > 0;
    for (const room of rooms) {
      if (!cards.has(room.name)) cards.set(room.name, grid.appendChild(card(room.name)));
      cards.get(room.name).update(room, history.of(room.name), now);
    }
    for (const [name, old] of cards) if (!rooms.some((room) => room.name === name)) old.remove(), cards.delete(name);
  }
  return { element: h("section", {}, h("h1", {}, "Rooms"), empty, grid), update };
}

function card(name) {
  const phase = badge(), title = h("span", { class: "title" });
  const figures = ["Waiting", "Let in a second", "Arriving a second", "A newcomer waits"].map((label) => ({ label, value: h("dd", {}, "–") }));
  const line = s("path", { class: "line" }), spark = s("svg", { viewBox: `0 -2 ${SPARK.wide} ${SPARK.high + 4}`, class: "spark", "aria-hidden": "true", preserveAspectRatio: "none" }, line);
  const element = h("article", { class: "card room-card" },
    h("h2", {}, h("a", { href: `#/${encodeURIComponent(name)}` }, title), phase.element),
    h("dl", { class: "figures small" }, figures.map(({ label, value }) => h("div", {}, h("dt", {}, label), value))), spark);
  element.update = (room, samples, now) => {
    phase.update(room);
    text(title, room.title || room.name);
    const words = [count(room.waiting), inForce(room) == null ? rate(room.admitted_per_second) : `${rate(room.admitted_per_second)} of ${rate(inForce(room))}`, rate(room.arrivals_per_second), newcomerWaits(room)];
    figures.forEach(({ value }, i) => text(value, words[i]));
    line.setAttribute("d", waitingLine(samples, now));
  };
  return element;
}

/** Draws the last five minutes of waiting, small; the figures beside it say the same in numbers. */
function waitingLine(samples, now) {
  const top = niceTop(Math.max(1, ...samples.map((sample) => sample.waiting)));
  return path(samples, "waiting", (at) => (1 - (now - at) / SPAN_MS) * SPARK.wide, (value) => (1 - value / top) * SPARK.high);
}
