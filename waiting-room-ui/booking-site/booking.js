// The ticket: what the traveller shows, on the screen and on paper.
import { booking as read } from "./api.js";
import { h } from "./dom.js";
import { money, named, seats } from "./format.js";
import { journey, tripOf } from "./trip.js";

/** Shows a booking as a ticket that can be printed. */
export async function bookingView({ id, signal }) {
  const made = await read(id, signal);
  const trip = tripOf(made.inventory, made);
  const print = h("button", { type: "button", class: "solid", onclick: () => window.print() }, "Print the ticket");
  const element = h("div", { class: "narrow" }, h("p", { class: "done" }, h("b", {}, "You are going."), " Paid and booked; keep the reference."),
    h("article", { class: "card ticket" },
      h("div", { class: "stub" }, h("h1", {}, h("span", {}, "Booking reference"), ` ${made.reference}`), h("p", {}, h("span", {}, `${seats(made.quantity)}${named(made.items)}`), h("b", {}, money(made.amount_paise)))),
      journey(trip)),
    h("p", { class: "row no-print" }, print, h("a", { class: "button quiet", href: "/" }, "Book another")));
  return { element, title: `Booking ${made.reference}` };
}
