// A small line plot in SVG: a time axis of five minutes, round numbers on the other, gaps where nothing is known.
import { niceTop } from "./axis.js";
import { h, s, text } from "./dom.js";
import { SPAN_MS } from "./history.js";

const WIDE = 640, HIGH = 200, LEFT = 46, RIGHT = 10, TOP = 12, FOOT = 24;
const GAP_MS = 6_000;
const RANKS = ["first", "second", "third"];

/** Draws the path of one series, lifting the pen over gaps. */
export function path(samples, name, x, y) {
  let pen = "", last = -Infinity;
  for (const sample of samples) {
    if (sample[name] == null) continue;
    pen += `${sample.at - last > GAP_MS ? "M" : "L"}${x(sample.at).toFixed(1)} ${y(sample[name]).toFixed(1)}`;
    last = sample.at;
  }
  return pen;
}

const compact = new Intl.NumberFormat(undefined, { notation: "compact" });

/** Makes a plot; `series` is a list of {name, label, format}, `axis` words the axis, whose top `topOf` picks; `update(samples, now)` redraws it. */
export function plot(title, series, axis = (value) => compact.format(value), topOf = niceTop) {
  const grid = s("g", { class: "grid" }), lines = series.map((_, i) => s("path", { class: `line ${RANKS[i]}` }));
  const wash = s("path", { class: "wash" });
  const svg = s("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", class: "plot" }, grid, wash, ...lines);
  const values = series.map(() => h("b", {}, "–"));
  const legend = h("ul", { class: "legend" }, series.map(({ label }, i) => h("li", { class: RANKS[i] }, h("span", { class: "swatch", "aria-hidden": "true" }), `${label} `, values[i])));
  const element = h("figure", {}, h("figcaption", {}, h("h2", {}, title), legend), svg);

  function update(samples, now) {
    const most = Math.max(0, ...samples.flatMap((sample) => series.map(({ name }) => sample[name] ?? 0)));
    const top = topOf(most * 1.02);
    const x = (at) => LEFT + (1 - (now - at) / SPAN_MS) * (WIDE - LEFT - RIGHT);
    const y = (value) => TOP + (1 - value / top) * (HIGH - TOP - FOOT);
    const seen = samples.filter((sample) => sample.at > now - SPAN_MS);
    series.forEach(({ name, format }, i) => {
      lines[i].setAttribute("d", path(seen, name, x, y));
      text(values[i], format(samples.at(-1)?.[name]));
    });
    wash.setAttribute("d", shade(seen, series[0].name, x, y));
    grid.replaceChildren(...scale(top, y, axis), ...times(x, now));
    svg.setAttribute("aria-label", `${title}, last five minutes. Now: ${series.map(({ name, label, format }) => `${label} ${format(samples.at(-1)?.[name])}`).join(", ")}. Highest: ${series[0].format(most)}.`);
  }
  return { element, update };
}

function shade(samples, name, x, y) {
  const known = samples.filter((sample) => sample[name] != null);
  if (known.length < 2 || known.some((sample, i) => i && sample.at - known[i - 1].at > GAP_MS)) return "";
  return `${path(known, name, x, y)}L${x(known.at(-1).at).toFixed(1)} ${y(0)}L${x(known[0].at).toFixed(1)} ${y(0)}Z`;
}

function scale(top, y, axis) {
  return [0, 0.5, 1].flatMap((part) => [
    s("line", { x1: LEFT, x2: WIDE - RIGHT, y1: y(top * part), y2: y(top * part) }),
    s("text", { x: LEFT - 8, y: y(top * part) + 4, "text-anchor": "end" }, axis(top * part)),
  ]);
}

function times(x, now) {
  return [0, 2, 4].map((minutes) => s("text", { x: Math.min(x(now - minutes * 60_000), WIDE - RIGHT), y: HIGH - 6, "text-anchor": minutes === 0 ? "end" : "middle" }, minutes ? `−${minutes} min` : "now"));
}
