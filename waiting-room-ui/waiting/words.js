// What the page says: pure functions of the status object, tested in Node as they stand.

const STATES = ["pre_queue", "waiting", "called", "admitted", "paused", "sold_out", "full", "closed", "lapsed", "none"];
const FORECASTS = {
  likely_sold_out: "At this pace it will probably be sold out before your turn. You may stay: what others do not pay for comes back.",
  uncertain: "It may or may not last until your turn. It depends on how many of those ahead of you buy.",
};

/** Formats a whole number with the separators of the reader's language. */
export function count(value, lang) {
  return new Intl.NumberFormat(lang, { maximumFractionDigits: 0 }).format(value);
}

function plural(value, one, many, lang) {
  return `${count(value, lang)} ${value === 1 ? one : many}`;
}

/** Says a length of time as a person would: "40 seconds", "5 minutes", "1 hour 20 minutes". */
export function span(seconds, lang) {
  if (seconds < 100) return plural(Math.max(0, Math.round(seconds)), "second", "seconds", lang);
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return plural(minutes, "minute", "minutes", lang);
  const rest = Math.round((minutes % 60) / 10) * 10;
  const hours = Math.floor(minutes / 60) + (rest === 60 ? 1 : 0);
  const tail = rest && rest !== 60 ? ` ${plural(rest, "minute", "minutes", lang)}` : "";
  return plural(hours, "hour", "hours", lang) + tail;
}

/** Says a wait as a range, in one unit where both ends share it. */
export function range(eta, lang) {
  if (!eta) return null;
  if (eta.high <= 5) return "a few seconds";
  const low = span(eta.low, lang), high = span(eta.high, lang);
  if (low === high) return high;
  const [, a] = low.match(/^(\S+) \D+$/) ?? [], unit = (text) => text.replace(/^\S+ /, "").replace(/s$/, "");
  return a && unit(low) === unit(high) ? `${a} to ${high}` : `${low} to ${high}`;
}

/** Says when the turn will come on the reader's own clock. */
export function clock(eta, nowMs, lang) {
  if (!eta) return "";
  const style = new Intl.DateTimeFormat(lang, { hour: "numeric", minute: "2-digit" });
  const low = style.format(nowMs + eta.low * 1000), high = style.format(nowMs + eta.high * 1000);
  return low === high ? `at about ${low}` : `between ${low} and ${high}`;
}

/** Says how fast the line moves, per second, per minute or one every so often. */
export function speed(perSecond, lang) {
  if (!perSecond) return null;
  if (perSecond >= 1) return `${count(perSecond, lang)} a second`;
  if (perSecond * 60 >= 1) return `${count(perSecond * 60, lang)} a minute`;
  return `one every ${span(1 / perSecond, lang)}`;
}

/** Says how old the figures are. */
export function age(ms, lang) {
  const seconds = Math.floor(ms / 1000);
  return seconds < 3 ? "Updated just now" : `Updated ${span(seconds, lang)} ago`;
}

/** Says the time left until the opening, to the second on the last day. */
export function countdown(ms) {
  const left = Math.max(0, Math.ceil(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const [d, h, m, s] = [Math.floor(left / 86400), Math.floor(left / 3600) % 24, Math.floor(left / 60) % 60, left % 60];
  if (d) return `${d} d ${h} h ${two(m)} min`;
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
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

/** Gives the words for the tab. */
export function tab(status, title, lang) {
  const ahead = status.ahead == null ? "In line" : `${count(status.ahead, lang)} ahead`;
  const heads = {
    pre_queue: "Opens soon", waiting: ahead, called: "Your turn", admitted: "Your turn", paused: "Paused",
    sold_out: "Sold out", full: "Line is full", closed: "Closed", lapsed: "Place lapsed", none: "Not in line",
  };
  return `${heads[status.state] ?? "In line"} · ${title}`;
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

/** Gives the sentence for a screen reader when the state changes. */
export function said(status, lang) {
  const near = status.ahead == null ? "" : ` ${plural(status.ahead, "person is", "people are", lang)} ahead of you.`;
  return {
    pre_queue: status.draw ? "You are in the draw." : status.number == null ? "The sale has not opened yet." : "You are in line. The sale has not started yet.", waiting: `You are in line.${near}`, called: "It is your turn.", admitted: "It is your turn.",
    paused: "The line is paused. Your place is kept.", sold_out: "Sold out for now. You may stay in line.",
    full: "The line is full.", closed: "The line is closed.", lapsed: "Your place has lapsed. You can join again.", none: "You are not in line.",
  }[status.state];
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

/** Gives the sentence on whether it will last, or null where nothing is known. */
export function outlook(forecast) {
  return FORECASTS[forecast] ?? null;
}
