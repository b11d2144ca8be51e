// The server's time, as near as its answers tell. A promise ends by the server's clock, whatever this device's clock does
// meanwhile: it may be wrong, be set right, or have slept.

/**
 * Follows the server's clock. Each answer bounds how far this clock is ahead of it: no less than when it was asked, no more than
 * when it came. What is believed stays where it fits the newest answer, and moves no further than it must where it does not.
 */
export function serverTime(clock = Date.now) {
  let ahead = null;
  return {
    /** Takes in what the server's clock showed between two moments of this one. */
    heard(serverMs, askedMs, cameMs = clock()) {
      if (serverMs == null) return;
      const least = askedMs - serverMs, most = cameMs - serverMs;
      ahead = ahead == null ? most : Math.min(most, Math.max(least, ahead));
    },
    /** Tells what the server's clock shows now. */
    now: () => clock() - (ahead ?? 0),
  };
}
