// When the sale opens, starts and ends, and the draw at its start.
import { act, change } from "./api.js";
import { emptied, field, guard, h, text } from "./dom.js";
import { count } from "./format.js";

const INSTANTS = [["opens_at", "Places from"], ["starts_at", "Let in from"], ["ends_at", "Until"]];
const STAGES = {
  early: "Nobody can take a place yet.", gathering: "People take places; nobody is let in before the start.",
  running: "The sale is on.", ended: "The sale is over: nobody joins and nobody is let in.",
};

/** Gives an instant as the value of a local date and time field, to the second. */
export function localValue(ms) {
  if (ms == null) return "";
  const local = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19);
}

/** Says in a sentence how far the draw is. */
export function drawWords(draw) {
  if (!draw) return "";
  const entries = `${count(draw.entries)} ${draw.entries === 1 ? "entry" : "entries"}`;
  return {
    open: `A draw is promised; ${entries} so far.`, drawing: `The draw of ${entries} is being made.`,
    awaiting_public_value: `${entries}, and no more are taken. The draw waits for the public value: ${draw.public_value_of}.`,
  }[draw.stage] ?? `The order of ${entries} was drawn.`;
}

/** Makes the panel; `panel(title, …)` frames it. */
export function schedule(name, done, panel) {
  const fields = INSTANTS.map(([key, label]) => ({ key, label, input: h("input", { type: "datetime-local", step: "1", oninput: () => { edits += 1; } }) }));
  const words = h("p", { class: "hint" }), lots = h("p", { class: "hint", hidden: true }), seal = h("code", { class: "seal" });
  const { element: sure, ask } = guard();
  const value = h("input", { type: "text", maxlength: "1000", required: true, autocomplete: "off" });
  const reveal = h("form", { class: "stack", hidden: true, onsubmit: draw }, field("The public value, exactly as published", value), h("div", { class: "row" }, h("button", { class: "solid" }, "Draw lots with it")));
  let edits = 0, saved = 0;

  async function send(event) {
    event.preventDefault();
    const instants = Object.fromEntries(fields.map(({ key, input }) => [key, input.value === "" ? null : new Date(input.value).getTime()]));
    const sent = edits;
    if (await done(change(name, instants), "Schedule set.")) saved = sent;
  }

  async function draw(event) {
    event.preventDefault();
    const written = value.value;
    if (!(await ask("Draw lots with this value? The order is then fixed; it cannot be drawn again.", "Yes, draw"))) return;
    if (await done(act(name, "draw", { public_value: written.trim() }), "Lots are drawn.")) emptied(value, written);
  }

  const form = h("form", { class: "stack", onsubmit: send }, fields.map(({ label, input }) => field(label, input)), h("div", { class: "row" }, h("button", {}, "Set")));
  return {
    element: panel("Schedule", words, lots, reveal, sure, form),
    update(room) {
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      text(words, `${STAGES[room.stage] ?? ""} Times are in your zone, ${zone}; empty means no bound.`);
      lots.hidden = !room.draw;
      if (room.draw) {
        text(seal, room.draw.commitment);
        lots.replaceChildren(`${drawWords(room.draw)} Its seal: `, seal);
      }
      reveal.hidden = room.draw?.stage !== "awaiting_public_value";
      if (edits === saved && !fields.some(({ input }) => input === document.activeElement)) fields.forEach(({ key, input }) => { input.value = localValue(room[key]); });
    },
  };
}
