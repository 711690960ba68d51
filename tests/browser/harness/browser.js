// Chromium, without a window; and a tab in it that notes every fault that a person could meet or would have to suffer.

"use strict";

const assert = require("node:assert");

const { chromium } = require("playwright-core");

const { Dev } = require("./dev");

const EXECUTABLE = process.env.CARDATA_CHROMIUM ?? "/usr/bin/chromium";
const SECONDS = 15;

const SIZES = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
};

// Starts a server and a browser for a test, and ends both whatever happens.
async function withBrowser(flags, test) {
  const dev = await Dev.start(...flags);
  try {
    const browser = await launch(dev);
    try {
      await test(dev, browser);
    } finally {
      await browser.close();
    }
  } catch (error) {
    await dev.kill();
    throw error;
  }
  await dev.stop();
}

// A browser with a new profile that trusts the one server `dev`, and reaches nothing but this machine.
async function launch(dev) {
  return chromium.launch({
    executablePath: EXECUTABLE,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
      `--ignore-certificate-errors-spki-list=${await dev.trustedKey()}`,
    ],
  });
}

class Tab {
  // A tab with cookies of its own. `locale` is what the browser asks for, in the way of Accept-Language.
  static async open(browser, dev, { size = "desktop", locale = "en-GB", script = true } = {}) {
    const tab = new Tab();
    tab.dev = dev;
    tab.size = size;
    tab.faults = [];
    tab.refusals = [];
    tab.context = await browser.newContext({
      ...SIZES[size],
      locale,
      baseURL: dev.url,
      javaScriptEnabled: script,
      permissions: ["clipboard-read", "clipboard-write"],
      reducedMotion: "reduce",
    });
    tab.context.setDefaultTimeout(SECONDS * 1000);
    tab.context.on("request", (request) => {
      const { hostname, protocol } = new URL(request.url());
      if (protocol !== "data:" && hostname !== "localhost" && hostname !== "127.0.0.1") {
        tab.faults.push(`asked for ${request.url()}`);
      }
    });
    tab.context.on("response", (response) => {
      if (response.status() >= 400) tab.refusals.push(response.status());
    });
    tab.context.on("console", (message) => {
      // What was refused is counted above.
      const isRefusal = message.text().startsWith("Failed to load resource: the server responded");
      if (["error", "warning"].includes(message.type()) && !isRefusal) {
        tab.faults.push(`console: ${message.text()}`);
      }
    });
    tab.context.on("weberror", (error) => tab.faults.push(`script: ${error.error()}`));
    if (script) {
      await tab.context.addInitScript(() => {
        addEventListener("securitypolicyviolation", (event) => {
          console.error(`against the policy: ${event.violatedDirective} ${event.blockedURI}`);
        });
      });
    }
    tab.page = await tab.context.newPage();
    return tab;
  }

  // Does what the server has to refuse with exactly this status.
  async refused(status, action) {
    this.check();
    const answered = this.page.waitForResponse((response) => response.request().isNavigationRequest());
    await Promise.all([answered, action()]);
    assert.deepStrictEqual(this.refusals, [status], this.page.url());
    this.refusals = [];
  }

  // Fails if there was any fault since the last time.
  check() {
    assert.deepStrictEqual(this.refusals, [], `refused without being told to: ${this.page.url()}`);
    assert.deepStrictEqual(this.faults, [], this.page.url());
  }

  async close() {
    this.check();
    await this.context.close();
  }
}

module.exports = { Tab, withBrowser };
