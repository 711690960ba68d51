"use strict";

const assert = require("node:assert");
const { test } = require("node:test");

const { Tab, withBrowser } = require("./harness/browser");
const { Unmodified } = require("./harness/unmodified");
const { waitFor } = require("./harness/wait");
const { LANGUAGES, fill, pattern } = require("./harness/words");

const t = LANGUAGES.en;
const STATE_OF_CHARGE = "vehicle.drivetrain.batteryManagement.header";
const MILEAGE = "vehicle.vehicle.travelledDistance";
const LATITUDE = "vehicle.cabin.infotainment.navigation.currentLocation.latitude";
const LONGITUDE = "vehicle.cabin.infotainment.navigation.currentLocation.longitude";

test("a client that others wrote is approved, scoped and cut off in the browser", () =>
  withBrowser(["--vehicles", "0"], async (dev, browser) => {
    const { anna } = dev;
    const [{ vin }] = anna.vehicles;
    const tab = await Tab.open(browser, dev);
    const { page } = tab;
    const button = (name) => page.getByRole("button", { name, exact: true });
    const title = (name) => page.getByRole("heading", { level: 1, name }).waitFor();
    const box = (name) => page.getByRole("checkbox", { name });

    const client = new Unmodified(dev, anna.client_id);
    try {
      // Approved.
      const code = await client.ask("begin", "code");
      await page.goto(code.address);
      await page.getByLabel(t.email).fill(anna.email);
      await page.getByLabel(t.password).fill(anna.password);
      await button(t.log_in).click();
      await button(t.go_on).click();
      await page.getByText(code.user_code, { exact: true }).waitFor();
      await button(t.allow).click();
      await title(t.allowed_title);
      assert.strictEqual((await client.ask("poll", "token")).gcid, anna.gcid);
      const read = await client.ask("read", "read");
      assert.ok(read.status === 200 && read.vins.includes(vin));

      // Scoped: the state of charge, and nothing else.
      await page.getByRole("link", { name: t.allowed_next }).click();
      const save = async () => {
        await button(t.review).first().click();
        await button(t.diff_save).click();
        await page.getByText(t.stream_saved).waitFor();
      };
      await title(fill(t.stream_title, "Demo client"));
      await box(STATE_OF_CHARGE).check();
      await save();
      await client.ask("stream", "connected");

      // Each event tells everything, and a number that no other has.
      let number = 0;
      const drive = async () => {
        number += 1;
        const values = { [STATE_OF_CHARGE]: number % 100, [MILEAGE]: number, [LATITUDE]: 48.15, [LONGITUDE]: 11.58 };
        const timestamp = new Date(Date.UTC(2026, 2, 1, 8) + number * 1000).toISOString();
        const data = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { timestamp, value }]));
        await dev.inject({ vin, timestamp, data });
        return number;
      };
      const sees = (name, value) => client.messages.some(({ values }) => values[name] === value);
      // Until the subscription is there, what is told goes past it.
      await waitFor(async () => sees(STATE_OF_CHARGE, await drive()) || client.messages.length > 0, "the first value");
      const last = await drive();
      await waitFor(() => sees(STATE_OF_CHARGE, last), "the last value");
      const seen = () => new Set(client.messages.flatMap(({ values }) => Object.keys(values)));
      assert.deepStrictEqual(seen(), new Set([STATE_OF_CHARGE]));

      // More, on the open stream.
      await box(MILEAGE).check();
      await save();
      const more = await drive();
      await waitFor(() => sees(MILEAGE, more), "the mileage");
      assert.deepStrictEqual(seen(), new Set([STATE_OF_CHARGE, MILEAGE]));
      assert.ok(client.messages.every((message) => message.vin === vin));

      // Cut off.
      await page.getByRole("navigation").getByRole("link", { name: t.sharing }).click();
      await button(`${t.revoke_all}: Demo client`).click();
      await page.locator("p.notice", { hasText: pattern(fill(t.revoked, "{}", "1")) }).waitFor();
      await client.heard(({ event }) => event === "ended", "the end of the stream");
      const count = client.messages.length;
      await drive();
      const { status } = await client.ask("read", "read");
      assert.ok(status === 401 || status === 403, `REST answers ${status}`);
      assert.strictEqual(client.messages.length, count, "nothing came after the end");
    } finally {
      client.end();
    }
    await tab.close();
  }));
