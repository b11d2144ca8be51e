// One class of one train on one day: what it costs, what is left, which seats, and the hold.
import { intention, inventory, makeHold } from "./api.js";
import { seatName } from "./coach.js";
import { every, h, say, text } from "./dom.js";
import { inventoryParts, listed, money, seats } from "./format.js";
import { seatMap } from "./seatmap.js";
import { journey, readTrip, tripOf } from "./trip.js";
import { sorry } from "./words.js";

const REFRESH_MS = 2000, GO_ON = "Hold and go on to pay";

/** Shows one inventory and lets the visitor hold seats of it: so many, or those chosen on the map. */
export async function trainView({ id, query, go, signal }) {
  if (!inventoryParts(id)) return { element: sorry({ kind: "gone", said: "This address names no train, day and class." }), title: "Not found" };
  const [first] = await Promise.all([inventory(id, signal), readTrip(id, query, signal)]);
  const trip = tripOf(id, first), most = Math.max(1, Math.min(12, first.most_seats ?? 6));
  const left = h("p", { class: "left-big" }), total = h("b"), wrong = h("div", { role: "alert" }), limit = h("p", { class: "wrong", hidden: true }, `At most ${seats(most)} in one booking. Take one back to choose another.`);
  const quantity = h("select", { id: "quantity", "aria-describedby": "fewer", onchange: () => { fewer.hidden = true; update(now); } });
  const fewer = h("p", { class: "hint", id: "fewer", hidden: true });
  const howMany = h("div", { class: "field" }, h("label", { for: "quantity" }, "How many"), quantity, fewer);
  const map = first.seats && seatMap(first.seats, { most, changed, lost });
  const mapPart = map && h("div", { class: "stack", hidden: true }, map.element, limit);
  const picked = h("p", { class: "picked", hidden: true });
  const button = h("button", { class: "solid" }, GO_ON);
  const form = h("form", { class: "stack", onsubmit: send, novalidate: true }, map && ways(), howMany, mapPart, picked, h("p", { class: "total" }, "Together ", total), button, h("p", { class: "hint" }, "Seats are yours alone while you pay. A ticket is for the whole run of the train, wherever you board."));
  const back = h("p", {}, h("a", { href: backTo(trip) }, "← Other trains and classes"));
  const element = h("div", { class: "narrow" }, back, h("section", { class: "card" }, h("h1", {}, `${trip.train} ${trip.name}`), journey(trip, false), left, wrong, form));
  let now = first, busy = false, choosing = false;
  const wanted = () => (choosing ? map.chosen() : Number(quantity.value));
  const howManyWanted = () => (choosing ? map.chosen().length : Number(quantity.value));

  /** Asks who chooses the seats. */
  function ways() {
    const way = (value, words, hint) => h("label", { class: "choice" }, h("input", { type: "radio", name: "who", value, checked: value === "us" }), h("span", {}, words, h("small", {}, hint)));
    return h("fieldset", { onchange: (event) => event.target.name === "who" && choose(event.target.value === "you") }, h("legend", {}, "Your seats"), way("us", "Together, chosen for you", "As near each other as can be"), way("you", "Choose on the map", "Coach by coach"));
  }

  function choose(self) {
    choosing = self;
    howMany.hidden = self;
    mapPart.hidden = !self;
    changed();
  }

  /** Follows the choice on the map; `tooMany` when one more was wanted than may be. */
  function changed(tooMany = false) {
    if (!map) return;
    limit.hidden = !tooMany;
    picked.hidden = !choosing;
    text(picked, map.chosen().length ? `You chose ${listed(map.chosen())}.` : "No seat chosen yet.");
    update(now);
  }

  /** Others were quicker, while this page was looked at. */
  function lost(labels) {
    const words = `${listed(labels)} went to somebody else just now. Choose another.`;
    wrong.replaceChildren(h("div", { class: "banner", "data-lost": true }, words));
  }

  /** Offers as many as may be had, no more than are left. Who had chosen more is told; where nothing is left, the choice stays. */
  function offer(available) {
    const upTo = Math.min(most, available || quantity.length || 1), chosen = Number(quantity.value);
    fewer.hidden ||= !available;
    if (upTo === quantity.length) return;
    quantity.replaceChildren(...Array.from({ length: upTo }, (_, i) => h("option", { value: i + 1, selected: i + 1 === Math.min(chosen, upTo) }, seats(i + 1))));
    fewer.hidden = chosen <= upTo;
    if (fewer.hidden) return;
    text(fewer, `You had chosen ${seats(chosen)}; ${upTo === 1 ? "only 1 is" : `only ${upTo} are`} left.`);
    if (!choosing) say(fewer.textContent);
  }

  function update(next) {
    now = next;
    offer(next.available ?? most);
    const n = next.available, want = howManyWanted();
    element.dataset.level = n === 0 ? "none" : n <= 20 ? "few" : "many";
    text(left, n == null ? "" : n === 0 ? "Sold out just now. Seats come back when others do not finish." : `${n} of ${next.capacity} left`);
    // A count from before a refusal would contradict it.
    left.hidden = n > 0 && wrong.childElementCount > 0;
    text(total, money(next.price_paise * want));
    total.parentElement.hidden = want === 0;
    button.disabled = busy || n === 0;
  }

  async function send(event) {
    event.preventDefault();
    const want = wanted();
    if (howManyWanted() === 0) {
      // Who was just told that others were quicker has done nothing wrong, and reads that again.
      if (!wrong.querySelector("[data-lost]")) wrong.replaceChildren(h("div", { class: "banner" }, "Choose a seat on the map first, or let us choose."));
      return wrong.scrollIntoView({ block: "nearest" });
    }
    busy = true;
    button.disabled = true;
    text(button, "Holding…");
    wrong.replaceChildren();
    const intent = intention(`hold ${id} ${want}`);
    try {
      const made = await makeHold(id, want, intent.key);
      intent.settled();
      go(`/hold/${made.id}`);
    } catch (fault) {
      if (fault.kind !== "network" && fault.kind !== "busy") intent.settled();
      wrong.replaceChildren(fault.kind === "taken" ? quicker(fault.problem) : refusal(fault, want));
      wrong.scrollIntoView({ block: "nearest" });
      look().catch(() => {});
    } finally {
      busy = false;
      text(button, GO_ON);
      update(now);
    }
  }

  /** Somebody else has a seat that was chosen: says which, and offers what is free nearby in its place. */
  function quicker({ taken = [], free_nearby = [] }) {
    map.drop(taken);
    const rest = map.chosen();
    const more = h("span", {}, rest.length ? ` ${listed(rest)} ${rest.length === 1 ? "is" : "are"} still free.` : "");
    const instead = free_nearby.filter((label) => !rest.includes(label)).map((label) => {
      const take = h("button", { type: "button", onclick: () => {
        if (map.pick(label)) say(`${label} is chosen.`);
        take.disabled = true;
      } }, seatName(label, first.seats.bay));
      return take;
    });
    return h("div", { class: "banner stack" }, h("p", {}, h("b", {}, "Someone else was quicker."), ` ${listed(taken)} went a moment ago.`, more), instead.length > 0 && h("p", {}, "Free nearby:"), instead.length > 0 && h("p", { class: "row nearby" }, instead));
  }

  async function look() {
    const before = now.available, next = await inventory(id, signal);
    update(next);
    // While a hold is being made, what is gone may be one's own.
    if (map && next.seats && !busy) map.update(next.seats);
    if (before > 0 && now.available === 0) say("Sold out just now.");
  }

  update(first);
  every(REFRESH_MS, signal, () => (busy ? Promise.resolve() : look()));
  return { element, title: `${trip.train} ${trip.class}` };
}

function refusal(fault, want) {
  if (fault.kind !== "sold_out") return sorry(fault);
  const closed = "No seat of this class is sold just now. Seats come back when others do not finish paying; try again in a moment, or look at other classes.";
  const words = fault.status === 410 ? closed : want > 1 ? `There are not ${want} seats left together. Fewer may still be had, or another class.` : "The last seat went a moment ago. Seats come back when others do not finish paying; this page shows it at once.";
  return h("div", { class: "banner" }, h("b", {}, "Sold out"), ` ${words}`);
}

function backTo(trip) {
  return trip.boards ? `/?${new URLSearchParams({ from: trip.from.code, to: trip.to.code, date: trip.date })}` : "/";
}
