// What operators changed, newest first, of one room or of all.
import { field, h, text } from "./dom.js";
import { clock } from "./format.js";

const MOST = 50;
const HEADS = ["When", "Who", "What", "Room", "Detail"];

/** Picks the changes that a room and some words ask for, newest first. Every word has to be somewhere in the change. */
export function chosen(entries, room, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const has = ({ who, action, room: where, detail }) => {
    const said = `${who} ${action} ${where} ${detail}`.toLowerCase();
    return wanted.every((word) => said.includes(word));
  };
  return entries.filter((entry) => (!room || entry.room === room) && has(entry)).sort((a, b) => b.at - a.at);
}

/** Makes the audit trail of a room's view. */
export function auditTrail(name) {
  const words = h("input", { type: "search", oninput: draw, autocomplete: "off", spellcheck: "false" });
  const where = h("select", { onchange: draw }, h("option", { value: name }, "This room"), h("option", { value: "" }, "All rooms"));
  const rows = h("tbody"), said = h("p", { class: "hint", role: "status" });
  const table = h("table", { hidden: true }, h("thead", {}, h("tr", {}, HEADS.map((head) => h("th", { scope: "col" }, head)))), rows);
  let all = [], drawn = "";
  function draw() {
    const found = chosen(all, where.value, words.value), shown = found.slice(0, MOST);
    table.hidden = !shown.length;
    text(said, summary(found.length, shown.length, all.length));
    const next = JSON.stringify(shown);
    if (next === drawn) return;
    drawn = next;
    rows.replaceChildren(...shown.map((entry) => h("tr", {}, cells(entry).map((cell) => h("td", {}, cell)))));
  }
  function update(entries) {
    all = entries;
    draw();
  }
  const asked = h("div", { class: "row" }, field("Changes of", where), field("With the words", words));
  const scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Audit trail" }, table);
  return { element: h("section", { class: "card stack" }, h("h2", {}, "Audit trail"), asked, said, scroll), update };
}

const cells = (entry) => [clock(entry.at), entry.who, entry.action, entry.room ?? "", String(entry.detail ?? "")];

function summary(found, shown, all) {
  if (!all) return "Nothing has been changed yet.";
  if (!found) return "No change is like that.";
  return shown < found ? `The newest ${shown} of ${found}.` : "";
}
