// What a new rate would do, said before it is applied. Pure, so that a test can ask it anything.
import { count, rate as per, span } from "./format.js";

/** A line that grows or shrinks by less than this part of its arrivals about stays. */
const ABOUT = 0.1;

/** Tells what a rate does to a room as it stands: where nobody is let in, what it would do once they are again. */
export function effectOn({ phase, waiting, arrivals_per_second: arrivals }, rate) {
  if (phase === "draining") return effect(waiting, 0, rate);
  if (phase !== "paused" && phase !== "closed") return effect(waiting, arrivals, rate);
  const { words } = effect(waiting, arrivals, rate);
  const [now, then] = phase === "paused" ? ["Paused: nobody is let in.", "Once resumed:"] : ["Closed: nobody joins, nobody is let in.", "Once opened:"];
  return { tone: "slow", words: `${now} ${then} ${words[0].toLowerCase()}${words.slice(1)}` };
}

/** Tells how long the line takes to drain at a rate while arrivals go on, or why it does not. */
export function effect(waiting, arrivals, rate) {
  if (rate === null) return { tone: "slow", words: "No limit is set: everyone goes straight in." };
  if (!(rate >= 0)) return { tone: "unknown", words: "Give a number of people a second." };
  if (rate === 0) return { tone: "bad", words: "Nobody would be let in. To stop for a while, use Pause." };
  const net = rate - (arrivals ?? 0);
  if (!waiting && net >= 0) return { tone: "good", words: "Nobody is waiting: arrivals go straight in." };
  if (Math.abs(net) <= arrivals * ABOUT) return { tone: "slow", words: `The line about stays as it is: ${per(arrivals)} arrive, ${per(rate)} are let in.` };
  if (net < 0) return { tone: "bad", words: `The line grows by ${per(-net)} a second: ${per(arrivals)} arrive, ${per(rate)} are let in.` };
  const seconds = waiting / net;
  const closing = arrivals > 0.05 ? `, while ${per(arrivals)} a second go on arriving` : "";
  return { tone: seconds > 3600 ? "slow" : "good", seconds, words: `The ${count(waiting)} waiting drain in ${seconds < 1 ? "less than a second" : `about ${span(seconds)}`}${closing}.` };
}

/** Tells what a limit of people inside, null for none, does to those who are inside now and to the rate. */
export function effectOfLimit(inside, limit, visitSeconds, rate) {
  if (limit === null) return { tone: "unknown", words: `${count(inside)} inside now; there is no limit, the rate alone decides.` };
  if (!(limit >= 1)) return { tone: "unknown", words: "Give a number of people, or nothing for no limit." };
  const most = limit / visitSeconds, holdsBack = rate === null || most < rate;
  const steady = holdsBack ? ` When it is full and everybody stays to the end (${span(visitSeconds)}), ${per(most)} a second go in.` : "";
  if (limit < inside) return { tone: "bad", words: `${count(inside)} are inside: nobody is let in until ${count(inside - limit)} of them have left.${steady}` };
  if (limit === inside) return { tone: "slow", words: `It is full: one goes in for each who leaves.${steady}` };
  return { tone: "good", words: `${count(inside)} inside now, room for ${count(limit - inside)} more.${steady}` };
}

/** Maps a slider's 0..1000 to a rate: fine where rates are small, coarse where they are large. */
export function rateOfSlider(step, top) {
  const raw = Math.expm1((step / 1000) * Math.log1p(top));
  return raw < 10 ? Math.round(raw * 10) / 10 : Math.round(raw);
}

/** The way back, for the slider's place. */
export function sliderOfRate(rate, top) {
  return Math.round((Math.log1p(Math.min(rate, top)) / Math.log1p(top)) * 1000);
}

const MANY_SECONDS = 10, MANYFOLD = 4;

/** Tells whether a rate is so many times the one before that it may be a slip of the finger. */
export function isManyfold(rate, before) {
  return before > 0 && rate >= before * MANYFOLD;
}

/** Tells whether so many at once are more than the site is used to: ten seconds' worth of the rate. */
export function isMany(people, rate) {
  return rate !== null && people > Math.max(1, rate * MANY_SECONDS);
}
