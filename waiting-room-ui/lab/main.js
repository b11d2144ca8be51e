// The lab's page: which way, two people and one seat, then a thousand people and ten seats.
import * as api from "./api.js";
import { h } from "/dom.js";
import { racePart } from "./race.js";
import { rushPart } from "./rush.js";
import { BROKEN, WAYS } from "./words.js";

const main = document.getElementById("main");

async function start() {
  const tools = await api.equipment();
  const race = racePart(tools), rush = rushPart(tools);
  const asked = location.hash.slice(1), first = tools.ways.includes(asked) && (tools.redis || asked !== "seat-lock") ? asked : tools.ways[0];
  const choice = (way) => {
    const missing = way === "seat-lock" && !tools.redis;
    return h("label", { class: "way" }, h("input", { type: "radio", name: "way", value: way, checked: way === first, disabled: missing }), h("span", {}, WAYS[way].name), BROKEN.includes(way) && h("small", { class: "flag" }, "broken"), missing && h("small", {}, "needs a Redis"));
  };
  const ways = h("fieldset", { class: "ways", onchange: ({ target }) => { history.replaceState(null, "", `#${target.value}`); race.show(target.value); } }, h("legend", {}, "How is the seat taken?"), tools.ways.map(choice));
  const ground = tools.engine === "sqlite" ? "a SQLite file of its own" : "a PostgreSQL schema of its own";
  main.replaceChildren(h("div", { class: "lab" }, h("h1", {}, "Two people, one seat"),
    h("p", { class: "lead" }, `Asha and Ben want the same seat. You decide who sends which statement when. Each has a real connection to ${ground}${tools.redis ? ", and a real Redis" : ""}; nothing here is drawn that was not read from there.`),
    h("section", { class: "stack" }, ways, race.element), rush.element));
  await race.show(first);
}

start().catch((fault) => main.replaceChildren(h("section", { class: "card notice" }, h("h1", {}, "The lab is not here"), h("p", {}, `${fault.message}. It is part of vestibule demo, and elsewhere turned on with [lab] enabled = true.`))));
