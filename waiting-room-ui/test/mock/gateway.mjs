// A stand-in for the gateway: serves the waiting page from its template, a live socket and a poll, in any state a test asks for.
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { readFileSync } from "node:fs";
import nunjucks from "nunjucks";

import { kept, outlook, range, span, speed, voice } from "../../waiting/words.js";

const UI = fileURLToPath(new URL("../../", import.meta.url));
// Auto-escaping as the gateway has it: pages are escaped, and what they include holds no expression.
const templates = new nunjucks.Environment(new nunjucks.FileSystemLoader(UI), { autoescape: true, throwOnUndefined: false });

/** The policy that the gateway sends with notices and with rooms' own templates; path.test.mjs has that of the built-in page. */
export const policy = (nonce) => `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`;

/** A status as it stands in the middle of a busy sale. */
export function statusOf(change = {}) {
  return {
    room: "tatkal", state: "waiting", number: 4211, draw: null, position: 4182, ahead: 4181, waiting: 90311, eta_seconds: { low: 70, high: 95 },
    admissions_per_second: 50, forecast: null, stock: { available: 812 }, message: null, grace_seconds: 300, opens_at: null,
    as_of: Date.now(), next_update_seconds: 2, ...change,
  };
}

/** Renders one of the two templates, or the text of another, with everything the gateway gives. */
export function render(name, context) {
  return name.includes("<") ? templates.renderString(name, context) : templates.render(`waiting/${name}`, context);
}

/** The languages of the pages, as they are offered. */
export const LANGUAGES = { en: "English", hi: "हिन्दी", bn: "বাংলা", ta: "தமிழ்", te: "తెలుగు", ur: "اردو", ar: "العربية", es: "Español", fr: "Français", de: "Deutsch", pt: "Português", zh: "简体中文" };

/** The sentences of a language, from the file that the gateway reads too. */
export const sentences = (lang) => JSON.parse(readFileSync(`${UI}waiting/languages/${lang}.json`, "utf8"));

const inScript = (what) => JSON.stringify(what).replaceAll("<", "\\u003c");

/** What the gateway says in the first response; the page says the same by the same rules. */
function shownOf(status, says) {
  return {
    tab: status.ahead == null ? "" : says.plural("tab_ahead", status.ahead), position: status.position == null ? says.say("unknown") : says.count(status.position),
    ahead: status.ahead == null ? null : says.count(status.ahead), waiting: status.waiting == null ? null : says.count(status.waiting),
    eta: range(status.eta_seconds, says) ?? says.say("not_known"), speed: speed(status.admissions_per_second, says),
    stock: status.stock && !["sold_out", "closed"].includes(status.state) ? says.count(status.stock.available) : null, forecast: outlook(status, says),
    kept: kept(300, says), lot: says.say("lot", { n: status.number }), until: says.say(status.number == null ? "opens_in" : "starts_in"),
    countdown: status.opens_at ? span((status.opens_at - status.as_of) / 1000, says) : says.say("any_moment"), visit: "",
    message: says.say("message"), rests: says.say("rests"), trouble: status.store_up === false ? says.say("rests") : null, renews: "", age: "",
  };
}

/** Renders the waiting page as the admin listener's preview does: nothing is behind it, and its reader has had it for a while. */
export function previewOf(state, lang, message) {
  const lost = state === "disconnected";
  const at = state === "pre_queue" ? { number: null, position: null, ahead: null } : lost ? { state: "waiting" } : {};
  const context = pageContext(statusOf({ state, message, ...at }), "nonce", { lang });
  const says = voice(sentences(lang).live, lang), old = { span: span(40, says) };
  const seen = lost ? { age: says.say("ago", old), trouble: says.say("silence", old) } : { age: says.say("just_now") };
  return render("page.html", { ...context, shown: { ...context.shown, ...seen }, live_path: "", status_path: "", leave_path: "", link_path: "" });
}

function pageContext(status, nonce, more) {
  const lang = more.lang ?? "en", words = sentences(lang), says = voice(words.live, lang);
  return {
    nonce, lang, dir: lang === "ar" || lang === "ur" ? "rtl" : "ltr", room: "tatkal", title: "Tatkal booking", status, theme: {},
    status_json: inScript(status), words_json: inScript(words.live), t: words.page,
    shown: { ...shownOf(status, says), as_of: words.page.as_of.replace("{time}", new Date(status.as_of).toISOString().slice(11, 19)), renews: words.page.renews.replace("{span}", span(10, says)) },
    languages: Object.entries(LANGUAGES).map(([tag, name]) => ({ tag, name })),
    refresh_seconds: 10, support_code: "7KQ2-M4XD", grace_seconds: 300, link_path: "/.vestibule/link?room=tatkal",
    live_path: "/.vestibule/live?room=tatkal", status_path: "/.vestibule/status?room=tatkal", leave_path: "/.vestibule/leave?room=tatkal", ...more,
  };
}

function frame(text) {
  const body = Buffer.from(text);
  const head = body.length < 126 ? Buffer.from([0x81, body.length]) : Buffer.from([0x81, 126, body.length >> 8, body.length & 255]);
  return Buffer.concat([head, body]);
}

function shake(request, socket) {
  const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
}

/** Starts the stand-in on a free port. */
export async function startGateway(first = statusOf(), more = {}) {
  const sockets = new Set(), seen = { pages: 0, polls: 0, live: 0, left: 0, links: 0 };
  const gateway = { status: first, seen, sockets, refuseLive: false, refusePoll: false, silent: false };

  function page(response, name, context) {
    const nonce = randomBytes(12).toString("base64");
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy(nonce), "cache-control": "no-store" });
    response.end(render(name, context(nonce)));
  }

  const server = createServer((request, response) => {
    const path = request.url.split("?")[0];
    if (path === "/.vestibule/status") {
      seen.polls += 1;
      response.writeHead(gateway.refusePoll ? 503 : 200, { "content-type": "application/json" });
      return response.end(gateway.refusePoll ? "{}" : JSON.stringify(gateway.status));
    }
    if (path === "/.vestibule/link") {
      seen.links += 1;
      response.writeHead(gateway.refuseLink ? 503 : 200, { "content-type": "application/json" });
      return response.end(gateway.refuseLink ? "{}" : JSON.stringify({ link: "/.vestibule/continue?room=tatkal&link=AbC", qr: "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><path d='M0 0h4v4H0z'/></svg>", expires_in_seconds: 300 }));
    }
    if (path === "/.vestibule/leave") {
      seen.left += 1;
      return page(response, "notice.html", (nonce) => ({ nonce, lang: "en", dir: "ltr", heading: "You have left the line", text: "Your place has gone to the next person. Thank you for telling us.", action_href: "/", action_label: "Join again", refresh_seconds: null }));
    }
    seen.pages += 1;
    if (gateway.inside) return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Inside</title><h1>Inside</h1>");
    page(response, more.template ?? "page.html", (nonce) => pageContext(gateway.status, nonce, more));
  });

  server.on("upgrade", (request, socket) => {
    seen.live += 1;
    socket.on("error", () => socket.destroy());
    if (gateway.refuseLive) return socket.destroy();
    shake(request, socket);
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (data) => { if ((data[0] & 15) === 8) socket.end(Buffer.from([0x88, 0])); });
    if (!gateway.silent) socket.write(frame(JSON.stringify(gateway.status)));
  });

  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  server.unref();
  gateway.url = `http://127.0.0.1:${server.address().port}`;
  gateway.set = (status) => {
    gateway.status = status;
    for (const socket of sockets) socket.write(frame(JSON.stringify(status)));
  };
  gateway.cut = () => { for (const socket of sockets) socket.destroy(); };
  gateway.close = () => { gateway.cut(); server.closeAllConnections(); return new Promise((done) => server.close(done)); };
  return gateway;
}
