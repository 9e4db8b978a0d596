// Lighthouse's accessibility category as a program that the tests command line by line: one JSON object in, one out.
//
//   node lighthouse.mjs CHROMIUM MODULES [FLAG…]
//
//   {"url", "width", "height", "mobile": whether it is a phone, "cookie": of the request, or null}
//   → {"shown": the URL that it ended on, "score": 0 to 1, "passed": [audits], "wrong": [audits]}, or {"error"}

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [chromium, modules, ...flags] = process.argv.slice(2);
const load = async (name) => import(pathToFileURL(createRequire(`${modules}/`).resolve(name)).href);
const { default: puppeteer } = await load("puppeteer-core");
const { default: lighthouse } = await load("lighthouse");

// Whoever is looked at as has a browser profile of their own. Nothing is loaded slowly on purpose, as Lighthouse
// does to measure speed; so it need not wait for late scripts either, of which our pages have none.
const settings = ({ width, height, mobile, cookie }) => ({
  onlyCategories: ["accessibility"],
  formFactor: mobile ? "mobile" : "desktop",
  screenEmulation: { width, height, mobile, deviceScaleFactor: 1 },
  extraHeaders: cookie ? { Cookie: cookie } : {},
  pauseAfterFcpMs: 1,
  pauseAfterLoadMs: 0,
  networkQuietThresholdMs: 0,
  cpuQuietThresholdMs: 0,
  disableFullPageScreenshot: true,
});

async function look(asked) {
  const profile = await browser.createBrowserContext();
  try {
    const found = await lighthouse(asked.url, settings(asked), undefined, await profile.newPage());
    const { runtimeError, finalDisplayedUrl: shown, categories, audits } = found.lhr;
    if (runtimeError) return { error: runtimeError.message };
    const scored = (score) => Object.values(audits).filter((one) => one.score === score).map((one) => one.id);
    return { shown, score: categories.accessibility.score, passed: scored(1), wrong: scored(0) };
  } finally {
    await profile.close();
  }
}

const browser = await puppeteer.launch({ executablePath: chromium, args: flags, pipe: true });
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await look(JSON.parse(line)).catch((error) => ({ error: String(error) }));
  console.log(JSON.stringify(answer));
}
await browser.close();
