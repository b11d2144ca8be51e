// What the page says: pure functions of the status object and a language's sentences, tested in Node as they stand.

const STATES = ["pre_queue", "waiting", "called", "admitted", "paused", "sold_out", "full", "closed", "lapsed", "none"];

/** Gives sentences a voice: numbers and plurals by the rules of `lang`. */
export function voice(words, lang) {
  const numbers = new Intl.NumberFormat(lang, { maximumFractionDigits: 0 }), rules = new Intl.PluralRules(lang);
  const count = (n) => numbers.format(n);
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  return {
    lang, count,
    percent: (n) => new Intl.NumberFormat(lang, { style: "percent" }).format(n / 100),
    two: (n) => new Intl.NumberFormat(lang, { minimumIntegerDigits: 2 }).format(n),
    // What it has no words for, such as a forecast of a newer gateway, it says nothing of.
    say: (key, values = {}) => fill(words[key] ?? "", values),
    plural: (key, n) => fill(words[key][rules.select(n)] ?? words[key].other, { n: count(n) }),
  };
}

const FINEST = 100;

/** Picks the unit in which a person would say a length of time, and how many of it; hours have minutes beside them. */
function unitOf(seconds, finest = FINEST) {
  if (seconds < finest) return ["second", Math.max(0, Math.round(seconds)), 0];
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return ["minute", minutes, 0];
  const rest = Math.round((minutes % 60) / 10) * 10;
  return ["hour", Math.floor(minutes / 60) + (rest === 60 ? 1 : 0), rest % 60];
}

/** Says a length of time as a person would: "40 seconds", "5 minutes", "1 hour 20 minutes". */
export function span(seconds, voice, finest = FINEST) {
  const [unit, n, rest] = unitOf(seconds, finest);
  return voice.plural(unit, n) + (rest ? ` ${voice.plural("minute", rest)}` : "");
}

/** Says a wait as a range, in one unit where both ends can share it. */
export function range(eta, voice) {
  if (!eta) return null;
  if (eta.high <= 5) return voice.say("few_seconds");
  const finest = eta.high < FINEST ? FINEST : 60;
  const [unit, n, rest] = unitOf(eta.low, finest), [other] = unitOf(eta.high), low = span(eta.low, voice, finest), high = span(eta.high, voice);
  if (low === high) return high;
  return voice.say("range", { low: unit === other && !rest ? voice.count(n) : low, high });
}

/** Says when the turn will come on the reader's own clock. */
export function clock(eta, nowMs, voice) {
  if (!eta) return "";
  const style = new Intl.DateTimeFormat(voice.lang, { hour: "numeric", minute: "2-digit" });
  const from = style.format(nowMs + eta.low * 1000), to = style.format(nowMs + eta.high * 1000);
  return from === to ? voice.say("at", { time: from }) : voice.say("between", { from, to });
}

/** Says how fast the line moves, per second, per minute or one every so often. */
export function speed(perSecond, voice) {
  if (!perSecond) return null;
  if (perSecond >= 1) return voice.say("per_second", { n: voice.count(perSecond) });
  if (perSecond * 60 >= 1) return voice.say("per_minute", { n: voice.count(perSecond * 60) });
  return voice.say("one_every", { span: span(1 / perSecond, voice) });
}

/** Says how old the figures are. */
export function age(ms, voice) {
  const seconds = Math.floor(ms / 1000);
  return seconds < 3 ? voice.say("just_now") : voice.say("ago", { span: span(seconds, voice) });
}

/** Says the time left until the opening, to the second on the last day. */
export function countdown(ms, voice) {
  const left = Math.max(0, Math.ceil(ms / 1000));
  const [d, h, m, s] = [Math.floor(left / 86400), Math.floor(left / 3600) % 24, Math.floor(left / 60) % 60, left % 60];
  if (d) return `${voice.plural("day", d)} ${voice.plural("hour", h)}`;
  return h ? `${voice.count(h)}:${voice.two(m)}:${voice.two(s)}` : `${voice.count(m)}:${voice.two(s)}`;
}

/** Says for how long a place is kept. */
export function kept(graceSeconds, voice) {
  return graceSeconds > 0 ? voice.say("kept", { span: span(graceSeconds, voice) }) : voice.say("kept_while");
}

/** Keeps the position from ever rising: the lower of what was shown and what arrives. */
export function neverRises(status, shown) {
  if (status.position == null || shown == null || status.position <= shown) return status;
  const ahead = status.ahead == null ? null : Math.min(status.ahead, Math.max(0, shown - 1));
  return { ...status, position: shown, ahead };
}

/** Gives the way behind the visitor in percent, or null while it cannot be known. */
export function progress(first, now) {
  if (!(first > 1) || now == null) return null;
  return Math.min(100, Math.max(0, Math.floor(((first - now) / (first - 1)) * 100)));
}

/** Picks the milestone just reached, so that a screen reader hears steps and not every tick. */
export function milestone(before, now) {
  const steps = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000];
  if (now == null || before == null) return null;
  return steps.find((step) => now <= step && before > step) ?? null;
}

/** Draws the tab's icon: a ring that fills with the way done, or the sign of the state. */
export function icon(state, percent) {
  const fill = { waiting: "#0b5d56", pre_queue: "#3d5a80", called: "#1b7f3b", admitted: "#1b7f3b" }[state] ?? (state === "paused" ? "#8a4b00" : "#7d2a2e");
  const signs = {
    called: "<path d='M8 17l6 6 11-13' fill='none' stroke='#fff' stroke-width='4'/>",
    paused: "<path d='M12 9v14M20 9v14' stroke='#fff' stroke-width='4'/>",
    pre_queue: "<path d='M16 8v9l6 4' fill='none' stroke='#fff' stroke-width='3.5'/>",
    waiting: `<circle cx='16' cy='16' r='9' fill='none' stroke='#fff6' stroke-width='4'/><circle cx='16' cy='16' r='9' fill='none' stroke='#fff' stroke-width='4' stroke-dasharray='${((percent ?? 0) * 0.5655).toFixed(1)} 57' transform='rotate(-90 16 16)'/>`,
  };
  const sign = signs[state === "admitted" ? "called" : state] ?? "<path d='M10 10l12 12M22 10L10 22' stroke='#fff' stroke-width='4'/>";
  return "data:image/svg+xml," + encodeURIComponent(`<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='9' fill='${fill}'/>${sign}</svg>`);
}

/** Names the parts that are shown: the state's own, and those of a place that a closed room keeps. */
export function parts(status) {
  return status.state === "closed" && status.number != null ? ["closed", "kept"] : [status.state];
}

/** Tells which part of the opening is shown: early without a place, in line, or how far the draw is. */
export function opening(status) {
  return status.number == null ? "early" : status.draw ?? "placed";
}

/** Picks when a page without a place asks again: at the opening, spread over a second, else within two minutes. */
export function lookAgainMs(opensInMs, chance) {
  const later = 60_000 * (1 + chance);
  return opensInMs == null ? later : Math.min(later, Math.max(0, opensInMs) + 200 + 1000 * chance);
}

/** Tells whether this is a status object that the page can show. */
export function usable(status) {
  return !!status && STATES.includes(status.state);
}

/** Says whether what is left will last, or that it is too early to say; null where nothing is counted, and nobody moves. */
export function outlook(status, voice) {
  if (status.state !== "waiting" || status.store_up === false) return null;
  return voice.say(status.forecast ?? (status.stock && "too_early")) || null;
}
