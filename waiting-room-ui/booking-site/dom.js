// Elements in one call. Text is always text: nothing here takes HTML.

/** Makes an element: `on…` properties are listeners, true and false switch an attribute, children may be text. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
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

/** Says something to a screen reader. */
export function say(words) {
  text(document.getElementById("said"), words);
}

/** Makes a kind notice: what happened, what it means, what to do next. */
export function notice(heading, words, ...actions) {
  return h("section", { class: "card notice" }, h("h1", {}, heading), h("p", {}, words), actions.length > 0 && h("p", { class: "row" }, actions));
}

/** Repeats a piece of work while a view is shown and its tab is looked at; never two at once. Stops with the signal. */
export function every(ms, signal, work) {
  let busy = false;
  const timer = setInterval(async () => {
    if (busy || document.hidden) return;
    busy = true;
    await work().catch(() => {});
    busy = false;
  }, ms);
  signal.addEventListener("abort", () => clearInterval(timer));
}
