// Elements in one call. Text is always text: nothing here takes HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element: `on…` properties are listeners, true and false switch an attribute, children may be text. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Sets text where it differs, so that a reader's selection and focus stay. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** Makes a labelled field: the label names the control, the hint describes it. */
export function field(label, control, hint) {
  const id = `f-${label.toLowerCase().replaceAll(/\W+/g, "-")}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, label), control, hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
}

/** Makes a button that asks once more before it does what cannot be undone. */
export function twoStep(label, question, yes, act) {
  const ask = h("button", { type: "button", class: "danger", onclick: () => show(true) }, label);
  const sure = h("button", { type: "button", class: "danger solid", onclick: async () => { show(false); await act(); } }, yes);
  const no = h("button", { type: "button", class: "plain", onclick: () => show(false) }, "Cancel");
  const panel = h("div", { class: "sure", role: "group", "aria-label": question, hidden: true }, h("p", {}, question), h("div", { class: "row" }, sure, no));
  function show(open) {
    panel.hidden = !open;
    ask.hidden = open;
    (open ? no : ask).focus();
  }
  panel.addEventListener("keydown", (event) => event.key === "Escape" && show(false));
  return h("div", { class: "two-step" }, ask, panel);
}
