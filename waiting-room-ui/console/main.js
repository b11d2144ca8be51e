// The console's one loop: once a second it asks for the rooms and shows what it heard, or says that it heard nothing.
import { adoptToken, audit, dropToken, keepToken, past, rooms, token } from "./api.js";
import { field, h, text } from "./dom.js";
import { span } from "./format.js";
import { History } from "./history.js";
import { overview } from "./overview.js";
import { PLACE as READINESS, readinessView } from "./readiness.js";
import { roomView } from "./room.js";

const POLL_MS = 1000, AUDIT_MS = 3000, STALE_MS = 5000;
/** Of how many rooms at once the gateway is asked for what was before. */
const PASTS = 24;
const place = (id) => document.getElementById(id);
const history = new History();
let view = null, shownFor = null, heard = null, heardAt = 0, skew = Infinity, auditAt = 0, fault = null, timer = 0;
const pastsOf = new Set();

function wantedRoom() {
  return decodeURIComponent(location.hash.replace(/^#\/?/, "")) || null;
}

/** Puts the view for the address on the page; with a single room, that room is the overview. */
function route() {
  if (!token()) return signIn();
  const name = wantedRoom() ?? (heard?.rooms.length === 1 ? heard.rooms[0].name : null);
  if (view && shownFor === name) return;
  shownFor = name;
  place("readiness").setAttribute("aria-current", name === READINESS ? "page" : "false");
  view = name === READINESS ? readinessView() : name ? roomView(name, history, done) : overview(history);
  auditAt = 0;
  place("main").replaceChildren(view.element);
  if (heard) view.update(heard, Date.now());
  document.title = name ? `${name === READINESS ? "Readiness" : name} · Vestibule console` : "Vestibule console";
}

function signIn(words) {
  view = null;
  shownFor = undefined;
  heard = null;
  place("sign-out").hidden = true;
  place("readiness").hidden = true;
  place("rooms-nav").replaceChildren();
  text(place("gateway"), "");
  const input = h("input", { type: "password", required: true, autocomplete: "current-password", spellcheck: "false" });
  const form = h("form", { class: "card sign-in", onsubmit: (event) => { event.preventDefault(); keepToken(input.value.trim()); start(); } },
    h("h1", {}, "Operator’s console"), words && h("p", { class: "wrong", role: "alert" }, words),
    field("Admin token", input, "It stands in admin-token in the gateway’s data folder, unless your configuration gives one; the demo prints it. It stays in this tab only."), h("button", { class: "solid" }, "Sign in"));
  place("main").replaceChildren(form);
  input.focus();
}

/** Runs an action, says how it went, and looks again at once. Answers whether it worked. */
async function done(promise, words) {
  try {
    await promise;
    announce(words);
    auditAt = 0;
    poll();
    return true;
  } catch (error) {
    announce(`That did not work. ${error.message}`, true);
    return false;
  }
}

function announce(words, bad = false) {
  const said = place("said");
  said.dataset.bad = bad;
  text(said, words);
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => text(said, ""), bad ? 12_000 : 5000);
}

async function poll() {
  clearTimeout(timer);
  const mine = token();
  if (!mine) return;
  try {
    take(await rooms());
    await pollAudit();
    fault = null;
  } catch (error) {
    if (error.status === 401 || error.status === 403) return refuse();
    fault = error;
  }
  showTrouble();
  clearTimeout(timer);
  timer = setTimeout(poll, POLL_MS);
}

function refuse() {
  dropToken();
  signIn("The gateway does not know this token.");
}

function take(next) {
  heard = next;
  heardAt = Date.now();
  // The two clocks may differ: the smallest lag ever seen is taken for the difference.
  skew = Math.min(skew, ...next.rooms.map((room) => heardAt - room.as_of));
  for (const room of next.rooms) history.add(room, heardAt);
  remember(next.rooms.map(({ name }) => name));
  showGateway(next);
  route();
  view.update(next, heardAt);
}

/** Asks once for what was before this page was opened, of the room that is looked at or of all, if they are not too many. */
function remember(names) {
  const wanted = names.includes(wantedRoom()) ? [wantedRoom()] : names.slice(0, PASTS);
  for (const name of wanted.filter((name) => !pastsOf.has(name))) {
    pastsOf.add(name);
    past(name).then(({ samples }) => history.before(name, samples, skew), () => pastsOf.delete(name));
  }
}

async function pollAudit() {
  if (!view?.audit || Date.now() - auditAt < AUDIT_MS) return;
  auditAt = Date.now();
  view.audit((await audit()).entries);
}

function showGateway({ gateway, rooms: all }) {
  place("sign-out").hidden = false;
  place("readiness").hidden = false;
  text(place("gateway"), `${gateway.version}, up ${span(gateway.uptime_seconds)}, ${gateway.store}${gateway.store_up ? "" : " DOWN"}`);
  const nav = place("rooms-nav");
  const links = all.map((room) => [room.name, room.title || room.name]);
  if (nav.dataset.drawn !== JSON.stringify([links, shownFor])) {
    nav.dataset.drawn = JSON.stringify([links, shownFor]);
    nav.replaceChildren(...(all.length > 1 ? links.map(([name, title]) => h("a", { href: `#/${encodeURIComponent(name)}`, "aria-current": shownFor === name && "page" }, title)) : []));
  }
}

/** Says plainly what does not work: an old figure never passes for a new one. */
function showTrouble() {
  const old = Date.now() - heardAt;
  const late = heard ? heardAt - skew - Math.min(...heard.rooms.map((room) => room.as_of)) : 0;
  const words = fault ? `${fault.message} ${heardAt ? `The figures are ${span(old / 1000)} old.` : "Trying again every second."}`
    : heard && !heard.gateway.store_up ? "The store does not answer. People inside go on, people in line keep their places, nobody new is let in."
    : heard?.rooms.length && late > STALE_MS ? `The gateway’s own figures are ${span(late / 1000)} old.` : null;
  place("trouble").hidden = !words;
  text(place("trouble"), words ?? "");
  document.body.classList.toggle("stale", !!fault && old > STALE_MS);
}

function start() {
  heardAt = 0;
  fault = null;
  place("main").replaceChildren(h("p", { class: "hint" }, "Asking the gateway…"));
  poll();
}

adoptToken();
place("sign-out").addEventListener("click", () => { dropToken(); signIn(); });
addEventListener("hashchange", () => { adoptToken(); if (heard) route(); else if (token()) start(); });
setInterval(() => { if (fault) showTrouble(); }, 1000);
if (token()) start();
else signIn();
