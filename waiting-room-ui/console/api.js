// The admin API as the console uses it. The bearer token lives in this tab's session storage and nowhere else.

const KEY = "vestibule-token";
const LIMIT_MS = 5_000;

/** What went wrong, in words for the operator; `status` is 0 where no answer came. */
export class Fault extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Takes a token from the address (`#token=…`) and removes it from there, so that it is in no history and no screenshot. */
export function adoptToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!found) return;
  keepToken(found);
  history.replaceState(null, "", location.pathname + location.search);
}

export const token = () => sessionStorage.getItem(KEY);
export const keepToken = (value) => sessionStorage.setItem(KEY, value);
export const dropToken = () => sessionStorage.removeItem(KEY);

/** Calls the API; answers its JSON or throws a Fault. */
export async function call(method, path, body) {
  const answer = await ask(method, path, body);
  const said = await answer.text().then((words) => (words ? JSON.parse(words) : {})).catch(() => ({}));
  if (answer.ok) return said;
  throw new Fault(answer.status, said.detail ?? said.title ?? `The gateway answered ${answer.status}.`);
}

async function ask(method, path, body) {
  try {
    return await fetch(path, {
      method, cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS),
      headers: { authorization: `Bearer ${token()}`, accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Fault(0, "The gateway does not answer.");
  }
}

/** Asks for a room's page in a state and language; answers its HTML. */
export async function preview(room, wanted) {
  const answer = await ask("GET", `/api/rooms/${encodeURIComponent(room)}/preview?${new URLSearchParams(wanted)}`);
  if (answer.ok) return answer.text();
  const said = await answer.json().catch(() => ({}));
  throw new Fault(answer.status, said.detail ?? `The gateway answered ${answer.status}.`);
}

export const rooms = () => call("GET", "/api/rooms");
export const past = (room) => call("GET", `/api/rooms/${encodeURIComponent(room)}/past`);
export const readiness = () => call("GET", "/api/readiness");
export const audit = () => call("GET", "/api/audit");
export const change = (room, limits) => call("PATCH", `/api/rooms/${encodeURIComponent(room)}`, limits);
export const act = (room, verb, body = {}) => call("POST", `/api/rooms/${encodeURIComponent(room)}/${verb}`, body);
