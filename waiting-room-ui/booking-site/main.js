// The site's router: real addresses, one view at a time, each with a signal that ends its timers when it is left.
import { bookingView } from "./booking.js";
import { h } from "./dom.js";
import { findView } from "./find.js";
import { showHeld } from "./held.js";
import { holdView } from "./hold.js";
import { searchView } from "./search.js";
import { trainView } from "./train.js";
import { sorry } from "./words.js";

const ROUTES = [
  [/^\/$/, searchView],
  [/^\/train\/([^/]+)$/, trainView, "There is no such train, or it does not carry this class."],
  [/^\/hold\/([^/]+)$/, holdView, "There is no hold at this address. If the seats were yours, look at the train again; nothing was charged without a booking."],
  [/^\/booking\/([^/]+)$/, bookingView, "There is no booking with this reference. Compare it with your ticket, letter by letter."],
  [/^\/find$/, findView],
];
const main = document.getElementById("main");
let leaving = new AbortController();

/** Goes to an address of the site without asking for a page. */
function go(address, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  show(true);
}

async function show(moved) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const slow = setTimeout(() => main.replaceChildren(h("p", { class: "hint" }, "One moment…")), 400);
  const view = await make(signal);
  clearTimeout(slow);
  if (signal.aborted) return;
  main.replaceChildren(view.element);
  showHeld(document.getElementById("held"), signal);
  document.title = `${view.title} · Platform One`;
  if (moved) scrollTo(0, 0), main.focus({ preventScroll: true });
}

async function make(signal) {
  for (const [pattern, view, missing] of ROUTES) {
    const found = pattern.exec(location.pathname);
    if (!found) continue;
    try {
      return await view({ id: found[1] && decodeURIComponent(found[1]), query: new URLSearchParams(location.search), go, signal });
    } catch (fault) {
      fault.said ??= missing;
      return { element: sorry(fault), title: fault.kind === "gone" ? "Not found" : "Sorry" };
    }
  }
  return { element: sorry({ kind: "gone" }), title: "Not found" };
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || link.origin !== location.origin || link.rel === "external" || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.href);
});
addEventListener("popstate", () => show(true));
show(false);
