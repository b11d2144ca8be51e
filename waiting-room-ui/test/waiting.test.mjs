// The waiting page in every state and every look, and how it behaves when the line to the gateway breaks.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { axe, launch, LOOKS, open, picture, until } from "./browser.mjs";
import { policy, render, startGateway, statusOf } from "./mock/gateway.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const shown = (page, name) => page.locator(`[data-is="${name}"]:visible`).first().innerText();
const number = async (page) => Number((await shown(page, "position")).replaceAll(/\D/g, ""));
const nothing = { number: null, position: null, ahead: null, eta_seconds: null, stock: null };
const gathering = { state: "pre_queue", eta_seconds: null, stock: null, opens_at: Date.now() + 754_000 };
const lots = { ...gathering, position: null, ahead: null };

const STATES = {
  waiting: [statusOf({ message: "The app shows the same line. There is no need to open both.", forecast: "likely_sold_out" }), "You are in line"],
  too_early: [statusOf(), "You are in line"],
  front: [statusOf({ position: 1, ahead: 0, waiting: 312, eta_seconds: { low: 0, high: 1 } }), "You are in line"],
  unknown: [statusOf({ ...nothing, waiting: null, admissions_per_second: null }), "You are in line"],
  pre_queue: [statusOf({ ...nothing, state: "pre_queue", waiting: 12840, opens_at: Date.now() + 754_000 }), "It has not opened yet"],
  gathering: [statusOf(gathering), "You are in line"],
  draw: [statusOf({ ...lots, draw: "open", message: "Lots are drawn at ten." }), "You are in the draw"],
  drawing: [statusOf({ ...lots, draw: "drawing", opens_at: null }), "Lots are being drawn"],
  public_value: [statusOf({ ...lots, draw: "awaiting_public_value", opens_at: null }), "Lots are drawn soon"],
  store_down: [statusOf({ store_up: false }), "You are in line"],
  paused: [statusOf({ state: "paused", eta_seconds: null, admissions_per_second: null }), "The line is paused"],
  sold_out: [statusOf({ state: "sold_out", stock: { available: 0 }, eta_seconds: null }), "Sold out, for now"],
  full: [statusOf({ ...nothing, state: "full" }), "The line is full"],
  closed: [statusOf({ ...nothing, state: "closed" }), "Closed"],
  closed_in_line: [statusOf({ state: "closed", eta_seconds: null }), "Closed"],
  lapsed: [statusOf({ ...nothing, state: "lapsed" }), "Your place has lapsed"],
  none: [statusOf({ ...nothing, state: "none" }), "You are not in line"],
};

describe("states", () => {
  for (const look of Object.keys(LOOKS)) {
    for (const [name, [status, heading]] of Object.entries(STATES)) {
      test(`${name}, ${look}`, async () => {
        const gateway = await startGateway({ ...status, as_of: Date.now() });
        const page = await open(browser, gateway.url, look);
        assert.equal(await page.locator("h1:visible").innerText(), heading);
        assert.deepEqual(await axe(page), []);
        assert.deepEqual(page.complaints, []);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `wider than the screen by ${overflow}`);
        await picture(page, `waiting-${name}-${look}`);
        await page.context().close();
        await gateway.close();
      });
    }
  }

  test("the turn: the page goes in by itself", async () => {
    const gateway = await startGateway();
    const page = await open(browser, gateway.url);
    await until(() => gateway.sockets.size === 1, "a live socket");
    gateway.inside = true;
    gateway.set(statusOf({ state: "called", position: 1, ahead: 0 }));
    await page.getByRole("heading", { name: "Inside" }).waitFor({ timeout: 3000 });
    await page.context().close();
    await gateway.close();
  });

  test("a gateway that keeps sending the page back is not stormed", async () => {
    const gateway = await startGateway(statusOf({ state: "called", position: 1, ahead: 0 }));
    const page = await open(browser, gateway.url);
    await page.waitForTimeout(3000);
    assert.ok(gateway.seen.pages >= 2 && gateway.seen.pages <= 9, `asked ${gateway.seen.pages} times in three seconds`);
    await page.context().close();
    await gateway.close();
  });

  test("text that the operator wrote is text", async () => {
    const evil = "<img src=x onerror=alert(1)></script><b>bold</b>";
    const gateway = await startGateway(statusOf({ message: evil }), { title: evil });
    const page = await open(browser, gateway.url);
    assert.equal(await shown(page, "message"), evil);
    assert.equal(await page.locator(".name").innerText(), evil);
    await page.context().close();
    await gateway.close();
  });
});

describe("figures", () => {
  test("the position never rises, not even over a reload", async () => {
    const gateway = await startGateway(statusOf({ position: 500, ahead: 499 }));
    const page = await open(browser, gateway.url);
    await until(() => gateway.sockets.size === 1, "a live socket");
    for (const position of [400, 450, 390, 900, 380]) gateway.set(statusOf({ position, ahead: position - 1, waiting: position + 7 }));
    await until(async () => (await shown(page, "waiting")) === "387", "the last frame");
    assert.equal(await number(page), 380);
    gateway.set(statusOf({ position: 700, ahead: 699, waiting: 707 }));
    await until(async () => (await shown(page, "waiting")) === "707", "the higher frame");
    assert.equal(await number(page), 380);
    assert.equal(await shown(page, "ahead"), "379");
    await page.reload();
    assert.equal(await number(page), 380);
    await page.context().close();
    await gateway.close();
  });

  test("title, icon and progress carry the state; milestones are announced, ticks are not", async () => {
    const gateway = await startGateway(statusOf({ position: 201, ahead: 200 }));
    const page = await open(browser, gateway.url);
    await until(() => gateway.sockets.size === 1, "a live socket");
    const icon = () => page.locator("link[rel=icon]").getAttribute("href");
    const said = () => page.locator("[role=status]").innerText();
    const early = await icon();
    gateway.set(statusOf({ position: 151, ahead: 150 }));
    await until(async () => (await page.title()) === "150 ahead · Tatkal booking", "the title");
    assert.equal(await page.getByRole("progressbar").getAttribute("aria-valuenow"), "25");
    assert.notEqual(await icon(), early);
    assert.equal(await said(), "", "150 is not a milestone");
    gateway.set(statusOf({ position: 100, ahead: 99 }));
    await until(async () => (await said()) === "99 people are ahead of you.", "the milestone");
    gateway.set(statusOf({ state: "paused", position: 100, ahead: 99 }));
    await until(async () => (await said()) === "The line is paused", "the pause");
    assert.equal(await page.title(), "The line is paused · Tatkal booking");
    await page.context().close();
    await gateway.close();
  });

  test("it says when it is too early to say whether it will last, and then what is known", async () => {
    const gateway = await startGateway(statusOf({ store_up: true }));
    const page = await open(browser, gateway.url);
    await until(() => gateway.sockets.size === 1, "a live socket");
    assert.equal(await shown(page, "forecast"), "It is too early to say whether it will last until your turn.");
    gateway.set(statusOf({ forecast: "likely_enough" }));
    await page.getByText("it will probably last until your turn").waitFor();
    gateway.set(statusOf({ forecast: null, stock: null }));
    await page.locator("[data-row=forecast]").waitFor({ state: "hidden" });
    await page.context().close();
    await gateway.close();
  });

  test("a closed room shows the place that it keeps, and nothing to whoever has none", async () => {
    const gateway = await startGateway(statusOf({ state: "closed", eta_seconds: null }));
    for (const javaScriptEnabled of [true, false]) {
      const page = await open(browser, gateway.url, "wide", { javaScriptEnabled });
      assert.equal(await number(page), 4182);
      const said = await page.locator("body").innerText();
      for (const words of ["Your place is yours.", "is kept for at least 5 minutes", "Ahead of you", "Leave the line"]) assert.ok(said.includes(words), words);
      for (const words of ["Still to be had", "Your turn in about", "Let in"]) assert.ok(!said.includes(words), words);
      await page.context().close();
    }
    const page = await open(browser, gateway.url);
    await until(() => gateway.sockets.size === 1, "a live socket: it follows until the line opens again");
    gateway.set(statusOf({ position: 4000, ahead: 3999 }));
    await until(async () => (await number(page)) === 4000, "it goes on from there");
    gateway.set(statusOf({ ...nothing, state: "closed" }));
    await page.getByRole("heading", { name: "Closed" }).waitFor();
    await page.locator(".place").waitFor({ state: "hidden" });
    const said = await page.locator("body").innerText();
    for (const words of ["Your place is yours.", "Ahead of you", "Leave the line"]) assert.ok(!said.includes(words), words);
    await page.context().close();
    await gateway.close();
  });

  test("leaving the line takes two steps and works", async () => {
    const gateway = await startGateway();
    const page = await open(browser, gateway.url);
    await page.getByText("Leave the line").click();
    await page.getByRole("button", { name: "Give up my place" }).click();
    await page.getByRole("heading", { name: "You have left the line" }).waitFor();
    assert.equal(gateway.seen.left, 1);
    assert.deepEqual(await axe(page), []);
    await picture(page, "notice-left-wide");
    await page.context().close();
    await gateway.close();
  });
});

describe("when the line to the gateway breaks", () => {
  test("no socket: it polls, and the figures still move", async () => {
    const gateway = await startGateway(statusOf({ next_update_seconds: 1 }));
    gateway.refuseLive = true;
    const page = await open(browser, gateway.url);
    await until(() => gateway.seen.polls >= 1, "a first poll");
    gateway.status = statusOf({ position: 77, ahead: 76, next_update_seconds: 1 });
    await until(async () => (await number(page)) === 77, "the polled position");
    await page.locator("[data-link=poll]").waitFor();
    gateway.refuseLive = false;
    await page.locator("[data-link=live]").waitFor({ timeout: 15_000 });
    const polls = gateway.seen.polls;
    await page.waitForTimeout(2500);
    assert.ok(gateway.seen.polls - polls <= 1, "a live socket ends the polling");
    await page.context().close();
    await gateway.close();
  });

  test("a socket that is cut comes back", async () => {
    const gateway = await startGateway();
    const page = await open(browser, gateway.url);
    await until(() => gateway.sockets.size === 1, "a live socket");
    gateway.cut();
    await until(() => gateway.seen.live >= 2 && gateway.sockets.size === 1, "a second socket");
    assert.equal(await number(page), 4182);
    await page.context().close();
    await gateway.close();
  });

  test("a silent socket is given up, and everything lost is said plainly", async () => {
    const gateway = await startGateway(statusOf({ next_update_seconds: 1 }));
    gateway.silent = true;
    const page = await open(browser, gateway.url, "phone");
    await until(() => gateway.sockets.size === 1, "a live socket");
    gateway.refusePoll = true;
    gateway.refuseLive = true;
    await page.getByText("This page goes on by itself").waitFor({ timeout: 20_000 });
    assert.match(await shown(page, "trouble"), /^No news for \d+ seconds\.$/);
    assert.deepEqual(await axe(page), []);
    await picture(page, "waiting-disconnected-phone");
    gateway.refusePoll = false;
    gateway.silent = false;
    gateway.status = statusOf({ position: 60, ahead: 59 });
    await until(async () => (await number(page)) === 60, "news again", 30_000);
    await until(async () => (await page.locator("[data-row=trouble]:visible").count()) === 0, "the trouble is over");
    await page.context().close();
    await gateway.close();
  });

  test("without JavaScript: the numbers stand in the page, it renews itself, and leaving works", async () => {
    const gateway = await startGateway(statusOf({ as_of: Date.UTC(2026, 10, 23, 10, 4, 31) }));
    const page = await open(browser, gateway.url, "phone", { javaScriptEnabled: false });
    const text = await page.locator("body").innerText();
    for (const words of ["4,182", "4,181", "90,311", "70 to 95 seconds", "50 a second", "812", "5 minutes", "every 10 seconds", "As of 10:04:31 UTC."]) assert.ok(text.includes(words), `«${words}» in ${text}`);
    assert.equal(await page.locator("meta[http-equiv=refresh]").getAttribute("content"), "10");
    await picture(page, "waiting-without-javascript-phone");
    await page.getByText("Leave the line").click();
    await page.getByRole("button", { name: "Give up my place" }).click();
    await page.getByRole("heading", { name: "You have left the line" }).waitFor();
    await page.context().close();
    await gateway.close();
  });
});

describe("a room's own template", () => {
  const builtIn = readFileSync(new URL("../waiting/page.html", import.meta.url), "utf8");

  test("who says to stay in line reads so where the button was, and still after a reload", async () => {
    for (const template of [builtIn, builtIn.replace("</button></p>", "</button><b data-stays hidden></b></p>")]) {
      const gateway = await startGateway(statusOf({ state: "sold_out", stock: { available: 0 }, eta_seconds: null }), { template });
      const page = await open(browser, gateway.url, "phone");
      await page.getByRole("button", { name: "I’ll stay in line" }).click();
      const stays = page.locator("section p", { hasText: "You stay in line." });
      await stays.waitFor();
      assert.equal(await page.locator("[role=status]").innerText(), "You stay in line.");
      await page.reload();
      await stays.waitFor();
      assert.equal(await stays.count(), 1);
      assert.equal(await page.locator("[data-stay]").count(), 0);
      assert.deepEqual(await axe(page), []);
      assert.deepEqual(page.complaints, []);
      await picture(page, "waiting-stays-phone");
      await page.context().close();
      await gateway.close();
    }
  });

  test("with nothing but a heading, a figure and the script it follows the line to the turn", async () => {
    const template = `<!doctype html><html lang="{{ lang }}" dir="{{ dir }}"><title>{{ title }}</title>
      <body data-live="{{ live_path }}" data-poll="{{ status_path }}"><main><h1>{{ title }}</h1><p data-is="position">{{ shown.position }}</p></main>
      <script type="application/json" id="words">{{ words_json|safe }}</script><script type="application/json" id="status">{{ status_json|safe }}</script>
      <script nonce="{{ nonce }}" type="module">{% include "waiting/script.html" %}</script>`;
    for (const state of Object.values(STATES)) {
      const gateway = await startGateway({ ...state[0], as_of: Date.now() }, { template });
      const page = await open(browser, gateway.url);
      await page.waitForTimeout(100);
      assert.deepEqual(page.complaints, [], state[0].state);
      await page.context().close();
      await gateway.close();
    }
    const gateway = await startGateway(statusOf(), { template });
    const page = await open(browser, gateway.url);
    await until(() => gateway.sockets.size === 1, "a live socket");
    gateway.set(statusOf({ position: 77, ahead: 76 }));
    await until(async () => (await number(page)) === 77, "the figure moves");
    gateway.inside = true;
    gateway.set(statusOf({ state: "called", position: 1, ahead: 0 }));
    await page.getByRole("heading", { name: "Inside" }).waitFor({ timeout: 3000 });
    await page.context().close();
    await gateway.close();
  });
});

test("axe is awake: it finds a fault that is put in", async () => {
  const gateway = await startGateway();
  const page = await open(browser, gateway.url);
  await page.evaluate(() => document.querySelector("main").append(document.createElement("img")));
  assert.match((await axe(page)).join(), /image-alt/);
  await page.context().close();
  await gateway.close();
});

test("the page weighs less than 14 KB and asks nobody else for anything", async () => {
  const gateway = await startGateway();
  const html = await (await fetch(gateway.url)).text();
  const bytes = gzipSync(html, { level: 6 }).length;
  assert.ok(bytes < 14 * 1024, `${bytes} bytes`);
  const context = await browser.newContext();
  const page = await context.newPage(), asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(gateway.url);
  await until(() => gateway.sockets.size === 1, "a live socket");
  assert.deepEqual(asked.filter((url) => !url.startsWith("data:")), [`${gateway.url}/`], "one response");
  await context.close();
  await gateway.close();
});

test("scripts and styles hold nothing that a template engine would take for its own, and no comment behind a line", () => {
  const folder = new URL("../waiting/", import.meta.url);
  for (const name of readdirSync(folder).filter((one) => /\.(js|css)$/.test(one))) assert.doesNotMatch(readFileSync(new URL(name, folder), "utf8"), /\{[{%#]|<\/script|<\/style|\S[^\n]* \/\/ /, name);
});

test("a notice looks again by itself, with a script and without, and axe finds nothing", async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    response.writeHead(503, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy("n") });
    response.end(render("notice.html", { nonce: "n", lang: "en", heading: "Busy", text: "Wait.", action_href: "", action_label: "Try again", refresh_seconds: 3, renews: "Every 3 seconds." }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  for (const javaScriptEnabled of [true, false]) {
    asked = 0;
    const page = await open(browser, `http://127.0.0.1:${server.address().port}/?a=1`, "phone", { javaScriptEnabled });
    if (javaScriptEnabled) assert.deepEqual(await axe(page), []);
    await until(() => asked >= 2, "it asks again");
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  }
  server.close();
});

test("a notice shows what it is given and nothing that it is not", async () => {
  const full = render("notice.html", { nonce: "n", lang: "ar", dir: "rtl", heading: "Sold out", text: "Try <another> train.", action_href: "/?a=1&b=2", action_label: "Search again", refresh_seconds: 15, renews: "Every 15 seconds." });
  assert.match(full, /content="15"/);
  assert.match(full, /<html lang="ar" dir="rtl">/);
  assert.match(full, /Try &lt;another&gt; train\./);
  const here = render("notice.html", { nonce: "n", lang: "en", heading: "Busy", text: "Wait.", action_href: "", action_label: "Try again", refresh_seconds: 2 });
  assert.match(here, /<a class="button" href="">Try again<\/a>/, "an empty address is this page");
  const form = render("notice.html", { nonce: "n", lang: "en", heading: "Here?", text: "", form_action: "/.vestibule/continue?room=r&link=L", action_label: "Go on" });
  assert.match(form, /<form method="post" action="\/.vestibule\/continue\?room=r&amp;link=L"><button>Go on/);
  const bare = render("notice.html", { nonce: "n", lang: null, heading: null, text: null, action_href: null, action_label: null, refresh_seconds: null });
  assert.doesNotMatch(bare, /http-equiv|class="button"|null|None/);
});
