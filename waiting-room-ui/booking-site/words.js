// What the site says when something is in the way: what happened, what it means, what to do next.
import { h, notice } from "./dom.js";

const again = () => h("button", { type: "button", class: "solid", onclick: () => location.reload() }, "Try again");
const search = () => h("a", { class: "button", href: "/" }, "Search again");

/** Makes the notice for a fault. */
export function sorry(fault) {
  switch (fault.kind) {
    case "line":
      return notice("Your time inside has ended", "Others are waiting, so everyone has a limited time to book. You can join the line again; a hold you made stays yours until its own time runs out.", h("button", { type: "button", class: "solid", onclick: () => location.reload() }, "Join the line again"));
    case "sold_out":
      return notice("Sold out", "All seats are sold or held by someone who is paying. Seats come back when others do not finish, so it is worth a second look; other classes and trains may have seats now.", search(), again());
    case "gone":
      return notice("Not found", fault.message, search());
    case "busy":
      return notice("Very busy just now", "The booking service could not answer in time. Nothing was charged and nothing is lost; try again in a moment.", again());
    case "network":
      return notice("No connection", "The booking service cannot be reached just now. Nothing was charged and nothing is lost.", again());
    default:
      return notice("That did not work", fault.message, search());
  }
}
