// What visitors see: the room's page in any state and language, as the gateway renders it, with figures made up.
//
// It stands in a frame that runs no script and sends no form. The frame has this console's strict policy, which lets no
// inline style be; so its styles are taken out of the page and adopted, as a policy allows.
import { preview } from "./api.js";
import { field, h, text } from "./dom.js";

const STATES = [
  ["waiting", "In line"], ["front", "First in line"], ["pre_queue", "Before places are given"], ["gathering", "Gathering before the start"], ["draw", "Entered in the draw"],
  ["drawing", "Lots are being drawn"], ["awaiting_public_value", "The draw waits for its public value"], ["called", "Called"], ["paused", "Paused"], ["sold_out", "Sold out"],
  ["full", "The room is full"], ["closed", "Closed"], ["closed_in_line", "Closed, with a place"], ["lapsed", "Away for too long"], ["none", "Without a place"], ["store_down", "The store is down"], ["disconnected", "The connection is lost"],
];
const LANGUAGES = [
  ["en", "English"], ["hi", "हिन्दी"], ["bn", "বাংলা"], ["ta", "தமிழ்"], ["te", "తెలుగు"], ["ur", "اردو"], ["ar", "العربية"], ["es", "Español"], ["fr", "Français"],
  ["de", "Deutsch"], ["pt", "Português"], ["zh", "简体中文"],
];
const WIDTHS = [["phone", "A phone"], ["wide", "A wide screen"]];
const TYPING_MS = 400;
/** A style element, taken out before the page is parsed: parsing it would break this console's policy. */
const STYLE = /<style[^>]*>([^]*?)<\/style>/g;

/** Makes the panel. Nothing is asked for before it is opened. */
export function previewPanel(name) {
  const state = choice(STATES), language = choice(LANGUAGES), width = choice(WIDTHS);
  const message = h("input", { type: "text", maxlength: "500", autocomplete: "off", oninput: () => { clearTimeout(timer); timer = setTimeout(look, TYPING_MS); } });
  const trouble = h("p", { class: "wrong", role: "alert", hidden: true });
  const stage = h("div", { class: "stack" });
  const card = h("details", { class: "card", ontoggle: () => card.open && look() }, h("summary", {}, h("h2", {}, "What visitors see")),
    h("div", { class: "stack" }, h("p", { class: "hint" }, "The page as it arrives, with figures made up; what moves by itself, such as the bar, clock times and the bell, is not there. A message tried here is shown to nobody."),
      h("div", { class: "row" }, field("State", state), field("Language", language), field("Seen on", width), field("With this message", message)), trouble, stage));
  let timer = 0, asked = 0;
  for (const select of [state, language, width]) select.addEventListener("change", look);

  async function look() {
    const mine = ++asked;
    try {
      const page = await preview(name, { state: state.value, lang: language.value, ...(message.value && { message: message.value }) });
      if (mine !== asked) return;
      trouble.hidden = true;
      await show(stage, page, width.value);
    } catch (error) {
      text(trouble, error.message);
      trouble.hidden = false;
    }
  }
  return { element: card };
}

function choice(options) {
  return h("select", {}, options.map(([value, label]) => h("option", { value }, label)));
}

/** Shows a page in a frame, without what would not run there; the frame is as high as the page. */
async function show(stage, html, width) {
  const styles = [...html.matchAll(STYLE)].map(([, words]) => words);
  const page = new DOMParser().parseFromString(html.replaceAll(STYLE, ""), "text/html");
  page.querySelectorAll("script, noscript, [data-change]").forEach((element) => element.remove());
  const frame = h("iframe", { class: "preview", "data-width": width, sandbox: "allow-same-origin", title: "The waiting page", srcdoc: `<!doctype html>${page.documentElement.outerHTML}` });
  const loaded = new Promise((done) => frame.addEventListener("load", done, { once: true }));
  stage.replaceChildren(frame);
  await loaded;
  const { contentDocument: shown, contentWindow: world } = frame;
  shown.adoptedStyleSheets = styles.map((words) => {
    const sheet = new world.CSSStyleSheet();
    sheet.replaceSync(words);
    return sheet;
  });
  frame.style.height = `${shown.documentElement.scrollHeight + 2}px`;
}
