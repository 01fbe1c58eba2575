// Headless Chromium: one browser and one page, which takes one document after another.
//
//     node chromium_peer.mjs documents.json warm-up out/
//
// What it prints is as in measure.py. The browser comes in the package @sparticuz/chromium.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const [path, warmUp, out] = process.argv.slice(2);
const documents = JSON.parse(readFileSync(path, "utf8"));

const browser = await puppeteer.launch({
  executablePath: await chromium.executablePath(),
  args: chromium.args,
  headless: "shell",
});
const page = await browser.newPage();

async function draw(index) {
  await page.goto(pathToFileURL(join(dirname(path), `${index}.html`)).href);
  return page.pdf({ preferCSSPageSize: true, printBackground: true });
}

/** Memory of the browser's processes in megabytes; what several share is counted once. */
function memory() {
  const status = (id) => readFileSync(`/proc/${id}/status`, "ascii");
  const parents = new Map();
  for (const id of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      parents.set(Number(id), Number(/^PPid:\s+(\d+)/m.exec(status(id))[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const isOurs = (id) => id === process.pid || (parents.has(id) && isOurs(parents.get(id)));
  const tree = [...parents.keys()].filter(isOurs);
  const share = (id) => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, "ascii"))[1]);
  return (tree.reduce((sum, id) => sum + share(id), 0) * 1024) / 1e6;
}

const milliseconds = [];
let file;
for (let index = 0; index < documents.length; index += 1) {
  const started = performance.now();
  file = await draw(index);
  milliseconds.push(performance.now() - started);
  if (index === 0 || index === documents.length - 1) {
    writeFileSync(join(out, `${index}.pdf`), file);
  }
}
const measured = {
  version: (await browser.version()).replace("HeadlessChrome/", ""),
  first_ms: milliseconds[0],
  warm_ms: milliseconds.slice(1 + Number(warmUp)),
  octets: file.length,
  peak_mb: memory(),
};
await browser.close();
console.log(JSON.stringify(measured));
