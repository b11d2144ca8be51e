// Seats held: the time that is left by the server's own clock, the payment, and the way out.
import { extend, hold as read, intention, pay, payment, release } from "./api.js";
import { every, h, say, text } from "./dom.js";
import { rememberHold } from "./held.js";
import { countdown, money, named, seats } from "./format.js";
import { serverTime } from "./servertime.js";
import { journey, tripOf } from "./trip.js";
import { sorry } from "./words.js";

const METHODS = [
  ["sim_ok", "A card that works", "Paid at once"],
  ["sim_challenge", "A card that asks you to confirm", "You go to the bank's page and come back"],
  ["sim_slow", "A slow bank", "Paid after a few seconds"],
  ["sim_declined", "A card that is declined", "Nothing is charged; the seats stay yours"],
  ["sim_hang", "A bank that does not answer", "To see that nothing is lost"],
];
const REFRESH_MS = 1500, MILESTONES_MS = [120_000, 60_000, 30_000, 10_000];

/** Shows a hold until it is a booking, is given back or runs out. */
export async function holdView({ id, go, signal }) {
  const time = serverTime();
  let now = await readHold(), paying = false, waiting = false, over = false;
  const trip = tripOf(now.inventory, now);
  const clock = h("b", { role: "timer" }), note = h("div", { role: "alert" }), body = h("div", { class: "stack" });
  const longer = h("button", { type: "button", class: "quiet", hidden: true, onclick: moreTime }, "I need more time");
  const bar = h("progress", { max: "1", value: "1", "aria-label": "Time left of the hold" });
  const timeLeft = h("div", { class: "time" }, h("p", {}, "Yours for ", clock), bar, longer);
  const element = h("div", { class: "narrow" }, h("section", { class: "card" }, h("h1", {}, "Your seats are held"), timeLeft, journey(trip), h("p", { class: "total" }, `${seats(now.quantity)}${named(now.items)}, together `, h("b", {}, money(now.amount_paise))), note, body));
  const left = () => now.expires_at - time.now();
  body.replaceChildren(form(), cancel());

  function form() {
    const choices = METHODS.map(([value, label, hint], i) => h("label", { class: "choice" }, h("input", { type: "radio", name: "method", value, checked: i === 0 }), h("span", {}, label, h("small", {}, hint))));
    const button = h("button", { class: "solid" }, `Pay ${money(now.amount_paise)}`);
    const made = h("form", { class: "stack", onsubmit: (event) => { event.preventDefault(); send(new FormData(made).get("method"), button); } }, h("fieldset", {}, h("legend", {}, "Pay with"), choices), button, h("p", { class: "hint" }, "A simulated bank: no money is taken."));
    return made;
  }

  async function send(method, button) {
    if (paying) return;
    paying = true;
    button.disabled = true;
    showPaying();
    const intent = intention(`pay ${id} ${method}`);
    try {
      const paid = await pay(id, method, intent.key);
      const page = paid.challenge?.redirect;
      if (page) return confirmAt(page), location.assign(page);
      await look();
    } catch (fault) {
      if (fault.kind !== "network" && fault.kind !== "busy") intent.settled();
      const type = fault.problem?.type ?? "";
      if (type.endsWith("payment_declined")) return decline("The bank said no and nothing was charged.");
      if (type.endsWith("payment_voided")) return end("The seats had gone", "The payment arrived after the time was over. Nothing was charged.");
      if (type.endsWith("payment_refunded")) return end("The payment goes back", "It arrived after the time was over, and the seats had gone. You get all of it back.");
      if (type.endsWith("already_paid") || type.endsWith("payment_in_progress")) return await look();
      if (/hold_(expired|cancelled)$/.test(type)) paying = false, await look();
      else note.replaceChildren(sorry(fault));
      paying = false;
    } finally {
      button.disabled = false;
    }
  }

  function showPaying() {
    note.replaceChildren(h("p", { class: "banner calm" }, h("b", {}, "Paying…"), " Keep this page open. You will not be charged twice, even if you reload."));
  }

  /** The bank asks the buyer to confirm on a page of its own; whoever came back without doing so can go there again. */
  function confirmAt(page) {
    note.replaceChildren(h("p", { class: "banner calm" }, h("b", {}, "Your bank asks you to confirm."), " Nothing is charged until you do. ", h("a", { href: page }, "Go to the bank")));
  }

  async function moreTime() {
    longer.disabled = true;
    try {
      now = { ...now, ...(await extend(id, now.extensions + 1)) };
      say("You have more time.");
    } catch (fault) { note.replaceChildren(sorry(fault)); } finally { longer.disabled = false; }
    tick();
  }

  /** The payment came to nothing: the next one is a new intention, with a new key. */
  function decline(why) {
    paying = false;
    for (const [method] of METHODS) intention(`pay ${id} ${method}`).settled();
    note.replaceChildren(h("p", { class: "banner" }, h("b", {}, "Not paid."), ` ${why} Your seats are still held: try another way to pay.`));
  }

  function cancel() {
    const ask = h("button", { type: "button", onclick: () => { ask.hidden = true; sure.hidden = false; no.focus(); } }, "Give the seats back");
    const no = h("button", { type: "button", onclick: () => { ask.hidden = false; sure.hidden = true; ask.focus(); } }, "Keep them");
    const yes = h("button", { type: "button", class: "stop", onclick: async () => {
      try {
        await release(id);
        end("Given back", "The seats are on sale again for others. Nothing was charged.");
      } catch (fault) { note.replaceChildren(sorry(fault)); }
    } }, "Yes, give them back");
    const sure = h("div", { class: "row", hidden: true, role: "group", "aria-label": "Give the seats back?" }, yes, no);
    return h("div", {}, ask, sure);
  }

  function end(heading, words) {
    over = true;
    rememberHold(null);
    const again = h("a", { class: "button", href: `/train/${now.inventory}` }, "Look at this train again");
    element.replaceChildren(h("section", { class: "card notice" }, h("h1", {}, heading), h("p", {}, words), h("p", { class: "row" }, again, h("a", { class: "button quiet", href: "/" }, "Search"))));
    say(`${heading}. ${words}`);
  }

  async function readHold() {
    const asked = Date.now(), said = await read(id, signal);
    time.heard(said.now, asked);
    return said;
  }

  /** Looks at the hold as the server has it and follows where it went. */
  async function look() {
    if (over) return;
    now = { ...now, ...(await readHold()) };
    follow();
    tick();
  }

  function follow() {
    if (now.status === "confirmed" && now.booking) return over = true, rememberHold(null), go(`/booking/${now.booking}`, true);
    if (now.status === "cancelled") return end("Given back", "The seats are on sale again for others. Nothing was charged.");
    if (now.status === "expired") return end("The hold has run out", now.payment ? "The time was over before the bank had answered. If it agrees after all, you get seats if any are left; if none are, nothing is charged." : "The time was over, so the seats went back on sale. Nothing was charged.");
    if (waiting && !now.payment) waiting = false, decline("The payment did not go through and nothing was charged.");
    if (!waiting && now.status === "held" && now.payment) waiting = true, showPaying(), whatItWaitsFor();
    if (now.status === "paid") { paying = true; note.replaceChildren(h("p", { class: "banner calm" }, h("b", {}, "Your seats are secured."), " The payment is being completed.")); }
  }

  async function whatItWaitsFor() {
    const page = (await payment(now.payment, signal).catch(() => null))?.challenge?.redirect;
    if (page && waiting && !over) confirmAt(page);
  }

  function tick() {
    if (over) return;
    const ms = left();
    if (now.status === "held") rememberHold(id, ms);
    longer.hidden = !(now.status === "held" && now.extensions_left > 0 && ms < 120_000);
    text(clock, now.status === "held" ? countdown(ms) : "as long as it takes");
    bar.value = Math.max(0, Math.min(1, ms / Math.max(1, now.expires_at - (now.created_at ?? now.expires_at - 600_000))));
    element.dataset.hurry = String(ms < 60_000);
    if (MILESTONES_MS.some((step) => ms <= step && ms > step - 1000)) say(`${Math.round(ms / 1000)} seconds left`);
    if (ms <= 0 && now.status === "held") text(clock, "0:00");
  }

  // A device that wakes, or comes back on line, has old news on its screen.
  const awake = () => document.hidden || look().catch(() => {});
  for (const [target, name] of [[document, "visibilitychange"], [window, "pageshow"], [window, "online"]]) target.addEventListener(name, awake, { signal });
  tick();
  follow();
  const timer = setInterval(tick, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  every(REFRESH_MS, signal, look);
  return { element, title: "Your seats are held" };
}
