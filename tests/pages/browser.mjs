// A browser, the pages that `seawall room preview` writes, and a server that gives them out as
// Seawall would: with the Content-Security-Policy that names exactly their style and script.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const PAGES = join(ROOT, "target/pages");
export const SEAWALL = process.env.SEAWALL ?? join(ROOT, "target/debug/seawall");
export const LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr", "ar", "he", "ja", "zh", "zh-Hant", "ko", "hi"];

const installed = createRequire(join(PAGES, "package.json"));
const { chromium } = installed("playwright-core");
export const AXE = readFileSync(installed.resolve("axe-core/axe.min.js"), "utf8");

export function launch() {
  const names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
  const paths = (process.env.PATH ?? "").split(":").flatMap((dir) => names.map((name) => join(dir, name)));
  const executablePath = process.env.CHROME ?? paths.find((path) => existsSync(path));
  if (!executablePath) throw new Error("no chromium in PATH");
  // Chromium's sandbox does not work for root.
  return chromium.launch({ executablePath, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
}

// Writes every page in every language; its directory.
export function preview() {
  const dir = mkdtempSync(join(tmpdir(), "seawall-pages-"));
  const policy = join(dir, "seawall.toml");
  writeFileSync(policy, `[edge]\nlisten = ["127.0.0.1:0"]\n[origin.site]\nservers = ["127.0.0.1:1"]
[waiting_room.launch]\ncapacity = 1\n[[route]]\nname = "all"\nwaiting_room = "launch"\n`);
  execFileSync(SEAWALL, ["room", "preview", policy, "--lang", "all", "--out", dir], { stdio: ["ignore", "ignore", "inherit"] });
  return join(dir, "launch");
}

export function policyOf(html) {
  const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const style = html.match(/<style>([^]*?)<\/style>/)[1];
  const script = html.match(/<script>([^]*?)<\/script>/)[1];
  return `default-src 'none'; style-src ${hash(style)}; script-src ${hash(script)}; connect-src 'self'; img-src data:; ` +
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'";
}

// Serves the pages of `dir` at /NAME, and at /.seawall/ what `poll` answers: an object, or a status.
export async function serve(dir, poll = () => 503) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    if (path.startsWith("/.seawall/")) {
      const answer = poll(request);
      response.writeHead(typeof answer === "number" ? answer : 200, { "content-type": "application/json" });
      return response.end(typeof answer === "number" ? "" : JSON.stringify(answer));
    }
    const html = readFileSync(join(dir, path.slice(1)), "utf8");
    response.writeHead(503, { "content-type": "text/html; charset=utf-8", "content-security-policy": policyOf(html), "cache-control": "no-store" });
    response.end(html);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => { server.closeAllConnections(); server.close(); } };
}

// What the browser complains about; the 503 of a waiting room is none of it.
export function complaints(page) {
  const said = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !/status of 503/.test(message.text())) said.push(message.text());
  });
  page.on("pageerror", (error) => said.push(String(error)));
  return said;
}
