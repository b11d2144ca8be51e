// The booking API as the site uses it. Every fault comes out with a kind, so that a view can say the kind thing.

const LIMIT_MS = 12_000;
const TRIES = 3;
/** Writes without a key that change nothing when they are said twice, as does every PATCH. */
const REPEATABLE = /\/(extension|cancellation)$/;

/** What went wrong. `kind` is "sold_out", "taken" (a chosen seat), "line" (the gateway wants us back in line), "gone", "refused", "busy" or "network". */
export class Fault extends Error {
  constructor(kind, message, status = 0, problem = {}) {
    super(message);
    this.kind = kind;
    this.status = status;
    this.problem = problem;
  }
}

/** Tells what kind of fault an answer is; pure, for the tests. */
export function faultOf(status, body, headers) {
  const type = String(body?.type ?? "");
  const words = body?.detail ?? body?.title ?? body?.message ?? `The server answered ${status}.`;
  if (status === 410 || type.endsWith("sold_out") || body?.state === "sold_out" || headers.get("vestibule-sold-out")) return new Fault("sold_out", words, status, body);
  if (status === 429 && (body?.state || body?.room)) return new Fault("line", "Your time in the booking has ended, and others are waiting.", status, body);
  if (type.endsWith("seat_taken")) return new Fault("taken", words, status, body);
  if (status === 404) return new Fault("gone", words, status, body);
  if (status === 429 || status >= 500) return new Fault("busy", words, status, body);
  return new Fault("refused", words, status, body);
}

async function once(method, path, { body, key, signal } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key) headers["idempotency-key"] = key;
  const limits = [AbortSignal.timeout(LIMIT_MS), ...(signal ? [signal] : [])];
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", signal: AbortSignal.any(limits) });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw faultOf(answer.status, said, answer.headers);
  return said;
}

/** Asks, and asks again where that can do no harm: reads, and writes under an idempotency key. */
async function ask(method, path, options = {}) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(method, path, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      const fault = error instanceof Fault ? error : new Fault("network", "The booking service cannot be reached just now.");
      const again = (fault.kind === "network" || fault.status >= 500) && (method === "GET" || method === "PATCH" || options.key || REPEATABLE.test(path));
      if (!again || attempt >= TRIES) throw fault;
      await new Promise((next) => setTimeout(next, 300 * 2 ** attempt * (0.5 + Math.random())));
    }
  }
}

/** Keeps an idempotency key for one intention over retries and reloads, until `settled` forgets it. */
export function intention(name) {
  const slot = `intention ${name}`;
  const key = sessionStorage.getItem(slot) ?? crypto.randomUUID();
  sessionStorage.setItem(slot, key);
  return { key, settled: () => sessionStorage.removeItem(slot) };
}

const part = encodeURIComponent;
const list = (said, name) => (Array.isArray(said) ? said : said[name] ?? []);

export const stations = async (q, signal) => list(await ask("GET", `/api/stations?q=${part(q)}`, { signal }), "stations");
/** Finds the trains of a day between two stations, and the stations' names. */
export const search = ({ from, to, date }, signal) => ask("GET", `/api/trains?from=${part(from)}&to=${part(to)}&date=${part(date)}`, { signal });
export const trains = async (wanted, signal) => list(await search(wanted, signal), "trains");
export const inventory = (id, signal) => ask("GET", `/api/inventory/${part(id).replaceAll("%3A", ":")}`, { signal });
export const hold = (id, signal) => ask("GET", `/api/holds/${part(id)}`, { signal });
export const release = (id) => ask("DELETE", `/api/holds/${part(id)}`);
export const extend = (id, number) => ask("POST", `/api/holds/${part(id)}/extension`, { body: { number } });
export const payment = (id, signal) => ask("GET", `/api/payments/${part(id)}`, { signal });
export const cancel = (reference) => ask("POST", `/api/bookings/${part(reference)}/cancellation`);
/** Keeps so many seats of one row of a booking, or those with these labels, and gives the others back. */
export const keepOnly = (reference, inventory, kept) => ask("PATCH", `/api/bookings/${part(reference)}`, { body: { inventory, ...(Array.isArray(kept) ? { seats: kept } : { quantity: kept }) } });
export const booking = (reference, signal) => ask("GET", `/api/bookings/${part(reference)}`, { signal });
/** Holds so many seats, or those with these labels. */
export const makeHold = (id, want, key) => ask("POST", `/api/holds?inventory=${part(id)}`, { body: { inventory: id, ...(Array.isArray(want) ? { seats: want } : { quantity: want }) }, key });
export const pay = (id, method, key) => ask("POST", `/api/holds/${part(id)}/payments`, { body: { method }, key });
