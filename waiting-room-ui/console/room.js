// One room, live: figures, plots, controls, audit trail.
import { niceSpan } from "./axis.js";
import { controls } from "./controls.js";
import { h, text } from "./dom.js";
import { count, ms, newcomerWaits, percent, rate, span } from "./format.js";
import { healthCard, inForce } from "./health.js";
import { badge } from "./overview.js";
import { plot } from "./plot.js";
import { previewPanel } from "./preview.js";
import { auditTrail } from "./trail.js";

const FIGURES = [
  ["Waiting", (room) => count(room.waiting), (room) => `${count(room.present)} of them here now`],
  ["Let in a second", (room) => rate(room.admitted_per_second), (room) => (inForce(room) == null ? "no limit" : `limit ${rate(inForce(room))}, burst ${count(room.burst)}`)],
  ["Arriving a second", (room) => rate(room.arrivals_per_second), (room) => `${count(room.issued)} places given so far`],
  ["A newcomer waits", newcomerWaits, (room) => (room.oldest_wait_seconds == null ? "" : `longest wait now ${span(room.oldest_wait_seconds)}`)],
  ["Inside", (room) => count(room.active_sessions), (room) => (room.total_active_users == null ? `no limit, ${span(room.session_duration_seconds)} each` : `limit ${count(room.total_active_users)}, ${span(room.session_duration_seconds)} each`)],
  ["Live connections", (room) => count(room.live_connections), (room) => `place kept for ${span(room.grace_seconds)} when away`],
  ["Called so far", (room) => count(room.called), (room) => `${count(room.left)} left, ${count(room.lapsed)} lapsed`],
  ["Half waited at most", (room) => span(room.waited_seconds?.p50), (room) => (room.waited_seconds ? `95 % at most ${span(room.waited_seconds.p95)}` : "nobody was called in the last minute")],
  ["Told waits are off by", (room) => percent(room.eta_error?.p50), (room) => (room.eta_error ? `half of them; 95 % by at most ${percent(room.eta_error.p95)}` : "nobody was called in the last minute")],
  ["Give up", (room, history) => percent(history.abandoned(room.name)), () => "of those who stopped waiting, in five minutes"],
  ["Answered from memory", (room) => count(room.sold_out_answers), () => "“sold out”, without a request to the site"],
];

/** Makes the view of one room. */
export function roomView(name, history, done) {
  const phase = badge(), title = h("span", {}, name);
  const cells = FIGURES.map(([label]) => ({ label, value: h("dd", {}, "–"), note: h("dd", { class: "note" }) }));
  const line = plot("In line", [{ name: "waiting", label: "waiting", format: count }, { name: "present", label: "here now", format: count }]);
  const flow = plot("People a second", [{ name: "admitted", label: "let in", format: rate }, { name: "arrivals", label: "arriving", format: rate }, { name: "limit", label: "limit", format: rate }]);
  const waits = plot("How long the called had waited", [{ name: "waited", label: "half", format: span }, { name: "longest", label: "95 %", format: span }], span, niceSpan);
  const site = plot("The upstream answers in", [{ name: "latency", label: "typical", format: ms }, { name: "slowest", label: "95 %", format: ms }], ms);
  const inside = plot("Inside", [{ name: "inside", label: "inside", format: count }, { name: "most", label: "limit", format: count }]);
  const faults = plot("Errors of the upstream", [{ name: "errors", label: "of its answers", format: percent }], percent);
  const plots = [line, flow, waits, inside, site, faults];
  const health = healthCard();
  const handles = controls(name, done), trail = auditTrail(name);
  const gone = h("p", { class: "trouble", hidden: true }, "The gateway no longer has this room.");
  const element = h("section", {},
    h("h1", { class: "room-title" }, title, phase.element), gone,
    h("div", { class: "desk" },
      h("dl", { class: "card figures" }, cells.map(({ label, value, note }) => h("div", {}, h("dt", {}, label), value, note))),
      handles.first,
      h("div", { class: "seen" }, health.element, h("div", { class: "plots" }, plots.map(({ element }) => h("div", { class: "card" }, element))))),
    h("div", { class: "controls" }, handles.rest),
    previewPanel(name).element,
    trail.element);

  function update({ rooms }, now) {
    const room = rooms.find((one) => one.name === name);
    gone.hidden = !!room;
    if (!room) return;
    text(title, room.title || room.name);
    phase.update(room);
    FIGURES.forEach(([, value, note], i) => {
      text(cells[i].value, value(room, history));
      text(cells[i].note, note(room));
    });
    for (const each of plots) each.update(history.of(name), now);
    health.update(room);
    handles.update(room);
  }
  return { element, update, audit: trail.update };
}
