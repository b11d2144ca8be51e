// Is everything there that a sale needs? Measured by the gateway when this page is opened, and again when asked.
import { readiness } from "./api.js";
import { h, text } from "./dom.js";
import { clock } from "./format.js";

/** Where the page is: no room has such a name. */
export const PLACE = ":readiness";

const WORDS = { bad: "Mend this", warning: "Look at this", good: "Good" };

/** Makes the view. */
export function readinessView() {
  const outcome = h("p", { class: "effect", role: "status" }, "The gateway is looking…");
  const list = h("ul", { class: "findings" });
  const again = h("button", { type: "button", onclick: look }, "Look again");
  async function look() {
    again.disabled = true;
    text(outcome, "The gateway is looking…");
    outcome.dataset.tone = "unknown";
    try {
      show(await readiness());
    } catch (error) {
      outcome.dataset.tone = "bad";
      text(outcome, error.message);
    }
    again.disabled = false;
  }
  function show({ findings, as_of: at }) {
    outcome.dataset.tone = findings.some(({ verdict }) => verdict !== "good") ? "bad" : "good";
    text(outcome, `${summary(findings)} Measured at ${clock(at)}.`);
    list.replaceChildren(...findings.map(finding));
  }
  look();
  return {
    element: h("section", {}, h("h1", {}, "Readiness"), h("p", { class: "hint" }, "What this gateway needs for a sale, and how it is now. Look at it an hour before, on each gateway."), outcome, list, h("div", { class: "row" }, again)),
    update() {},
  };
}

/** Says in a sentence how it stands. */
export function summary(findings) {
  const bad = findings.filter(({ verdict }) => verdict === "bad").length, warnings = findings.filter(({ verdict }) => verdict === "warning").length;
  const things = (n, what) => `${n} ${n === 1 ? "thing" : "things"} to ${what}`;
  if (bad + warnings === 0) return `All ${findings.length} checks are good.`;
  return `${[bad && things(bad, "mend"), warnings && things(warnings, "look at")].filter(Boolean).join(", ")}.`;
}

function finding({ what, verdict, said, remedy }) {
  return h("li", { class: "card finding", "data-verdict": verdict }, h("span", { class: "badge" }, WORDS[verdict]), h("div", {}, h("h2", {}, what[0].toUpperCase() + what.slice(1)), h("p", {}, said), remedy && h("p", { class: "hint" }, withCode(remedy))));
}

/** Makes what stands between backticks code. */
function withCode(words) {
  return words.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
}
