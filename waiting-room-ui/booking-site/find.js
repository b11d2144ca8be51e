// Finding a booking by the reference on the ticket.
import { booking } from "./api.js";
import { h } from "./dom.js";
import { sorry } from "./words.js";

/** Ten letters and digits, without those that are easily confused. */
const REFERENCE = /^[0-9A-HJKMNP-TV-Z]{10}$/;

/** Reads a reference as people write it: in groups, in small letters, an O for a zero; null where it is none. Pure. */
export function referenceIn(typed) {
  const letters = typed.toUpperCase().replaceAll(/[\s.-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  return REFERENCE.test(letters) ? letters : null;
}

/** Asks for a reference and goes to its ticket. */
export async function findView({ go }) {
  const input = h("input", { id: "reference", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", required: true, maxlength: "40", "aria-describedby": "reference-hint", oninput: () => complain("") });
  const wrong = h("p", { class: "wrong", role: "alert" }), note = h("div", { role: "alert" });
  const button = h("button", { class: "solid" }, "Show the ticket");

  function complain(words) {
    wrong.textContent = words;
    if (words) input.setAttribute("aria-invalid", "true"), input.focus();
    else input.removeAttribute("aria-invalid");
  }

  async function send(event) {
    event.preventDefault();
    note.replaceChildren();
    const reference = referenceIn(input.value);
    if (!reference) return complain("A reference has ten letters and digits, such as 7K2M 9QX4 TB.");
    button.disabled = true;
    try {
      await booking(reference);
      go(`/booking/${reference}`);
    } catch (fault) {
      if (fault.kind === "gone") complain("There is no booking with this reference. Compare it with your ticket, letter by letter.");
      else note.replaceChildren(sorry(fault));
    } finally {
      button.disabled = false;
    }
  }

  const form = h("form", { class: "stack", onsubmit: send, novalidate: true },
    h("div", { class: "field" }, h("label", { for: "reference" }, "Booking reference"), input, h("p", { class: "hint", id: "reference-hint" }, "It stands at the top of your ticket."), wrong), button, note);
  return { element: h("div", { class: "narrow" }, h("section", { class: "card" }, h("h1", {}, "My booking"), h("p", {}, "See your ticket, print it, or cancel it."), form)), title: "My booking" };
}
