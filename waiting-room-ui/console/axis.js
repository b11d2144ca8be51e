// Where an axis ends: at a round value, half of which is as round. Pure, so that a test can ask it anything.

const SPANS = [2, 4, 6, 10, 20, 40, 60, 120, 240, 360, 600, 1200, 2400, 3600, 7200];
const TWO_HOURS = 7200;

/** Picks the top of an axis of counts: the next of 1, 2, 4, 6, 8 times a power of ten. */
export function niceTop(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((top) => top >= most);
}

/** Picks the top of an axis of seconds, round in the unit that it is told in. */
export const niceSpan = (seconds) => SPANS.find((top) => top >= seconds) ?? TWO_HOURS * niceTop(seconds / TWO_HOURS);
