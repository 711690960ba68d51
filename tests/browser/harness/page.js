// What every page has to be: usable by everybody, no wider than the screen, in the language that was chosen and able to
// change it. And its picture.

"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");

const axe = require("axe-core");

const { PROJECT } = require("./dev");

// Pictures are for people to look at: no test compares them.
const PICTURES = path.resolve(PROJECT, process.env.CARDATA_PICTURES ?? "target/pictures");
// Pixels of a page's height that a picture shows at most.
const HEIGHT_MAX = { desktop: 800, phone: 1100 };

// Fails if the page is a bad one for anybody.
async function judge(tab, language) {
  const { page } = tab;
  tab.check();
  const where = `${page.url()} (${tab.size}, ${language})`;
  assert.strictEqual(await page.locator("html").getAttribute("lang"), language, where);
  const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(needed <= given, `${where} is ${needed} px wide, and the screen ${given} px`);

  await page.evaluate(axe.source);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    // Another scheme is other colours and nothing else.
    const only = colorScheme === "dark" ? { runOnly: ["color-contrast"] } : {};
    const found = await page.evaluate((options) => axe.run(document, options), {
      resultTypes: ["violations"],
      rules: { "target-size": { enabled: true } },
      ...only,
    });
    const violations = found.violations.map(({ id, impact, nodes }) => ({
      id,
      impact,
      nodes: nodes.map((node) => `${node.html}: ${node.failureSummary}`),
    }));
    assert.deepStrictEqual(violations, [], `${where}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });

  const other = page.locator("a[hreflang]");
  if (await other.count()) {
    const next = new URL(await other.getAttribute("href"), page.url()).searchParams.get("next");
    const status = await page.evaluate(async (next) => (await fetch(next)).status, next);
    assert.strictEqual(status, 200, `a change of the language leads from ${where} to ${next}`);
  }
}

// Saves a picture of the page, from its top.
async function depict(tab, language, name, heightMax = HEIGHT_MAX[tab.size]) {
  const { page, size } = tab;
  fs.mkdirSync(PICTURES, { recursive: true });
  const [width, height] = await page.evaluate(() => [innerWidth, document.documentElement.scrollHeight]);
  await page.screenshot({
    path: path.join(PICTURES, `${name}-${size}-${language}.png`),
    fullPage: true,
    clip: { x: 0, y: 0, width, height: Math.min(height, heightMax) },
    animations: "disabled",
    scale: "css",
    caret: "hide",
  });
}

module.exports = { depict, judge };
