// The booking site against a stand-in for booking-api: the whole way, and every way it can end.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { axe, launch, LOOKS, open, picture, until } from "./browser.mjs";
import { serverTime } from "../booking-site/servertime.js";
import { refused } from "../booking-site/words.js";
import { startBooking } from "./mock/booking.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const TRAIN = "12952:2026-12-24:3A";

async function visit(path = "/", look = "wide", options = {}) {
  const site = await startBooking(options);
  const page = await open(browser, site.url + path, look);
  return { site, page, end: async () => { await page.context().close(); await site.close(); } };
}

async function fine(page, name) {
  assert.deepEqual(await axe(page), []);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: no sideways scrolling`);
  await picture(page, name);
}

async function choose(page, label, letters, station) {
  await page.getByLabel(label, { exact: true }).fill(letters);
  await page.getByRole("option", { name: station }).click();
}

describe("the whole way, in every look", () => {
  for (const look of Object.keys(LOOKS)) {
    test(look, async () => {
      const { site, page, end } = await visit("/", look);
      await page.getByRole("heading", { name: "Where to?" }).waitFor();
      await fine(page, `booking-search-${look}`);
      await choose(page, "From", "new", "NEW DELHI");
      await page.getByLabel("To", { exact: true }).fill("mum");
      await page.getByRole("option", { name: "MUMBAI CENTRAL" }).waitFor();
      await fine(page, `booking-suggest-${look}`);
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Find trains" }).click();
      await page.getByRole("heading", { name: /^3 trains on / }).waitFor();
      await fine(page, `booking-trains-${look}`);
      await page.locator("article", { hasText: "RAJDHANI" }).getByRole("link", { name: "3A" }).click();
      await page.getByText("402 of 420 left").waitFor();
      await page.getByLabel("How many").selectOption("2");
      await fine(page, `booking-train-${look}`);
      await page.getByRole("button", { name: "Hold and go on to pay" }).click();
      await page.getByRole("heading", { name: "Your seats are held" }).waitFor();
      assert.match(await page.getByRole("timer").innerText(), /^(9:5\d|10:00)$/);
      await fine(page, `booking-hold-${look}`);
      await page.getByLabel("A card that is declined").check();
      await page.getByRole("button", { name: /^Pay/ }).click();
      await page.getByText("The bank said no and nothing was charged.").waitFor();
      await fine(page, `booking-declined-${look}`);
      await page.getByLabel("A card that works").check();
      await page.getByRole("button", { name: /^Pay/ }).click();
      await page.getByText("You are going.").waitFor();
      assert.match(page.url(), /\/booking\/\w{10}$/);
      await fine(page, `booking-ticket-${look}`);
      assert.equal(site.stock.get("12952:3A"), 400);
      await page.reload();
      await page.getByText("You are going.").waitFor();
      assert.deepEqual(page.complaints, []);
      await end();
    });
  }
});

describe("finding", () => {
  test("a booking by its reference, as people write it", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`, "phone");
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("button", { name: /^Pay/ }).click();
    await page.getByText("You are going.").waitFor();
    Object.assign([...site.holds.values()][0], { booking: "7K2M09QX1T" });
    await page.getByRole("link", { name: "My booking" }).click();
    await page.getByRole("heading", { name: "My booking" }).waitFor();
    const field = page.getByLabel("Booking reference");
    for (const [typed, words] of [["nonsense", "A reference has ten letters and digits"], ["AAAA AAAA AA", "There is no booking with this reference."]]) {
      await field.fill(typed);
      await page.keyboard.press("Enter");
      await page.getByText(words).waitFor();
      assert.equal(await field.getAttribute("aria-invalid"), "true");
      await fine(page, `booking-find-${typed.length}-phone`);
    }
    await field.fill(" 7k2m-o9qx lt ");
    await page.keyboard.press("Enter");
    await page.getByText("7K2M09QX1T").waitFor();
    await end();
  });

  test("what the API refuses is said in a passenger's words", () => {
    for (const [problem, heading] of [[{ type: "/problems/not_on_sale" }, "Not on sale"], [{ type: "/problems/invalid_field", field: "to" }, "Where to?"], [{ type: "/problems/too_late_to_cancel" }, "Too late to cancel"], [{ type: "/problems/brand_new" }, "That did not work"], [undefined, "That did not work"]]) {
      const [said, words] = refused(problem);
      assert.equal(said, heading);
      assert.doesNotMatch(words, /\/api\/|Idempotency|invalid_field/);
    }
  });

  test("where one boards stays with the link, the hold and the ticket, in another tab too", async () => {
    const { site, page, end } = await visit("/?from=BRC&to=MMCT&date=2026-12-24");
    const link = page.locator("article", { hasText: "RAJDHANI" }).getByRole("link", { name: "3A" });
    const address = new URL(await link.getAttribute("href"), site.url).href;
    const other = await open(browser, address, "phone");
    const board = (on) => on.locator(".ends div", { hasText: "Board" });
    await board(other).getByText("VADODARA JN").waitFor();
    await fine(other, "booking-shared-phone");
    await other.getByRole("button", { name: "Hold and go on to pay" }).click();
    await other.getByText("12952 NDLS MMCT RAJDHANI").waitFor();
    await board(other).getByText("VADODARA JN").waitFor();
    await other.getByRole("button", { name: /^Pay/ }).click();
    await other.getByText("You are going.").waitFor();
    await board(other).getByText("VADODARA JN").waitFor();
    const back = await open(browser, address, "phone");
    assert.equal(await back.getByText("Other trains and classes").getAttribute("href"), "/?from=BRC&to=MMCT&date=2026-12-24");
    for (const one of [other, back]) await one.context().close();
    await end();
  });

  test("what an address does not know is not said: the run's ends are no boarding station", async () => {
    for (const more of ["", "?from=MMCT&to=NDLS", "?from=XX&to=YY", "?from=BRC"]) {
      const { page, end } = await visit(`/train/${TRAIN}${more}`);
      await page.getByText("The run begins").waitFor();
      assert.ok(!(await page.getByText("Board", { exact: true }).isVisible()), more);
      await page.getByRole("button", { name: "Hold and go on to pay" }).click();
      await page.getByRole("heading", { name: "Your seats are held" }).waitFor();
      await page.getByText("12952 NDLS MMCT RAJDHANI").waitFor();
      await page.getByText("15 h 35 min").waitFor();
      await end();
    }
  });

  test("stations by keyboard alone, after the combobox pattern", async () => {
    const { page, end } = await visit();
    const from = page.getByRole("combobox", { name: "From" });
    await from.focus();
    await page.keyboard.type("delhi");
    await page.getByRole("option").first().waitFor();
    assert.equal(await from.getAttribute("aria-expanded"), "true");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.locator("[aria-selected=true]").getAttribute("id"), await from.getAttribute("aria-activedescendant"));
    await page.keyboard.press("Enter");
    assert.equal(await from.inputValue(), "DELHI (DLI)");
    await page.keyboard.press("Escape");
    assert.equal(await from.getAttribute("aria-expanded"), "false");
    await end();
  });

  test("a bare code is enough; what is no station is said", async () => {
    const { page, end } = await visit();
    await page.getByLabel("From", { exact: true }).fill("NDLS");
    await page.getByLabel("To", { exact: true }).fill("nowhere at all");
    await page.getByRole("button", { name: "Find trains" }).click();
    await page.getByText("Choose a station from the list.").waitFor();
    assert.deepEqual(await axe(page), []);
    await page.getByLabel("To", { exact: true }).fill("MMCT");
    await page.getByRole("button", { name: "Find trains" }).click();
    await page.getByRole("heading", { name: /^3 trains on / }).waitFor();
    await end();
  });

  test("the search stands in the address, availability is live, back goes back", async () => {
    const { site, page, end } = await visit("/?from=NDLS&to=MMCT&date=2026-12-24");
    await page.getByText("402 left").waitFor();
    site.stock.set("12952:3A", 0);
    await page.locator("article", { hasText: "RAJDHANI" }).getByText("sold out").waitFor({ timeout: 8000 });
    await page.getByRole("link", { name: "2A" }).first().click();
    await page.getByLabel("How many").waitFor();
    await page.goBack();
    await page.getByRole("heading", { name: /^3 trains on / }).waitFor();
    await end();
  });

  test("no train, no such page, no such booking: each is said", async () => {
    const { page, end } = await visit("/?from=DLI&to=MMCT&date=2026-12-24");
    await page.getByRole("heading", { name: /^No train on / }).waitFor();
    for (const path of ["/nothing/here", "/booking/AAAAAAAAAA", "/train/rubbish", `/hold/x`]) {
      await page.goto(new URL(path, page.url()).href);
      await page.getByRole("heading", { name: "Not found" }).waitFor();
    }
    await fine(page, "booking-not-found-wide");
    await end();
  });
});

describe("how many", () => {
  const options = (page) => page.getByLabel("How many").locator("option").allTextContents();

  test("no more are offered than are left, and who had chosen more is told", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`, "phone");
    assert.deepEqual([(await options(page)).length, await page.getByLabel("How many").inputValue()], [6, "1"]);
    await page.getByLabel("How many").selectOption("3");
    site.stock.set("12952:3A", 2);
    await page.getByText("2 of 420 left", { exact: true }).waitFor({ timeout: 8000 });
    assert.deepEqual(await options(page), ["1 seat", "2 seats"]);
    assert.equal(await page.getByLabel("How many").inputValue(), "2");
    await page.locator(".hint", { hasText: "You had chosen 3 seats; only 2 are left." }).waitFor();
    await page.getByText("₹4,060").waitFor();
    await fine(page, "booking-few-left-phone");
    site.stock.set("12952:3A", 0);
    await page.getByText("Sold out just now.").first().waitFor({ timeout: 8000 });
    assert.equal(await page.getByLabel("How many").inputValue(), "2", "nothing left is no new choice");
    assert.ok(await page.locator("#fewer").isHidden(), "that two are left is no longer so");
    site.stock.set("12952:3A", 40);
    await page.getByText("40 of 420 left").waitFor({ timeout: 8000 });
    assert.equal((await options(page)).length, 6);
    assert.equal(await page.getByLabel("How many").inputValue(), "2");
    await end();
  });

  test("where two are left at first, two are offered", async () => {
    const { site, page, end } = await visit();
    site.stock.set("12952:3A", 2);
    await page.goto(new URL(`/train/${TRAIN}`, site.url).href);
    await page.getByText("2 of 420 left", { exact: true }).waitFor();
    assert.deepEqual(await options(page), ["1 seat", "2 seats"]);
    await page.locator("#fewer").waitFor({ state: "hidden" });
    await fine(page, "booking-two-left-wide");
    await end();
  });
});

test("no frame stands around the whole page where a script gave it the focus; what one can use keeps its own", async () => {
  const { page, end } = await visit(`/train/${TRAIN}`);
  const frame = () => page.evaluate(() => ({ on: document.activeElement.tagName, style: getComputedStyle(document.activeElement).outlineStyle }));
  const card = page.getByLabel("A card that works");
  await page.getByRole("button", { name: "Hold and go on to pay" }).focus();
  await page.keyboard.press("Enter");
  await card.waitFor();
  assert.deepEqual(await frame(), { on: "MAIN", style: "none" });
  await picture(page, "booking-focus-wide");
  await page.keyboard.press("Tab");
  assert.equal((await frame()).style, "solid");
  await end();
});

describe("seats on a map", () => {
  const AC2 = "12952:2026-12-24:2A";
  const seat = (page, name) => page.getByRole("gridcell", { name });

  async function openMap(look = "wide") {
    const opened = await visit(`/train/${AC2}`, look);
    await opened.page.getByLabel("Choose on the map").check();
    await opened.page.getByRole("grid", { name: "Seats of coach A1" }).waitFor();
    return opened;
  }

  for (const look of Object.keys(LOOKS)) {
    test(`chosen, held and on the ticket: ${look}`, async () => {
      const { site, page, end } = await openMap(look);
      await seat(page, "Seat 3, lower berth, free").click();
      await seat(page, "Seat 4, upper berth, free").click();
      await page.getByText("You chose A1-3 and A1-4.").waitFor();
      await page.getByText("₹5,740").waitFor();
      await fine(page, `booking-map-${look}`);
      await page.getByRole("button", { name: "Hold and go on to pay" }).click();
      await page.getByText("2 seats (A1-3, A1-4)").waitFor();
      assert.deepEqual([...site.holds.values()][0].items[0].seats, ["A1-3", "A1-4"]);
      await page.getByRole("button", { name: /^Pay/ }).click();
      await page.getByText("You are going.").waitFor();
      await page.getByText("Seats 3 and 4").waitFor();
      await fine(page, `booking-map-ticket-${look}`);
      assert.deepEqual(page.complaints, []);
      await end();
    });
  }

  test("by keyboard alone: one stop for Tab, arrows move, Space chooses, a taken seat says so", async () => {
    const { page, end } = await openMap();
    assert.equal(await page.locator("[role=gridcell][tabindex='0']").count(), 1);
    await page.getByRole("radio", { name: "A1" }).focus();
    await page.keyboard.press("Tab");
    const at = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    assert.equal(await at(), "Seat 5, side lower berth, free", "the first free seat of the first row");
    await page.keyboard.press("ArrowDown");
    assert.equal(await at(), "Seat 6, side upper berth, free");
    await page.keyboard.press("Home");
    assert.equal(await at(), "Seat 3, lower berth, free");
    await page.keyboard.press("Space");
    assert.equal(await at(), "Seat 3, lower berth, chosen");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    assert.equal(await at(), "Seat 1, lower berth, taken");
    assert.equal(await page.locator("#said").innerText(), "A1-1 is taken.");
    assert.equal(await page.locator("[aria-selected=true]").count(), 1);
    await page.keyboard.press("Enter");
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowRight");
    assert.equal(await at(), "Seat 3, lower berth, chosen", "from the end of a row to the next");
    await page.keyboard.press("Space");
    assert.equal(await at(), "Seat 3, lower berth, free");
    await end();
  });

  test("another coach; no more than may be booked at once", async () => {
    const { page, end } = await openMap("phone");
    await page.getByRole("radio", { name: "A2" }).check();
    await page.getByRole("grid", { name: "Seats of coach A2" }).waitFor();
    assert.equal(await seat(page, "Seat 5, side lower berth, taken").getAttribute("aria-disabled"), "true");
    for (const n of [7, 8, 9, 10, 11, 12]) await page.locator(`[data-number="${n}"]`).click();
    await page.locator('[data-number="13"]').click();
    const limit = page.locator(".wrong", { hasText: "At most 6 seats in one booking." });
    await limit.waitFor();
    assert.equal(await page.locator("[aria-selected=true]").count(), 6);
    await fine(page, "booking-map-full-phone");
    assert.ok(await limit.isVisible(), "it stays, however often the page looks at what is free");
    await page.locator('[data-number="12"]').click();
    await limit.waitFor({ state: "hidden" });
    await end();
  });

  test("twice as large, and on the narrowest screen: nothing is cut off", async () => {
    const { page, end } = await openMap();
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    for (const width of [640, 320]) {
      await page.setViewportSize({ width, height: 430 });
      assert.ok((await wide()) <= 0, `the map at ${width}`);
      assert.deepEqual(await axe(page), []);
    }
    for (const path of ["/", "/?from=NDLS&to=MMCT&date=2026-12-24", "/find"]) {
      await page.goto(new URL(path, page.url()).href);
      await page.getByRole("heading", { level: 1 }).waitFor();
      assert.ok((await wide()) <= 0, `${path} at 320`);
    }
    await end();
  });

  test("someone else was quicker: said kindly, with seats nearby to take instead", async () => {
    const { site, page, end } = await openMap("phone");
    await seat(page, "Seat 3, lower berth, free").click();
    await seat(page, "Seat 10, upper berth, free").click();
    // Between the last look at the map and the click.
    await page.evaluate(() => { Object.defineProperty(document, "hidden", { value: true, configurable: true }); });
    for (const label of ["A1-3", "A1-4"]) site.seats.get("12952:2A").add(label);
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByText("Someone else was quicker.").waitFor();
    await page.getByText("A1-3 went a moment ago. A1-10 is still free.").waitFor();
    await fine(page, "booking-map-taken-phone");
    await page.getByRole("button", { name: "A1-5, side lower berth" }).click();
    await page.getByText("You chose A1-10 and A1-5.").waitFor();
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByText("2 seats (A1-10, A1-5)").waitFor();
    await end();
  });

  test("a chosen seat that goes while one looks is taken off the choice, and said", async () => {
    const { site, page, end } = await openMap();
    await seat(page, "Seat 3, lower berth, free").click();
    site.seats.get("12952:2A").add("A1-3");
    await page.getByText("A1-3 went to somebody else just now.").waitFor({ timeout: 8000 });
    await page.getByText("No seat chosen yet.").waitFor();
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    assert.ok(await page.getByText("A1-3 went to somebody else just now.").isVisible(), "who was too late has done nothing wrong");
    await seat(page, "Seat 4, upper berth, free").click();
    await seat(page, "Seat 4, upper berth, chosen").click();
    await end();
  });

  test("without a seat that is chosen nothing is held, and it is said why", async () => {
    const { site, page, end } = await openMap();
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByText("Choose a seat on the map first").waitFor();
    assert.ok(await page.locator(".total").isHidden(), "nothing is to be paid for nothing");
    assert.equal(site.holds.size, 0);
    await end();
  });
});

describe("holding and paying", () => {
  test("an answer that is lost: asked again under the same key, one hold", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`);
    site.mood = "drop_answer";
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("heading", { name: "Your seats are held" }).waitFor();
    assert.equal(site.posts, 2);
    assert.equal(new Set(site.seenKeys).size, 1);
    assert.equal(site.holds.size, 1);
    await end();
  });

  for (const [name, words, spoil] of [["the last seat goes first (409)", "The last seat went a moment ago.", (site) => site.stock.set("12952:3A", 0)], ["the gateway knows (410)", "No seat of this class is sold just now.", (site) => { site.mood = "sold_out"; }]]) {
    test(`sold out: ${name}`, async () => {
      const { site, page, end } = await visit(`/train/${TRAIN}`, "phone");
      await page.getByText("402 of 420 left").waitFor();
      spoil(site);
      await page.evaluate(() => document.querySelector("form").requestSubmit());
      await page.getByText(words).waitFor();
      assert.equal(await page.getByText("402 of 420 left").isVisible(), false, "no count beside a refusal");
      await fine(page, `booking-sold-out-${site.mood ? "gateway" : "late"}-phone`);
      await end();
    });
  }

  test("the pass has ended: back to the line in kind words", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`, "phone");
    await page.getByText("402 of 420 left").waitFor();
    site.mood = "line";
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("button", { name: "Join the line again" }).waitFor();
    await fine(page, "booking-line-phone");
    await end();
  });

  test("no connection: said, and the next try goes through", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`);
    await page.getByText("402 of 420 left").waitFor();
    site.mood = "down";
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("heading", { name: "No connection" }).waitFor({ timeout: 10_000 });
    site.mood = null;
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("heading", { name: "Your seats are held" }).waitFor();
    await end();
  });

  test("cancelled: what comes back is said first, and followed until it is back", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`, "phone");
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("button", { name: /^Pay/ }).click();
    await page.getByText("You are going.").waitFor();
    await page.getByRole("button", { name: "Cancel this booking" }).click();
    await page.getByText(/^You get .* back, the way you paid/).waitFor();
    await fine(page, "booking-cancel-phone");
    await page.getByRole("button", { name: "Keep it" }).click();
    assert.equal([...site.holds.values()][0].status, "confirmed");
    await page.getByRole("button", { name: "Cancel this booking" }).click();
    await page.getByRole("button", { name: "Yes, cancel it" }).click();
    await page.getByText(/^₹.* is on its way back/).waitFor();
    await page.getByText(/^₹.* went back the way you paid/).waitFor({ timeout: 8000 });
    await fine(page, "booking-cancelled-phone");
    await end();
  });

  test("fewer seats: what comes back is said first, and the ticket shows what is left", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`, "phone");
    await page.getByLabel("How many").selectOption("3");
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("button", { name: /^Pay/ }).click();
    await page.getByText("You are going.").waitFor();
    await page.getByText("I need fewer seats").click();
    const go = page.getByRole("button", { name: /^Give (it|them) back$/ });
    assert.equal(await go.isDisabled(), true, "nothing is given back by mistake");
    await page.getByLabel("You keep").selectOption("0");
    await page.getByText("To give all of it back, cancel the booking.").waitFor();
    assert.equal(await go.isDisabled(), true);
    await page.getByLabel("You keep").selectOption("2");
    await page.getByText(/^You get ₹.* back, the way you paid\. 1 seat goes to others at once\.$/).waitFor();
    await fine(page, "booking-fewer-phone");
    await go.click();
    await page.getByText(/^₹.* is on its way back for the seats you gave back\.$/).waitFor();
    assert.equal([...site.holds.values()][0].quantity, 2);
    await page.locator(".stub").getByText("2 seats").waitFor();
    await fine(page, "booking-fewer-done-phone");
    await end();
  });

  test("fewer seats of those with numbers: which ones is for the traveller to say", async () => {
    const { site, page, end } = await visit("/train/12952:2026-12-24:2A");
    await page.getByLabel("How many").selectOption("2");
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("button", { name: /^Pay/ }).click();
    await page.getByText("You are going.").waitFor();
    await page.getByText("I need fewer seats").click();
    const [first, second] = [...site.holds.values()][0].items[0].seats;
    await page.getByRole("checkbox", { name: first }).uncheck();
    await fine(page, "booking-fewer-numbered-wide");
    await page.getByRole("button", { name: "Give it back" }).click();
    await page.getByText(/is on its way back for the seats you gave back/).waitFor();
    assert.deepEqual([...site.holds.values()][0].items[0].seats, [second]);
    assert.equal(await page.getByText("I need fewer seats").count(), 0, "one seat is all or nothing");
    await end();
  });

  test("more time: offered when it gets short, given once", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`, "phone");
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("heading", { name: "Your seats are held" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "I need more time" }).isVisible(), false, "not while there is plenty");
    [...site.holds.values()][0].expires_at = Date.now() + 50_000;
    await page.getByRole("button", { name: "I need more time" }).click({ timeout: 8000 });
    await page.getByRole("button", { name: "I need more time" }).waitFor({ state: "hidden" });
    assert.ok([...site.holds.values()][0].expires_at > Date.now() + 100_000);
    await end();
  });

  test("a bank that asks to confirm: one goes there, and can go again", async () => {
    const { page, end } = await visit(`/train/${TRAIN}`, "phone");
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("heading", { name: "Your seats are held" }).waitFor();
    const hold = page.url();
    await page.getByLabel("A card that asks you to confirm").check();
    await page.getByRole("button", { name: /^Pay/ }).click();
    await page.waitForURL(/\/bank\?hold=/);
    await page.goto(hold);
    await page.getByText("Your bank asks you to confirm.").waitFor();
    await fine(page, "booking-confirm-phone");
    await end();
  });

  test("a slow bank: the page waits and follows", async () => {
    const { page, end } = await visit(`/train/${TRAIN}`);
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByLabel("A slow bank").check();
    await page.getByRole("button", { name: /^Pay/ }).click();
    await page.getByText("You will not be charged twice").waitFor();
    await page.getByText("You are going.").waitFor({ timeout: 8000 });
    await end();
  });

  test("a bank that does not answer: told, and the next try is a new one", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`);
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    for (const tries of [1, 2]) {
      await page.getByLabel("A bank that does not answer").check();
      await page.getByRole("button", { name: /^Pay/ }).click();
      await page.getByText("You will not be charged twice").waitFor();
      await page.getByText("The payment did not go through and nothing was charged.").waitFor();
      assert.equal(site.keys.size, 1 + tries, "one key for the hold and a new one for each payment");
    }
    await page.getByLabel("A card that works").check();
    await page.getByRole("button", { name: /^Pay/ }).click();
    await page.getByText("You are going.").waitFor();
    await end();
  });

  test("giving seats back asks twice and is told", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`);
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("button", { name: "Give the seats back" }).click();
    await page.getByRole("button", { name: "Yes, give them back" }).click();
    await page.getByRole("heading", { name: "Given back" }).waitFor();
    assert.equal(site.stock.get("12952:3A"), 402);
    await fine(page, "booking-given-back-wide");
    await end();
  });

  test("the ticket is printed alone, on one page", async () => {
    const { page, end } = await visit(`/train/12952:2026-12-24:2A`);
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("button", { name: /^Pay/ }).click();
    await page.getByText("You are going.").waitFor();
    const paper = await page.pdf({ format: "A4", ...(process.env.SCREENSHOTS && { path: `${process.env.SCREENSHOTS}/booking-ticket.pdf` }) });
    assert.equal(paper.toString("latin1").match(/\/Type\s*\/Page\b/g).length, 1);
    await page.emulateMedia({ media: "print" });
    assert.ok(await page.getByText("A demonstration: not valid for travel.").isVisible());
    for (const name of ["Print the ticket", "Cancel this booking"]) assert.equal(await page.getByRole("button", { name }).isVisible(), false, name);
    assert.equal(await page.getByRole("link", { name: "My booking" }).isVisible(), false);
    await picture(page, "booking-ticket-print");
    await end();
  });

  test("seats that are held are remembered on every other page, until they are not", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`, "phone");
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("heading", { name: "Your seats are held" }).waitFor();
    await page.getByRole("link", { name: "Platform One" }).click();
    await page.getByText(/^Seats are held for you: (9:5\d|10:00)/).waitFor();
    await fine(page, "booking-held-bar-phone");
    await page.getByRole("link", { name: "Go on to pay" }).click();
    await page.getByRole("heading", { name: "Your seats are held" }).waitFor();
    await page.getByRole("link", { name: "Platform One" }).click();
    await page.getByText(/^Seats are held for you/).waitFor();
    [...site.holds.values()][0].status = "expired";
    await page.reload();
    await page.getByRole("heading", { name: "Where to?" }).waitFor();
    assert.equal(await page.getByText("Seats are held for you").count(), 0);
    await end();
  });

  test("the server's time is kept when this clock is wrong, is set, or has slept", () => {
    let here = 1_000_000;
    const time = serverTime(() => here);
    time.heard(5_000, 999_900);
    assert.equal(time.now(), 5_000, "at least what the server has shown");
    here += 4 * 60_000;
    assert.equal(time.now(), 245_000, "it went on while asleep");
    here -= 3_600_000;
    time.heard(246_000, here - 50);
    assert.equal(time.now() >= 246_000 && time.now() <= 246_050, true, "the clock was put back an hour");
    here += 10_000;
    time.heard(255_990, here - 8_000);
    assert.equal(time.now() >= 255_990 && time.now() <= 256_050, true, "a slow answer moves nothing");
  });

  test("a device that wakes looks at once", async () => {
    const { site, page, end } = await visit(`/train/${TRAIN}`);
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("heading", { name: "Your seats are held" }).waitFor();
    const sleep = (asleep) => page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, asleep);
    await sleep(true);
    [...site.holds.values()][0].expires_at = Date.now() + 100_500;
    await sleep(false);
    await page.waitForFunction(() => /^1:(39|40|41)$/.test(document.querySelector("[role=timer]").textContent), undefined, { polling: 50, timeout: 1400 });
    await end();
  });

  test("a hold that runs out is told, by the server's clock", async () => {
    const { page, end } = await visit(`/train/${TRAIN}`, "phone", { holdSeconds: 2 });
    await page.getByRole("button", { name: "Hold and go on to pay" }).click();
    await page.getByRole("heading", { name: "The hold has run out" }).waitFor({ timeout: 10_000 });
    await fine(page, "booking-run-out-phone");
    await end();
  });
});
