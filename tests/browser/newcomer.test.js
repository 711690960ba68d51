"use strict";

const assert = require("node:assert");
const { test } = require("node:test");

const { Tab, withBrowser } = require("./harness/browser");
const { Program } = require("./harness/program");
const { LANGUAGES, fill } = require("./harness/words");

const t = LANGUAGES.en;
const MILEAGE = "vehicle.vehicle.travelledDistance";

test("a newcomer is led from the log-in to the first live value", () =>
  withBrowser(["--seed", "1", "--speed", "10"], async (dev, browser) => {
    const { ben } = dev;
    const tab = await Tab.open(browser, dev);
    const { page } = tab;
    const button = (name) => page.getByRole("button", { name, exact: true });
    const link = (name) => page.getByRole("link", { name, exact: true });
    const title = (name) => page.getByRole("heading", { level: 1, name }).waitFor();
    const next = () => page.getByRole("listitem").filter({ has: page.getByText(t.hint_next, { exact: true }) });
    const menu = (name) => page.getByRole("navigation").getByRole("link", { name }).click();

    await page.goto("/");
    await page.getByLabel(t.email, { exact: true }).fill(ben.email);
    await page.getByLabel(t.password, { exact: true }).fill(ben.password);
    await button(t.log_in).click();
    await title(t.vehicles);

    // The sandbox gave him a client; he wants one of his own.
    await link(t.hint_client).click();
    await title(t.clients);
    const form = page.locator("form[action='/clients']");
    await form.getByLabel(t.name).fill("Trip log");
    await form.getByRole("button", { name: t.client_create_button }).click();
    await page.getByText(t.client_created).waitFor();
    const card = page.getByRole("article").filter({ hasText: "Trip log" });
    await card.getByRole("button", { name: t.copy }).click();
    await card.getByRole("button", { name: t.copied }).waitFor();
    const clientId = await page.evaluate(() => navigator.clipboard.readText());

    // His program shows a code and an address.
    await menu(t.vehicles);
    assert.match(await next().textContent(), new RegExp(t.hint_consent));
    const program = new Program(dev, clientId);
    const code = await program.begin();
    await page.goto(code.verification_uri_complete);
    await button(t.go_on).click();
    await page.getByText(fill(t.consent_wants, "Trip log")).waitFor();
    await page.getByText(code.user_code, { exact: true }).waitFor();
    await button(t.allow).click();
    await title(t.allowed_title);
    await program.fetchTokens();

    // The vehicles' page tells what is left to do.
    await link(t.vehicles).click();
    assert.match(await next().textContent(), new RegExp(t.hint_choice));
    await next().getByRole("link").click();
    await page.getByRole("article").filter({ hasText: "Trip log" }).getByRole("link", { name: t.configure_stream }).click();
    await button(t.template_driving).click();
    await page.getByRole("checkbox", { name: MILEAGE, checked: true }).waitFor();
    await button(t.review).first().click();
    await button(t.diff_save).click();
    await page.getByText(t.stream_saved).waitFor();
    await menu(t.vehicles);
    assert.match(await next().textContent(), new RegExp(t.hint_message.slice(0, 20)));

    await program.stream();
    const message = await program.firstMessage();
    assert.strictEqual(message.vin, ben.vehicles[0].vin);

    // The value moves by itself, in the page and in the program.
    await link(ben.vehicles[0].model).click();
    await page.evaluate(() => (window.isTheSamePage = true));
    const mileage = page.getByRole("row").filter({ has: page.locator(`abbr[title="${MILEAGE}"]`) }).getByRole("cell").first();
    const before = await mileage.textContent();
    assert.match(before, /^[\d.,]+ km$/);
    await page.waitForFunction(
      ([name, before]) => {
        const row = document.querySelector(`abbr[title="${name}"]`)?.closest("tr");
        return row && row.querySelector("td").textContent !== before;
      },
      [MILEAGE, before],
      { timeout: 30_000 },
    );
    assert.ok(await page.evaluate(() => window.isTheSamePage));
    const told = () => program.messages.map(({ data }) => data[MILEAGE]?.value).filter((value) => value !== undefined);
    assert.ok(new Set(told()).size >= 1, "the program was told the mileage");

    // He has arrived: nothing is left to do.
    await menu(t.vehicles);
    await page.getByRole("link", { name: ben.vehicles[0].model }).waitFor();
    while (await page.getByRole("heading", { name: t.hints_title }).count()) await page.reload();
    await program.end();
    await tab.close();
  }));
