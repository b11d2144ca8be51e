// The waiting page in its twelve languages, and what it does only when asked: a tone, a note, a link to another device.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { axe, launch, open, picture, until } from "./browser.mjs";
import { LANGUAGES, sentences, startGateway, statusOf } from "./mock/gateway.mjs";
import * as page from "../waiting/words.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const STATES = {
  waiting: statusOf({ forecast: "likely_sold_out", message: "The app shows the same line." }),
  too_early: statusOf(),
  draw: statusOf({ state: "pre_queue", draw: "open", position: null, ahead: null, eta_seconds: null, stock: null, opens_at: Date.now() + 754_000 }),
  sold_out: statusOf({ state: "sold_out", stock: { available: 0 }, eta_seconds: null }),
  lapsed: statusOf({ state: "lapsed", number: null, position: null, ahead: null, eta_seconds: null, stock: null }),
};
const LOCALES = { en: "en-GB", hi: "hi-IN", bn: "bn-BD", ta: "ta-IN", te: "te-IN", ur: "ur-PK", ar: "ar-EG", es: "es-MX", fr: "fr-FR", de: "de-DE", pt: "pt-BR", zh: "zh-CN" };

describe("every language", () => {
  for (const lang of Object.keys(LANGUAGES)) {
    test(lang, async () => {
      for (const [name, status] of Object.entries(STATES)) {
        const gateway = await startGateway({ ...status, as_of: Date.now() }, { lang });
        const shown = await open(browser, gateway.url, name === "waiting" ? "phone" : "wide", { locale: LOCALES[lang] });
        assert.equal(await shown.locator("html").getAttribute("dir"), lang === "ar" || lang === "ur" ? "rtl" : "ltr");
        const text = await shown.locator("body").innerText();
        assert.doesNotMatch(text, /\{\w+\}|undefined|null/, `${name}: a value is missing`);
        if (lang !== "en") assert.doesNotMatch(text.replace(/English|Tatkal booking|The app shows the same line\./g, ""), /\b(the|your|you|line)\b/i, `${name}: English is left`);
        assert.deepEqual(await axe(shown), [], name);
        assert.deepEqual(shown.complaints, []);
        const overflow = await shown.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${name}: wider than the screen by ${overflow}`);
        await picture(shown, `language-${lang}-${name}`);
        await shown.context().close();
        await gateway.close();
      }
    });
  }

  test("a choice by hand goes to the gateway, with and without JavaScript", async () => {
    for (const javaScriptEnabled of [true, false]) {
      const gateway = await startGateway();
      const shown = await open(browser, gateway.url, "wide", { javaScriptEnabled });
      await shown.getByLabel("Language").selectOption("de");
      if (!javaScriptEnabled) await shown.getByRole("button", { name: "Change" }).click();
      await shown.waitForURL(/\/.vestibule\/language\?lang=de$/);
      await shown.context().close();
      await gateway.close();
    }
  });
});

describe("words", () => {
  const of = (lang) => page.voice(sentences(lang).live, lang);
  test("numbers, plurals and spans are the language's own", () => {
    assert.equal(page.span(61 * 60, of("en")), "61 minutes");
    assert.equal(page.span(1, of("en")), "1 second");
    assert.equal(page.span(7100, of("en")), "2 hours");
    assert.equal(page.span(6000, of("de")), "1 Stunde 40 Minuten");
    assert.equal(page.span(2, of("ar")), "ثانيتين");
    assert.equal(page.range({ low: 70, high: 95 }, of("bn")), "৭০ থেকে ৯৫ সেকেন্ড");
    assert.equal(page.range({ low: 30, high: 150 }, of("en")), "30 seconds to 3 minutes");
    assert.equal(page.range({ low: 70, high: 150 }, of("en")), "1 to 3 minutes");
    assert.equal(page.speed(0.01, of("en")), "one every 2 minutes");
    assert.equal(of("hi").count(1234567), "12,34,567");
    assert.equal(page.countdown(90_061_000, of("fr")), "1 jour 1 heure");
    assert.equal(page.countdown(65_000, of("en")), "1:05");
  });
});

describe("what is asked for", () => {
  test("a tone and a note tell of the turn, then the page goes in", async () => {
    const gateway = await startGateway();
    const context = await browser.newContext({ permissions: ["notifications"], locale: "en-GB" });
    await context.addInitScript(() => {
      window.notes = [];
      window.Notification = class { static permission = "granted"; static requestPermission = async () => "granted"; constructor(text) { sessionStorage.note = text; } };
      const start = OscillatorNode.prototype.start;
      OscillatorNode.prototype.start = function (at) { sessionStorage.tones = Number(sessionStorage.tones ?? 0) + 1; return start.call(this, at); };
    });
    const shown = await context.newPage();
    await shown.goto(gateway.url);
    await until(() => gateway.sockets.size === 1, "a live socket");
    await shown.getByRole("button", { name: "Tell me when it is my turn" }).click();
    await shown.getByText("You will hear a tone and see a note").waitFor();
    const tried = await shown.evaluate(() => Number(sessionStorage.tones));
    assert.equal(tried, 2, "it lets the tone be heard at once");
    gateway.inside = true;
    gateway.set(statusOf({ state: "called", position: 1, ahead: 0, session_ends_at: Date.now() + 600_000 }));
    await shown.getByRole("heading", { name: "Inside" }).waitFor();
    assert.deepEqual(await shown.evaluate(() => [sessionStorage.note, sessionStorage.tones]), ["It’s your turn", "4"]);
    await context.close();
    await gateway.close();
  });

  test("nobody who did not ask is rung at, or asked for anything", async () => {
    const gateway = await startGateway();
    const shown = await open(browser, gateway.url);
    await shown.evaluate(() => { window.AudioContext = class { constructor() { document.title = "rung"; } }; });
    gateway.inside = true;
    gateway.set(statusOf({ state: "called", position: 1, ahead: 0 }));
    await shown.getByRole("heading", { name: "Inside" }).waitFor();
    await shown.context().close();
    await gateway.close();
  });

  test("a link and its picture come only when they are asked for, and a failure is said", async () => {
    const gateway = await startGateway();
    const shown = await open(browser, gateway.url, "phone");
    assert.equal(gateway.seen.links, 0);
    await shown.getByText("Continue on another device").click();
    gateway.refuseLink = true;
    await shown.getByRole("button", { name: "Make a link" }).click();
    await shown.getByText("That did not work").waitFor();
    gateway.refuseLink = false;
    await shown.getByRole("button", { name: "Make a link" }).click();
    await shown.getByText("Works once, on one device, for 5 minutes.").waitFor();
    assert.equal(await shown.locator("[data-made] input").inputValue(), `${gateway.url}/.vestibule/continue?room=tatkal&link=AbC`);
    assert.ok(await shown.locator("[data-code] svg").isVisible());
    assert.deepEqual(await axe(shown), []);
    assert.deepEqual(shown.complaints, [], "the policy allows the picture");
    await picture(shown, "waiting-device-phone");
    await shown.context().close();
    await gateway.close();
  });

  test("an operator's message shows within a second", async () => {
    const gateway = await startGateway();
    const shown = await open(browser, gateway.url);
    await until(() => gateway.sockets.size === 1, "a live socket");
    gateway.set(statusOf({ message: "Doors open at ten." }));
    await shown.getByText("Doors open at ten.").first().waitFor({ timeout: 1000 });
    await shown.context().close();
    await gateway.close();
  });
});

test("at 200 % zoom, by keyboard, nothing is lost", async () => {
  const gateway = await startGateway(STATES.waiting, { lang: "ta" });
  const shown = await open(browser, gateway.url, "wide", { viewport: { width: 640, height: 430 }, deviceScaleFactor: 2, locale: "ta-IN" });
  const overflow = await shown.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `wider than the screen by ${overflow}`);
  const reached = [];
  for (let i = 0; i < 6; i += 1) {
    await shown.keyboard.press("Tab");
    reached.push(await shown.evaluate(() => document.activeElement.tagName));
  }
  assert.deepEqual(reached.filter((tag) => tag !== "BODY").slice(0, 4), ["BUTTON", "SUMMARY", "SUMMARY", "SELECT"]);
  await picture(shown, "waiting-zoomed-ta");
  await shown.context().close();
  await gateway.close();
});
