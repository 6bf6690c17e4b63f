// Every page, light and dark: no accessibility violation (axe-core), no complaint of the browser
// under its Content-Security-Policy, nothing wider than a small phone. Pictures: target/pages/shots.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { AXE, LANGUAGES, PAGES, complaints, launch, preview, serve } from "./browser.mjs";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SHOWN = ["en", "ar", "de", "ja"];
const SHOTS = join(PAGES, "shots");

let browser, pages, server;
before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  [browser, pages] = [await launch(), preview()];
  server = await serve(pages);
});
after(async () => {
  await browser?.close();
  server?.close();
});

const names = () => readdirSync(pages).filter((name) => name.endsWith(".html"));
const language = (name) => name.split(".")[1];

async function violations(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate((tags) => axe.run({ runOnly: tags }), TAGS);
  return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(" ")}`);
}

for (const scheme of ["light", "dark"]) {
  for (const scripts of [true, false]) {
    test(`no violation in ${scheme}, ${scripts ? "with" : "without"} scripts`, async () => {
      const context = await browser.newContext({ colorScheme: scheme, viewport: { width: 900, height: 760 } });
      for (const name of names().filter((name) => (scripts ? SHOWN : ["en", "ar"]).includes(language(name)))) {
        const page = await context.newPage();
        const said = complaints(page);
        if (!scripts) await withoutScripts(page);
        await page.goto(server.url + name);
        await page.waitForTimeout(100);
        assert.deepEqual(await violations(page), [], `${name} in ${scheme}`);
        assert.deepEqual(said, [], `${name} in ${scheme}`);
        const suffix = scripts ? "" : "-noscript";
        if (scripts || language(name) === "en") await page.screenshot({ path: join(SHOTS, `${name.replace(".html", "")}-${scheme}${suffix}.png`), animations: "disabled" });
        await page.close();
      }
      await context.close();
    });
  }
}

// axe itself is a script: so the page's own are left out, and what <noscript> holds is put in place.
async function withoutScripts(page) {
  await page.route("**/*.html", async (route) => {
    const response = await route.fetch();
    const html = (await response.text()).replace(/<script[^]*?<\/script>/g, "").replace(/<\/?noscript>/g, "").replace(/<meta http-equiv[^>]*>/g, "");
    await route.fulfill({ response, status: 200, headers: { "content-type": "text/html; charset=utf-8" }, body: html });
  });
}

test("nothing is wider than a small phone, even with the text twice as large", async () => {
  for (const scale of [1, 2]) {
    const page = await browser.newPage({ viewport: { width: 320, height: 640 }, reducedMotion: "reduce" });
    for (const name of names()) {
      await page.goto(server.url + name);
      if (scale > 1) await page.evaluate((scale) => { document.documentElement.style.fontSize = `${scale * 100}%`; }, scale);
      const wide = await page.evaluate(() => {
        const main = document.querySelector("main").getBoundingClientRect();
        const out = [...document.querySelectorAll(".in *")].filter((e) => !e.closest(".said") && e.getClientRects().length
          && (e.getBoundingClientRect().right > main.right + 1 || e.getBoundingClientRect().left < main.left - 1));
        return { page: document.documentElement.scrollWidth, out: out.map((e) => e.outerHTML.slice(0, 80)) };
      });
      assert.ok(wide.page <= 320, `${name} × ${scale}: ${wide.page} px`);
      assert.deepEqual(wide.out, [], `${name} × ${scale}`);
      if (scale === 1 && name.startsWith("queued.")) await page.screenshot({ path: join(SHOTS, `${name.replace(".html", "")}-320.png`), fullPage: true, animations: "disabled" });
    }
    await page.close();
  }
});

test("with reduced motion nothing moves", async () => {
  const context = await browser.newContext({ reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.goto(server.url + "queued.en.html");
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  await context.close();
});

test("the keyboard's focus is seen, and the link is large enough to hit", async () => {
  const page = await browser.newPage();
  await page.goto(server.url + "admitted.en.html");
  await page.keyboard.press("Tab");
  const link = await page.evaluate(() => {
    const e = document.activeElement, style = getComputedStyle(e);
    return { class: e.className, outline: parseFloat(style.outlineWidth), height: e.getBoundingClientRect().height };
  });
  assert.equal(link.class, "go");
  assert.ok(link.outline >= 2 && link.height >= 24, JSON.stringify(link));
  await page.close();
});

test("every language is there", () => {
  for (const tag of LANGUAGES) assert.ok(names().includes(`queued.${tag}.html`), tag);
});
