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

/** Empties a control whose words were sent, unless others were written in it since. */
export function emptied(control, sent) {
  if (control.value === sent) control.value = "";
}

/** Makes a place where a question is asked before something is done: `ask(question, yes)` answers whether to do it. */
export function guard() {
  const words = h("p"), sure = h("button", { type: "button", class: "danger solid", onclick: () => end(true) });
  const no = h("button", { type: "button", class: "plain", onclick: () => end(false) }, "Cancel");
  const element = h("div", { class: "sure", role: "group", hidden: true }, words, h("div", { class: "row" }, sure, no));
  let settle = () => {}, asker = null;
  function end(answer) {
    if (element.contains(document.activeElement)) asker?.focus();
    element.hidden = true;
    settle(answer);
  }
  function ask(question, yes) {
    end(false);
    asker = document.activeElement;
    text(words, question);
    text(sure, yes);
    element.setAttribute("aria-label", question);
    element.hidden = false;
    no.focus();
    return new Promise((done) => { settle = done; });
  }
  element.addEventListener("keydown", (event) => event.key === "Escape" && end(false));
  return { element, ask };
}

/** Makes a button that asks once more before it does what cannot be undone. */
export function twoStep(label, question, yes, act) {
  const { element, ask } = guard();
  const button = h("button", { type: "button", class: "danger", onclick: press }, label);
  async function press() {
    button.hidden = true;
    const answer = await ask(question, yes);
    button.hidden = false;
    button.focus();
    if (answer) await act();
  }
  return h("div", { class: "two-step" }, button, element);
}
