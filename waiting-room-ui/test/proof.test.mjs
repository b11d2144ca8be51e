// The page that works before its visitor gets a place, over TLS and HTTP/2, against the real binary with a site behind it.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { axe, launch, open, picture, until } from "./browser.mjs";

let browser, folder, gateway, site, process_;

/** Makes a certificate of its own for this machine; returns the hash of its key, by which Chromium trusts it. */
function certificate(at) {
  const words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem";
  execFileSync("openssl", words.split(" "), { cwd: at, stdio: "ignore" });
  const key = execFileSync("openssl", ["x509", "-in", "cert.pem", "-noout", "-pubkey"], { cwd: at });
  const der = execFileSync("openssl", ["pkey", "-pubin", "-outform", "der"], { cwd: at, input: key });
  return createHash("sha256").update(der).digest("base64");
}

before(async () => {
  const bin = process.env.VESTIBULE_BIN;
  assert.ok(bin, "VESTIBULE_BIN must name the built vestibule; ./test sets it");
  folder = mkdtempSync(join(tmpdir(), "vestibule-proof-"));
  const hash = certificate(folder);
  site = createServer((_, answer) => answer.end("the site")).listen(0, "127.0.0.1");
  await once(site, "listening");
  const room = `upstream = "http://127.0.0.1:${site.address().port}"\nadmissions_per_second = 0\n[room.sale.work]\ndifficulty = 50_000\npatience = "3s"\n`;
  writeFileSync(join(folder, "vestibule.toml"), `listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\nworkers = 1\ndata = "${folder}/data"\n[tls]\ncertificate = "${folder}/cert.pem"\nkey = "${folder}/key.pem"\n[room.sale]\n${room}`);
  process_ = spawn(bin, ["serve", "--config", join(folder, "vestibule.toml")], { stdio: ["ignore", "pipe", "ignore"] });
  createInterface({ input: process_.stdout }).on("line", (line) => {
    const port = /^gateway \w+:\/\/[^ ]*:(\d+)/.exec(line)?.[1];
    if (port) gateway = `https://localhost:${port}`;
  });
  await until(() => gateway || process_.exitCode !== null, "the gateway's address", 30_000);
  assert.ok(gateway, "the gateway has ended");
  browser = await launch(`--ignore-certificate-errors-spki-list=${hash}`);
});

after(async () => {
  await browser?.close();
  process_?.kill("SIGTERM");
  if (process_ && process_.exitCode === null) await once(process_, "exit");
  site?.close();
  rmSync(folder, { recursive: true, force: true });
});

test("the page works by itself and brings the place", async () => {
  const shown = await open(browser, `${gateway}/book?seat=1`, "phone");
  await shown.locator('[data-is="position"]').waitFor({ timeout: 20_000 });
  assert.match(shown.url(), /\/book\?seat=1$/);
  assert.equal(await shown.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol), "h2");
  const cookies = await shown.context().cookies();
  assert.ok(cookies.some((cookie) => cookie.name === "__Host-vestibule-ticket-sale" && cookie.secure && cookie.httpOnly));
  assert.deepEqual(shown.complaints, [], "the policy lets all of it run, and nothing else was tried");
  await shown.context().close();
});

test("without a script the page goes on by itself after a while", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, locale: "de-DE" });
  const shown = await context.newPage();
  await shown.goto(`${gateway}/book?seat=2`);
  const text = await shown.locator("body").innerText();
  assert.match(text, /Einen Moment, bitte/);
  assert.match(text, /Ohne JavaScript dauert das 3\sSek/u);
  await picture(shown, "proof-without-script");
  await shown.waitForURL(/\/book\?seat=2$/, { timeout: 20_000 });
  await shown.locator('[data-is="position"]').waitFor({ timeout: 20_000 });
  await context.close();
});

test("where workers are forbidden it waits, and says so to everybody", async () => {
  const context = await browser.newContext({ locale: "en-GB" });
  await context.addInitScript(() => { window.Worker = class { constructor() { throw new Error("no workers here"); } }; });
  const shown = await context.newPage();
  await shown.goto(`${gateway}/book?seat=3`);
  await picture(shown, "proof");
  assert.deepEqual(await axe(shown), []);
  await shown.locator('[data-is="position"]').waitFor({ timeout: 20_000 });
  await context.close();
});
