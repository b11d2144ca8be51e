// The ticket: what the traveller shows, on the screen and on paper; and the way back from it.
import { booking as read, cancel } from "./api.js";
import { every, h, say } from "./dom.js";
import { listed, money, moment, seats } from "./format.js";
import { giveBack } from "./giveback.js";
import { journey, tripOf } from "./trip.js";
import { sorry } from "./words.js";

const REFRESH_MS = 2000;

/** Shows a booking as a ticket that can be printed. */
export async function bookingView({ id, go, signal }) {
  const made = await read(id, signal);
  if (made.status === "cancelled") return cancelledView(made, signal);
  const trip = tripOf(made.inventory, made);
  const again = () => go(`/booking/${made.reference}`, true);
  const print = h("button", { type: "button", class: "solid", onclick: () => window.print() }, "Print the ticket");
  const element = h("div", { class: "narrow" }, h("p", { class: "done" }, h("b", {}, "You are going."), " Paid and booked; keep the reference."),
    h("article", { class: "card ticket" },
      h("div", { class: "stub" }, h("h1", {}, h("span", {}, "Booking reference"), ` ${made.reference}`), h("p", {}, h("span", {}, seats(made.quantity)), h("b", {}, money(made.amount_paise)))),
      journey(trip), places(made.items), h("p", { class: "small-print" }, `Booked ${moment(made.created_at)}. `, h("span", { class: "print-only" }, "A demonstration: not valid for travel."))),
    h("p", { class: "row no-print" }, print, h("a", { class: "button quiet", href: "/" }, "Book another")),
    partGone(made), giveBack(made, again), wayBack(made, again));
  return { element, title: `Booking ${made.reference}` };
}

/** Says what became of the money of seats that were given back, if some were. */
function partGone({ refund }) {
  if (!refund?.amount_paise) return null;
  const amount = money(refund.amount_paise);
  return h("p", { class: "hint no-print" }, refund.status === "refunded" ? `${amount} went back for the seats you gave back.` : `${amount} is on its way back for the seats you gave back.`);
}

/** Names the numbered seats, coach by coach, large enough to find them by; nothing where seats have no numbers. */
function places(items) {
  const labels = (items ?? []).flatMap((item) => item.seats ?? []);
  if (!labels.length) return null;
  const coaches = Map.groupBy(labels, (label) => label.split("-")[0]);
  const numbers = (all) => listed(all.map((label) => label.split("-").at(-1)));
  return h("dl", { class: "places" }, [...coaches].map(([coach, all]) => h("div", {}, h("dt", {}, coach === all[0] ? "Number" : `Coach ${coach}`), h("dd", {}, coach === all[0] ? coach : `${all.length > 1 ? "Seats" : "Seat"} ${numbers(all)}`))));
}

/** Offers to cancel, with what comes back said before anything is done. */
function wayBack(made, done) {
  const back = made.refund_if_cancelled_paise;
  if (back == null) return h("p", { class: "hint no-print" }, "This booking can no longer be cancelled.");
  const note = h("div", { role: "alert" });
  const returned = back > 0 ? `You get ${money(back)} back, the way you paid.` : "Nothing of the price comes back.";
  const ask = h("button", { type: "button", class: "quiet", onclick: () => { ask.hidden = true; sure.hidden = false; keep.focus(); } }, "Cancel this booking");
  const keep = h("button", { type: "button", onclick: () => { ask.hidden = false; sure.hidden = true; ask.focus(); } }, "Keep it");
  const yes = h("button", { type: "button", class: "stop", onclick: async () => {
    yes.disabled = true;
    try {
      await cancel(made.reference);
      done();
    } catch (fault) { yes.disabled = false; note.replaceChildren(sorry(fault)); }
  } }, "Yes, cancel it");
  const sure = h("div", { class: "stack", hidden: true, role: "group", "aria-label": "Cancel this booking?" }, h("p", {}, `${returned} The seats go to others at once.`), h("p", { class: "row" }, yes, keep));
  return h("section", { class: "no-print" }, ask, sure, note);
}

/** Shows what became of a booking that was cancelled, until the money is back. */
function cancelledView(made, signal) {
  const words = h("p", {});
  const heading = "This booking is cancelled";
  const show = ({ refund }) => {
    const amount = refund?.amount_paise ? money(refund.amount_paise) : null;
    const said = !amount ? "The seats are on sale again." : refund.status === "refunded" ? `${amount} went back the way you paid.` : `${amount} is on its way back the way you paid.`;
    if (words.textContent === said) return;
    words.textContent = said;
    say(`${heading}. ${said}`);
  };
  show(made);
  if (made.refund?.status === "refunding") every(REFRESH_MS, signal, async () => show(await read(made.reference, signal)));
  const element = h("div", { class: "narrow" }, h("section", { class: "card notice" }, h("h1", {}, heading), h("p", { class: "hint" }, `Reference ${made.reference}`), words, h("p", { class: "row" }, h("a", { class: "button", href: "/" }, "Book another"))));
  return { element, title: `Booking ${made.reference} cancelled` };
}
