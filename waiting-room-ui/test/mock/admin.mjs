// A stand-in for the admin listener: rooms whose line really drains at their rate, one step a poll.
import { createServer } from "node:http";
import { bodyOf, json, serveFile } from "./files.mjs";
import { policy, previewOf } from "./gateway.mjs";

export const TOKEN = "test-token";

function newRoom(name, title, change = {}) {
  return {
    name, title, phase: "open", queueing_method: "fifo", waiting: 9120, present: 8977, active_sessions: 1840, total_active_users: null, issued: 31250,
    called: 21800, left: 214, lapsed: 116, admissions_per_second: 50, burst: 10, session_duration_seconds: 600, grace_seconds: 300,
    arrivals_per_second: 34, admitted_per_second: 50, live_connections: 8977, oldest_wait_seconds: 187, waited_seconds: { p50: 171, p95: 184 }, eta_error: { p50: 0.04, p95: 0.11 }, eta_seconds_for_newcomer: { low: 176, high: 201 },
    sold_out: ["12951:2026-11-23:3A"], sold_out_answers: 4410, stock: { "12951:2026-11-23:2A": 31, "12951:2026-11-23:SL": 402 }, message: null, epoch: 1, as_of: 0,
    upstream: { latency_ms: 61, p95_ms: 184, error_ratio: 0, in_flight: 12 }, admissions_per_second_now: 50, adaptive_floor: null, adaptive: null, ...change,
  };
}

function step(room, tick, aheadMs) {
  const arrivals = Math.max(0, Math.round(34 + 26 * Math.sin(tick / 40) + 6 * Math.sin(tick / 3)));
  const admitted = ["open", "draining"].includes(room.phase) ? Math.min(room.waiting + arrivals, room.admissions_per_second) : 0;
  Object.assign(room, { arrivals_per_second: arrivals, admitted_per_second: admitted, waiting: room.waiting + arrivals - admitted, issued: room.issued + arrivals, called: room.called + admitted, left: room.left + (tick % 3 ? 0 : 1), waited_seconds: { p50: Math.round(room.waiting / 55), p95: Math.round(room.waiting / 50) }, as_of: Date.now() + aheadMs });
}

/** What the gateway would say of a room whose rate adapts, and has slowed down. */
export const SLOWED = {
  admissions_per_second_now: 31, adaptive_floor: 5, upstream: { latency_ms: 420, p95_ms: 1310, error_ratio: 0.004, in_flight: 96 },
  adaptive: { floor: 5, ceiling: 50, wish: 31, reason: "slow", baseline_ms: 90, delay_seconds: 74, words: "Slowed to 31/s: the upstream answers in 420 ms, usually 90 ms" },
};

/** What the doctor would find on a machine that is nearly ready. */
export const FINDINGS = [
  { what: "store's eviction", verdict: "bad", said: "maxmemory-policy is allkeys-lru", remedy: "Set `maxmemory-policy noeviction`: with any other it may throw a line away." },
  { what: "TLS", verdict: "warning", said: "visitors reach 0.0.0.0:8080 without TLS", remedy: "Cookies are then not `Secure`. Put TLS in front and set `public_scheme = \"https\"`." },
  { what: "store", verdict: "good", said: "Redis 7.0.15 answers in 0.2 ms", remedy: null },
  { what: "upstream of tatkal, concert", verdict: "good", said: "http://127.0.0.1:9000 takes a connection in 0.1 ms", remedy: null },
];

const VERBS = {
  pause: (room) => { room.phase = "paused"; },
  resume: (room) => { room.phase = "open"; },
  open: (room) => { room.phase = "open"; },
  drain: (room) => { room.phase = "draining"; },
  close: (room) => { room.phase = "closed"; },
  "sold-out": (room, { key }) => { room.sold_out.push(key); },
  "on-sale": (room, { key }) => { room.sold_out = room.sold_out.filter((one) => one !== key); },
  message: (room, { text }) => { room.message = text; },
  admit: (room, { count }) => { room.waiting = Math.max(0, room.waiting - count); },
  reset: (room) => { room.waiting = 0; room.epoch += 1; },
};

function preview(request, response) {
  const wanted = new URL(request.url, "http://gateway").searchParams;
  if (wanted.get("lang") === "zh") return json(response, 400, { type: "/problems/bad_request", title: "Bad Request", status: 400, detail: "`lang` is one of en, hi." });
  response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy("nonce") });
  response.end(previewOf(wanted.get("state"), wanted.get("lang"), wanted.get("message")));
}

/** Starts the stand-in; `admin.calls` records every change. */
export async function startAdmin({ several = true } = {}) {
  const rooms = [newRoom("tatkal", "Tatkal booking")];
  if (several) rooms.push(newRoom("concert", "Opening night", { phase: "paused", waiting: 412, sold_out: [], stock: {}, eta_seconds_for_newcomer: null }), newRoom("vaccine", "Autumn vaccination", { waiting: 0, phase: "open", sold_out: [], stock: {} }));
  const admin = { findings: FINDINGS, rooms, calls: [], entries: [], past: {}, failing: false, answerAfterMs: 0, aheadMs: 0, storeUp: true, frozen: false, tick: 0 };

  async function api(request, response, path) {
    if (admin.failing) return request.socket.destroy();
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return json(response, 401, { type: "/problems/unauthorized", title: "Unauthorized", status: 401, detail: "Send the admin token as a bearer token." });
    if (path === "/api/audit") return json(response, 200, { entries: admin.entries });
    if (path === "/api/readiness") return json(response, 200, { findings: admin.findings, as_of: Date.now() });
    if (path === "/api/rooms") {
      admin.tick += 1;
      if (!admin.frozen) rooms.slice(0, 1).forEach((room) => step(room, admin.tick, admin.aheadMs));
      rooms.slice(1).forEach((room) => { room.as_of = Date.now() + admin.aheadMs; });
      return json(response, 200, { rooms, gateway: { version: "0.1.0", uptime_seconds: 7310, store: "redis", store_up: admin.storeUp } });
    }
    const [, , , name, verb] = path.split("/");
    if (verb === "preview") return preview(request, response);
    if (verb === "past") return json(response, 200, { samples: admin.past[name] ?? [] });
    const room = rooms.find((one) => one.name === name), body = await bodyOf(request);
    admin.calls.push([request.method, verb ?? "", body]);
    await new Promise((done) => setTimeout(done, admin.answerAfterMs));
    if (request.method === "PATCH" && body.admissions_per_second > 1000) return json(response, 422, { type: "/problems/invalid", title: "Invalid", status: 422, detail: "admissions_per_second must be at most 1000." });
    if (request.method === "PATCH") Object.assign(room, body);
    else VERBS[verb](room, body);
    admin.entries.push({ at: Date.now(), who: "admin", action: verb ?? "limits", room: name, detail: JSON.stringify(body) });
    json(response, 200, room);
  }

  const server = createServer((request, response) => {
    const path = request.url.split("?")[0];
    return path.startsWith("/api/") ? api(request, response, path) : serveFile("console", path, response);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  server.unref();
  admin.url = `http://127.0.0.1:${server.address().port}`;
  admin.close = () => { server.closeAllConnections(); return new Promise((done) => server.close(done)); };
  return admin;
}
