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
    });
    while (kept.length > MOST || kept[0].at < now - SPAN_MS - 5000) kept.shift();
    this.#rooms.set(room.name, kept);
  }

  /** Gives the samples of a room, oldest first. */
  of(name) {
    return this.#rooms.get(name) ?? [];
  }
}
