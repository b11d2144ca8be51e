// The page itself: puts the words of words.js where the template left room for them.

const settings = document.body.dataset;
const spoken = document.documentElement.lang || "en";
// The page's language, in the reader's own variant of it where they have one: times read 14:05 or 2:05 pm as they are used to.
const lang = navigator.languages?.find((mine) => mine.split("-")[0] === spoken.split("-")[0]) ?? spoken;
const ENDED = ["none", "lapsed", "closed", "full"];
const memory = remember(`vestibule ${settings.room} ${settings.code}`);
let status = null, skew = Infinity, before = null, link = null, hushed = "";

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
  if (text) document.querySelector("[data-say]").textContent = text;
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
  for (const part of document.querySelectorAll("[data-show]")) part.hidden = !part.dataset.show.split(" ").includes(status.state);
  const percent = progress(memory.get("first"), status.position);
  const part = opening(status);
  for (const piece of document.querySelectorAll("[data-part]")) piece.hidden = piece.dataset.part !== part;
  document.title = tab(status, settings.title, lang);
  document.querySelector("link[rel=icon]").href = icon(status.state, percent);
  document.querySelector("[data-stay]").hidden = memory.get("stays") === true;
}

function showFigures() {
  const number = (value) => (value == null ? null : count(value, lang));
  const place = all("is", "position")[0];
  place.classList.toggle("text", status.position == null);
  put("position", number(status.position) ?? "unknown");
  row("ahead", number(status.ahead));
  row("waiting", number(status.waiting));
  row("speed", status.state === "waiting" ? speed(status.admissions_per_second, lang) : null);
  row("stock", number(status.stock?.available));
  row("message", status.message || null);
  row("forecast", status.state === "waiting" ? outlook(status.forecast) : null);
  row("eta", status.state === "waiting" ? range(status.eta_seconds, lang) ?? "not known yet" : null);
  put("at", clock(status.eta_seconds, Date.now(), lang));
  row("kept", status.number == null ? null : "");
  row("lot", status.draw ? number(status.number) : null);
  put("until", status.number == null ? "Opens in" : "Starts in");
  const grace = status.grace_seconds ?? Number(settings.grace);
  put("grace", grace > 0 ? `at least ${span(grace, lang)}` : "a while");
  showProgress(progress(memory.get("first"), status.position));
}

function showProgress(percent) {
  const gone = memory.get("first") - status.position;
  row("progress", percent == null ? null : gone < 1 ? "You have just joined. The line moves from left to right." : `${count(gone, lang)} of ${count(memory.get("first") - 1, lang)} ahead of you have gone (${percent} %)`);
  if (percent == null) return;
  const track = document.querySelector(".track");
  track.firstElementChild.style.width = `${percent}%`;
  track.setAttribute("aria-valuenow", percent);
  track.setAttribute("aria-valuetext", `${percent} % of the way`);
}

/** Says milestones only: a new state, a round number of people ahead, a new message. */
function announce() {
  const step = milestone(before?.ahead, status.ahead);
  if (before && before.state !== status.state) say(said(status, lang));
  else if (before && status.message && before.message !== status.message) say(`Message from the organiser: ${status.message}`);
  else if (step && status.state === "waiting") say(said(status, lang));
  before = status;
}

/** Goes in after a moment, the moment spread; a gateway that sends the page again is asked ever more rarely. */
function enter() {
  if (link?.entered) return;
  const last = memory.get("entering");
  const tries = last?.at > Date.now() - 60_000 ? last.tries + 1 : 0;
  memory.set("entering", { at: Date.now(), tries });
  link?.stop();
  link = { entered: true, stop() {} };
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
  const soon = Math.max(10, Number(settings.refresh)) * 1000;
  if (status.state === "full" || status.state === "closed") setTimeout(reload, soon * (1 + Math.random()));
  if (status.state === "pre_queue") setTimeout(reload, lookAgainMs(status.opens_at && status.opens_at - serverNow(), Math.random()));
}

/** Once a second: what depends on the clock alone. */
function tick() {
  if (!status) return;
  const old = serverNow() - status.as_of;
  const following = !restful();
  put("age", following ? age(old, lang) : "");
  if (following && !link?.entered) trouble(old);
  if (status.state === "pre_queue" && status.opens_at != null) showCountdown(status.opens_at - serverNow());
}

function showCountdown(left) {
  row("countdown", left > 0 ? countdown(left) : "any moment now");
  const style = new Intl.DateTimeFormat(lang, { weekday: "long", hour: "numeric", minute: "2-digit" });
  put("opens", left > 0 ? style.format(Date.now() + left) : "");
}

function trouble(old) {
  const limit = silenceMs(status.next_update_seconds || 2) + 5000;
  const text = !navigator.onLine ? "You are offline." : old > limit ? `No news for ${span(old / 1000, lang)}.` : status.store_up === false ? "The line rests for a moment." : null;
  row("trouble", text);
  if (!text !== !hushed) say(text ? `${text} Your place is kept.` : "All is well again.");
  hushed = text ?? "";
}

document.querySelector("[data-stay]").hidden = false;
document.querySelector("[data-stay]").addEventListener("click", (event) => {
  memory.set("stays", true);
  event.target.hidden = true;
  say("You stay in line.");
});
for (const again of document.querySelectorAll("[data-again]")) again.addEventListener("click", (event) => { event.preventDefault(); reload(); });

const first = JSON.parse(document.getElementById("status").textContent);
const channel = document.querySelector("[data-link]");
show(first);
setInterval(tick, 1000);
if (!link?.entered) link = follow({ live: settings.live, poll: settings.poll, next_update_seconds: first.next_update_seconds }, {
  status: show,
  link(how) { if (channel.dataset.link !== how) channel.dataset.link = how; },
});
