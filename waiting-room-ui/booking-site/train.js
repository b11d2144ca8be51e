// One class of one train on one day: what it costs, what is left, and the hold.
import { intention, inventory, makeHold } from "./api.js";
import { every, h, say, text } from "./dom.js";
import { inventoryParts, money, seats } from "./format.js";
import { journey, tripOf } from "./trip.js";
import { sorry } from "./words.js";

const REFRESH_MS = 2000;

/** Shows one inventory and lets the visitor hold seats of it. */
export async function trainView({ id, go, signal }) {
  if (!inventoryParts(id)) return { element: sorry({ kind: "gone", message: "This address names no train, day and class." }), title: "Not found" };
  const first = await inventory(id, signal);
  const trip = tripOf(id, first);
  const left = h("p", { class: "left-big" }), total = h("b"), wrong = h("div", { role: "alert" });
  const quantity = h("select", { id: "quantity", onchange: () => update(now) }, Array.from({ length: Math.max(1, Math.min(12, first.most_seats ?? 6)) }, (_, i) => h("option", { value: i + 1 }, seats(i + 1))));
  const button = h("button", { class: "solid" }, "Hold and go on to pay");
  const form = h("form", { class: "stack", onsubmit: send }, h("div", { class: "field" }, h("label", { for: "quantity" }, "How many"), quantity), h("p", { class: "total" }, "Together ", total), button, h("p", { class: "hint" }, "Seats are yours alone while you pay. A ticket is for the whole run of the train, wherever you board."));
  const back = h("p", {}, h("a", { href: backTo(trip) }, "← Other trains and classes"));
  const element = h("div", { class: "narrow" }, back, h("section", { class: "card" }, h("h1", {}, `${trip.train} ${trip.name}`), journey(trip, false), left, wrong, form));
  let now = first, busy = false;

  function update(next) {
    now = next;
    const n = next.available, want = Number(quantity.value);
    element.dataset.level = n === 0 ? "none" : n <= 20 ? "few" : "many";
    text(left, n == null ? "" : n === 0 ? "Sold out just now. Seats come back when others do not finish." : `${n} of ${next.capacity} left`);
    // A count from before a refusal would contradict it.
    left.hidden = n > 0 && wrong.childElementCount > 0;
    text(total, money(next.price_paise * want));
    button.disabled = busy || n === 0;
  }

  async function send(event) {
    event.preventDefault();
    busy = true;
    button.disabled = true;
    text(button, "Holding…");
    wrong.replaceChildren();
    const want = Number(quantity.value), intent = intention(`hold ${id} ${want}`);
    try {
      const made = await makeHold(id, want, intent.key);
      intent.settled();
      go(`/hold/${made.id}`);
    } catch (fault) {
      if (fault.kind !== "network" && fault.kind !== "busy") intent.settled();
      wrong.replaceChildren(refusal(fault, want));
      inventory(id, signal).then(update).catch(() => {});
    } finally {
      busy = false;
      text(button, "Hold and go on to pay");
      update(now);
    }
  }

  update(first);
  every(REFRESH_MS, signal, async () => {
    const before = now.available;
    update(await inventory(id, signal));
    if (before > 0 && now.available === 0) say("Sold out just now.");
  });
  return { element, title: `${trip.train} ${trip.class}` };
}

function refusal(fault, want) {
  if (fault.kind !== "sold_out") return sorry(fault);
  const closed = "No seat of this class is sold just now. Seats come back when others do not finish paying; try again in a moment, or look at other classes.";
  const words = fault.status === 410 ? closed : want > 1 ? `There are not ${want} seats left together. Fewer may still be had, or another class.` : "The last seat went a moment ago. Seats come back when others do not finish paying; this page shows it at once.";
  return h("div", { class: "banner" }, h("b", {}, "Sold out"), ` ${words}`);
}

function backTo(trip) {
  return trip.from && trip.to ? `/?${new URLSearchParams({ from: trip.from.code, to: trip.to.code, date: trip.date })}` : "/";
}
