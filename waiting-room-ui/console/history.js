// The last five minutes of every room, one sample a poll, bounded. A failed poll leaves a gap and no invented figure.

import { inForce } from "./health.js";

export const SPAN_MS = 300_000;
const MOST = 400;

/** Keeps samples per room. */
export class History {
  #rooms = new Map();

  /** Adds what one poll said of a room. */
  add(room, now) {
    const kept = this.#rooms.get(room.name) ?? [];
    kept.push({
      at: now, waiting: room.waiting, admitted: room.admitted_per_second, arrivals: room.arrivals_per_second, limit: inForce(room),
      called: room.called, gone: room.left + room.lapsed, waited: room.waited_seconds?.p50, longest: room.waited_seconds?.p95,
      latency: room.upstream?.latency_ms, slowest: room.upstream?.p95_ms, errors: room.upstream?.error_ratio,
      present: room.present, inside: room.active_sessions, most: room.total_active_users,
    });
    while (kept.length > MOST || kept[0].at < now - SPAN_MS - 5000) kept.shift();
    this.#rooms.set(room.name, kept);
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
