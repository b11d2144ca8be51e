// Where the seats of a coach stand, row by row as one walks through it, from the bay that the API describes. Pure.

const PLACES = {
  lower: ["lower berth", "L"], middle: ["middle berth", "M"], upper: ["upper berth", "U"],
  side_lower: ["side lower berth", "SL"], side_upper: ["side upper berth", "SU"],
  window: ["window", "W"], centre: ["middle", "C"], aisle: ["aisle", "A"],
};

/** Says a place in words: "side lower berth". */
export const placeName = (place) => PLACES[place]?.[0] ?? place;

/** Says a place in a letter or two, as on the wall of the coach. */
export const placeMark = (place) => PLACES[place]?.[1] ?? "";

/** Lists the letters of a bay's places with their words, each once. */
export const placeKey = (bay) => [...new Set(bay)].map((place) => [placeMark(place), placeName(place)]);

/** Takes a label such as `B2-14` apart, or answers null. */
export function seatParts(label) {
  const found = /^([A-Z]\d+)-(\d+)$/.exec(label ?? "");
  return found && { coach: found[1], number: Number(found[2]) };
}

/** Says a seat in words: "B2-14, lower berth". */
export function seatName(label, bay) {
  const seat = seatParts(label);
  return seat ? `${label}, ${placeName(bay[(seat.number - 1) % bay.length])}` : label;
}

/** Gives the places of one bay in rows, each with its index in the bay; `gap` is where the corridor is. */
export function bayRows(bay) {
  const cells = bay.map((place, index) => ({ place, index, gap: false }));
  return bay.includes("window") ? [chairs(cells)] : berths(cells);
}

/** Chairs stand in one row, with the corridor between the two at the aisle. */
function chairs(cells) {
  const after = cells.findIndex(({ place }, i) => place === "aisle" && cells[i - 1]?.place === "aisle");
  return cells.map((cell, i) => ({ ...cell, gap: i === after }));
}

/** Berths stand at two walls that face each other; those at the side are beyond the corridor. */
function berths(cells) {
  const beside = cells.filter(({ place }) => place.startsWith("side_"));
  const facing = cells.filter((cell) => !beside.includes(cell));
  const half = facing.length / 2;
  return [0, 1].map((wall) => [...facing.slice(wall * half, (wall + 1) * half), ...beside.slice(wall, wall + 1).map((cell) => ({ ...cell, gap: true }))]);
}

/** Lists the rows of a coach; the last bay may be cut short. `free` has a character for each seat, "1" where it is free. */
export function coachRows(bay, free) {
  const rows = [];
  for (let first = 0; first < free.length; first += bay.length) {
    const last = bayRows(bay).map((row) => row.map(({ place, index, gap }) => ({ place, gap, number: first + index + 1 })).filter(({ number }) => number <= free.length));
    rows.push(...last.filter((row) => row.length > 0).map((cells, i) => ({ cells, begins: i === 0 })));
  }
  return rows;
}
