// What the site says when something is in the way: what happened, what it means, what to do next.
import { h, notice } from "./dom.js";

const again = () => h("button", { type: "button", class: "solid", onclick: () => location.reload() }, "Try again");
const search = () => h("a", { class: "button", href: "/" }, "Search again");
const find = () => h("a", { class: "button quiet", href: "/find" }, "Find a booking");

/** What the API refuses, in a passenger's words: by the type of the problem, or by its type and field. */
const REFUSALS = {
  "not_on_sale": ["Not on sale", "This train does not run that day, does not carry this class, or its day is not on sale. Search again to see what is."],
  "invalid_field.from": ["Where from?", "We do not know that station. Choose one from the list."],
  "invalid_field.to": ["Where to?", "Choose a station from the list, and another one than where you start."],
  "invalid_field.date": ["Which day?", "That is not a day of the calendar. Choose another one."],
  "invalid_field.quantity": ["How many seats?", "So many seats cannot be had in one booking. Choose fewer; you can book again for the others."],
  "invalid_field.seats": ["Which seats?", "One of these seats is not in this train any more. Choose again on the map."],
  "invalid_field.method": ["How to pay?", "This way to pay is not offered. Choose another one."],
  "hold_expired": ["The hold has run out", "The time was over, so the seats went back on sale. Nothing was charged. You can try again."],
  "hold_cancelled": ["Given back", "These seats were given back. Nothing was charged."],
  "no_extension_left": ["No more time", "You have had all the time there is. Pay before it runs out, or give the seats back."],
  "booking_cancelled": ["Cancelled before", "This booking is cancelled, and its money goes back. Nothing else was changed."],
  "not_in_booking": ["Changed meanwhile", "This booking has changed since you opened it. Open it again to see what it has now."],
  "too_late_to_cancel": ["Too late to cancel", "The time in which this booking can be cancelled is over. Your booking stays as it is."],
  "shared_reference": ["Two bookings have this reference", "So we cannot tell which is yours. Nothing was changed. Tell us, and say which train it is."],
  "already_paid": ["Already paid", "These seats are paid for. Nothing was charged a second time."],
  "payment_in_progress": ["A payment is under way", "Wait for it to come through; you will not be charged twice."],
  "idempotency_key_reused": ["Please start again", "This page has been used for another booking. Nothing happened; search again."],
};

/** Finds the words for what the API refused; what it has no words for is said in general. Pure, for the tests. */
export function refused(problem) {
  const name = String(problem?.type ?? "").replace("/problems/", "");
  return REFUSALS[`${name}.${problem?.field}`] ?? REFUSALS[name] ?? ["That did not work", "The booking service could not do this. Nothing was charged. Search again, and tell us if it goes on."];
}

/** Makes the notice for a fault. */
export function sorry(fault) {
  switch (fault.kind) {
    case "line":
      return notice("Your time inside has ended", "Others are waiting, so everyone has a limited time to book. You can join the line again; a hold you made stays yours until its own time runs out.", h("button", { type: "button", class: "solid", onclick: () => location.reload() }, "Join the line again"));
    case "sold_out":
      return notice("Sold out", "All seats are sold or held by someone who is paying. Seats come back when others do not finish, so it is worth a second look; other classes and trains may have seats now.", search(), again());
    case "gone":
      return notice(fault.heading ?? "Not found", fault.said ?? "There is nothing at this address. It may have a typing error, or be of another day.", search(), find());
    case "busy":
      return notice("Very busy just now", "The booking service could not answer in time. Nothing was charged and nothing is lost; try again in a moment.", again());
    case "network":
      return notice("No connection", "The booking service cannot be reached just now. Nothing was charged and nothing is lost.", again());
    default: {
      const [heading, words] = refused(fault.problem);
      return notice(heading, words, search());
    }
  }
}
