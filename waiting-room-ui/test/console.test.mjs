// The operator's console against a stand-in for the admin API.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { niceSpan, niceTop } from "../console/axis.js";
import { effect, effectOfLimit, effectOn, isMany, isManyfold, rateOfSlider, sliderOfRate } from "../console/effect.js";
import { newcomerWaits } from "../console/format.js";
import { History } from "../console/history.js";
import { chosen, told } from "../console/trail.js";
import { axe, launch, LOOKS, open, picture, until } from "./browser.mjs";
import { SLOWED, startAdmin, TOKEN } from "./mock/admin.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

async function visit(look = "wide", options = {}) {
  const admin = await startAdmin(options);
  const page = await open(browser, `${admin.url}/#token=${TOKEN}`, look);
  const end = async () => { await page.context().close(); await admin.close(); };
  return { admin, page, end };
}

test("the effect of a rate is said before it is applied", () => {
  assert.equal(effect(9000, 0, 50).words, "The 9,000 waiting drain in about 3 min.");
  assert.equal(effect(9000, 20, 50).seconds, 300);
  assert.match(effect(9000, 60, 50).words, /line grows by 10 a second/);
  assert.match(effect(0, 3, 50).words, /Nobody is waiting/);
  assert.match(effect(10, 0, 0).words, /Nobody would be let in/);
  assert.match(effect(10, 0, null).words, /No limit is set/);
  assert.match(effect(10, 0, NaN).words, /Give a number/);
  assert.match(effect(36, 0, 500).words, /drain in less than a second/);
  for (const arrivals of [46, 50, 54]) assert.match(effect(9000, arrivals, 50).words, /about stays as it is/, "what comes and goes differs from second to second");
  for (const rate of [0.5, 1, 12, 50, 400, 2000]) assert.ok(Math.abs(rateOfSlider(sliderOfRate(rate, 2000), 2000) - rate) <= rate * 0.12, `${rate}`);
});

test("where nobody is let in, no drain is foretold but for later", () => {
  const room = { waiting: 60, arrivals_per_second: 0, phase: "paused", eta_seconds_for_newcomer: { low: 100, high: 200 } };
  assert.equal(effectOn(room, 1).words, "Paused: nobody is let in. Once resumed: the 60 waiting drain in about 60 s.");
  assert.match(effectOn({ ...room, phase: "closed" }, 1).words, /^Closed: nobody joins, nobody is let in. Once opened: the 60/);
  assert.equal(effectOn({ ...room, phase: "draining", arrivals_per_second: 9 }, 1).words, "The 60 waiting drain in about 60 s.");
  assert.equal(effectOn({ ...room, phase: "open" }, 1).words, "The 60 waiting drain in about 60 s.");
  assert.deepEqual(["open", "paused", "draining", "closed"].map((phase) => newcomerWaits({ ...room, phase })), ["2–3 min", "unknown", "nobody joins", "nobody joins"]);
});

test("the effect of a limit is said before it is applied", () => {
  assert.deepEqual(effectOfLimit(40, 60, 600, 50), { tone: "good", words: "40 inside now, room for 20 more. When it is full and everybody stays to the end (10 min), 0.1 a second go in." });
  assert.equal(effectOfLimit(40, 60_000, 600, 50).words, "40 inside now, room for 59,960 more.", "the rate is what holds back");
  assert.match(effectOfLimit(40, 30, 600, 50).words, /nobody is let in until 10 of them have left/);
  assert.match(effectOfLimit(40, 40, 600, null).words, /^It is full/);
  assert.match(effectOfLimit(40, null, 600, 50).words, /there is no limit/);
  assert.match(effectOfLimit(40, NaN, 600, 50).words, /Give a number/);
});

test("an axis ends at a round value, and so does half of it", () => {
  assert.deepEqual([0, 1, 3, 4.1, 7, 950, 0.0041].map(niceTop), [1, 1, 4, 6, 8, 1000, 0.006]);
  assert.deepEqual([0, 61, 130, 200, 1000, 3601, 20_000].map(niceSpan), [2, 120, 240, 240, 1200, 7200, 28_800]);
});

test("many at once are more than ten seconds of the rate", () => {
  for (const [people, rate, many] of [[25, 50, false], [501, 50, true], [1, 0, false], [2, 0, true], [9_999, null, false], [2, 0.1, true]]) assert.equal(isMany(people, rate), many, `${people} at ${rate}`);
});

test("four times the rate may be a slip of the finger", () => {
  for (const [rate, before, slip] of [[8, 2, true], [7.9, 2, false], [500, 0, false], [1, 50, false], [4, null, false]]) assert.equal(isManyfold(rate, before), slip, `${rate} after ${before}`);
});

test("what the gateway remembers stands before what was heard since", () => {
  const history = new History(), room = { name: "sale", left: 0, lapsed: 0, called: 0 };
  history.add({ ...room, waiting: 3 }, 10_000);
  history.before("sale", [{ ...room, waiting: 1, as_of: 4_000 }, { ...room, waiting: 2, as_of: 6_000 }, { ...room, waiting: 3, as_of: 8_000 }], 2_000);
  assert.deepEqual(history.of("sale").map(({ at, waiting }) => [at, waiting]), [[6_000, 1], [8_000, 2], [10_000, 3]]);
});

test("a change is told in words, with what was before", () => {
  const limits = (at, room, detail) => ({ at, who: "anna", action: "limits", room, detail: JSON.stringify(detail) });
  const entries = [limits(1, "sale", { admissions_per_second: 2 }), limits(2, "other", { admissions_per_second: 9 }), limits(3, "sale", { admissions_per_second: 8, total_active_users: null })];
  assert.equal(told(entries[2], entries), "Limits: a second 8 (set here before: 2), people inside none");
  assert.equal(told(entries[0], entries), "Limits: a second 2");
  const words = (action, detail) => told({ at: 4, action, room: "sale", detail }, entries);
  assert.deepEqual([words("pause", "{}"), words("pause", ""), words("sold-out", '{"key":"*"}'), words("on-sale", '{"key":"12951:2026-11-23:3A","version":1}'), words("message", '{"text":"Soon"}'), words("message", '{"text":null}'), words("limits", "rate 5"), words("new-verb", '{"x":[1]}')],
    ["Paused", "Paused", "Sold out: everything", "On sale: 12951:2026-11-23:3A, version 1", "Message: “Soon”", "Message: none", "Limits: rate 5", "new-verb: x [1]"]);
});

test("changes are chosen by room and by words, newest first", () => {
  const entries = [
    { at: 1, who: "anna", action: "pause", room: "sale", detail: "" },
    { at: 3, who: "anna", action: "limits", room: "sale", detail: "rate 5" },
    { at: 2, who: "bela", action: "limits", room: "other", detail: "rate 7" },
  ];
  const at = (room, words) => chosen(entries, room, words).map((entry) => entry.at);
  assert.deepEqual([at("sale", ""), at("", ""), at("", "Rate LIMITS"), at("sale", "anna 5"), at("sale", "bela")], [[3, 1], [3, 2, 1], [3, 2], [3], []]);
});

describe("what visitors see", () => {
  for (const look of ["wide", "phone-dark"]) {
    test(`the page in a state, a language and with a message, ${look}`, async () => {
      const { page, end } = await visit(look, { several: false });
      await page.getByText("What visitors see").click();
      const shown = page.frameLocator("iframe.preview");
      await shown.getByRole("heading", { name: "You are in line" }).waitFor();
      await page.getByLabel("State").selectOption("sold_out");
      await page.getByLabel("Language").selectOption("ur");
      await page.getByLabel("With this message").fill("Coach <b>B4</b> is added");
      await shown.getByText("Coach <b>B4</b> is added").waitFor();
      assert.equal(await shown.locator("html").getAttribute("dir"), "rtl");
      const margin = await page.locator("iframe.preview").evaluate((frame) => frame.contentWindow.getComputedStyle(frame.contentDocument.body).margin);
      assert.equal(margin, "0px", "its styles are there");
      assert.deepEqual(await shown.locator("script, noscript").count(), 0);
      await page.getByLabel("Language").selectOption("en");
      await page.getByLabel("State").selectOption("disconnected");
      await shown.getByText("No news for 40 seconds.").waitFor();
      for (const words of ["Updated 40 seconds ago", "This page goes on by itself", "4,182"]) assert.ok(await shown.getByText(words).first().isVisible(), words);
      await picture(page, `console-preview-disconnected-${look}`);
      assert.deepEqual(await axe(page), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "no sideways scrolling");
      await picture(page, `console-preview-${look}`);
      await page.getByLabel("Language").selectOption("zh");
      await page.getByText("`lang` is one of en, hi.").waitFor();
      // The test's own looking into the frame is what a frame without scripts refuses.
      assert.deepEqual(page.complaints.filter((words) => !/^Blocked script execution in 'about:/.test(words)), []);
      await end();
    });
  }
});

describe("looks", () => {
  for (const look of Object.keys(LOOKS)) {
    test(`all rooms, one room, signing in, ${look}`, async () => {
      const { admin, page, end } = await visit(look);
      await page.getByRole("heading", { name: "Rooms" }).waitFor();
      await page.getByRole("link", { name: "Opening night" }).first().waitFor();
      assert.deepEqual(await axe(page), []);
      await picture(page, `console-rooms-${look}`);
      await page.evaluate(() => { location.hash = "#/tatkal"; });
      await page.getByRole("button", { name: "Pause" }).waitFor();
      assert.deepEqual(await axe(page), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "no sideways scrolling");
      admin.rooms[0].message = "Sleeper class is nearly gone; AC classes have seats.";
      Object.assign(admin.rooms[0], SLOWED);
      await page.getByText(SLOWED.adaptive.words).waitFor();
      assert.deepEqual(await axe(page), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "no sideways scrolling");
      admin.entries.push({ at: Date.now() - 60_000, who: "admin", action: "limits", room: "tatkal", detail: "admissions_per_second 40 → 50" });
      if (process.env.SCREENSHOTS && /^wide$|phone-dark/.test(look)) await fillHistory(page, admin);
      await picture(page, `console-room-${look}`);
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByLabel("Admin token").waitFor();
      assert.deepEqual(await axe(page), []);
      await picture(page, `console-sign-in-${look}`);
      assert.deepEqual(page.complaints, []);
      await end();
    });
  }
});

describe("readiness", () => {
  for (const look of ["wide", "phone-dark"]) {
    test(`says what is to be mended first, and measures again when asked, ${look}`, async () => {
      const { admin, page, end } = await visit(look);
      await page.getByRole("link", { name: "Readiness" }).click();
      await page.getByText("1 thing to mend, 1 thing to look at. Measured at").waitFor();
      assert.deepEqual(await page.locator(".finding h2").allTextContents(), ["Store's eviction", "TLS", "Store", "Upstream of tatkal, concert"]);
      assert.deepEqual(await axe(page), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "no sideways scrolling");
      await picture(page, `console-readiness-${look}`);
      admin.findings = admin.findings.filter(({ verdict }) => verdict === "good");
      await page.getByRole("button", { name: "Look again" }).click();
      await page.getByText("All 2 checks are good.").waitFor();
      assert.deepEqual(page.complaints, []);
      await end();
    });
  }
});

/** Lets some minutes of polls go by in a few seconds, for the pictures. */
async function fillHistory(page, admin) {
  await page.clock.install();
  await page.reload();
  for (let step = 0; step < 110; step++) {
    const { tick } = admin;
    admin.aheadMs += 2000;
    await page.clock.runFor(2000);
    await until(() => admin.tick > tick, "the next poll", 400).catch(() => {});
  }
}

describe("a rate that adapts", () => {
  test("the reason is said, another gateway's too, and adapting is turned on and off", async () => {
    const { admin, page, end } = await visit("wide", { several: false });
    await page.getByText("It does not follow the upstream’s health.").waitFor();
    await page.getByLabel("Never below, a second").fill("5");
    await page.getByRole("button", { name: "Adapt" }).click();
    await until(() => admin.calls.some(([method, , body]) => method === "PATCH" && body.adaptive_floor === 5), "the floor");
    Object.assign(admin.rooms[0], SLOWED);
    await page.getByText("Slowed to 31/s: the upstream answers in 420 ms, usually 90 ms.").waitFor();
    await page.getByText("between 5 and 50 a second", { exact: true }).waitFor();
    admin.rooms[0].admissions_per_second_now = 20;
    await page.getByText("Another gateway holds the rate at 20/s.").waitFor();
    await page.getByRole("button", { name: "Turn off" }).click();
    await until(() => admin.calls.some(([method, , body]) => method === "PATCH" && body.adaptive_floor === null), "the end of adapting");
    assert.deepEqual(page.complaints, []);
    await end();
  });
});

describe("signing in", () => {
  test("the token leaves the address bar and stays over a reload", async () => {
    const { page, end } = await visit();
    await page.getByRole("heading", { name: "Rooms" }).waitFor();
    assert.ok(!page.url().includes(TOKEN));
    await page.reload();
    await page.getByRole("heading", { name: "Rooms" }).waitFor();
    await end();
  });

  test("a wrong token is refused in words, the right one goes in", async () => {
    const { admin, page, end } = await visit();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Admin token").fill("nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("The gateway does not know this token.").waitFor();
    await page.getByLabel("Admin token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Rooms" }).waitFor();
    assert.equal(admin.calls.length, 0);
    await end();
  });
});

describe("what an operator does", () => {
  test("a rate: its effect first, then applied; an edit survives the polls", async () => {
    const { admin, page, end } = await visit("wide", { several: false });
    const rate = page.getByLabel("People let in a second", { exact: true });
    await rate.waitFor();
    await rate.fill("400");
    await page.getByText(/^If applied: The .* waiting drain in about/).waitFor();
    const place = await page.getByRole("heading", { name: "Rate", exact: true }).boundingBox();
    const seen = admin.tick;
    await until(() => admin.tick >= seen + 2, "two more polls");
    assert.equal(await rate.inputValue(), "400");
    assert.equal(admin.calls.length, 0);
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("Let in 400 a second instead of 50?").waitFor();
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Cancel" }).click();
    assert.equal(admin.calls.length, 0, "eight times the rate is asked about");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("button", { name: "Yes, 400 a second" }).click();
    await page.getByText("Rate set to 400 a second.").waitFor();
    assert.ok(place.y < 860, "the rate is in sight as the page opens");
    assert.deepEqual(admin.calls, [["PATCH", "", { admissions_per_second: 400 }]]);
    await page.getByRole("cell", { name: "limits" }).waitFor();
    await end();
  });

  test("a refusal is said in the gateway's words", async () => {
    const { page, end } = await visit("wide", { several: false });
    await page.getByLabel("People let in a second", { exact: true }).fill("1500");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("button", { name: "Yes, 1,500 a second" }).click();
    await page.getByText("That did not work. admissions_per_second must be at most 1000.").waitFor();
    await end();
  });

  test("pause, resume, message, sold out, admit, limit", async () => {
    const { admin, page, end } = await visit("wide", { several: false });
    const press = (name) => page.getByRole("button", { name, exact: true }).click();
    await press("Pause");
    await press("Resume");
    await page.getByLabel("New message").fill("Five minutes more");
    await press("Show it");
    await page.getByText("Shown now: “Five minutes more”").waitFor();
    await press("Take it away");
    await page.getByLabel("Item").fill("12301:2026-11-23:1A");
    await press("Mark as sold out");
    await press("Yes, mark it");
    await press("Put 12301:2026-11-23:1A back on sale");
    await page.getByLabel("How many").fill("25");
    await press("Let in");
    await page.getByLabel("At most, empty for no limit").fill("500");
    await page.locator("form", { hasText: "At most" }).getByRole("button", { name: "Set" }).click();
    await until(() => admin.calls.length === 8, "eight calls");
    assert.deepEqual(admin.calls, [
      ["POST", "pause", {}], ["POST", "resume", {}], ["POST", "message", { text: "Five minutes more" }], ["POST", "message", { text: null }],
      ["POST", "sold-out", { key: "12301:2026-11-23:1A" }], ["POST", "on-sale", { key: "12301:2026-11-23:1A" }],
      ["POST", "admit", { count: 25 }], ["PATCH", "", { total_active_users: 500 }],
    ]);
    await end();
  });

  test("what is written while an answer is on its way stays", async () => {
    const { admin, page, end } = await visit("wide", { several: false });
    const sent = async (label, first, press, said, next) => {
      const control = page.getByLabel(label, { exact: true }), asked = admin.calls.length;
      await control.fill(first);
      await page.locator("form", { has: control }).getByRole("button", { name: press, exact: true }).click();
      await until(() => admin.calls.length > asked, `${label} is sent`);
      await control.fill(next);
      await page.getByText(said).waitFor();
      await control.blur();
      const polled = admin.tick;
      await until(() => admin.tick > polled + 1, "figures after that");
      assert.equal(await control.inputValue(), next, label);
    };
    await page.getByRole("button", { name: "Pause" }).waitFor();
    admin.answerAfterMs = 1500;
    await sent("Item", "12951:2026-11-23:2A", "Mark as sold out", "12951:2026-11-23:2A is answered as sold out.", "*");
    await sent("New message", "Soon", "Show it", "Message shown to everyone in line.", "Now");
    await sent("People let in a second", "51", "Apply", "Rate set to 51 a second.", "52");
    await sent("At most, empty for no limit", "500", "Set", "At most 500 people inside.", "600");
    await sent("Never below, a second", "5", "Adapt", "The rate adapts, and never falls below 5 a second.", "6");
    await end();
  });

  test("the audit trail is searched, in this room and in all", async () => {
    const { page, end } = await visit("wide", { several: false });
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    const rows = page.locator("table tbody tr", { hasText: "pause" });
    await rows.first().waitFor();
    await page.getByLabel("With the words").fill("nobody did this");
    await page.getByText("No change is like that.").waitFor();
    assert.equal(await rows.count(), 0);
    await page.getByLabel("Changes of").selectOption("All rooms");
    await page.getByLabel("With the words").fill("PAUSE");
    await rows.first().waitFor();
    await end();
  });

  for (const look of ["phone", "phone-dark"]) {
    test(`the audit trail is read without scrolling sideways: ${look}`, async () => {
      const { admin, page, end } = await visit(look, { several: false });
      const at = Date.now(), room = "tatkal", by = (who, action, detail) => ({ at, who, action, room, detail: JSON.stringify(detail) });
      admin.entries.push(by("booking-core", "on-sale", { key: "12951:2026-11-23:3A", version: 1 }), by("an.operator.with.a.long.name@example.org", "limits", { admissions_per_second: 50, opens_at: at, session_duration_seconds: 600 }), by("anna", "message", { text: "word ".repeat(40) }));
      await page.getByRole("cell", { name: "On sale: 12951:2026-11-23:3A, version 1" }).waitFor();
      assert.equal(await page.getByRole("columnheader").count(), 4, "it is still a table to those who hear it");
      const cut = await page.getByRole("cell").evaluateAll((all) => all.filter((cell) => { const { left, right } = cell.getBoundingClientRect(); return left < 0 || right > innerWidth || cell.scrollWidth > cell.clientWidth; }).map((cell) => cell.textContent));
      assert.deepEqual(cut, []);
      assert.deepEqual(await axe(page), []);
      await page.getByRole("region", { name: "Audit trail" }).scrollIntoViewIfNeeded();
      await picture(page, `console-trail-${look}`);
      await end();
    });
  }

  test("a drain asks twice, says who is left, and ends by hand", async () => {
    const { admin, page, end } = await visit("wide", { several: false });
    const press = (name) => page.getByRole("button", { name, exact: true }).click();
    await press("Drain…");
    assert.deepEqual(await axe(page), []);
    await page.keyboard.press("Escape");
    assert.equal(admin.calls.length, 0);
    await press("Drain…");
    await press("Drain the line");
    await page.getByText(/still in line, of whom [\d,]+ are here, are let in/).waitFor();
    await page.locator(".badge", { hasText: "Draining" }).first().waitFor();
    await picture(page, "console-draining-wide");
    admin.rooms[0].waiting = 0;
    admin.frozen = true;
    await page.getByText("Nobody is left in line.").waitFor();
    await press("Take newcomers again");
    await until(() => admin.calls.length === 2, "both calls");
    assert.deepEqual(admin.calls.map(([, verb]) => verb), ["drain", "open"]);
    await end();
  });

  test("many at once, and everything sold out, ask twice", async () => {
    const { admin, page, end } = await visit("wide", { several: false });
    const press = (name) => page.getByRole("button", { name, exact: true }).click();
    await page.getByLabel("How many").fill("20000");
    await press("Let in");
    await page.getByText("Let 20,000 in at once?").waitFor();
    assert.deepEqual(await axe(page), []);
    await press("Cancel");
    await press("Let in");
    await press("Let 20,000 in");
    await until(() => admin.calls.length === 1, "one call");
    await page.getByLabel("Item").fill("*");
    await press("Mark as sold out");
    await page.getByText("whoever is not in is turned away; whoever is in goes on").waitFor();
    assert.deepEqual(await axe(page), []);
    await picture(page, "console-everything-wide");
    await page.keyboard.press("Escape");
    await press("Mark as sold out");
    await press("Yes, everything");
    await until(() => admin.calls.length === 2, "one more");
    assert.deepEqual(admin.calls, [["POST", "admit", { count: 20000 }], ["POST", "sold-out", { key: "*" }]]);
    await end();
  });

  test("a reset asks twice", async () => {
    const { admin, page, end } = await visit("phone", { several: false });
    await page.getByRole("button", { name: "Reset the line…" }).click();
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cancel");
    assert.deepEqual(await axe(page), []);
    await page.keyboard.press("Escape");
    assert.equal(admin.calls.length, 0);
    await page.getByRole("button", { name: "Reset the line…" }).click();
    await page.getByRole("button", { name: "Yes, reset it" }).click();
    await until(() => admin.calls.length === 1, "the reset");
    assert.equal(admin.calls[0][1], "reset");
    await end();
  });
});

describe("when figures cannot be had", () => {
  test("a gateway that does not answer, a store that is down, old figures: each is said", async () => {
    const { admin, page, end } = await visit("wide", { several: false });
    await page.getByRole("button", { name: "Pause" }).waitFor();
    admin.failing = true;
    await page.getByText(/The gateway does not answer\. The figures are .* old\./).waitFor();
    await page.locator("body.stale").waitFor({ timeout: 12_000 });
    assert.deepEqual(await axe(page), []);
    await picture(page, "console-stale-wide");
    admin.failing = false;
    admin.storeUp = false;
    await page.getByText(/The store does not answer\./).waitFor();
    admin.storeUp = true;
    admin.frozen = true;
    await page.getByText(/The gateway’s own figures are .* old\./).waitFor({ timeout: 12_000 });
    admin.frozen = false;
    await until(() => page.locator("#trouble").isHidden(), "all well again");
    await end();
  });
});

test("a page that is opened in the middle of a sale shows the minutes before", async () => {
  const admin = await startAdmin({ several: false });
  const before = (seconds) => ({ ...admin.rooms[0], waiting: 20_000 - seconds, as_of: Date.now() - seconds * 1000 });
  admin.past.tatkal = Array.from({ length: 100 }, (_, i) => before(200 - 2 * i));
  const page = await open(browser, `${admin.url}/#token=${TOKEN}`, "wide");
  const line = page.locator("figure", { hasText: "In line" }).locator("path.line.first");
  await until(async () => (await line.getAttribute("d")).split("L").length > 90, "the line of the minutes before");
  assert.deepEqual(page.complaints, []);
  await page.context().close();
  await admin.close();
});

test("a room in which everything is sold out says so, and so does a mistyped item", async () => {
  const { admin, page, end } = await visit("wide", { several: false });
  const press = (name) => page.getByRole("button", { name, exact: true }).click();
  await page.getByLabel("Item").fill("12951:2026-11-23:2B");
  await press("Mark as sold out");
  await page.getByText("Nothing was ever heard of “12951:2026-11-23:2B”.").waitFor();
  assert.deepEqual(await axe(page), []);
  await press("Cancel");
  await page.getByLabel("Item").fill("12951:2026-11-23:2A");
  await press("Mark as sold out");
  await page.getByLabel("Item").fill("*");
  await press("Mark as sold out");
  await press("Yes, everything");
  await page.getByRole("button", { name: "Put Everything back on sale" }).waitFor();
  await page.locator(".badge", { hasText: "Sold out" }).waitFor();
  assert.deepEqual(admin.calls.map(([, , body]) => body.key), ["12951:2026-11-23:2A", "*"]);
  await end();
});

test("no limit of people inside is asked about", async () => {
  const { admin, page, end } = await visit("wide", { several: false });
  admin.rooms[0].total_active_users = 500;
  const number = page.getByLabel("At most, empty for no limit");
  await until(async () => (await number.inputValue()) === "500", "the limit");
  await number.fill("");
  const form = page.locator("form", { has: number });
  await form.getByRole("button", { name: "Set" }).click();
  await form.getByRole("button", { name: "Yes, no limit" }).click();
  await until(() => admin.calls.length === 1, "the change");
  assert.deepEqual(admin.calls, [["PATCH", "", { total_active_users: null }]]);
  await end();
});
