// A thousand people and ten seats, way after way; every figure is counted in the tables or by those who asked.
import * as api from "./api.js";
import { h, say, text } from "/dom.js";
import { BROKEN, moodOf, time, WAYS } from "./words.js";

const COLUMNS = [["sold", "Sold"], ["oversold", "Sold twice"], ["refused", "Refused"], ["turned_away", "Stopped by Redis"], ["gave_up", "Gave up"], ["failed", "Errors"], ["retries", "Began again"], ["commits", "Commits"]];

/** What should not be, if it is. */
const TONES = [["oversold", "bad"], ["failed", "warn"]];

/** The product's own teller comes only here: it cannot be stopped between two statements. */
const TELLER = { name: "The teller, which sells here" };
const named = (way) => WAYS[way]?.name ?? TELLER.name;

/** Makes the part of the page for the rush. */
export function rushPart({ ways, people, seats, connections, redis }) {
  const possible = [...ways.filter((way) => redis || way !== "seat-lock"), "teller"];
  const rows = new Map(possible.map((way) => [way, rushRow(way, () => one(way))]));
  const all = h("button", { type: "button", class: "solid", onclick: every }, "Run them all");
  const note = h("div", { role: "alert" });
  const table = h("table", { role: "table" }, h("caption", { class: "unseen" }, "What came of it, way by way"),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Way", ...COLUMNS.map(([, name]) => name), "Time"].map((name) => h("th", { role: "columnheader", scope: "col" }, name)))), h("tbody", { role: "rowgroup" }, [...rows.values()].map((row) => row.element)));
  const element = h("section", { class: "rush" }, h("h2", {}, `${people.toLocaleString("en")} people, ${seats} seats`),
    h("p", {}, `All come at once, on ${connections} connections, as from the pool of a server; each asks once, and where trying again is part of the way, a dozen times. Sold is what the table of holds has in the end. How often the broken way oversells is chance: run it again. The teller is the product's own: whoever comes while a commit is under way goes together into the next.`),
    h("p", { class: "row" }, all), note, h("div", { class: "scroll", role: "region", "aria-label": "Results", tabindex: "0" }, table),
    !redis && h("p", { class: "hint" }, "The lease in Redis is missing: there is no Redis here."));

  async function one(way) {
    lock(true);
    rows.get(way).wait();
    try {
      const outcome = await api.rush(way);
      rows.get(way).draw(outcome, seats);
      say(`${named(way)}: ${outcome.sold} sold, ${outcome.oversold} twice, ${outcome.failed} errors.`);
      note.replaceChildren();
    } catch (fault) {
      rows.get(way).draw(null);
      note.replaceChildren(h("p", { class: "banner" }, h("b", {}, "That did not work."), ` ${fault.message}.`));
      throw fault;
    } finally {
      lock(false);
    }
  }

  async function every() {
    for (const way of rows.keys()) {
      try { await one(way); } catch { return; }
    }
  }

  function lock(on) {
    for (const button of element.querySelectorAll("button")) button.disabled = on;
  }
  return { element };
}

function rushRow(way, run) {
  const cells = new Map([...COLUMNS, ["took_us", "Time"]].map(([name, label]) => [name, h("td", { role: "cell", "data-label": label }, "")]));
  const why = h("small", { class: "why", hidden: true });
  const button = h("button", { type: "button", class: "quiet small", onclick: () => run().catch(() => {}), "aria-label": `Run: ${named(way)}` }, "Run");
  const element = h("tr", { role: "row" }, h("th", { role: "rowheader", scope: "row" }, h("div", {}, h("span", {}, named(way)), BROKEN.includes(way) && h("small", { class: "flag" }, "broken"), button), why), [...cells.values()]);
  const clear = (words) => { for (const cell of cells.values()) text(cell, ""); text(cells.get("sold"), words); why.hidden = true; delete element.dataset.mood; };

  function draw(outcome, seats) {
    if (!outcome) return clear("");
    for (const [name, cell] of cells) text(cell, name === "took_us" ? time(outcome.took_us) : outcome[name].toLocaleString("en"));
    for (const [name, tone] of TONES) cells.get(name).dataset.tone = outcome[name] > 0 ? tone : "";
    element.dataset.mood = moodOf(outcome, seats);
    why.hidden = !outcome.error;
    text(why, outcome.error ? `The database: ${outcome.error}` : "");
  }
  return { element, draw, wait: () => clear("…") };
}
