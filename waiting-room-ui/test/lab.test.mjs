// The concurrency lab on the real thing, in Chromium: SQLite, PostgreSQL and a Redis of its own. Where there are figures, they are the stores'.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { moodOf, stepWords, verdict, WAYS } from "../lab/words.js";
import { axe, launch, LOOKS, open, picture, until } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { startPostgres, startRedis } from "./stores.mjs";

test("seats that are left over though a thousand came are a fault as well", () => {
  const mood = (sold, oversold, failed = 0) => moodOf({ sold, oversold, failed }, 10);
  assert.deepEqual([mood(10, 0), mood(31, 21), mood(1, 0), mood(10, 0, 990), mood(11, 1, 900)], ["good", "bad", "bad", "warn", "bad"]);
});

let browser, redis, postgres;
const demos = {};

/** The real stores that the lab runs on, and in how many looks the whole of a race is seen on each. */
const ENGINES = { sqlite: { looks: Object.keys(LOOKS), ground: "a SQLite file of its own" }, postgresql: { looks: ["wide", "phone-dark"], ground: "a PostgreSQL schema of its own" } };

before(async () => {
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  demos.sqlite = await startDemo("--redis", redis.url);
  demos.postgresql = await startDemo("--redis", `${redis.url}/1`, "--database", postgres.url);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  for (const part of [...Object.values(demos), redis, postgres]) await part?.end();
});

async function visit(engine, way, look = "wide") {
  const page = await open(browser, `${demos[engine].lab}#${way}`, look);
  await page.getByRole("heading", { name: "Two people, one seat" }).waitFor();
  await page.locator("[data-standing=ready]").nth(1).waitFor();
  return { page, end: () => page.context().close() };
}

async function fine(page, name) {
  assert.deepEqual(await axe(page), []);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: no sideways scrolling`);
  await picture(page, name);
}

const card = (page, name) => page.getByRole("region", { name, exact: true });
const button = (page, name) => page.getByRole("button", { name: `${name}: send it` });

/** Clicks a person, and waits until the statement is in the log. */
async function click(page, name) {
  const lines = await page.locator(".log li").count();
  await button(page, name).click();
  await until(async () => (await page.locator(".log li").count()) > lines, "the statement is in the log");
}

/** Holds the verdict against the two cards. */
async function agrees(page) {
  const cards = await page.locator(".person .state").allTextContents(), outcome = page.locator(".outcome");
  const words = await outcome.textContent(), errors = cards.filter((said) => said.includes("error")).length;
  assert.equal(cards.filter((said) => said.startsWith("Has the seat")).length, words.startsWith("Sold twice") ? 2 : 1, `${words} ${cards}`);
  assert.equal(words.includes("got an error"), errors > 0, `${words} ${cards}`);
  if (errors) assert.equal(await outcome.getAttribute("data-mood"), "warn");
}

for (const [engine, { looks, ground }] of Object.entries(ENGINES)) {
  describe(`two people, one seat, on ${engine}`, () => {
    for (const look of looks) {
      test(`read, then write: both are sold it: ${look}`, async () => {
        const { page, end } = await visit(engine, "read-then-write", look);
        await page.getByText(ground).waitFor();
        await fine(page, `lab-${engine}-begin-${look}`);
        for (let i = 0; i < 3; i++) {
          for (const name of ["Asha", "Ben"]) await click(page, name);
        }
        await page.getByText("Sold twice.").waitFor();
        await page.getByText("Asha, Ben", { exact: true }).waitFor();
        for (const name of ["Asha", "Ben"]) await card(page, name).getByText("Has the seat").waitFor();
        assert.equal(await page.locator(".log li").count(), 6);
        await fine(page, `lab-${engine}-sold-twice-${look}`);
        assert.deepEqual(page.complaints, []);
        await end();
      });
    }

    test("conditional: the second waits for the first, and is told the truth", async () => {
      const { page, end } = await visit(engine, "conditional", "phone");
      for (const name of ["Asha", "Asha", "Ben"]) await click(page, name);
      await button(page, "Ben").click();
      await card(page, "Ben").getByText("Waits for the database to answer…").waitFor();
      await fine(page, `lab-${engine}-waits-phone`);
      assert.ok(await button(page, "Ben").isDisabled());
      for (const name of ["Asha", "Asha"]) await click(page, name);
      await until(async () => !(await button(page, "Ben").isDisabled()), "Ben goes on");
      await click(page, "Ben");
      await page.getByText("Sold once.").waitFor();
      await card(page, "Ben").getByText("Was told: sold out").waitFor();
      await fine(page, `lab-${engine}-sold-once-phone`);
      await end();
    });

    test("the lease in Redis: shown, ended early, and then the key decides", async () => {
      const { page, end } = await visit(engine, "seat-lock");
      await click(page, "Asha");
      await page.getByText(/^Asha, for \d+ s more$/).waitFor();
      await fine(page, `lab-${engine}-lease-wide`);
      await page.getByRole("button", { name: "End the lease early" }).click();
      await page.getByText("No lease on the seat.").waitFor();
      await click(page, "Ben");
      await page.getByText(/^Ben, for \d+ s more$/).waitFor();
      await page.getByRole("button", { name: "Both at full speed" }).click();
      await page.getByText("Sold once.").waitFor();
      await end();
    });

    test("every way can be chosen and runs at full speed; only the broken ones may sell it twice", async () => {
      const { page, end } = await visit(engine, "conditional");
      for (const [way, { name }] of Object.entries(WAYS)) {
        await page.locator(`input[value="${way}"]`).check();
        await page.getByText("Nothing was sent yet.").waitFor();
        await page.locator("[data-standing=ready]").nth(1).waitFor();
        await page.getByRole("button", { name: "Both at full speed" }).click();
        await page.locator(".outcome").getByText(way.startsWith("read-then-write") ? /^Sold (once[.,]|twice\.)/ : /^Sold once\./).waitFor();
        await agrees(page);
        assert.deepEqual(await axe(page), [], name);
      }
      assert.deepEqual(page.complaints, []);
      await end();
    });

    test("played slowly, it goes by itself and can be stopped", async () => {
      const { page, end } = await visit(engine, "optimistic", "phone-dark");
      await page.getByRole("button", { name: "Play it slowly" }).click();
      await until(async () => (await page.locator(".log li").count()) >= 3, "it goes on by itself");
      await page.getByRole("button", { name: "Stop" }).click();
      await page.getByRole("button", { name: "Play it slowly" }).click();
      await page.getByText("Sold once.").waitFor({ timeout: 60_000 });
      await page.getByText(/began again once/).waitFor();
      await fine(page, `lab-${engine}-optimistic-phone-dark`);
      await end();
    });

    test("played slowly, the default way shows what the hint says: Ben waits for her lock", async () => {
      const { page, end } = await visit(engine, "conditional");
      await page.getByRole("button", { name: "Play it slowly" }).click();
      await card(page, "Ben").getByText("Waits for the database to answer…").waitFor({ timeout: 20_000 });
      await page.locator('.log li[data-person="2"][data-waits=true]', { hasText: "UPDATE" }).waitFor();
      await fine(page, `lab-${engine}-slowly-wide`);
      await page.getByText("Sold once. One has the seat").waitFor({ timeout: 30_000 });
      await card(page, "Ben").getByText("Was told: sold out").waitFor();
      await agrees(page);
      await end();
    });

    test("in a transaction, the verdict does not hide that somebody got an error", async () => {
      const { page, end } = await visit(engine, "read-then-write-in-transaction", "phone");
      await page.getByRole("button", { name: "Play it slowly" }).click();
      await page.locator(".outcome").getByText(engine === "sqlite" ? "Sold once, but Ben got an error and does not know why." : /^Sold twice\./).waitFor({ timeout: 40_000 });
      await agrees(page);
      await fine(page, `lab-${engine}-in-transaction-phone`);
      await end();
    });

    test("by keyboard alone", async () => {
      const { page, end } = await visit(engine, "read-then-write");
      await button(page, "Asha").focus();
      await page.keyboard.press("Enter");
      await page.locator(".log").getByText("available = 1").waitFor();
      assert.equal(await page.evaluate(() => document.activeElement.textContent), "Asha: send it", "focus stays for the next one");
      await end();
    });
  });

  test(`a thousand people, ten seats: what is shown is what the server counted, on ${engine}`, async () => {
    const { page, end } = await visit(engine, "conditional");
    const answers = [];
    page.on("response", async (answer) => { if (answer.url().endsWith("/rushes")) answers.push(await answer.json()); });
    await page.getByRole("button", { name: "Run them all" }).click();
    await until(async () => (await page.locator("tbody tr[data-mood]").count()) === Object.keys(WAYS).length + 1, "all have run", 120_000);
    const shown = await page.locator("tbody tr").evaluateAll((rows) => rows.map((row) => [...row.querySelectorAll("td")].slice(0, 2).map((cell) => Number(cell.textContent.replaceAll(",", "")))));
    assert.deepEqual(shown, answers.map(({ sold, oversold }) => [sold, oversold]));
    for (const [i, way] of Object.keys(WAYS).entries()) if (!way.startsWith("read-then-write")) assert.deepEqual(shown[i], [10, 0], way);
    const whys = await page.locator("tbody .why").allTextContents();
    assert.deepEqual(whys.map((words) => words !== ""), answers.map(({ failed }) => failed > 0), "an error is told in the database's words");
    await fine(page, `lab-${engine}-rush-wide`);
    await end();
    const small = await visit(engine, "conditional", "phone");
    for (const way of ["Read, then write", "Conditional update"]) {
      await small.page.getByRole("button", { name: `Run: ${way}`, exact: true }).click();
      await small.page.locator("tbody tr[data-mood]", { hasText: way }).waitFor();
    }
    assert.ok(await small.page.locator("tr[data-mood=good] td").first().isVisible(), "the figures are in sight");
    await fine(small.page, `lab-${engine}-rush-phone`);
    await small.end();
  });
}

test("without Redis the way that needs one is there, and says so", async () => {
  const plain = await startDemo();
  try {
    const page = await open(browser, plain.lab, "phone");
    await page.getByText("needs a Redis").waitFor();
    assert.ok(await page.locator('input[value="seat-lock"]').isDisabled());
    await page.getByText("There is no Redis here. Start the demo with --redis").waitFor();
    await fine(page, "lab-no-redis-phone");
    await page.context().close();
  } finally {
    await plain.end();
  }
});

test("the words fit what the stores say", () => {
  const table = (holds) => ({ capacity: 1, available: 0, holds });
  assert.equal(verdict({ over: false, table: table([]), people: [] }), null);
  assert.equal(verdict({ over: true, table: table([[1, 0], [2, 0]]), people: [] }).mood, "bad");
  const told = (holds, ...endings) => Object.values(verdict({ over: true, table: table(holds), people: endings.map((ending) => ({ standing: "over", ending })) })).join(": ");
  const known = "good: Sold once. One has the seat, the other knows that it is gone.";
  assert.equal(told([[1, 0]], "sold", "refused"), known);
  assert.equal(told([[2, 0]], "turned_away", "sold"), known);
  assert.equal(told([[1, 0]], "sold", "failed"), "warn: Sold once, but Ben got an error and does not know why.");
  assert.equal(told([[2, 0]], "gave_up", "sold"), "warn: Sold once, but Asha gave up and was not told that it is gone.");
  assert.equal(told([[1, 0]], "sold", "left"), "calm: Sold once, but Ben left before the end.");
  assert.equal(told([], "left", "failed"), "warn: Nobody has the seat: Asha left before the end, and Ben got an error and does not know why.");
  assert.equal(told([], "refused", "refused"), "calm: Nobody has the seat.");
  assert.match(stepWords("begin-locked", "sqlite"), /file/);
});
