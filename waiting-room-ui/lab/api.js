// What the lab asks its server.

async function ask(method, path, body) {
  const answer = await fetch(`/api/lab${path}`, { method, headers: { accept: "application/json", ...(body && { "content-type": "application/json" }) }, body: body && JSON.stringify(body), cache: "no-store" });
  const said = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.detail ?? `the server answered ${answer.status}`), { name: String(said.type ?? "").replace("/problems/", "") });
  return said;
}

export const equipment = () => ask("GET", "");
export const begin = (way) => ask("POST", "/races", { way });
export const view = (id) => ask("GET", `/races/${id}`);
export const click = (id, person) => ask("POST", `/races/${id}/steps`, { person });
export const run = (id) => ask("POST", `/races/${id}/run`);
export const endLease = (id) => ask("POST", `/races/${id}/lease-end`);
export const rush = (way) => ask("POST", "/rushes", { way });

/** Ends a race; also while the page is being left. */
export const close = (id) => fetch(`/api/lab/races/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});
