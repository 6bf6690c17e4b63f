// The whole way, through a real edge in front of a real shop: a room for one, the first is in, the
// second waits, the first goes, and the second comes to the checkout they asked for.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { AXE, SEAWALL, complaints, launch } from "./browser.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

// A shop that says which URL it was asked for.
async function shop() {
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end(`<!doctype html><html lang="en"><title>Shop</title><link rel="icon" href="data:,"><h1 id="shop">${request.method} ${request.url.replace(/&/g, "&amp;")}</h1>`);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return server;
}

async function edge() {
  const origin = await shop();
  const dir = mkdtempSync(join(tmpdir(), "seawall-walk-"));
  writeFileSync(join(dir, "seawall.toml"), `[edge]
listen = ["127.0.0.1:0"]
[admin]
listen = "127.0.0.1:0"
[keys]
file = "keys"
[state]
dir = "state"
[origin.shop]
servers = ["127.0.0.1:${origin.address().port}"]
[waiting_room.launch]
capacity = 1
claim = "30s"
session = { idle = "6s", max = "10m" }
[[route]]
name = "all"
waiting_room = "launch"
cache = false
`);
  const child = spawn(SEAWALL, ["run", "seawall.toml"], { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  const address = await new Promise((found, failed) => {
    child.on("exit", () => failed(new Error(`the edge does not serve:\n${log}`)));
    child.stderr.on("data", (data) => {
      log += data;
      const serving = log.match(/serving listen="?([0-9.:]+)/);
      if (serving) found(serving[1]);
    });
  });
  const close = () => {
    child.removeAllListeners("exit");
    child.kill("SIGKILL");
    origin.closeAllConnections();
    origin.close();
  };
  return { url: `http://${address}`, close };
}

async function until(what, so, page) {
  for (let i = 0; i < 600; i++) {
    if (await so().catch(() => false)) return;
    await new Promise((go) => setTimeout(go, 100));
  }
  assert.fail(`still not so: ${what}\n${await page?.content()}`);
}

const isIn = (page) => page.locator("#shop").isVisible();
const waits = (page) => page.locator("main[data-state=queued] [data-seawall=position]").isVisible();

// The first visitor, inside until they are told to go.
async function first(url) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${url}/`);
  await until("the first is in", async () => (await isIn(page)) || (await page.reload(), false), page);
  const stays = setInterval(() => context.request.get(`${url}/`).catch(() => {}), 1000);
  return async () => { clearInterval(stays); await context.close(); };
}

test("a visitor waits, and comes to the checkout they asked for", async () => {
  const { url, close } = await edge();
  const leave = await first(url);
  const context = await browser.newContext();
  const page = await context.newPage();
  const said = complaints(page);
  const answer = await page.goto(`${url}/checkout?cart=5&size=m#pay`);
  assert.equal(answer.status(), 503);
  assert.match(answer.headers()["content-security-policy"], /script-src 'sha256-/);
  await until("the second has a place", () => waits(page), page);
  assert.equal(await page.locator("[data-seawall=position]").textContent(), "1");
  assert.match(await page.locator("[data-seawall=reference]").textContent(), /^A-[0-9A-Z]{4}-[0-9A-Z]$/);
  assert.match(await page.title(), /^\(1\) /);
  await page.evaluate(AXE);
  assert.deepEqual((await page.evaluate(() => axe.run())).violations, []);
  await leave();
  await until("the second is in", () => isIn(page), page);
  assert.equal(await page.locator("#shop").textContent(), "GET /checkout?cart=5&size=m");
  assert.equal(page.url(), `${url}/checkout?cart=5&size=m#pay`);
  assert.deepEqual(said, []);
  await context.close();
  close();
});

test("the same without scripts, where refreshing can be stopped and started", async () => {
  const { url, close } = await edge();
  const leave = await first(url);
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${url}/checkout?cart=5`);
  await until("the second has a place, by refreshing", () => waits(page), page);
  await page.locator("a.quiet").click();
  assert.equal(page.url(), `${url}/checkout?cart=5&seawall_refresh=stop`);
  assert.equal(await page.locator("meta[http-equiv=refresh]").count(), 0);
  await page.locator("a.go").click();
  assert.equal(page.url(), `${url}/checkout?cart=5&seawall_refresh=stop`);
  await page.locator("a.quiet").click();
  assert.equal(page.url(), `${url}/checkout?cart=5`);
  await leave();
  await until("the second is in", () => isIn(page), page);
  assert.equal(await page.locator("#shop").textContent(), "GET /checkout?cart=5");
  await context.close();
  close();
});

test("the same from right to left", async () => {
  const { url, close } = await edge();
  const leave = await first(url);
  const context = await browser.newContext({ locale: "ar", viewport: { width: 360, height: 740 } });
  const page = await context.newPage();
  const said = complaints(page);
  await page.goto(`${url}/checkout`);
  await until("the second has a place", () => waits(page), page);
  assert.equal(await page.locator("html").getAttribute("dir"), "rtl");
  assert.equal(await page.locator("h1").textContent(), "أنتم في قائمة الانتظار");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await leave();
  await until("the second is in", () => isIn(page), page);
  assert.equal(page.url(), `${url}/checkout`);
  assert.deepEqual(said, []);
  await context.close();
  close();
});
