// What the page's script does with what it hears.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LANGUAGES, complaints, launch, preview, serve } from "./browser.mjs";

let browser, pages;
before(async () => { [browser, pages] = [await launch(), preview()]; });
after(() => browser?.close());

const QUEUED = { room: "launch", state: "queued", language: "en", message: "", url: "/.seawall/room/launch", reference: "A-3M6Q-0", poll_after_seconds: 0.05 };

// Opens a page; `poll` is asked, in turn, for what to answer.
async function open(name, poll, options = {}) {
  const answers = { count: 0, times: [] };
  const server = await serve(pages, (request) => {
    answers.times.push(Date.now());
    return poll(answers.count++, request);
  });
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const said = complaints(page);
  await page.goto(server.url + name);
  const text = (value) => page.locator(`[data-seawall=${value}]`).textContent();
  const close = async () => { await context.close(); server.close(); };
  return { page, text, said, answers, close, server };
}

async function until(what, so) {
  for (let i = 0; i < 400; i++) {
    if (await so()) return;
    await new Promise((go) => setTimeout(go, 25));
  }
  assert.fail(`still not so: ${what}`);
}

test("a first page asks at once, and shows the place it is given", async () => {
  const { text, page, said, answers, close } = await open("queued-new.en.html", () => ({ ...QUEUED, position: 1284, wait_seconds: { low: 720, high: 1140 } }));
  await until("the place", async () => (await text("position")) === "1,284");
  assert.equal(await text("heading"), "You are in line");
  assert.equal(await text("wait"), "12–19 minutes");
  assert.equal(await text("reference"), "A-3M6Q-0");
  assert.equal(await page.title(), "(1,284) You are in line");
  assert.match(await text("announce"), /^Your place in line: 1,284\. Estimated wait: 12–19 minutes$/);
  assert.ok(answers.times[0]);
  assert.deepEqual(said, []);
  await close();
});

test("progress and position never go back, not even over a reload", async () => {
  const positions = [1000, 900, 950, 400, 700, 399];
  const { page, text, answers, close } = await open("queued-new.en.html", (n) => ({ ...QUEUED, position: positions[n % positions.length] }));
  const seen = [];
  const bar = () => page.locator("progress").evaluate((e) => e.value);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 8; i++) {
      await until("another poll", async () => answers.count > seen.length);
      const position = await text("position");
      if (position) seen.push([Number(position.replace(",", "")), await bar()]);
      await page.waitForTimeout(60);
    }
    await page.reload();
    await until("a place after the reload", async () => (await text("position")) !== "");
  }
  for (let i = 1; i < seen.length; i++) {
    assert.ok(seen[i][0] <= seen[i - 1][0] && seen[i][1] >= seen[i - 1][1], JSON.stringify(seen));
  }
  assert.equal(await text("position"), "399");
  await close();
});

test("another ticket begins anew", async () => {
  const { text, page, close } = await open("queued-new.en.html", (n) => n < 3 ? { ...QUEUED, position: 10 } : { ...QUEUED, reference: "A-0001-N", position: 5000 });
  await until("the new place", async () => (await text("position")) === "5,000");
  assert.equal(await page.locator("progress").evaluate((e) => e.value), 0);
  await close();
});

test("a screen reader hears only of what is new", async () => {
  let answer = { ...QUEUED, position: 1000, wait_seconds: { low: 600, high: 900 } };
  const { page, text, answers, close } = await open("queued-new.en.html", () => answer);
  await until("a place", async () => (await text("position")) === "1,000");
  await page.evaluate(() => {
    window.changes = 0;
    new MutationObserver((list) => { window.changes += list.length; })
      .observe(document.querySelector("[role=status]"), { subtree: true, childList: true, characterData: true, attributes: true });
  });
  const changes = () => page.evaluate(() => window.changes);
  const polls = async (more) => { const count = answers.count; await until("more polls", () => answers.count > count + more); };
  await polls(5);
  assert.equal(await changes(), 0, "the same answer again");
  answer = { ...answer, position: 700, wait_seconds: { low: 400, high: 700 } };
  await polls(3);
  assert.deepEqual([await text("position"), await changes()], ["700", 0], "a little further");
  answer = { ...answer, position: 480 };
  await polls(3);
  assert.match(await text("announce"), /480/);
  answer = { ...answer, state: "paused", url: "/.seawall/room/launch?held" };
  await polls(3);
  assert.equal(await text("heading"), "The line is paused");
  await close();
});

test("what the operator says is shown beside the rest, as text", async () => {
  const { page, text, close } = await open("queued-new.en.html", () => ({ ...QUEUED, position: 5, message: "Back at <b>noon</b>", notice: true }));
  await until("the notice", async () => page.locator("[data-seawall=notice]").isVisible());
  assert.equal(await text("notice"), "Back at <b>noon</b>");
  assert.match(await text("text"), /^Many people/);
  await close();
});

test("every state is told, and taken back", async () => {
  const states = { before: "Not open yet", sold_out: "Sold out", full: "The line is full", closed: "Closed", paused: "The line is paused", queued: "Your place is being drawn" };
  let answer = QUEUED;
  const { page, text, said, close } = await open("queued-new.en.html", () => answer);
  for (const [state, heading] of Object.entries(states)) {
    const reference = state === "queued" ? QUEUED.reference : undefined;
    answer = { ...QUEUED, state, reference, opens_in_seconds: state === "before" ? 93784 : undefined };
    await until(state, async () => (await text("heading")) === heading);
    assert.equal(await page.locator("[role=timer]").isVisible(), state === "before", state);
  }
  assert.deepEqual(said, []);
  await close();
});

test("the countdown counts, and says when in the visitor's own time", async () => {
  const { page, text, close } = await open("before.en.html", () => 503, { timezoneId: "Europe/Berlin", locale: "en" });
  const at = async () => 3600 * Number(await text("hours")) + 60 * Number(await text("minutes")) + Number(await text("seconds"));
  const begun = await at();
  await until("a second", async () => (await at()) < begun);
  assert.equal(await text("days"), "1");
  assert.match(await text("opening"), /day.*\d/);
  assert.ok(await page.locator("[data-seawall=opening]").isVisible());
  await close();
});

test("who is admitted goes to the URL they asked for, once", async () => {
  const { page, answers, server, close } = await open("queued.en.html?id=5", () => 503);
  await close();
  assert.ok(page && answers && server);
  let loads = 0;
  const again = await open("queued-new.en.html?id=5#top", () => ({ ...QUEUED, state: "admitted", reference: undefined }));
  again.page.on("load", () => { loads++; });
  await until("it went there", async () => again.answers.count >= 2);
  await again.page.waitForTimeout(700);
  // The server gives the waiting page again, as to a browser that keeps no cookie: no endless loop.
  assert.ok(loads <= 2 && again.answers.count <= 3, `${loads} loads, ${again.answers.count} polls`);
  assert.match(again.page.url(), /queued-new\.en\.html\?id=5#top$/);
  assert.equal(await again.text("link"), "Continue");
  assert.ok(await again.page.locator(".go").isVisible());
  await again.close();
});

test("without an answer it says so, backs off, and goes on when there is one", async () => {
  let answer = 502;
  const { page, text, answers, close } = await open("queued-new.en.html", () => answer);
  const note = page.locator("[data-seawall-show=offline]");
  await until("the note", () => note.isVisible());
  const gaps = answers.times.slice(1).map((time, i) => time - answers.times[i]);
  assert.ok(gaps[0] > 2000, JSON.stringify(gaps));
  answer = { ...QUEUED, position: 3 };
  await page.waitForTimeout(2100);
  await page.locator(".go").click();
  await until("the place", async () => (await text("position")) === "3");
  assert.ok(!(await note.isVisible()));
  await close();
});

test("a page that becomes visible asks, but not twice in two seconds", async () => {
  const { page, answers, close } = await open("queued-new.en.html", () => ({ ...QUEUED, position: 9, poll_after_seconds: 60 }));
  await until("the first poll", () => answers.count === 1);
  for (let i = 0; i < 10; i++) await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await page.waitForTimeout(500);
  assert.equal(answers.count, 1);
  await until("the next", () => answers.count === 2);
  assert.ok(answers.times[1] - answers.times[0] >= 1900);
  await close();
});

// The same as the tests of src/waiting_room/page/numbers.rs have it.
const TOLD = [
  ["en", 20, 60, "Less than a minute"], ["en", 20, 61, "1–2 minutes"], ["en", 600, 901, "10–16 minutes"],
  ["en", 300, 300, "5 minutes"], ["en", 4320, 6751, "1–2 hours"], ["de", 5400, 8100, "1,5–2,5 Stunden"],
  ["ja", 600, 901, "10～16分"], ["pl", 120, 240, "2–4 minuty"], ["pl", 600, 720, "10–12 minut"],
  ["pl", 1200, 1320, "20–22 minuty"], ["pl", 5400, 9000, "1,5–2,5 godziny"], ["pl", 14400, 18000, "4–5 godzin"],
  ["ar", 120, 240, "2 إلى 4 دقائق"], ["ar", 600, 900, "10 إلى 15 دقيقة"], ["ar", 60, 120, "1 إلى 2 دقيقة"], ["he", 600, 900, "10 עד 15 דקות"],
];
const GROUPED = [["en", 1234567, "1,234,567"], ["de", 1234, "1.234"], ["es", 1234, "1234"], ["es", 12345, "12.345"], ["pl", 12345, "12\u00a0345"], ["fr", 12345, "12\u202f345"], ["hi", 1234567, "12,34,567"]];

test("the script writes numbers and waits as the server does", async () => {
  for (const tag of LANGUAGES) {
    const waits = TOLD.filter(([language]) => language === tag), numbers = GROUPED.filter(([language]) => language === tag);
    let answer = QUEUED;
    const { page, text, close } = await open(`queued.${tag}.html`, () => answer);
    const plain = await browser.newContext({ javaScriptEnabled: false });
    const server = await plain.newPage();
    await server.goto(page.url());
    for (const value of ["position", "wait", "stock", "heading", "text", "reference"]) {
      const [with_, without] = [await text(value), await server.locator(`[data-seawall=${value}]`).textContent()];
      assert.equal(with_, without, `${tag}: ${value}`);
    }
    await plain.close();
    await close();
    if (waits.length + numbers.length === 0) continue;
    const polled = await open(`queued-new.${tag}.html`, () => answer);
    for (const [, low, high, expected] of waits) {
      answer = { ...QUEUED, position: 2, wait_seconds: { low, high } };
      await until(`${tag}: ${expected}`, async () => (await polled.text("wait")) === expected);
    }
    for (const [, stock, expected] of numbers) {
      answer = { ...QUEUED, position: 2, stock };
      await until(`${tag}: ${expected}`, async () => (await polled.text("stock")) === expected);
    }
    await polled.close();
  }
});
