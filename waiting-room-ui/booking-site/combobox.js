// A station field with suggestions, after the ARIA combobox pattern: arrows choose, Enter takes, Escape closes.
import { stations } from "./api.js";
import { h, say, text } from "./dom.js";

const PAUSE_MS = 120, NOWHERE = "No station of that name here.";
let fields = 0;

/** Makes a station field; `value()` answers the chosen code, or null where what is typed names no station. */
export function stationField(label, chosen) {
  const id = `station-${++fields}`;
  const listbox = h("ul", { id: `${id}-list`, role: "listbox", "aria-label": `${label}: stations`, hidden: true });
  const input = h("input", {
    id, type: "text", role: "combobox", required: true, autocomplete: "off", spellcheck: "false", maxlength: "60", placeholder: "Station or code",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": listbox.id, oninput: typed, onkeydown: keyed, onblur: () => setTimeout(settle, 0), onfocus: () => input.select(),
  });
  const wrong = h("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
  const element = h("div", { class: "field station" }, h("label", { for: id }, label), input, listbox, wrong);
  let options = [], active = -1, code = chosen?.code ?? null, timer = 0, asked = null;
  if (chosen) input.value = nameOf(chosen);
  listbox.addEventListener("pointerdown", (event) => event.preventDefault());
  listbox.addEventListener("click", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) take(options[[...listbox.children].indexOf(item)]);
  });

  function typed() {
    code = null;
    complain(null);
    clearTimeout(timer);
    timer = setTimeout(suggest, PAUSE_MS);
  }

  async function suggest() {
    asked?.abort();
    asked = new AbortController();
    const q = input.value.trim();
    if (!q) return show([]);
    const found = await stations(q, asked.signal).catch(() => null);
    if (found === null || q !== input.value.trim()) return;
    if (document.activeElement === input) show(found);
    else options = found;
    if (found.length) return say(`${found.length} stations`);
    say(NOWHERE);
    if (wrong.hidden) complain(NOWHERE);
  }

  function show(found) {
    options = found;
    active = found.length ? 0 : -1;
    listbox.replaceChildren(...found.map((station, i) => h("li", { role: "option", id: `${id}-${i}`, "aria-selected": "false" }, h("span", {}, station.name), h("code", {}, station.code))));
    listbox.hidden = !found.length;
    input.setAttribute("aria-expanded", String(found.length > 0));
    mark();
  }

  function mark() {
    [...listbox.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === active)));
    if (active >= 0) input.setAttribute("aria-activedescendant", `${id}-${active}`);
    else input.removeAttribute("aria-activedescendant");
    listbox.children[active]?.scrollIntoView({ block: "nearest" });
  }

  function keyed(event) {
    if (event.key === "Escape") return show([]);
    if (listbox.hidden) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      active = (active + step + options.length) % options.length;
      mark();
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault();
      take(options[active]);
    }
  }

  function take(station) {
    code = station.code;
    input.value = nameOf(station);
    complain(null);
    show([]);
  }

  function settle() {
    if (document.activeElement === input) return;
    const typedText = input.value.trim().toUpperCase();
    const exact = options.find((station) => station.code === typedText || station.name.toUpperCase() === typedText);
    if (!code && exact) take(exact);
    else show([]);
  }

  function complain(words) {
    text(wrong, words ?? "");
    wrong.hidden = !words;
    if (words) input.setAttribute("aria-describedby", wrong.id), input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-describedby"), input.removeAttribute("aria-invalid");
  }

  /** Looks the typed text up where nothing was chosen; a bare code such as NDLS is enough. */
  async function value() {
    if (!code) await stations(input.value.trim()).then((found) => {
      const typedText = input.value.trim().toUpperCase();
      const exact = found.find((station) => station.code === typedText) ?? found.find((station) => station.name.toUpperCase() === typedText) ?? (found.length === 1 ? found[0] : null);
      if (exact) take(exact);
    }).catch(() => {});
    if (!code) complain("Choose a station from the list."), input.focus();
    return code && { code, name: input.value };
  }
  return { element, value, put: take };
}

function nameOf(station) {
  return station.name && !station.name.includes(`(${station.code})`) ? `${station.name} (${station.code})` : station.name || station.code;
}
