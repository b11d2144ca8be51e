// The whole path against the real thing: `vestibule demo` in VESTIBULE_BIN, two visitors, a booking, a sold-out train, the console.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { dayFromToday } from "../booking-site/format.js";
import { axe, launch, open, picture, until } from "./browser.mjs";
import { startDemo } from "./demo.mjs";

const TURN_MS = 60_000;
let browser, demo;

before(async () => {
  demo = await startDemo();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await demo?.end();
});

async function admin(method, path, body) {
  const answer = await fetch(new URL(path, demo.console), { method, headers: { authorization: `Bearer ${demo.token}`, "content-type": "application/json" }, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : {};
}

const firstRoom = async () => (await admin("GET", "/api/rooms")).rooms[0];
const act = async (verb, body = {}) => admin("POST", `/api/rooms/${(await firstRoom()).name}/${verb}`, body);
const position = async (page) => Number((await page.locator('[data-is="position"]').innerText()).replaceAll(/\D/g, ""));
const inside = (page) => page.getByRole("heading", { name: /^(Where to\?|Trains)$/ }).waitFor({ timeout: TURN_MS });

/** Finds a train of tomorrow or the days after that has a class with seats. */
async function findOffer(skip = []) {
  for (let ahead = 1; ahead < 9; ahead++) {
    const answer = await fetch(new URL(`/api/trains?from=NDLS&to=MMCT&date=${dayFromToday(ahead)}`, demo.booking));
    if (!answer.ok) continue;
    const { trains } = await answer.json();
    const offers = trains.flatMap((train) => train.classes).filter((one) => one.available > 0 && !skip.includes(one.inventory));
    if (offers.length) return offers.sort((a, b) => a.available - b.available)[0];
  }
  throw new Error("no train from NDLS to MMCT in the next days");
}

/** Finds a class whose seats have numbers. */
async function findNumbered() {
  const skip = [];
  for (;;) {
    const { inventory } = await findOffer(skip);
    const { seats } = await (await fetch(new URL(`/api/inventory/${inventory}`, demo.booking))).json();
    if (seats) return inventory;
    skip.push(inventory);
  }
}

/** Buys an inventory out through the booking API, as a crowd would. */
async function buyOut(id) {
  const { most_seats } = await (await fetch(new URL(`/api/inventory/${id}`, demo.booking))).json();
  for (let quantity = most_seats; quantity >= 1;) {
    const answer = await fetch(new URL(`/api/holds?inventory=${encodeURIComponent(id)}`, demo.booking), {
      method: "POST", headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() }, body: JSON.stringify({ inventory: id, quantity }),
    });
    if (answer.status === 201) continue;
    assert.equal(answer.status, 409, await answer.text());
    quantity -= 1;
  }
}

test("two visitors wait, are let in, book; what is sold out is said; the console steers", async (t) => {
  let first, second;

  await t.test("two visitors stand in line with live positions", async () => {
    await act("pause");
    first = await open(browser, demo.gateway, "wide");
    await first.getByRole("heading", { name: "The line is paused" }).waitFor();
    await first.locator("[data-link=live]").waitFor();
    assert.equal(await position(first), 1);
    second = await open(browser, demo.gateway, "phone");
    await second.locator("[data-link=live]").waitFor();
    assert.equal(await position(second), 2);
    await until(async () => (await first.locator('[data-is="waiting"]').innerText()) === "2", "the first hears of the second");
    for (const page of [first, second]) assert.deepEqual(await axe(page), []);
    await picture(first, "path-waiting-wide");
    await picture(second, "path-waiting-phone");
    await second.reload();
    await second.locator("[data-link=live]").waitFor();
    assert.equal(await position(second), 2, "a reload keeps the place");
  });

  await t.test("the operator's message reaches them live", async () => {
    await act("message", { text: "Two minutes more, please." });
    const message = second.locator("[data-row=message]", { hasText: "Two minutes more, please." });
    await message.waitFor();
    await act("message", { text: null });
    await message.waitFor({ state: "hidden" });
  });

  await t.test("the console shows them and changes the rate", async () => {
    const page = await open(browser, `${demo.console}/#token=${demo.token}`, "wide");
    const { name } = await firstRoom();
    await page.goto(new URL(`/#/${name}`, demo.console).href);
    await page.getByRole("button", { name: "Resume" }).waitFor();
    assert.deepEqual(await axe(page), []);
    await page.getByLabel("People let in a second", { exact: true }).fill("2");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("Rate set to 2 a second.").waitFor();
    assert.equal((await firstRoom()).admissions_per_second, 2);
    await picture(page, "path-console-wide");
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByText("Resumed.").waitFor();
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  await t.test("both are let in by themselves", async () => {
    await Promise.all([inside(first), inside(second)]);
    await picture(first, "path-inside-wide");
    assert.deepEqual(first.complaints, []);
  });

  await t.test("search, hold, pay, booking, all through the gateway", async () => {
    const offer = await findOffer(), [number, date] = offer.inventory.split(":");
    await first.getByLabel("From", { exact: true }).fill("NDLS");
    await first.getByRole("option", { name: "NDLS" }).click();
    await first.getByLabel("To", { exact: true }).fill("MMCT");
    await first.getByRole("option", { name: "MMCT" }).click();
    await first.getByLabel("Day").fill(date);
    await first.getByRole("button", { name: "Find trains" }).click();
    const link = first.locator(`a[href="/train/${offer.inventory}?from=NDLS&to=MMCT"]`);
    await link.waitFor();
    assert.deepEqual(await axe(first), []);
    await picture(first, "path-trains-wide");
    await link.click();
    await first.getByRole("heading", { name: new RegExp(`^${number} `) }).waitFor();
    await first.getByRole("button", { name: "Hold and go on to pay" }).click();
    await first.getByRole("heading", { name: "Your seats are held" }).waitFor();
    assert.match(await first.getByRole("timer").innerText(), /^\d+:\d\d$/);
    assert.deepEqual(await axe(first), []);
    await picture(first, "path-hold-wide");
    await first.getByLabel("A card that is declined").check();
    await first.getByRole("button", { name: /^Pay/ }).click();
    await first.getByText("The bank said no and nothing was charged.").waitFor();
    await first.getByLabel("A card that works").check();
    await first.getByRole("button", { name: /^Pay/ }).click();
    await first.getByText("You are going.").waitFor({ timeout: 20_000 });
    assert.deepEqual(await axe(first), []);
    await picture(first, "path-booking-wide");
    await first.reload();
    await first.getByText("You are going.").waitFor();
  });

  await t.test("the site's foot leads to the lab, and its head back", async () => {
    await first.getByRole("link", { name: /^The lab/ }).click();
    await first.getByRole("heading", { name: "Two people, one seat" }).waitFor();
    await first.getByRole("link", { name: "Platform One" }).click();
    await first.getByRole("heading", { name: "Where to?" }).waitFor();
    assert.deepEqual(first.complaints, []);
  });

  await t.test("two want one seat: one has it, the other is offered those nearby", async () => {
    const id = await findNumbered();
    for (const page of [first, second]) {
      await page.goto(new URL(`/train/${id}`, demo.gateway).href);
      await page.getByLabel("Choose on the map").check();
      await page.locator('[role=gridcell][data-state=free]').first().click();
    }
    const wanted = await second.locator("[aria-selected=true]").getAttribute("aria-label");
    assert.equal(await first.locator("[aria-selected=true]").getAttribute("aria-label"), wanted);
    assert.deepEqual(await axe(second), []);
    // The second does not look again before clicking.
    await second.evaluate(() => { Object.defineProperty(document, "hidden", { value: true, configurable: true }); });
    await first.getByRole("button", { name: "Hold and go on to pay" }).click();
    await first.getByRole("heading", { name: "Your seats are held" }).waitFor();
    await second.getByRole("button", { name: "Hold and go on to pay" }).click();
    await second.getByText("Someone else was quicker.").waitFor();
    assert.deepEqual(await axe(second), []);
    await picture(second, "path-seat-taken-phone");
    await second.locator(".nearby button").first().click();
    await second.getByRole("button", { name: "Hold and go on to pay" }).click();
    await second.getByRole("heading", { name: "Your seats are held" }).waitFor();
    await picture(second, "path-seat-held-phone");
    assert.deepEqual(second.complaints, []);
  });

  await t.test("a train that the operator marks as sold out is refused from the gateway's memory", async () => {
    const { inventory } = await findOffer();
    await second.goto(new URL(`/train/${inventory}`, demo.gateway).href);
    await second.getByRole("button", { name: "Hold and go on to pay" }).waitFor();
    await act("sold-out", { key: inventory });
    const before_ = (await firstRoom()).sold_out_answers;
    await second.evaluate(() => document.querySelector("form").requestSubmit());
    await second.locator(".banner", { hasText: "Sold out" }).waitFor();
    await picture(second, "path-sold-out-phone");
    assert.ok((await firstRoom()).sold_out_answers > before_, "the gateway answered");
    await act("on-sale", { key: inventory });
  });

  await t.test("a train that is bought out is told too", async () => {
    const { inventory } = await findOffer();
    await second.goto(new URL(`/train/${inventory}`, demo.gateway).href);
    await second.getByRole("button", { name: "Hold and go on to pay" }).waitFor();
    await buyOut(inventory);
    await until(async () => (await firstRoom()).sold_out.includes(inventory), "the gateway hears that it is sold out", 15_000);
    await second.evaluate(() => document.querySelector("form").requestSubmit());
    await second.locator(".banner", { hasText: "Sold out" }).waitFor();
    assert.deepEqual(await axe(second), []);
    await picture(second, "path-bought-out-phone");
  });

  for (const page of [first, second]) await page?.context().close();
});

test("a room about one item shows its stock before anything is sold, and a drained one takes nobody else", async () => {
  const { inventory } = await findOffer();
  const sale = await startDemo("--rate", "0", "--company", "3", "--item", inventory, "--seats", "40");
  try {
    const early = await open(browser, sale.gateway, "phone");
    await until(async () => (await early.locator('[data-is="stock"]').innerText()) === "40", "forty are left");
    assert.deepEqual(await axe(early), []);
    await picture(early, "stock-phone");
    const console_ = await open(browser, `${sale.console}/#token=${sale.token}`, "wide");
    await console_.getByRole("button", { name: "Drain…", exact: true }).click();
    await console_.getByRole("button", { name: "Drain the line", exact: true }).click();
    await console_.getByText(/4 still in line, of whom 4 are here/).waitFor();
    const late = await open(browser, sale.gateway, "phone", { locale: "de" });
    await late.getByRole("heading", { name: "Die Schlange nimmt niemanden mehr auf" }).waitFor();
    assert.deepEqual(await axe(late), []);
    await picture(late, "drained-phone");
    await early.getByRole("heading", { name: "You are in line" }).waitFor();
    for (const page of [early, console_, late]) await page.context().close();
  } finally {
    await sale.end();
  }
});
