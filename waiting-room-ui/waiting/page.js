// The page itself: puts the words of words.js where the template left room for them. A room's own template may leave out
// whatever is only shown; what cannot be done without, `vestibule check` asks for.

const settings = document.body.dataset;
const spoken = document.documentElement.lang || "en";
// The page's language, in the reader's own variant of it where they have one: times read 14:05 or 2:05 pm as they are used to.
const lang = navigator.languages?.find((mine) => mine.split("-")[0] === spoken.split("-")[0]) ?? spoken;
const says = voice(JSON.parse(document.getElementById("words").textContent), lang);
const ENDED = ["none", "lapsed", "closed", "full"];
const memory = remember(`vestibule ${settings.room} ${settings.code}`);
// A preview on the console follows nothing.
const preview = !settings.live;
let status = null, skew = Infinity, before = null, link = null, hushed = "", tab = "";

const all = (name, value) => document.querySelectorAll(`[data-${name}="${value}"]`);

/** Keeps a few figures over a reload of this tab; without storage, for as long as the page lives. */
function remember(key) {
  let kept = {};
  try { kept = JSON.parse(sessionStorage.getItem(key)) ?? {}; } catch { /* storage may be off */ }
  return {
    get: (name) => kept[name],
    set(name, value) {
      kept[name] = value;
      try { sessionStorage.setItem(key, JSON.stringify(kept)); } catch { /* storage may be full or off */ }
    },
  };
}

function put(name, text) {
  for (const place of all("is", name)) if (place.textContent !== text) place.textContent = text;
}

function row(name, text) {
  for (const place of all("row", name)) place.hidden = text == null;
  if (text != null) put(name, text);
}

function say(text) {
  const place = document.querySelector("[data-say]");
  if (text && place) place.textContent = text;
}

function serverNow() {
  return Date.now() - (Number.isFinite(skew) ? skew : 0);
}

function show(next) {
  skew = Math.min(skew, Date.now() - next.as_of);
  if (next.state === "pre_queue") memory.set("position", null);
  status = neverRises(next, memory.get("position"));
  if (status.position != null) memory.set("position", status.position);
  if (status.position != null && !(memory.get("first") >= status.position)) memory.set("first", status.position);
  showState();
  showFigures();
  announce();
  if (status.state === "called" || status.state === "admitted") enter();
  if (restful()) rest();
  tick();
}

function showState() {
  document.body.dataset.state = status.state;
  for (const part of document.querySelectorAll("[data-show]")) part.hidden = !part.dataset.show.split(" ").some((name) => parts(status).includes(name));
  const percent = progress(memory.get("first"), status.position);
  const part = opening(status);
  for (const piece of document.querySelectorAll("[data-part]")) piece.hidden = piece.dataset.part !== part;
  const head = heading();
  tab = `${status.state === "waiting" && status.ahead != null ? says.plural("tab_ahead", status.ahead) : head} · ${settings.title}`;
  showTab();
  document.querySelector("link[rel=icon]")?.setAttribute("href", icon(status.state, percent));
  showStay();
  // Whoever has no place has none to leave or to take along.
  if (status.number == null) for (const part of document.querySelectorAll("details")) part.hidden = true;
}

function showTab() {
  document.title = hushed ? `⚠ ${tab}` : tab;
}

/** Whoever has said to stay reads so where the button was. */
function showStay() {
  for (const button of document.querySelectorAll("[data-stay]")) {
    button.hidden = false;
    if (memory.get("stays")) button.replaceWith(says.say("stays"));
  }
}

function heading() {
  return [...document.querySelectorAll("h1")].find((one) => !one.closest("[hidden]"))?.textContent ?? "";
}

function showFigures() {
  const number = (value) => (value == null ? null : says.count(value));
  for (const place of all("is", "position")) place.classList.toggle("text", status.position == null);
  put("position", number(status.position) ?? says.say("unknown"));
  row("ahead", number(status.ahead));
  row("waiting", number(status.waiting));
  row("speed", status.state === "waiting" ? speed(status.admissions_per_second, says) : null);
  row("stock", ["sold_out", "closed"].includes(status.state) ? null : number(status.stock?.available));
  row("message", status.message || null);
  row("forecast", outlook(status, says));
  for (const line of all("row", "forecast")) line.dataset.forecast = status.forecast ?? "";
  row("eta", status.state === "waiting" ? range(status.eta_seconds, says) ?? says.say("not_known") : null);
  put("at", clock(status.eta_seconds, Date.now(), says));
  row("kept", status.number == null ? null : kept(status.grace_seconds, says));
  row("lot", status.draw && status.number != null ? says.say("lot", { n: number(status.number) }) : null);
  put("until", says.say(status.number == null ? "opens_in" : "starts_in"));
  showProgress(progress(memory.get("first"), status.position));
}

function showProgress(percent) {
  const gone = memory.get("first") - status.position;
  const all = memory.get("first") - 1;
  row("progress", percent == null ? null : gone < 1 ? says.say("just_joined") : says.say("gone", { gone: says.count(gone), all: says.count(all), percent: says.percent(percent) }));
  const track = document.querySelector(".track");
  if (percent == null || !track) return;
  track.firstElementChild.style.width = `${percent}%`;
  track.setAttribute("aria-valuenow", percent);
  track.setAttribute("aria-valuetext", says.percent(percent));
}

/** Says milestones only: a new state, a round number of people ahead, a new message. */
function announce() {
  const step = milestone(before?.ahead, status.ahead);
  const near = status.state === "waiting" && status.ahead != null ? ` ${says.plural("ahead", status.ahead)}` : "";
  if (before && before.state !== status.state) say(heading() + (near && `.${near}`));
  else if (before && status.message && before.message !== status.message) say(`${says.say("message")}: ${status.message}`);
  else if (step && near) say(near.trim());
  before = status;
}

/** Goes in after a moment, the moment spread; a gateway that sends the page again is asked ever more rarely. */
async function enter() {
  if (link?.entered) return;
  const last = memory.get("entering");
  const tries = last?.at > Date.now() - 60_000 ? last.tries + 1 : 0;
  memory.set("entering", { at: Date.now(), tries });
  link?.stop();
  link = { entered: true, stop() {} };
  if (preview) return;
  await ringBell(heading());
  setTimeout(reload, tries ? Math.random() * Math.min(30_000, 500 * 2 ** tries) : Math.random() * 300);
}

function reload() {
  if (location.hash) location.reload();
  else location.replace(location.href);
}

/** Tells whether there is nothing to follow: no place, or none any more. */
function restful() {
  const placed = status.number != null;
  return ENDED.includes(status.state) ? !(status.state === "closed" && placed) : status.state === "pre_queue" && !placed;
}

/** Stops following once there is no place to follow; where the line may take more, looks again later. */
function rest() {
  link?.stop();
  link = { entered: true, stop() {} };
  if (preview) return;
  const soon = Math.max(10, Number(settings.refresh) || 0) * 1000;
  if (status.state === "full" || status.state === "closed") setTimeout(reload, soon * (1 + Math.random()));
  if (status.state === "pre_queue") setTimeout(reload, lookAgainMs(status.opens_at && status.opens_at - serverNow(), Math.random()));
}

/** Once a second: what depends on the clock alone. */
function tick() {
  if (!status) return;
  const old = serverNow() - status.as_of;
  const following = !restful();
  if (!preview) put("age", following ? age(old, says) : ""), trouble(following && !link?.entered ? old : null);
  if (status.state === "called" && status.session_ends_at) put("visit", says.say("visit", { span: span(Math.max(0, status.session_ends_at - serverNow()) / 1000, says) }));
  if (status.state === "pre_queue" && status.opens_at != null) showCountdown(status.opens_at - serverNow());
}

function showCountdown(left) {
  row("countdown", left > 0 ? countdown(left, says) : says.say("any_moment"));
  const date = left > 6 * 86_400_000 ? { day: "numeric", month: "long" } : {};
  const style = new Intl.DateTimeFormat(lang, { weekday: "long", ...date, hour: "numeric", minute: "2-digit" });
  put("opens", left > 0 ? style.format(Date.now() + left) : "");
}

/** Says what keeps the page from hearing; `old` is the age of the figures in milliseconds, null where nothing is followed. */
function trouble(old) {
  const limit = silenceMs(status.next_update_seconds || 2) + 5000;
  const text = old === null ? null : !navigator.onLine ? says.say("offline") : old > limit ? says.say("silence", { span: span(old / 1000, says) }) : status.store_up === false ? says.say("rests") : null;
  row("trouble", text);
  if (!text !== !hushed && old !== null) say(text ? `${text} ${says.say("safe")}` : says.say("well"));
  hushed = text ?? "";
  document.body.classList.toggle("hushed", !!text);
  showTab();
}

for (const button of document.querySelectorAll("[data-stay]")) button.addEventListener("click", () => {
  memory.set("stays", true);
  showStay();
  say(says.say("stays"));
});
for (const again of document.querySelectorAll("[data-again]")) again.addEventListener("click", (event) => { event.preventDefault(); reload(); });

const ringBell = bell(document.querySelector("[data-tell]"), document.querySelector("[data-told]"), says);
device(document.querySelector("[data-device]"), says);
const choice = document.querySelector("#lang");
choice?.addEventListener("change", () => choice.form.submit());
for (const button of document.querySelectorAll("[data-change]")) button.hidden = true;

const first = JSON.parse(document.getElementById("status").textContent);
const channel = document.querySelector("[data-link]");
show(first);
setInterval(tick, 1000);
if (!link?.entered && !preview) link = follow({ live: settings.live, poll: settings.poll, next_update_seconds: first.next_update_seconds }, {
  status: show,
  link(how) { if (channel && channel.dataset.link !== how) channel.dataset.link = how; },
});
