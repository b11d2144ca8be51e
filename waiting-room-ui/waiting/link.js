// How the figures arrive: a socket, polling while there is none, and no storm when everybody comes back at once.

const LONGEST_WAIT_MS = 30_000;
const POLL_TIMEOUT_MS = 8_000;

/** Picks the pause before the next attempt: anywhere up to a bound that doubles (full jitter). */
export function pauseMs(attempt, chance) {
  return chance * Math.min(LONGEST_WAIT_MS, 1000 * 2 ** Math.min(attempt, 10));
}

/** Gives the silence after which a socket counts as lost. */
export function silenceMs(nextUpdateSeconds) {
  return (3 * nextUpdateSeconds + 5) * 1000;
}

/** Follows a place in line; `on.status` gets every status, `on.link` hears "live", "poll" or "lost". */
export function follow({ live, poll, next_update_seconds }, on) {
  let socket = null, attempt = 0, every = next_update_seconds || 2, heardAt = Date.now(), stopped = false;
  const timers = {};
  const later = (name, ms, run) => { clearTimeout(timers[name]); timers[name] = setTimeout(run, ms); };

  function hear(status, how) {
    if (!usable(status) || stopped) return false;
    heardAt = Date.now();
    every = Math.min(300, Math.max(1, Number(status.next_update_seconds) || 2));
    on.status(status);
    on.link(how);
    return true;
  }

  function open() {
    clearTimeout(timers.open);
    if (socket || stopped) return;
    try {
      socket = new WebSocket(new URL(live, location.href).href.replace(/^http/, "ws"));
    } catch {
      return lose();
    }
    const mine = socket;
    mine.onmessage = (frame) => mine === socket && heard(frame.data);
    mine.onclose = mine.onerror = () => mine === socket && lose();
    later("silence", silenceMs(every), lose);
  }

  function heard(text) {
    let status = null;
    try { status = JSON.parse(text); } catch { /* a frame that is not JSON is no frame */ }
    if (!hear(status, "live")) return;
    attempt = 0;
    clearTimeout(timers.poll);
    later("silence", silenceMs(every), lose);
  }

  function lose() {
    const old = socket;
    socket = null;
    clearTimeout(timers.silence);
    old?.close();
    if (stopped) return;
    if (attempt === 0) later("poll", Math.random() * 1000, ask);
    later("open", pauseMs(++attempt, Math.random()), open);
  }

  async function ask() {
    if (stopped) return;
    let wait = every * (0.8 + 0.4 * Math.random());
    try {
      const answer = await fetch(poll, { cache: "no-store", headers: { accept: "application/json" }, signal: AbortSignal.timeout(POLL_TIMEOUT_MS) });
      wait = Math.max(wait, Number(answer.headers.get("retry-after")) || 0);
      if (!hear(await answer.json(), "poll")) throw new Error("no status");
    } catch {
      on.link("lost");
      wait = Math.max(wait, pauseMs(Math.max(attempt, 2), Math.random()) / 1000);
    }
    if (socket?.readyState !== WebSocket.OPEN || Date.now() - heardAt > silenceMs(every)) later("poll", wait * 1000, ask);
  }

  function resync() {
    if (stopped || document.visibilityState === "hidden") return;
    if (socket?.readyState === WebSocket.OPEN && Date.now() - heardAt < (every + 1) * 1000) return;
    lose();
    attempt = 0;
    later("open", Math.random() * 400, open);
    later("poll", Math.random() * 400, ask);
  }

  document.addEventListener("visibilitychange", resync);
  addEventListener("online", resync);
  addEventListener("pageshow", (event) => event.persisted && resync());
  open();
  return {
    stop() {
      stopped = true;
      Object.values(timers).forEach(clearTimeout);
      socket?.close();
    },
  };
}
