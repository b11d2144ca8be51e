// A reminder on every other page of seats that are held: people go back to look at something, and forget the clock.
import { hold } from "./api.js";
import { h, text } from "./dom.js";
import { countdown } from "./format.js";

const SLOT = "held";

/** Remembers a hold in this tab, with the time that is left of it; `null` forgets it. */
export function rememberHold(id, leftMs = 0) {
  if (id === null) sessionStorage.removeItem(SLOT);
  else sessionStorage.setItem(SLOT, JSON.stringify({ id, until: Date.now() + leftMs }));
}

const remembered = () => JSON.parse(sessionStorage.getItem(SLOT) ?? "null");

/** Shows the reminder above a view until the hold ends, if there is one. */
export function showHeld(place, signal) {
  place.replaceChildren();
  const kept = remembered();
  if (!kept || location.pathname === `/hold/${kept.id}`) return;
  const clock = h("b", { role: "timer" });
  const bar = h("p", { class: "held no-print" }, "Seats are held for you: ", clock, " ", h("a", { href: `/hold/${kept.id}` }, "Go on to pay"));
  const timer = setInterval(tick, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));

  function tick() {
    const left = kept.until - Date.now();
    text(clock, countdown(left));
    if (left <= 0) end();
  }

  function end() {
    clearInterval(timer);
    bar.remove();
    rememberHold(null);
  }

  // What this tab remembers may be out of date: the server is asked before anything is said.
  hold(kept.id, signal).then(({ status, expires_at, now }) => {
    if (status !== "held") return end();
    kept.until = Date.now() + expires_at - now;
    tick();
    if (expires_at > now) place.append(bar);
  }).catch((fault) => { if (fault.kind === "gone") end(); });
}
