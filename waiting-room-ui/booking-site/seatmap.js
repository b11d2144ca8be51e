// The coaches and their seats, to choose from: a row of coaches, and the one that is looked at as an ARIA grid. Arrows
// move, Home and End go to the ends of a row, Space or Enter chooses. What others take meanwhile is marked at once.
import { bayRows, coachRows, placeKey, placeMark, placeName, seatParts } from "./coach.js";
import { h, say, text } from "./dom.js";
import { seats as counted } from "./format.js";

const count = (free) => [...free].filter((seat) => seat === "1").length;

/**
 * Makes a map of the seats that the API describes; `most` may be chosen. `changed()` is called after every choice, `lost(labels)`
 * when others have taken seats that were chosen here.
 */
export function seatMap(first, { most, changed, lost }) {
  const chosen = new Set();
  let now = first, coach = (first.coaches.find(({ free }) => free.includes("1")) ?? first.coaches[0]).coach, at = null;
  const carriages = h("fieldset", { class: "carriages", onchange: (event) => show(event.target.value) }, h("legend", { class: "unseen" }, "Coach"), first.coaches.map(carriage));
  const grid = h("div", { class: "coach", role: "grid", "aria-multiselectable": "true", onkeydown: keyed, onclick: (event) => toggle(event.target.closest("[role=gridcell]")) });
  const element = h("div", { class: "map" }, carriages, grid, key(first.bay));
  const cells = () => [...grid.querySelectorAll("[role=gridcell]")];
  const label = (cell) => `${coach}-${cell.dataset.number}`;

  function carriage({ coach: name }, i) {
    return h("label", { class: "carriage" }, h("input", { type: "radio", name: "coach", value: name, checked: name === coach, "aria-describedby": `coach-${i}` }), h("b", {}, name), h("small", { id: `coach-${i}` }));
  }

  function show(name) {
    coach = name;
    const { free } = now.coaches.find((one) => one.coach === name);
    at = null;
    grid.setAttribute("aria-label", `Seats of coach ${name}`);
    grid.replaceChildren(...coachRows(now.bay, free).map(({ cells: row, begins }) => h("div", { role: "row", class: begins ? "begins" : "" }, row.map(seat))));
    measure();
    paint();
  }

  /** Gives every row the same columns, with a narrow one for the corridor. */
  function measure() {
    const widest = bayRows(now.bay)[0], corridor = widest.findIndex(({ gap }) => gap);
    const columns = corridor < 0 ? `repeat(${widest.length}, minmax(0, 1fr))` : `repeat(${corridor}, minmax(0, 1fr)) .5fr repeat(${widest.length - corridor}, minmax(0, 1fr))`;
    grid.style.setProperty("--columns", columns);
    grid.style.setProperty("--width", `${widest.length * 3.6 + 3}rem`);
    for (const cell of grid.querySelectorAll(".gap")) cell.style.gridColumnStart = corridor + 2;
  }

  function seat({ number, place, gap }) {
    return h("div", { role: "gridcell", tabindex: "-1", class: gap ? "gap" : "", "data-number": number, "data-place": place, "data-mark": placeMark(place) }, h("b", {}, number));
  }

  /** Marks every seat as it is now; none is drawn anew, so that focus stays. */
  function paint() {
    for (const { coach: name, free } of now.coaches) {
      const box = carriages.querySelector(`input[value="${name}"]`).parentElement;
      const mine = [...chosen].filter((one) => seatParts(one).coach === name).length;
      text(box.lastElementChild, mine ? `${mine} chosen` : `${count(free)} free`);
      box.dataset.level = mine ? "mine" : free.includes("1") ? "free" : "none";
    }
    const { free } = now.coaches.find((one) => one.coach === coach);
    for (const cell of cells()) mark(cell, free[cell.dataset.number - 1] === "1");
    const stop = cells().find((cell) => cell.dataset.number === String(at)) ?? cells().find((cell) => cell.dataset.state !== "taken") ?? cells()[0];
    for (const cell of cells()) cell.tabIndex = cell === stop ? 0 : -1;
  }

  function mark(cell, free) {
    const mine = chosen.has(label(cell)), state = mine ? "mine" : free ? "free" : "taken";
    cell.dataset.state = state;
    cell.setAttribute("aria-selected", String(mine));
    cell.setAttribute("aria-disabled", String(state === "taken"));
    cell.setAttribute("aria-label", `Seat ${cell.dataset.number}, ${placeName(cell.dataset.place)}, ${{ mine: "chosen", free: "free", taken: "taken" }[state]}`);
  }

  function toggle(cell) {
    if (!cell) return;
    focus(cell);
    const name = label(cell);
    if (chosen.delete(name)) say(`${name} is not chosen any more. ${counted(chosen.size)} chosen.`);
    else if (cell.dataset.state === "taken") return say(`${name} is taken.`);
    else if (chosen.size >= most) return say(`At most ${counted(most)} in one booking. Take one back first.`), changed(true);
    else chosen.add(name), say(`${name} is chosen. ${counted(chosen.size)} chosen.`);
    paint();
    changed();
  }

  function focus(cell) {
    at = cell.dataset.number;
    for (const other of cells()) other.tabIndex = other === cell ? 0 : -1;
    cell.focus();
  }

  function keyed(event) {
    const cell = event.target.closest("[role=gridcell]");
    if (!cell || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " " || event.key === "Enter") return event.preventDefault(), toggle(cell);
    const to = neighbour(cell, event.key);
    if (!to) return;
    event.preventDefault();
    focus(to);
  }

  function neighbour(cell, key) {
    const rows = [...grid.children], row = rows.indexOf(cell.parentElement), column = [...cell.parentElement.children].indexOf(cell);
    const up = (step) => rows[row + step] && (rows[row + step].children[Math.min(column, rows[row + step].children.length - 1)]);
    switch (key) {
      case "ArrowRight": return cell.nextElementSibling ?? rows[row + 1]?.firstElementChild;
      case "ArrowLeft": return cell.previousElementSibling ?? rows[row - 1]?.lastElementChild;
      case "ArrowDown": return up(1);
      case "ArrowUp": return up(-1);
      case "Home": return cell.parentElement.firstElementChild;
      case "End": return cell.parentElement.lastElementChild;
      default: return null;
    }
  }

  const isFree = (name) => {
    const seat_ = seatParts(name);
    return now.coaches.find((one) => one.coach === seat_?.coach)?.free[seat_.number - 1] === "1";
  };

  /** Takes in what is free now. */
  function update(next) {
    now = next;
    const gone = [...chosen].filter((name) => !isFree(name));
    // What was said of the choice holds as long as the choice does.
    if (!gone.length) return paint();
    drop(gone);
    lost(gone);
  }

  function drop(names) {
    for (const name of names) chosen.delete(name);
    paint();
    changed();
  }

  /** Chooses a seat by its label and shows its coach; says whether that could be done. */
  function pick(name) {
    if (!isFree(name) || chosen.size >= most) return false;
    chosen.add(name);
    carriages.querySelector(`input[value="${seatParts(name).coach}"]`).checked = true;
    show(seatParts(name).coach);
    changed();
    return true;
  }

  show(coach);
  return { element, update, drop, pick, chosen: () => [...chosen] };
}

/** Says what the colours and the letters on the seats mean. */
function key(bay) {
  const one = (state, words) => h("li", {}, h("span", { class: "swatch", "data-state": state, "aria-hidden": "true" }), words);
  const letters = placeKey(bay).map(([mark, name]) => h("li", {}, h("b", {}, mark), name));
  return h("div", {}, h("ul", { class: "key" }, one("free", "free"), one("mine", "chosen"), one("taken", "taken")), h("ul", { class: "key" }, letters));
}
