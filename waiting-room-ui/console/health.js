// How the upstream does, and what a rate that adapts makes of it; and the control that turns adapting on and off.
import { change } from "./api.js";
import { field, h, text } from "./dom.js";
import { count, ms, percent, rate } from "./format.js";

const FIGURES = [
  ["Rate now", (room) => rate(inForce(room)), ({ adaptive }) => (adaptive ? `between ${rate(adaptive.floor)} and ${rate(adaptive.ceiling)} a second` : "as it is set")],
  ["Upstream answers in", (room) => ms(room.upstream.latency_ms), ({ adaptive, upstream }) => (upstream.latency_ms == null ? "nothing was asked lately" : adaptive?.baseline_ms ? `usually ${ms(adaptive.baseline_ms)}` : `95 % within ${ms(upstream.p95_ms)}`)],
  ["Errors", (room) => percent(room.upstream.error_ratio), () => "of its answers lately"],
  ["In flight", (room) => count(room.upstream.in_flight), () => "requests wait for an answer"],
];

/** Gives the rate in force, which is the one that is set unless it adapts. */
export const inForce = (room) => (room.admissions_per_second_now === undefined ? room.admissions_per_second : room.admissions_per_second_now);

/** Makes the card that shows the upstream's health. */
export function healthCard() {
  const words = h("p", { class: "effect" });
  const cells = FIGURES.map(([label]) => ({ label, value: h("dd", {}, "–"), note: h("dd", { class: "note" }) }));
  const element = h("section", { class: "card stack", hidden: true }, h("h2", {}, "The upstream’s health"), words,
    h("dl", { class: "figures" }, cells.map(({ label, value, note }) => h("div", {}, h("dt", {}, label), value, note))));
  return {
    element,
    update(room) {
      element.hidden = !room.upstream;
      if (!room.upstream) return;
      words.dataset.tone = toneOf(room);
      text(words, sentence(room));
      FIGURES.forEach(([, value, note], i) => {
        text(cells[i].value, value(room));
        text(cells[i].note, note(room));
      });
    },
  };
}

/** Says why the rate is where it is. Another gateway of the line may have asked for less than this one. */
export function sentence(room) {
  const { adaptive } = room;
  if (!adaptive) return "The rate is as it is set. It does not follow the upstream’s health.";
  if (inForce(room) < adaptive.wish * 0.9) return `Another gateway holds the rate at ${rate(inForce(room))}/s. Here: ${adaptive.words}.`;
  return `${adaptive.words}.`;
}

function toneOf({ adaptive }) {
  if (["slow", "errors", "in_flight", "silent"].includes(adaptive?.reason)) return "bad";
  return adaptive ? "good" : "unknown";
}

/** Makes the control of the floor: with one, the rate adapts. */
export function adapting(name, done) {
  const number = h("input", { type: "number", min: "0.001", step: "any", required: true, inputmode: "decimal", oninput: () => { edits += 1; } });
  const now = h("p", { class: "hint" });
  const off = h("button", { type: "button", class: "plain", onclick: () => set(null, "The rate is fixed.") }, "Turn off");
  let edits = 0, saved = 0;
  async function set(floor, said) {
    const sent = edits;
    if (await done(change(name, { adaptive_floor: floor }), said)) saved = sent;
  }
  function send(event) {
    event.preventDefault();
    set(Number(number.value), `The rate adapts, and never falls below ${rate(Number(number.value))} a second.`);
  }
  return {
    element: h("section", { class: "card control" }, h("h2", {}, "Adapt to the upstream"), now, h("form", { class: "row", onsubmit: send }, field("Never below, a second", number), h("button", {}, "Adapt"), off)),
    update({ adaptive_floor: floor, admissions_per_second: ceiling }) {
      const on = floor != null;
      text(now, on ? `The rate moves between ${rate(floor)} and ${rate(ceiling)} a second, as the upstream bears it.` : "The rate is fixed. With a least rate, it slows down when the upstream does; the rate that is set is then the highest.");
      off.hidden = !on;
      if (edits === saved && document.activeElement !== number) number.value = floor ?? "";
    },
  };
}
