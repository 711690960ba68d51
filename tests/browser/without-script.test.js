"use strict";

const assert = require("node:assert");
const { test } = require("node:test");

const { Tab, withBrowser } = require("./harness/browser");
const { Program } = require("./harness/program");
const { LANGUAGES, fill, pattern } = require("./harness/words");

const t = LANGUAGES.de;
const STATE_OF_CHARGE = "vehicle.drivetrain.batteryManagement.header";

test("the portal is used without script", () =>
  withBrowser(["--vehicles", "0"], async (dev, browser) => {
    const tab = await Tab.open(browser, dev, { size: "phone", locale: "de-AT", script: false });
    const { page } = tab;
    const button = (name) => page.getByRole("button", { name, exact: true });
    const title = (name) => page.getByRole("heading", { level: 1, name }).waitFor();
    const menu = (name) => page.getByRole("navigation").getByRole("link", { name }).tap();

    await page.goto("/clients");
    await page.getByLabel(t.email, { exact: true }).fill(dev.ben.email);
    await page.getByLabel(t.password, { exact: true }).fill(dev.ben.password);
    await button(t.log_in).tap();
    await title(t.clients);
    assert.strictEqual(await button(t.copy).count(), 0, "what needs a script is not shown");
    const form = page.locator("form[action='/clients']");
    await form.getByLabel(t.name).fill("Ohne Skript");
    await form.getByRole("button", { name: t.client_create_button }).tap();
    await page.getByText(t.client_created).waitFor();
    const card = page.getByRole("article").filter({ hasText: "Ohne Skript" });
    const program = new Program(dev, await card.getByLabel(t.client_id).inputValue());

    await page.goto((await program.begin()).verification_uri_complete);
    await button(t.go_on).tap();
    await button(t.allow).tap();
    await title(t.allowed_title);
    await program.fetchTokens();
    await page.getByRole("link", { name: t.allowed_next }).tap();

    await title(fill(t.stream_title, "Ohne Skript"));
    const shown = page.locator("#descriptors > li");
    await page.getByLabel(t.search, { exact: true }).fill(STATE_OF_CHARGE);
    await button(t.filter).tap();
    await page.getByText(fill(t.shown_count, "1", "0")).waitFor();
    await page.getByRole("checkbox", { name: STATE_OF_CHARGE }).check();
    await page.getByLabel(t.search, { exact: true }).fill("");
    await page.getByLabel(t.category, { exact: true }).selectOption({ label: t.category_tyre });
    await button(t.filter).tap();
    await page.getByText(pattern(fill(t.shown_count, "{}", "1"))).waitFor();
    const tyres = await shown.count();
    await button(t.select_shown).tap();
    await page.getByText(fill(t.shown_count, `${tyres}`, `${tyres + 1}`)).waitFor();
    // The drivetrain and the category both narrow the list.
    await page.getByLabel(t.drivetrain, { exact: true }).selectOption("BEV");
    await button(t.filter).tap();
    await page.locator("#drivetrain option:checked", { hasText: "BEV" }).waitFor({ state: "attached" });
    await button(t.review).first().tap();
    await page.getByText(fill(t.diff_added, `${tyres + 1}`)).waitFor();
    await button(t.diff_save).tap();
    await page.getByText(t.stream_saved).waitFor();

    await program.stream();
    await menu(t.sharing);
    await button(`${t.revoke_all}: Ohne Skript`).tap();
    await page.locator("p.notice", { hasText: pattern(t.revoked) }).waitFor();
    await page.getByText(t.sharing_none).waitFor();
    assert.strictEqual((await program.read("/customers/vehicles/mappings")).status, 401);

    await menu(t.clients);
    await page.getByRole("link", { name: t.other_language }).tap();
    await title(LANGUAGES.en.clients);
    await page.getByRole("button", { name: LANGUAGES.en.log_out }).tap();
    await title(LANGUAGES.en.log_in);
    await tab.close();
    await program.end();
  }));
