// Serves one folder of the user interface with right content types; `fallback` answers for routes of a page.
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const UI = fileURLToPath(new URL("../../", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };

/** Answers a GET from a folder; the policy is the one that the admin listener sends. */
export async function serveFile(folder, path, response, fallback = false) {
  const name = path === "/" ? "index.html" : path.slice(1);
  const found = await readFile(join(UI, folder, name)).catch(() => (fallback && !extname(name) ? readFile(join(UI, folder, "index.html")) : null));
  if (!found || name.includes("..")) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(name)] ?? TYPES[".html"], "content-security-policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'", "cache-control": "no-cache" });
  response.end(found);
}

/** Answers with JSON. */
export function json(response, status, body, headers = {}) {
  response.writeHead(status, { "content-type": status >= 400 ? "application/problem+json" : "application/json", ...headers });
  response.end(JSON.stringify(body));
}

/** Reads a request's JSON body. */
export async function bodyOf(request) {
  let text = "";
  for await (const part of request) text += part;
  return text ? JSON.parse(text) : {};
}
