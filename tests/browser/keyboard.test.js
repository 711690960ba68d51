"use strict";

const assert = require("node:assert");
const { test } = require("node:test");

const { Tab, withBrowser } = require("./harness/browser");
const { LANGUAGES, fill } = require("./harness/words");

const t = LANGUAGES.en;
const STATE_OF_CHARGE = "vehicle.drivetrain.batteryManagement.header";
// So many steps are too many for anybody.
const STEPS_MAX = 60;

test("the portal is used with a keyboard alone", () =>
  withBrowser(["--vehicles", "0"], async (dev, browser) => {
    const tab = await Tab.open(browser, dev);
    const { page } = tab;
    const { keyboard } = page;

    // Presses Tab until `locator` has the focus; each step on the way can be seen.
    const reach = async (locator, key = "Tab") => {
      for (let step = 0; step < STEPS_MAX; step += 1) {
        await keyboard.press(key);
        await isSeen(page);
        if (await locator.evaluate((element) => element === document.activeElement)) return;
      }
      assert.fail(`${locator} is not reached by ${STEPS_MAX} times ${key}`);
    };
    const focused = () => page.evaluate(() => document.activeElement.id);
    const title = (name) => page.getByRole("heading", { level: 1, name }).waitFor();
    const button = (name) => page.getByRole("button", { name, exact: true });

    await page.goto("/");
    await title(t.log_in);
    assert.strictEqual(await focused(), "email");
    await keyboard.type(dev.anna.email);
    await reach(page.getByLabel(t.password, { exact: true }));
    await keyboard.type(dev.anna.password);
    await keyboard.press("Enter");
    await title(t.vehicles);

    await keyboard.press("Tab");
    const skip = page.getByRole("link", { name: t.skip });
    assert.ok(await skip.evaluate((element) => element === document.activeElement), "the first step is over the menu");
    await isSeen(page);
    await keyboard.press("Enter");
    assert.strictEqual(await focused(), "content");
    await keyboard.press("Tab");
    assert.ok(await page.evaluate(() => document.querySelector("main").contains(document.activeElement)));

    await page.goto("/vehicles");
    await reach(page.getByRole("navigation").getByRole("link", { name: t.clients }));
    await keyboard.press("Enter");
    await title(t.clients);
    const form = page.locator("form[action='/clients']");
    await reach(form.getByLabel(t.name));
    await keyboard.type("Keys only");
    await reach(form.getByLabel(t.service_api));
    await keyboard.press("Space");
    assert.ok(!(await form.getByLabel(t.service_api).isChecked()));
    await keyboard.press("Space");
    await reach(form.getByRole("button", { name: t.client_create_button }));
    await keyboard.press("Enter");
    await page.getByText(t.client_created).waitFor();

    const card = page.getByRole("article").filter({ hasText: "Keys only" });
    await reach(card.getByRole("link", { name: t.configure_stream }));
    await keyboard.press("Enter");
    await title(fill(t.stream_title, "Keys only"));
    await reach(page.getByLabel(t.search, { exact: true }));
    await keyboard.type("state of charge");
    // In a field, Enter filters; it saves nothing.
    await keyboard.press("Enter");
    await page.getByRole("status").filter({ hasNotText: "245" }).waitFor();
    assert.strictEqual(await page.getByLabel(t.search, { exact: true }).inputValue(), "state of charge");
    const box = page.getByRole("checkbox", { name: STATE_OF_CHARGE });
    await reach(box);
    await keyboard.press("Space");
    assert.ok(await box.isChecked());
    await reach(button(t.review).first(), "Shift+Tab");
    await keyboard.press("Enter");
    await page.getByRole("heading", { name: t.diff_title }).waitFor();
    assert.strictEqual(await page.locator(".diff.added li").count(), 1);
    await reach(button(t.diff_save));
    await keyboard.press("Enter");
    await page.getByText(t.stream_saved).waitFor();
    assert.ok(await box.isChecked());

    // Also in the long list, nothing that has the focus is hidden by what sticks to the screen's edge.
    await reach(page.getByRole("checkbox").nth(20));
    await reach(page.getByRole("checkbox").nth(2), "Shift+Tab");
    await tab.close();
  }));

// Fails if a person can't see where the focus is.
async function isSeen(page) {
  const [what, outline, isOnTop] = await page.evaluate(() => {
    const element = document.activeElement;
    if (element === document.body) return ["", "3px", true];
    const { left, top, width, height } = element.getBoundingClientRect();
    const there = document.elementFromPoint(left + width / 2, top + height / 2);
    const isOnTop = there !== null && (element.contains(there) || there.contains(element));
    return [element.outerHTML, getComputedStyle(element).outlineWidth, isOnTop];
  });
  assert.strictEqual(outline, "3px", `no outline around ${what}`);
  assert.ok(isOnTop, `hidden: ${what}`);
}
