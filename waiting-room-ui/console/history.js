// The last five minutes of every room: what the gateway remembers, then one sample a poll, bounded. A failed poll leaves a
// gap and no invented figure.

import { inForce } from "./health.js";

export const SPAN_MS = 300_000;
const MOST = 400;

/** Keeps samples per room. */
export class History {
  #rooms = new Map();

  /** Adds what one poll said of a room. */
  add(room, now) {
    const kept = this.#rooms.get(room.name) ?? [];
    kept.push(sample(room, now));
    while (kept.length > MOST || kept[0].at < now - SPAN_MS - 5000) kept.shift();
    this.#rooms.set(room.name, kept);
  }

  /** Puts what the gateway saw of a room before what was heard since; its clock is behind ours by `skew` milliseconds. */
  before(name, rooms, skew) {
    const kept = this.#rooms.get(name) ?? [], since = kept[0]?.at ?? Infinity;
    const older = rooms.map((room) => sample(room, room.as_of + skew)).filter(({ at }) => at < since);
    this.#rooms.set(name, [...older, ...kept]);
  }

  /** Gives which part of those who stopped waiting in these minutes had given up or lapsed; null while nobody stopped. */
  abandoned(name) {
    const [first, last] = [this.of(name)[0], this.of(name).at(-1)];
    const gone = last?.gone - first?.gone, called = last?.called - first?.called;
    return gone + called > 0 && gone >= 0 && called >= 0 ? gone / (gone + called) : null;
  }

  /** Gives the samples of a room, oldest first. */
  of(name) {
    return this.#rooms.get(name) ?? [];
  }
}

function sample(room, at) {
  return {
    at, waiting: room.waiting, admitted: room.admitted_per_second, arrivals: room.arrivals_per_second, limit: inForce(room),
    called: room.called, gone: room.left + room.lapsed, waited: room.waited_seconds?.p50, longest: room.waited_seconds?.p95,
    latency: room.upstream?.latency_ms, slowest: room.upstream?.p95_ms, errors: room.upstream?.error_ratio,
    present: room.present, inside: room.active_sessions, most: room.total_active_users,
  };
}
