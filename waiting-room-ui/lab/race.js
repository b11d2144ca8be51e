// Two people and one seat: what each would send next, what the stores hold, and the log of it all in two lanes.
import * as api from "./api.js";
import { h, say, text } from "/dom.js";
import { endingWords, forEngine, PEOPLE, stepWords, time, verdict, WAYS } from "./words.js";

const WAITING_MS = 300, LEASE_MS = 500, IDLE_MS = 5000, SLOW_MS = 1300;

/** Makes the part of the page for one race after the other; `show(way)` begins one. */
export function racePart({ engine, redis }) {
  const idea = h("p"), look = h("p", { class: "try" }), outcome = h("p", { class: "outcome", role: "status" }), note = h("div", { role: "alert" });
  const people = PEOPLE.map((name, i) => personCard(name, () => act(() => api.click(now.id, i + 1))));
  const again = h("button", { type: "button", onclick: () => show(way) }, "Begin again");
  const slowly = h("button", { type: "button", class: "solid", onclick: () => play() }, "Play it slowly");
  const fast = h("button", { type: "button", onclick: () => act(() => api.run(now.id)) }, "Both at full speed");
  const table = h("div", { class: "card store" }), lease = h("div", { class: "card store" }), log = h("ol", { class: "log" });
  const empty = h("p", { class: "hint" }, "Nothing was sent yet.");
  const element = h("div", { class: "race" }, idea, look, h("p", { class: "row" }, slowly, fast, again), note,
    h("div", { class: "pair" }, people.map((person) => person.element)), outcome,
    h("div", { class: "stores" }, table, lease),
    h("section", {}, h("h2", {}, "The log"), h("div", { class: "lanes", "aria-hidden": "true" }, PEOPLE.map((name) => h("b", {}, name))), log, empty));
  let way = null, race = 0, now = null, line = Promise.resolve(), waitingWork = 0, playing = null, timer = 0;

  /** Begins a race; the one before is ended. */
  async function show(next) {
    stop();
    if (now) api.close(now.id);
    way = next;
    race++;
    now = null;
    draw();
    text(idea, forEngine(WAYS[way].idea, engine));
    text(look, `What to look for: ${forEngine(WAYS[way].look, engine)}`);
    await act(() => api.begin(way));
  }

  /** Does one thing after the other, and draws what came of each. What was asked of a race that is gone is left. */
  function act(work) {
    const wanted = race;
    waitingWork++;
    line = line.then(() => (wanted === race ? attempt(work, wanted) : null)).finally(() => { waitingWork--; });
    return line;
  }

  async function attempt(work, wanted) {
    clearTimeout(timer);
    try {
      const said = await work();
      if (wanted !== race) return void api.close(said.id);
      now = said;
      note.replaceChildren();
    } catch (fault) {
      // A click that came too late is no news: what is drawn next says why.
      if (!["waiting", "over"].includes(fault.name)) stop(), note.replaceChildren(h("p", { class: "banner" }, h("b", {}, "That did not work."), ` ${fault.message}.`));
      if (fault.name === "no_such_race") now = null;
    }
    draw();
    follow();
  }

  /** Looks again by itself while there is something to wait for. */
  function follow() {
    clearTimeout(timer);
    if (!now || now.over) return;
    const pause = waiting(now) ? WAITING_MS : now.redis?.lease ? LEASE_MS : IDLE_MS;
    timer = setTimeout(() => (document.hidden || waitingWork ? follow() : act(() => api.view(now.id))), pause);
  }

  /** Clicks in the order that shows the point, with time to read. */
  async function play() {
    if (playing) return stop();
    if (!now || now.over || now.log.length) await show(way);
    if (!now) return;
    const mine = (playing = {});
    text(slowly, "Stop");
    for (let i = 0; playing === mine && now && !now.over; i++) {
      const wanted = turn(i), person = ready(wanted) ? wanted : ready(3 - wanted) ? 3 - wanted : null;
      if (person) await act(() => api.click(now.id, person));
      await new Promise((next) => setTimeout(next, SLOW_MS));
    }
    if (playing === mine) stop();
  }

  const turn = (i) => WAYS[way].turn[i % WAYS[way].turn.length];
  const ready = (person) => now?.people[person - 1].standing === "ready";

  function stop() {
    playing = null;
    text(slowly, "Play it slowly");
  }

  function draw() {
    people.forEach((person, i) => person.draw(now?.people[i], now?.retries[i] ?? 0, engine));
    fast.disabled = !now || now.over;
    outcome.hidden = true;
    if (!now) return void [table, lease, log].forEach((part) => part.replaceChildren());
    drawTable(table, now.table, way);
    drawLease(lease, now.redis, { way, redis, end: () => act(() => api.endLease(now.id)) });
    drawLog(log, now.log);
    empty.hidden = now.log.length > 0;
    const end = verdict(now);
    outcome.hidden = !end;
    outcome.dataset.mood = end?.mood;
    text(outcome, end?.words ?? "");
  }

  addEventListener("pagehide", () => now && api.close(now.id));
  return { element, show };
}

const waiting = (race) => race.people.some(({ standing }) => standing === "asking");

function personCard(name, send) {
  const state = h("p", { class: "state" }), code = h("code", { class: "sql" }), why = h("p", { class: "hint" });
  const button = h("button", { type: "button", class: "solid", onclick: send }, `${name}: send it`);
  const element = h("section", { class: "card person", "aria-label": name }, h("h2", {}, name), state, code, why, button);

  function draw(standing, retries, engine) {
    const next = standing?.next;
    code.hidden = why.hidden = !next;
    text(code, next?.text ?? "");
    text(why, next ? stepWords(next.step, engine) : "");
    button.disabled = standing?.standing !== "ready";
    element.dataset.standing = standing?.standing ?? "none";
    const [words, mood] = standing?.standing === "over" ? endingWords(standing.ending) : [stateWords(standing), ""];
    element.dataset.mood = mood;
    text(state, retries > 0 ? `${words} (began again ${retries === 1 ? "once" : `${retries} times`})` : words);
  }
  return { element, draw };
}

function stateWords(standing) {
  if (!standing) return "One moment…";
  if (standing.standing === "asking") return "Waits for the database to answer…";
  return standing.inside ? "In a transaction. Would send next:" : "Would send next:";
}

function drawTable(place, { capacity, available, version, holds, seats }, way) {
  const who = (person) => PEOPLE[person - 1] ?? `person ${person}`;
  const list = (rows) => (rows.length ? rows.join(", ") : "none");
  const fact = (name, value, bad = false) => h("div", { class: bad ? "bad" : "" }, h("dt", {}, name), h("dd", {}, value));
  const facts = [fact("inventory.available", `${available} of ${capacity}`)];
  if (way === "optimistic") facts.push(fact("inventory.version", version));
  if (["seat-key", "seat-lock", "tickets"].includes(way)) facts.push(fact("seats", list(seats.map(([number, person]) => `${number} is ${who(person)}'s`))));
  facts.push(fact("holds", list(holds.map(([person]) => who(person))), holds.length > capacity));
  redraw(place, h("h2", {}, "What the tables hold"), h("dl", { class: "facts" }, facts), h("p", { class: "hint" }, "As a third connection sees it: what is committed."));
}

function drawLease(place, lease, { way, redis, end }) {
  place.hidden = way !== "seat-lock" && redis;
  const words = () => {
    if (!redis) return h("p", { class: "hint" }, "There is no Redis here. Start the demo with --redis to see leases on seats.");
    if (!lease) return h("p", { class: "hint" }, "This way does not use Redis.");
    if (lease.trouble) return h("p", {}, `Redis says: ${lease.trouble}`);
    if (!lease.lease) return h("p", {}, "No lease on the seat.");
    return h("dl", { class: "facts" }, h("div", {}, h("dt", {}, lease.lease.key), h("dd", {}, `${PEOPLE[lease.lease.person - 1]}, for ${Math.ceil(lease.lease.left_ms / 1000)} s more`)));
  };
  const button = lease?.lease && h("button", { type: "button", onclick: end }, "End the lease early");
  redraw(place, h("h2", {}, "What Redis holds"), words(), button);
}

/** Puts new content in place only where it differs, so that focus and reading stay where they are. */
function redraw(place, ...parts) {
  const next = h("div", {}, ...parts);
  if (place.textContent !== next.textContent) place.replaceChildren(...next.childNodes);
}

function drawLog(log, lines) {
  while (log.children.length > lines.length) log.lastElementChild.remove();
  lines.forEach((line, i) => {
    const item = log.children[i] ?? log.appendChild(logLine(line, i));
    const said = line.said ?? "waits…";
    if (item.said.textContent === said) return;
    text(item.said, said);
    text(item.took, line.took_us == null ? "" : `, took ${time(line.took_us)}`);
    item.dataset.waits = String(line.said == null);
    if (line.said != null) say(`${PEOPLE[line.person - 1]}: ${said}`);
  });
}

function logLine({ person, text: sql, at_us }, place) {
  const said = h("b", { class: "said" }), took = h("span");
  const item = h("li", { "data-person": person }, h("span", { class: "unseen" }, `${PEOPLE[person - 1]}: `), h("code", { class: "sql" }, sql), h("p", {}, said), h("p", { class: "hint" }, `at ${time(at_us)}`, took));
  // A row of its own for each, so that the lanes show who came when.
  item.style.gridRow = place + 1;
  return Object.assign(item, { said, took });
}
