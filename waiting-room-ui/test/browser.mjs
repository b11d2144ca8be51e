// One Chromium for a test file, the looks each page is seen in, axe-core, and the folder for screenshots.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The looks: wide and phone, light and dark. */
export const LOOKS = {
  wide: { viewport: { width: 1280, height: 860 }, colorScheme: "light" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  "wide-dark": { viewport: { width: 1280, height: 860 }, colorScheme: "dark" },
  "phone-dark": { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

/** Starts Chromium. */
export function launch(...more) {
  const root = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: [...(root ? ["--no-sandbox"] : []), "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...more],
  });
}

/** Opens a page in a look; everything the page complains of is kept in `page.complaints`. */
export async function open(browser, url, look = "wide", more = {}) {
  const context = await browser.newContext({ ...LOOKS[look], locale: "en-GB", timezoneId: "Asia/Kolkata", reducedMotion: "reduce", ...more });
  const page = await context.newPage();
  context.setDefaultTimeout(10_000);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (line) => line.type() === "error" && !/WebSocket connection|Failed to load resource/.test(line.text()) && page.complaints.push(line.text()));
  await page.goto(url);
  return page;
}

/** Runs axe-core over the page and gives what it finds, in short. */
export async function axe(page) {
  await page.evaluate(`${axeSource}; void 0`).catch(() => page.addScriptTag({ content: axeSource }));
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map((fault) => `${fault.id}: ${fault.help} (${fault.nodes.map((node) => `${node.target}: ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? ""}`).join("; ")})`);
}

/** Writes a screenshot into the folder named by SCREENSHOTS, if one is named. */
export async function picture(page, name) {
  if (!process.env.SCREENSHOTS) return;
  mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** Waits until `check` holds, at most `ms`, and fails with `what` otherwise. */
export async function until(check, what, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await new Promise((next) => setTimeout(next, 40));
  }
}
