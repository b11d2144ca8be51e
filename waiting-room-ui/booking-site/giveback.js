// Giving back some of the seats of a booking: which are kept is chosen, and what comes back is said before anything is done.
import { keepOnly } from "./api.js";
import { h, text } from "./dom.js";
import { className, day, inventoryParts, money, seats } from "./format.js";
import { sorry } from "./words.js";

/** Offers to give some of the seats back; nothing where there is only one, or it is too late. */
export function giveBack(made, done) {
  const items = (made.items ?? []).filter((item) => item.refund_each_paise != null);
  if (made.quantity < 2 || items.length === 0) return null;
  const note = h("div", { role: "alert" });
  const words = h("p", { role: "status" });
  const choices = items.map((item) => choice(item, items.length > 1, look));
  const go = h("button", { class: "stop", disabled: true }, "Give them back");
  const form = h("form", { class: "stack", onsubmit: (event) => { event.preventDefault(); send(); } }, choices.map(({ element }) => element), words, h("p", { class: "row" }, go), note);
  look();
  return h("details", { class: "no-print" }, h("summary", {}, "I need fewer seats"), form);

  function look() {
    const given = choices.reduce((sum, { given }) => sum + given(), 0);
    const back = choices.reduce((sum, { item, given }) => sum + given() * item.refund_each_paise, 0);
    go.disabled = given === 0 || given === made.quantity;
    text(go, given === 1 ? "Give it back" : "Give them back");
    text(words, said(given, back));
  }

  function said(given, back) {
    if (given === 0) return "Choose what you keep.";
    if (given === made.quantity) return "To give all of it back, cancel the booking.";
    const returned = back > 0 ? `You get ${money(back)} back, the way you paid.` : "Nothing of the price comes back.";
    return `${returned} ${seats(given)} ${given === 1 ? "goes" : "go"} to others at once.`;
  }

  async function send() {
    go.disabled = true;
    try {
      for (const { item, given, kept } of choices) if (given() > 0) await keepOnly(made.reference, item.inventory, kept());
      done();
    } catch (fault) { note.replaceChildren(sorry(fault)); look(); }
  }
}

/** Makes the choice of what is kept of one item: seats by their names, or how many. */
function choice(item, several, changed) {
  const { train, date, class: code } = inventoryParts(item.inventory) ?? {};
  const where = several ? ` of ${train}, ${className(code)}, ${day(date)}` : "";
  if (!item.seats) {
    const select = h("select", { onchange: changed }, Array.from({ length: item.quantity + 1 }, (_, left) => item.quantity - left).map((count) => h("option", { value: count }, seats(count))));
    const kept = () => Number(select.value);
    return { item, kept, given: () => item.quantity - kept(), element: h("label", { class: "field" }, `You keep${where}`, select) };
  }
  const boxes = item.seats.map((label) => h("input", { type: "checkbox", value: label, checked: true, onchange: changed }));
  const labels = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const kept = () => (labels().length > 0 ? labels() : 0);
  return { item, kept, given: () => boxes.length - labels().length, element: h("fieldset", {}, h("legend", {}, `Seats you keep${where}`), boxes.map((box) => h("label", { class: "choice" }, box, h("span", {}, box.value)))) };
}
