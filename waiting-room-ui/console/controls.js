// What an operator can do to a room. Fields that are being edited are never overwritten by a poll.
import { act, change } from "./api.js";
import { emptied, field, guard, h, text, twoStep } from "./dom.js";
import { effectOfLimit, effectOn, isMany, isManyfold, rateOfSlider, sliderOfRate } from "./effect.js";
import { count, rate } from "./format.js";
import { adapting, inForce } from "./health.js";
import { EVERYTHING } from "./overview.js";
import { schedule } from "./schedule.js";

const SLIDER_TOP = 2000, LIMIT_TOP = 50_000;

/**
 * Makes every control of one room, in columns: first what a tense minute needs, then the rest. `done(promise, words)` runs an
 * action and says how it went.
 */
export function controls(name, done) {
  const first = [phase(name, done), pace(name, done), message(name, done), admit(name, done)];
  const rest = [[soldOut(name, done)], [active(name, done), adapting(name, done)], [schedule(name, done, panel), danger(name, done)]];
  const column = (parts) => h("div", { class: "column" }, parts.map(({ element }) => element));
  return { first: column(first), rest: rest.map(column), update: (room) => [...first, ...rest.flat()].forEach((part) => part.update(room)) };
}

function panel(title, ...children) {
  return h("section", { class: "card control" }, h("h2", {}, title), children);
}

/** Names a control for those who cannot see what it stands beside. */
function labelled(label, control) {
  control.setAttribute("aria-label", label);
  return control;
}

function phase(name, done) {
  const words = h("p", { class: "hint" });
  const button = (label, verb, said) => h("button", { type: "button", onclick: () => done(act(name, verb), said) }, label);
  const all = { takes: button("Take newcomers again", "open", "Open. Whoever comes joins the line."), pause: button("Pause", "pause", "Paused. Nobody is let in; every place is kept."), resume: button("Resume", "resume", "Resumed."), open: button("Open", "open", "Open.") };
  const drain = twoStep("Drain…", "Drain the line? Nobody else can join until it is opened again. Those who are in line are let in, to the last.", "Drain the line", () => done(act(name, "drain"), "Draining. Those in line are let in, nobody else joins."));
  const close = twoStep("Close…", "Close the line? Nobody else can join, and nobody is let in until it is opened again.", "Close the line", () => done(act(name, "close"), "Closed."));
  const notes = {
    open: "People are let in at the rate below.", paused: "Nobody is let in. Everybody keeps their place and sees that it is paused.",
    closed: "Nobody can join and nobody is let in.",
  };
  const draining = ({ waiting, present }) => `Nobody else can join. ${waiting === 0 ? "Nobody is left in line." : `${count(waiting)} still in line, of whom ${count(present)} are here, are let in at the rate below.`}`;
  return {
    element: panel("The line", words, h("div", { class: "row" }, all.takes, all.pause, all.resume, all.open, drain, close)),
    update(room) {
      text(words, room.phase === "draining" ? draining(room) : notes[room.phase] ?? "");
      all.takes.hidden = room.phase !== "draining";
      all.pause.hidden = room.phase !== "open" && room.phase !== "draining";
      all.resume.hidden = room.phase !== "paused";
      all.open.hidden = room.phase !== "closed";
      drain.hidden = room.phase === "closed" || room.phase === "draining";
      close.hidden = room.phase === "closed";
    },
  };
}

function pace(name, done) {
  const slider = h("input", { type: "range", min: "0", max: "1000", oninput: () => edit(rateOfSlider(Number(slider.value), SLIDER_TOP)) });
  const number = h("input", { type: "number", min: "0", step: "any", inputmode: "decimal", required: true, oninput: () => edit(number.value === "" ? NaN : Number(number.value)) });
  const words = h("p", { class: "effect", "aria-live": "polite" });
  const apply = h("button", { class: "solid" }, "Apply");
  const undo = h("button", { type: "button", class: "plain", onclick: () => { wanted = null; show(); } }, "Undo");
  const { element: sure, ask } = guard();
  const form = h("form", { class: "stack", onsubmit: send }, field("People let in a second", number), labelled("People let in a second, as a slider", slider), words, h("div", { class: "row" }, apply, undo), sure);
  let now = null, wanted = null;

  function edit(value) {
    wanted = value;
    show();
  }

  function show() {
    const value = wanted ?? now?.admissions_per_second;
    if (document.activeElement !== number && !Number.isNaN(value)) number.value = value ?? "";
    if (document.activeElement !== slider && Number.isFinite(value)) slider.value = sliderOfRate(value, SLIDER_TOP);
    slider.setAttribute("aria-valuetext", `${rate(value)} a second`);
    const changed = wanted !== null && wanted !== now?.admissions_per_second;
    apply.disabled = !changed || !(wanted > 0);
    undo.hidden = !changed;
    if (now) foretell(changed ? value : inForce(now), changed);
  }

  function foretell(value, changed) {
    const { tone, words: said } = effectOn(now, value);
    words.dataset.tone = tone;
    text(words, `${changed ? "If applied: " : ""}${said}`);
  }

  async function send(event) {
    event.preventDefault();
    const asked = wanted, before = now.admissions_per_second;
    if (isManyfold(asked, before) && !(await ask(`Let in ${rate(asked)} a second instead of ${rate(before)}? The site gets so many more from the next second on.`, `Yes, ${rate(asked)} a second`))) return;
    if (await done(change(name, { admissions_per_second: asked }), `Rate set to ${rate(asked)} a second.`) && wanted === asked) wanted = null;
  }

  return { element: panel("Rate", form), update(room) { now = room; show(); } };
}

function active(name, done) {
  const slider = h("input", { type: "range", min: "0", max: "1000", oninput: () => edit(Math.max(1, Math.round(rateOfSlider(Number(slider.value), LIMIT_TOP)))) });
  const number = h("input", { type: "number", min: "1", step: "1", inputmode: "numeric", placeholder: "no limit", oninput: () => edit(number.value === "" ? null : Number(number.value)) });
  const words = h("p", { class: "effect", "aria-live": "polite" });
  const apply = h("button", {}, "Set");
  const undo = h("button", { type: "button", class: "plain", onclick: () => { wanted = undefined; show(); } }, "Undo");
  const { element: sure, ask } = guard();
  const form = h("form", { class: "stack", onsubmit: send }, field("At most, empty for no limit", number), labelled("People inside at most, as a slider", slider), words, h("div", { class: "row" }, apply, undo), sure);
  let now = null, wanted;

  function edit(value) {
    wanted = value;
    show();
  }

  function show() {
    if (!now) return;
    const changed = wanted !== undefined && wanted !== now.total_active_users, value = changed ? wanted : now.total_active_users;
    if (document.activeElement !== number) number.value = value ?? "";
    if (document.activeElement !== slider) slider.value = value == null ? 1000 : sliderOfRate(value, LIMIT_TOP);
    slider.setAttribute("aria-valuetext", value == null ? "no limit" : `${count(value)} people`);
    apply.disabled = !changed || !(value === null || value >= 1);
    undo.hidden = !changed;
    const { tone, words: said } = effectOfLimit(now.active_sessions, value, now.session_duration_seconds, inForce(now));
    words.dataset.tone = tone;
    text(words, `${changed ? "If applied: " : ""}${said}`);
  }

  async function send(event) {
    event.preventDefault();
    const asked = wanted;
    if (asked === null && !(await ask("Take the limit of people inside away? Then the rate alone decides how many the site gets.", "Yes, no limit"))) return;
    if (await done(change(name, { total_active_users: asked }), asked === null ? "No limit of people inside." : `At most ${count(asked)} people inside.`) && wanted === asked) wanted = undefined;
  }
  return { element: panel("People inside", form), update(room) { now = room; show(); } };
}

function message(name, done) {
  const words = h("textarea", { rows: "3", maxlength: "500" });
  const now = h("p", { class: "hint" });
  const clear = h("button", { type: "button", class: "plain", onclick: () => done(act(name, "message", { text: null }), "Message taken away.") }, "Take it away");
  async function send(event) {
    event.preventDefault();
    const written = words.value, said = written.trim();
    if (said && (await done(act(name, "message", { text: said }), "Message shown to everyone in line."))) emptied(words, written);
  }
  return {
    element: panel("Message to everyone in line", now, h("form", { class: "stack", onsubmit: send }, field("New message", words), h("div", { class: "row" }, h("button", {}, "Show it"), clear))),
    update(room) {
      text(now, room.message ? `Shown now: “${room.message}”` : "No message is shown.");
      clear.hidden = !room.message;
    },
  };
}

function soldOut(name, done) {
  const key = h("input", { type: "text", maxlength: "200", required: true, autocomplete: "off", spellcheck: "false", placeholder: "12951:2026-11-23:3A" });
  const list = h("ul", { class: "keys" }), note = h("p", { class: "hint" });
  const { element: sure, ask } = guard();
  let drawn = null, known = [];
  async function send(event) {
    event.preventDefault();
    const written = key.value, value = written.trim();
    if (value === EVERYTHING && !(await ask("Mark everything as sold out? Until it is put back on sale, whoever is not in is turned away; whoever is in goes on, and can pay for what they hold. An item’s key, instead of *, holds for all.", "Yes, everything"))) return;
    if (value && value !== EVERYTHING && !known.includes(value) && !(await ask(`Nothing was ever heard of “${value}”. If it is misspelt, what you mean stays on sale. Mark it all the same?`, "Yes, mark it"))) return;
    if (value && (await done(act(name, "sold-out", { key: value }), `${itemWords(value)} is answered as sold out.`))) emptied(key, written);
  }
  const back = (value) => h("button", { type: "button", class: "plain", "aria-label": `Put ${itemWords(value)} back on sale`, onclick: () => done(act(name, "on-sale", { key: value }), `${itemWords(value)} is on sale again.`) }, "Back on sale");
  return {
    element: panel("Sold out", note, list, h("form", { class: "stack", onsubmit: send }, field("Item", key), h("div", { class: "row" }, h("button", {}, "Mark as sold out"))), sure),
    update(room) {
      text(note, `${room.sold_out.length ? `${count(room.sold_out.length)} answered from memory` : "Nothing is marked as sold out"}; ${count(room.sold_out_answers)} requests were spared the booking API.`);
      known = [...Object.keys(room.stock ?? {}), ...room.sold_out, room.item];
      const stock = Object.entries(room.stock ?? {}).filter(([item]) => !room.sold_out.includes(item)).slice(0, 20);
      const next = JSON.stringify([room.sold_out, stock]);
      if (next === drawn) return;
      drawn = next;
      list.replaceChildren(...room.sold_out.slice(0, 100).map((value) => h("li", {}, value === EVERYTHING ? h("b", {}, itemWords(value)) : h("code", {}, value), back(value))), ...stock.map(([item, left]) => h("li", {}, h("code", {}, item), h("span", { class: "left" }, `${count(left)} left`))));
    },
  };
}

const itemWords = (item) => (item === EVERYTHING ? "Everything" : item);

function admit(name, done) {
  const number = h("input", { type: "number", min: "1", max: "100000", step: "1", value: "1", required: true, inputmode: "numeric" });
  const { element, ask } = guard();
  let pace = null;
  async function send(event) {
    event.preventDefault();
    const wanted = Number(number.value), people = count(wanted);
    if (isMany(wanted, pace) && !(await ask(`Let ${people} in at once? The site gets them all in the same moment, on top of the rate.`, `Let ${people} in`))) return;
    done(act(name, "admit", { count: wanted }), `${people} let in, from the front of the line.`);
  }
  return {
    element: panel("Let some in now", h("p", { class: "hint" }, "From the front of the line, on top of the rate."), h("form", { class: "row", onsubmit: send }, field("How many", number), h("button", {}, "Let in")), element),
    update(room) { pace = inForce(room); },
  };
}

function danger(name, done) {
  const reset = twoStep("Reset the line…", "Reset the line? Everybody in it loses their place and starts again. This cannot be undone.", "Yes, reset it", () => done(act(name, "reset"), "The line was reset."));
  return { element: panel("Start again", h("p", { class: "hint" }, "For rehearsals. Gives up every place and starts counting anew."), reset), update() {} };
}
