// All rooms at a glance: one card each, the figures that decide whether to look closer.
import { h, text } from "./dom.js";
import { count, range, rate } from "./format.js";

const PHASES = { open: "Open", paused: "Paused", closed: "Closed", pre_queue: "Not open yet" };

/** Makes the badge that says a room's phase in words and colour. */
export function badge() {
  const element = h("span", { class: "badge" });
  return {
    element,
    update(phase) {
      element.dataset.phase = phase;
      text(element, PHASES[phase] ?? phase);
    },
  };
}

/** Makes the overview. */
export function overview() {
  const grid = h("div", { class: "cards" });
  const empty = h("p", { class: "card hint", hidden: true }, "This gateway has no rooms yet. Rooms stand in vestibule.toml; a changed file is picked up without a restart.");
  const cards = new Map();

  function update({ rooms }) {
    empty.hidden = rooms.length > 0;
    for (const room of rooms) {
      if (!cards.has(room.name)) cards.set(room.name, grid.appendChild(card(room.name)));
      cards.get(room.name).update(room);
    }
    for (const [name, old] of cards) if (!rooms.some((room) => room.name === name)) old.remove(), cards.delete(name);
  }
  return { element: h("section", {}, h("h1", {}, "Rooms"), empty, grid), update };
}

function card(name) {
  const phase = badge(), title = h("span", { class: "title" });
  const figures = ["Waiting", "Let in a second", "Arriving a second", "A newcomer waits"].map((label) => ({ label, value: h("dd", {}, "–") }));
  const element = h("article", { class: "card room-card" },
    h("h2", {}, h("a", { href: `#/${encodeURIComponent(name)}` }, title), phase.element),
    h("dl", { class: "figures small" }, figures.map(({ label, value }) => h("div", {}, h("dt", {}, label), value))));
  element.update = (room) => {
    phase.update(room.phase);
    text(title, room.title || room.name);
    const words = [count(room.waiting), `${rate(room.admitted_per_second)} of ${rate(room.admissions_per_second)}`, rate(room.arrivals_per_second), room.waiting === 0 && room.phase === "open" ? "nothing" : range(room.eta_seconds_for_newcomer)];
    figures.forEach(({ value }, i) => text(value, words[i]));
  };
  return element;
}
