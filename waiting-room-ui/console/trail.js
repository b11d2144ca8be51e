// What operators changed, newest first, of one room or of all.
import { field, h, text } from "./dom.js";
import { count, moment, rate, span } from "./format.js";

const MOST = 50;
const HEADS = ["When", "Who", "What", "Room"];
const ACTIONS = {
  pause: "Paused", resume: "Resumed", open: "Opened", drain: "Drains", close: "Closed", reset: "The line was reset", "sold-out": "Sold out", "on-sale": "On sale",
  message: "Message", admit: "Let in at once", draw: "Lots drawn", limits: "Limits", "bypass-link": "Link past the line", "bypass-link-revoked": "Link past the line revoked",
};
const orNone = (say) => (value) => (value === null ? "none" : say(value));
const instant = orNone((ms) => moment(ms, Date.now()));
const FIELDS = {
  admissions_per_second: ["a second", orNone(rate)], total_active_users: ["people inside", orNone(count)], adaptive_floor: ["never below, a second", orNone(rate)],
  burst: ["burst", count], session_duration_seconds: ["a visit", span], grace_seconds: ["place kept for", span],
  opens_at: ["places from", instant], starts_at: ["let in from", instant], ends_at: ["until", instant], expires_at: ["until", instant],
  key: ["", (key) => (key === "*" ? "everything" : key)], text: ["", orNone((words) => `“${words}”`)], count: ["", count], public_value: ["with", String],
  id: ["", String], note: ["", orNone(String)],
};

/** Says a change in words; of a limit also what it was set to before, if the trail `entries` knows that. */
export function told(entry, entries) {
  const fields = read(entry.detail), head = ACTIONS[entry.action] ?? entry.action;
  if (!fields) return entry.detail ? `${head}: ${entry.detail}` : head;
  const parts = Object.entries(fields).map(([name, value]) => {
    const [label, say] = FIELDS[name] ?? [name, JSON.stringify];
    const before = entry.action === "limits" ? lastOf(name, entry, entries) : undefined;
    return `${label} ${say(value)}${before === undefined ? "" : ` (set here before: ${say(before)})`}`.trim();
  });
  return parts.length ? `${head}: ${parts.join(", ")}` : head;
}

/** Gives what a limit was set to before a change, as far as the trail goes back. */
function lastOf(name, entry, entries) {
  const older = entries.filter(({ at, action, room }) => action === "limits" && room === entry.room && at < entry.at).sort((a, b) => b.at - a.at);
  return older.map(({ detail }) => read(detail)?.[name]).find((value) => value !== undefined);
}

/** Reads a detail that is an object; null where it is words. */
function read(detail) {
  try {
    const said = JSON.parse(detail || "{}");
    return said && typeof said === "object" ? said : null;
  } catch {
    return null;
  }
}

/** Picks the changes that a room and some words ask for, newest first. Every word has to be somewhere in the change. */
export function chosen(entries, room, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const has = ({ who, action, room: where, detail }) => {
    const said = `${who} ${action} ${ACTIONS[action] ?? ""} ${where} ${detail}`.toLowerCase();
    return wanted.every((word) => said.includes(word));
  };
  return entries.filter((entry) => (!room || entry.room === room) && has(entry)).sort((a, b) => b.at - a.at);
}

/** Makes the audit trail of a room's view. The roles stay where a phone shows no table but one change below the other. */
export function auditTrail(name) {
  const words = h("input", { type: "search", oninput: draw, autocomplete: "off", spellcheck: "false" });
  const where = h("select", { onchange: draw }, h("option", { value: name }, "This room"), h("option", { value: "" }, "All rooms"));
  const rows = h("tbody", { role: "rowgroup" }), said = h("p", { class: "hint", role: "status" });
  const table = h("table", { hidden: true, role: "table" }, h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, HEADS.map((head) => h("th", { role: "columnheader", scope: "col" }, head)))), rows);
  let all = [], drawn = "";
  function draw() {
    const found = chosen(all, where.value, words.value), shown = found.slice(0, MOST);
    table.hidden = !shown.length;
    text(said, summary(found.length, shown.length, all.length));
    const next = JSON.stringify(shown);
    if (next === drawn) return;
    drawn = next;
    rows.replaceChildren(...shown.map((entry) => h("tr", { role: "row" }, cells(entry, all).map((cell, i) => h("td", { role: "cell", "data-label": HEADS[i] }, cell)))));
  }
  function update(entries) {
    all = entries;
    draw();
  }
  const asked = h("div", { class: "row" }, field("Changes of", where), field("With the words", words));
  const scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Audit trail" }, table);
  return { element: h("section", { class: "card stack" }, h("h2", {}, "Audit trail"), asked, said, scroll), update };
}

const cells = (entry, all) => [moment(entry.at, Date.now()), entry.who, told(entry, all), entry.room ?? ""];

function summary(found, shown, all) {
  if (!all) return "Nothing has been changed yet.";
  if (!found) return "No change is like that.";
  return shown < found ? `The newest ${shown} of ${found}.` : "";
}
