// Numbers and times in the operator's own language; unknown is a dash, never a guess.

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Formats a count. */
export const count = (value) => (value == null ? "–" : whole.format(value));

/** Formats a rate per second: small ones with a decimal. */
export const rate = (value) => (value == null ? "–" : value < 10 ? fine.format(value) : whole.format(value));

/** Formats milliseconds. */
export const ms = (value) => (value == null ? "–" : value < 1000 ? `${value < 10 ? fine.format(value) : whole.format(value)} ms` : `${fine.format(value / 1000)} s`);

/** Formats a part as a percentage. */
export const percent = (part) => (part == null ? "–" : `${fine.format(part * 100)} %`);

/** Formats an instant as a clock time. */
export const clock = (ms) => (ms == null ? "–" : time.format(ms));

/** Formats an instant as a clock time, with its day where that is not the day of `now`. */
export function moment(ms, now) {
  const isToday = new Date(ms).toDateString() === new Date(now).toDateString();
  return isToday ? clock(ms) : `${day.format(ms)}, ${clock(ms)}`;
}

/** Formats a length of time in words: "40 s", "5 min", "2 h 10 min". */
export function span(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  const hours = Math.floor(minutes / 60), rest = minutes % 60;
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return rest ? `${hours} h ${rest} min` : `${hours} h`;
}

/** Formats a wait that is a range. */
export function range(eta) {
  if (!eta) return "unknown";
  const low = span(eta.low), high = span(eta.high);
  if (low === high) return low;
  const unit = high.split(" ").at(-1);
  return low.endsWith(` ${unit}`) && low.split(" ").length === 2 ? `${low.split(" ")[0]}–${high}` : `${low} – ${high}`;
}

/** Says how long somebody would wait who came now, if anybody may. */
export function newcomerWaits({ phase, waiting, eta_seconds_for_newcomer: eta }) {
  if (phase === "draining" || phase === "closed") return "nobody joins";
  if (phase === "paused") return "unknown";
  return waiting === 0 ? "nothing" : range(eta);
}
