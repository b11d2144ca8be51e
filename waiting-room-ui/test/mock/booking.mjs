// A stand-in for booking-api: a few trains, numbered seats in 2A, holds on a clock, a bank that does as its method says.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { bodyOf, json, serveFile } from "./files.mjs";

const STATIONS = [["NDLS", "NEW DELHI"], ["DLI", "DELHI"], ["MMCT", "MUMBAI CENTRAL"], ["CSMT", "C SHIVAJI MAH T"], ["NZM", "H NIZAMUDDIN"], ["BRC", "VADODARA JN"], ["DEE", "DELHI S ROHILLA"], ["DEC", "DELHI CANTT"]].map(([code, name]) => ({ code, name }));
const TRAINS = [["12952", "NDLS MMCT RAJDHANI", 935, 1384, { "1A": 18, "2A": 71, "3A": 402 }], ["12926", "PASCHIM EXPRESS", 1365, 1380, { "1A": 24, "2A": 12, "3A": 0, SL: 511, "2S": 430 }], ["22210", "NDLS MMCT DURONTO", 985, 1384, { "1A": 0, "2A": 96, "3A": 320, SL: 9 }]];
const FARES = { "1A": 481_500, "2A": 287_000, "3A": 203_000, SL: 77_500, "2S": 41_000 };
const PROBLEMS = { seat_taken: [409, "Seats are taken", "Some of them belong to somebody else by now; choose other seats."], sold_out: [409, "Sold out", "No seats are left. Some may come back when holds run out."], payment_declined: [402, "The payment was declined", "the bank said no; your seats are still held, try another way to pay"], gone: [404, "Not found", "There is no such thing here."] };

function problem(response, name, more = {}) {
  const [status, title, detail] = PROBLEMS[name];
  json(response, more.status ?? status, { type: `/problems/${name}`, title, status, detail, ...more });
}

/** Starts the stand-in; `site.mood` makes it fail: "line" or "sold_out" as the gateway would, "down", "drop_answer". */
export async function startBooking({ holdSeconds = 600 } = {}) {
  const site = { mood: null, holds: new Map(), keys: new Map(), stock: new Map(), posts: 0, seenKeys: [], seats: new Map() };
  for (const [number, , , , classes] of TRAINS) for (const [code, left] of Object.entries(classes)) site.stock.set(`${number}:${code}`, left);
  const row = (id) => { const [number, , code] = id.split(":"); return `${number}:${code}`; };
  const left = (id) => site.stock.get(row(id));
  const shown = (hold) => ({ ...hold, train: run(hold.inventory.split(":")[0]), now: Date.now() });
  const offer = (number, date, code) => ({ class: code, inventory: `${number}:${date}:${code}`, available: site.stock.get(`${number}:${code}`), capacity: 420, price_paise: FARES[code], currency: "INR", class_name: code, as_of: Date.now() });

  /** The seats of 2A, two coaches of 48: those in the set are taken. */
  const BAY = ["lower", "upper", "lower", "upper", "side_lower", "side_upper"];
  const taken = (id) => { if (!site.seats.has(row(id))) site.seats.set(row(id), new Set(["A1-1", "A1-2", "A1-9", "A2-5"])); return site.seats.get(row(id)); };
  const numbered = (id) => id.endsWith(":2A");
  const seatsOf = (id) => numbered(id) ? { bay: BAY, coaches: ["A1", "A2"].map((coach) => ({ coach, free: Array.from({ length: 48 }, (_, i) => (taken(id).has(`${coach}-${i + 1}`) ? "0" : "1")).join("") })) } : null;
  const freeSeats = (id) => ["A1", "A2"].flatMap((coach) => Array.from({ length: 48 }, (_, i) => `${coach}-${i + 1}`)).filter((label) => !taken(id).has(label));

  const run = (number) => {
    const [, name, duration_min, distance_km] = TRAINS.find((train) => train[0] === number);
    return { number, name, origin: STATIONS[0], destination: STATIONS[2], distance_km, duration_min, days: ["Mon", "Wed", "Fri"] };
  };

  function lapse() {
    for (const hold of site.holds.values()) if (hold.status === "held" && hold.expires_at <= Date.now()) finish(hold, "expired");
  }

  function finish(hold, state) {
    hold.status = state;
    site.stock.set(row(hold.inventory), left(hold.inventory) + hold.quantity);
  }

  function giveBack(hold, { quantity, seats }) {
    const [item] = hold.items, kept = seats?.length ?? quantity, each = hold.amount_paise / hold.quantity, gone = hold.quantity - kept;
    site.stock.set(row(hold.inventory), left(hold.inventory) + gone);
    Object.assign(item, { quantity: kept, seats: seats ?? item.seats?.slice(0, kept) ?? null });
    Object.assign(hold, { quantity: kept, amount_paise: each * kept, refund: { amount_paise: (hold.refund?.amount_paise ?? 0) + each * gone, status: "refunding" } });
  }

  const once = (key, make) => { if (!site.keys.has(key)) site.keys.set(key, make()); return site.keys.get(key); };

  function makeHold({ inventory, quantity, seats }) {
    quantity ??= seats.length;
    if (left(inventory) < quantity) return null;
    if (numbered(inventory)) seats ??= freeSeats(inventory).slice(0, quantity);
    for (const label of seats ?? []) taken(inventory).add(label);
    site.stock.set(row(inventory), left(inventory) - quantity);
    const hold = { id: randomUUID(), inventory, quantity, amount_paise: FARES[inventory.split(":")[2]] * quantity, status: "held", payment: null, items: [{ inventory, quantity, seats: seats ?? null }], extensions: 0, extensions_left: 1, created_at: Date.now(), expires_at: Date.now() + holdSeconds * 1000, booking: null };
    site.holds.set(hold.id, hold);
    return hold;
  }

  function pay(hold, method) {
    if (method === "sim_declined") return null;
    hold.payment = randomUUID();
    if (method === "sim_challenge") return { id: hold.payment, hold: hold.id, status: "challenged", booking: null, challenge: (hold.challenge = { redirect: `${site.url}/bank?hold=${hold.id}`, client_secret: null }) };
    const confirm = () => Object.assign(hold, { status: "confirmed", booking: hold.id.slice(0, 10).toUpperCase().replace("-", "X") });
    if (method === "sim_ok") confirm();
    if (method === "sim_hang") setTimeout(() => { hold.payment = null; }, 1800);
    if (method === "sim_slow") setTimeout(confirm, 1500);
    return { id: hold.payment, hold: hold.id, status: method === "sim_ok" ? "kept" : "pending", booking: hold.booking };
  }

  const station = (url, name) => STATIONS.find(({ code }) => code === url.searchParams.get(name));

  async function api(request, response, url) {
    lapse();
    const [, , kind, id, sub] = url.pathname.split("/").map(decodeURIComponent), key = request.headers["idempotency-key"];
    if (site.mood === "line") return json(response, 429, { room: "tatkal", state: "waiting", position: 88, ahead: 87 }, { "retry-after": "2" });
    if (site.mood === "down") return request.socket.destroy();
    if (site.mood === "sold_out" && request.method === "POST") return problem(response, "sold_out", { status: 410 });
    if (kind === "stations") return json(response, 200, { stations: STATIONS.filter(({ code, name }) => `${code} ${name}`.includes(url.searchParams.get("q").toUpperCase())) });
    if (kind === "trains") return json(response, 200, { from: station(url, "from"), to: station(url, "to"), trains: ["NDLS", "BRC"].includes(url.searchParams.get("from")) ? TRAINS.map(([number, , , , classes]) => ({ ...run(number), stops_between: 4, from_origin: true, classes: Object.keys(classes).map((code) => offer(number, url.searchParams.get("date"), code)) })) : [] });
    if (kind === "inventory" && left(id) != null) return json(response, 200, { ...offer(...id.split(":")), train: run(id.split(":")[0]), date: id.split(":")[1], seats: seatsOf(id), most_seats: 6, now: Date.now() });
    if (kind === "bookings") {
      const hold = [...site.holds.values()].find((one) => one.booking === id);
      if (hold && request.method === "PATCH") giveBack(hold, await bodyOf(request));
      if (hold && sub === "cancellation" && hold.status === "confirmed") { finish(hold, "cancelled"); hold.refund = { amount_paise: hold.amount_paise, status: "refunding" }; setTimeout(() => { hold.refund.status = "refunded"; }, 1500); }
      if (hold?.status === "cancelled") return json(response, 200, { ...hold, reference: id, refund_if_cancelled_paise: null, train: run(hold.inventory.split(":")[0]) });
      return hold ? json(response, 200, { ...hold, reference: id, status: "confirmed", items: hold.items.map((item) => ({ ...item, refund_each_paise: hold.amount_paise / hold.quantity })), refund_if_cancelled_paise: hold.amount_paise, refund: hold.refund ?? null, train: run(hold.inventory.split(":")[0]) }) : problem(response, "gone");
    }
    if (kind === "payments") return json(response, 200, { id, challenge: [...site.holds.values()].find((one) => one.payment === id)?.challenge ?? null });
    if (kind !== "holds") return problem(response, "gone");
    if (request.method === "POST" && !id) {
      site.posts += 1;
      site.seenKeys.push(key);
      const body = await bodyOf(request), gone = site.keys.has(key) ? [] : (body.seats ?? []).filter((label) => taken(body.inventory).has(label));
      if (gone.length) return problem(response, "seat_taken", { inventory: body.inventory, taken: gone, free_nearby: freeSeats(body.inventory).filter((label) => !body.seats.includes(label)).slice(0, 4) });
      const hold = once(key, () => makeHold(body));
      if (site.mood === "drop_answer") return (site.mood = null), request.socket.destroy();
      return hold ? json(response, 201, shown(hold)) : problem(response, "sold_out");
    }
    const hold = site.holds.get(id);
    if (!hold) return problem(response, "gone");
    if (sub === "extension") return (hold.extensions = 1), (hold.extensions_left = 0), (hold.expires_at += 120_000), json(response, 200, shown(hold));
    if (sub === "payments") {
      const { method } = await bodyOf(request), paid = once(key, () => pay(hold, method));
      return paid ? json(response, paid.booking ? 201 : 202, paid) : problem(response, "payment_declined");
    }
    if (request.method === "DELETE") finish(hold, "cancelled");
    json(response, 200, shown(hold));
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://site");
    return url.pathname.startsWith("/api/") ? api(request, response, url) : serveFile("booking-site", url.pathname, response, true);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  server.unref();
  site.url = `http://127.0.0.1:${server.address().port}`;
  site.close = () => { server.closeAllConnections(); return new Promise((done) => server.close(done)); };
  return site;
}
