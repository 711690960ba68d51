// A walk through every page of the portal, as a person takes it: with a mouse or with fingers.

"use strict";

const assert = require("node:assert");
const fs = require("node:fs");

const { unzipSync } = require("fflate");

const { Tab, withBrowser } = require("./browser");
const { depict, judge } = require("./page");
const { Program } = require("./program");
const { waitFor } = require("./wait");
const { LANGUAGES, fill, pattern } = require("./words");

const STATE_OF_CHARGE = "vehicle.drivetrain.batteryManagement.header";
const NEW_PASSWORD = "anna-drives-even-further";

// The pages that are shown in the guide: English ones of a desktop, German ones of a phone.
const PICTURED = { desktop: "en", phone: "de" };

async function walk(size, language) {
  // Vehicles that hurry: a minute of the walk is an hour of theirs.
  const flags = ["--seed", "1", "--speed", "60"];
  await withBrowser(flags, (dev, browser) => new Walker(dev, browser, size, language).all());
}

class Walker {
  constructor(dev, browser, size, language) {
    Object.assign(this, { dev, browser, size, language });
    this.t = LANGUAGES[language];
    this.other = language === "en" ? "de" : "en";
    this.password = dev.anna.password;
  }

  async all() {
    // The browser asks for the other language: this one is chosen by hand.
    this.tab = await Tab.open(this.browser, this.dev, { size: this.size, locale: this.other });
    this.page = this.tab.page;
    await this.logIn();
    await this.vehicles();
    await this.clients();
    await this.faults();
    await this.approve();
    await this.choose();
    await this.places();
    await this.zones();
    await this.vehicle();
    await this.sharing();
    await this.deleteClient();
    await this.activity();
    await this.account();
    await this.strangers();
    await this.deleteAccount();
    await this.tab.close();
  }

  // Presses or touches.
  async press(locator) {
    await (this.size === "phone" ? locator.tap() : locator.click());
  }

  // Presses what leads to another page, and waits for that.
  async go(locator) {
    const loaded = this.page.waitForEvent("domcontentloaded");
    await this.press(locator);
    await loaded;
  }

  button(name, within = this.page) {
    return within.getByRole("button", { name, exact: typeof name === "string" });
  }

  link(name, within = this.page) {
    return within.getByRole("link", { name, exact: typeof name === "string" });
  }

  field(name, within = this.page) {
    return within.getByLabel(name, { exact: true });
  }

  async goTo(section) {
    await this.press(this.link(section, this.page.getByRole("navigation")));
    await this.seesTitle(section);
    assert.strictEqual(await this.page.locator("nav [aria-current=page]").textContent(), section);
  }

  async seesTitle(title) {
    await this.page.getByRole("heading", { level: 1, name: title }).waitFor();
  }

  async seesNotice(words) {
    await this.page.locator("p.notice", { hasText: pattern(words) }).waitFor();
  }

  async seesTrouble(words) {
    await this.page.getByRole("alert").filter({ hasText: words }).waitFor();
  }

  // Judges the page, and depicts it where the guide shows it.
  async look(name, heightMax) {
    await judge(this.tab, this.language);
    if (name && PICTURED[this.size] === this.language) await depict(this.tab, this.language, name, heightMax);
  }

  async logIn() {
    const { t, page, tab, dev } = this;
    await page.goto("/vehicles");
    await this.seesTitle(LANGUAGES[this.other].log_in);
    assert.strictEqual(new URL(page.url()).pathname, "/login");
    await judge(tab, this.other);
    await this.press(this.link(LANGUAGES[this.other].other_language));
    await this.seesTitle(t.log_in);
    await this.look("login");
    await this.field(t.email).fill(dev.anna.email);
    await this.field(t.password).fill("anna-drives-backwards");
    await tab.refused(403, () => this.press(this.button(t.log_in)));
    await this.seesTrouble(t.trouble_wrong_password);
    await this.look();
    await this.fillLogIn(dev.anna.email, this.password);
    await this.seesTitle(t.vehicles);
  }

  async fillLogIn(email, password) {
    await this.field(this.t.email).fill(email);
    await this.field(this.t.password).fill(password);
    await this.press(this.button(this.t.log_in));
  }

  async vehicles() {
    const { t, page } = this;
    // The cars have just started: their first words are a matter of seconds.
    await page.locator("article", { hasText: t.last_contact }).filter({ hasNotText: t.never }).first().waitFor();
    assert.strictEqual(await page.getByRole("article").count(), 2);
    await page.getByRole("heading", { name: t.hints_title }).waitFor();
    await this.look("vehicles");
    // A page that is nobody's.
    await this.tab.refused(404, () => page.goto("/vehicles/WBYSANDB0X9999999"));
    await this.seesTitle(t.trouble_title);
    await this.look();
    await this.press(this.link(t.vehicles));
  }

  async clients() {
    const { t, page } = this;
    await this.goTo(t.clients);
    const form = page.locator("form[action='/clients']");
    await this.field(t.name, form).fill("Charging log");
    await this.press(this.button(t.client_create_button, form));
    await this.seesNotice(t.client_created);
    const card = page.getByRole("article").filter({ hasText: "Charging log" });
    this.clientId = await this.field(t.client_id, card).inputValue();
    await this.press(this.button(t.copy, card));
    await this.button(t.copied, card).waitFor();
    assert.strictEqual(await page.evaluate(() => navigator.clipboard.readText()), this.clientId);
    await this.look("clients");

    await this.press(card.getByText(t.rename, { exact: true }));
    await this.field(t.name, card).fill("Wallbox");
    await this.press(this.button(t.save, card));
    await this.seesNotice(t.saved);
    await page.getByRole("heading", { name: "Wallbox" }).waitFor();
    await this.press(page.getByRole("article").filter({ hasText: "Wallbox" }).getByText(t.rename, { exact: true }));
    await this.look();
  }

  // Something goes wrong on purpose, and is ended.
  async faults() {
    const { t, page, tab } = this;
    await this.press(this.link(t.faults_link));
    await this.seesTitle(t.faults);
    await page.getByText(t.faults_none, { exact: true }).waitFor();
    await this.look();
    const form = page.locator("form[action='/faults']");
    await this.field(t.fault_kind, form).selectOption("stale-stream");
    await this.field(t.fault_times, form).fill("often");
    await tab.refused(422, () => this.press(this.button(t.fault_add, form)));
    await this.seesTrouble(fill(t.fault_refused, "times"));
    assert.strictEqual(await this.field(t.fault_times, form).inputValue(), "often");
    await this.look();
    await this.field(t.fault_times, form).fill("");
    await this.go(this.button(t.fault_add, form));
    await page.getByRole("rowheader", { name: "stale-stream" }).waitFor();
    await this.look();
    await this.go(this.button(`${t.fault_end}: stale-stream`));
    await page.getByText(t.faults_none, { exact: true }).waitFor();
    await this.goTo(t.clients);
  }

  // All that can be said to a program's wish, by a person who is logged in already.
  async approve() {
    const { t, page, tab, dev } = this;
    const refused = new Program(dev, this.clientId);
    await refused.begin();
    await this.press(this.link(t.authorize_device, page.getByRole("article").filter({ hasText: "Wallbox" })));
    await this.seesTitle(t.code_title);
    await this.field(t.code).fill("aaaaaaaa");
    await tab.refused(404, () => this.press(this.button(t.go_on)));
    await this.seesTrouble(t.trouble_unknown_code);
    await this.look();
    // As people type: in two groups.
    const { user_code: typed } = refused.code;
    await this.field(t.code).fill(`${typed.slice(0, 4)} ${typed.slice(4)}`);
    await this.press(this.button(t.go_on));
    await this.seesTitle(t.consent_title);
    await this.press(this.button(t.refuse));
    await this.seesTitle(t.refused_title);
    await this.look();
    assert.strictEqual((await refused.poll()).json.error, "access_denied");

    this.program = new Program(dev, this.clientId);
    await this.program.begin();
    await page.goto(this.program.code.verification_uri_complete);
    await this.seesTitle(t.code_title);
    assert.strictEqual(await this.field(t.code).inputValue(), this.program.code.user_code);
    await this.look("code");
    await this.press(this.button(t.go_on));
    await this.seesTitle(t.consent_title);
    await page.getByText(fill(t.consent_wants, "Wallbox")).waitFor();
    await this.field(t.consent_lasts).selectOption({ label: t.lasts_month });
    await this.look("consent");
    await this.press(this.button(t.allow));
    await this.seesTitle(t.allowed_title);
    await this.look();
    await this.program.fetchTokens();
    await this.press(this.link(t.allowed_next));
  }

  async choose() {
    const { t, page } = this;
    const box = (text) => page.getByRole("checkbox", { name: text });
    const visible = page.locator("#descriptors > li:visible");
    await this.seesTitle(fill(t.stream_title, "Wallbox"));
    await this.look("stream");
    const all = await visible.count();
    assert.ok(all > 200, `only ${all} values can be chosen`);

    // The list narrows while somebody types.
    await this.field(t.search).fill(STATE_OF_CHARGE);
    assert.strictEqual(await visible.count(), 1);
    await this.press(box(STATE_OF_CHARGE));
    await this.go(this.button(t.filter));
    await page.getByText(fill(t.shown_count, "1", "1")).waitFor();
    await this.field(t.search).fill("");
    await this.field(t.category).selectOption({ label: t.category_tyre });
    await this.go(this.button(t.filter));
    await this.field(t.category).locator("option:checked", { hasText: t.category_tyre }).waitFor({ state: "attached" });
    const tyres = await visible.count();
    assert.ok(tyres > 1 && tyres < all, `${tyres} of ${all} are about tyres`);
    await this.go(this.button(t.select_shown));
    await page.getByText(fill(t.shown_count, `${tyres}`, `${tyres + 1}`)).waitFor();
    await this.look();
    await this.go(this.button(t.clear_shown));
    await page.getByText(fill(t.shown_count, `${tyres}`, "1")).waitFor();

    await this.go(this.button(t.template_charging));
    await page.getByRole("status").filter({ hasNotText: fill(t.shown_count, `${tyres}`, "1") }).waitFor();
    await this.go(this.button(t.review).first());
    await this.seesTitle(fill(t.stream_title, "Wallbox"));
    const added = await page.locator(".diff.added li").count();
    assert.ok(added > 5, `the template has ${added} values`);
    await this.look("review", 600);
    await this.go(this.button(t.diff_back));
    await this.press(box(STATE_OF_CHARGE));
    await this.go(this.button(t.review).first());
    assert.strictEqual(await page.locator(".diff.added li").count(), added - 1);
    await this.go(this.button(t.diff_back));
    await this.press(box(STATE_OF_CHARGE));
    await this.go(this.button(t.review).first());
    await this.go(this.button(t.diff_save));
    await this.seesNotice(t.stream_saved);
    assert.ok(await box(STATE_OF_CHARGE).isChecked());
    await this.look();

    await this.program.stream();
    const { data } = await this.program.firstMessage();
    assert.ok(Object.keys(data).length > 0);
  }

  async places() {
    const { t, page } = this;
    const open = async () => {
      await this.goTo(t.clients);
      const card = page.getByRole("article").filter({ hasText: "Wallbox" });
      await this.press(this.link(t.configure_places, card));
      await this.seesTitle(fill(t.places_title, "Wallbox"));
    };
    await open();
    await this.press(page.getByRole("radio", { name: t.precision_kilometre, exact: true }));
    await this.press(page.getByRole("checkbox", { name: t.hides_zones }));
    await this.look("places");
    await this.go(this.button(t.save));
    await open();
    assert.ok(await page.getByRole("radio", { name: t.precision_kilometre, exact: true }).isChecked());
    assert.ok(await page.getByRole("checkbox", { name: t.hides_zones }).isChecked());
  }

  async zones() {
    const { t, page, tab } = this;
    await this.press(this.link(new RegExp(`^${t.zones}`)));
    await this.seesTitle(t.zones);
    await page.getByText(t.zones_none).waitFor();
    await this.field(t.name).fill("Home");
    await this.field(t.latitude).fill("north");
    await this.field(t.longitude).fill("11,58");
    await tab.refused(422, () => this.press(this.button(t.zone_add)));
    await this.seesTrouble(t.bad_latitude);
    assert.strictEqual(await this.field(t.longitude).inputValue(), "11,58");
    await this.look();
    await this.field(t.latitude).fill("48,15");
    await this.press(this.button(t.zone_add));
    await page.getByRole("row").filter({ hasText: "Home" }).filter({ hasText: "48.15000, 11.58000" }).waitFor();

    // The next one by a click into the map. Where the first one is, the click gives its middle.
    const click = async (locator) => {
      await locator.scrollIntoViewIfNeeded();
      const { x, y, width, height } = await locator.boundingBox();
      const middle = [x + width / 2, y + height / 2];
      await (this.size === "phone" ? page.touchscreen.tap(...middle) : page.mouse.click(...middle));
      const degrees = [this.field(t.latitude), this.field(t.longitude)];
      return Promise.all(degrees.map(async (field) => Number(await field.inputValue())));
    };
    const [latitude, longitude] = await click(page.locator("svg .zone"));
    assert.ok(Math.abs(latitude - 48.15) < 0.005 && Math.abs(longitude - 11.58) < 0.005, `${latitude}, ${longitude}`);
    const car = await click(page.locator("svg .here").first());
    assert.notDeepStrictEqual(car, [latitude, longitude]);
    await this.field(t.name).fill("Work");
    await this.field(t.radius).fill("800");
    await this.press(this.button(t.zone_add));
    await page.getByRole("row").filter({ hasText: "Work" }).waitFor();
    await this.look("zones");
    await this.press(this.button(`${t.zone_remove}: Work`));
    await page.getByRole("row").filter({ hasText: "Work" }).waitFor({ state: "detached" });
  }

  async vehicle() {
    const { t, page, dev } = this;
    await this.goTo(t.vehicles);
    assert.strictEqual(await page.getByRole("heading", { name: t.hints_title }).count(), 0);
    const [{ model, vin }] = dev.anna.vehicles;
    await this.press(this.link(model));
    await this.seesTitle(model);
    await page.getByText(vin).waitFor();
    await page.getByText(t.live_note).waitFor();
    // By itself, without being loaded again: the vehicle goes on telling.
    await page.evaluate(() => (window.isTheSamePage = true));
    const newest = () => Array.from(document.querySelectorAll("#live time"), (one) => one.dateTime).sort().at(-1) ?? "";
    const before = await page.evaluate(newest);
    await waitFor(async () => (await page.evaluate(newest)) > before, "a newer value in the page");
    assert.ok(await page.evaluate(() => window.isTheSamePage));
    await page.locator("#live .chart").nth(1).waitFor();
    await this.look("vehicle");
  }

  async sharing() {
    const { t, page, program } = this;
    const id = await program.registerContainer("Odometer", "vehicle.vehicle.travelledDistance");
    const { vin } = this.dev.anna.vehicles[0];
    const read = () => program.read(`/customers/vehicles/${vin}/telematicData?containerId=${id}`);
    assert.strictEqual((await read()).status, 200);
    await this.goTo(t.sharing);
    const card = page.getByRole("article").filter({ hasText: "Wallbox" });
    // What was delivered is counted every few seconds.
    const rows = async () => (await card.getByRole("row").count()) === 3 || !(await page.reload());
    await waitFor(rows, "what the client got over the stream and over REST", 30);
    await this.press(card.locator("summary").first());
    await card.locator(".container strong", { hasText: "Odometer" }).waitFor();
    await card.getByText(t.precision_kilometre).waitFor();
    await this.look("sharing");
    await this.press(this.button(`${t.container_revoke}: Odometer`));
    await this.seesNotice(t.container_revoked);
    assert.strictEqual((await read()).status, 403);
    await this.look();
    await this.press(this.button(`${t.revoke_all}: Wallbox`));
    await this.seesNotice(t.revoked);
    await page.getByText(t.sharing_none).waitFor();
    await this.look();
    await waitFor(() => !program.isOpen, "the end of the stream");
    assert.strictEqual((await read()).status, 401);
  }

  async deleteClient() {
    const { t, page } = this;
    await this.goTo(t.clients);
    await this.press(this.link(t.delete, page.getByRole("article").filter({ hasText: "Wallbox" })));
    await this.seesTitle(fill(t.client_delete_title, "Wallbox"));
    await this.look();
    await this.press(this.link(t.cancel));
    await this.press(this.link(t.delete, page.getByRole("article").filter({ hasText: "Wallbox" })));
    await this.press(this.button(t.delete));
    await this.seesNotice(t.client_deleted);
    assert.strictEqual(await page.getByRole("heading", { name: "Wallbox" }).count(), 0);
    await this.look();
  }

  async activity() {
    const { t, page } = this;
    await this.goTo(t.activity);
    for (const what of [t.act_consent_granted, t.act_consent_ended, t.act_stream_configured, t.act_client_deleted]) {
      await page.getByRole("cell", { name: what }).first().waitFor();
    }
    await this.look("activity");
  }

  async account() {
    const { t, page, tab, dev } = this;
    await this.goTo(t.account);
    await page.getByText(dev.anna.gcid).waitFor();
    await this.look("account");
    const change = async (old, fresh, again) => {
      await this.field(t.current_password).fill(old);
      await this.field(t.new_password).fill(fresh);
      await this.field(t.repeat_password).fill(again);
      await this.press(this.button(t.change_password));
    };
    await tab.refused(422, () => change("anna-drives-backwards", NEW_PASSWORD, NEW_PASSWORD));
    await this.seesTrouble(t.bad_current_password);
    await this.look();
    await tab.refused(422, () => change(this.password, NEW_PASSWORD, `${NEW_PASSWORD}!`));
    await this.seesTrouble(t.bad_repeat);
    await change(this.password, NEW_PASSWORD, NEW_PASSWORD);
    await this.seesNotice(t.password_changed);
    this.password = NEW_PASSWORD;
    await this.look();

    const files = unzipSync(await this.download(t.export));
    const text = (name) => Buffer.from(files[name]).toString();
    const account = JSON.parse(text("account.json"));
    assert.ok(JSON.stringify(account).includes(dev.anna.email), text("account.json"));
    const names = Object.keys(files);
    for (const { vin } of dev.anna.vehicles) {
      const own = names.find((name) => name.includes(vin));
      assert.ok(own, `${vin} is in none of ${names}`);
      assert.ok(text(own).includes("vehicle.vehicle.travelledDistance"), `${own} has no mileage`);
    }
    const consents = JSON.parse((await this.download(t.consent_record)).toString());
    assert.ok(JSON.stringify(consents).includes(this.clientId));
  }

  async download(name) {
    const [download] = await Promise.all([this.page.waitForEvent("download"), this.press(this.link(name))]);
    assert.strictEqual(await download.failure(), null);
    return fs.readFileSync(await download.path());
  }

  // Logged out, and asked by a device.
  async strangers() {
    const { t, page, tab, dev } = this;
    await this.press(this.button(t.log_out));
    await this.seesTitle(t.log_in);
    await page.goto("/account");
    await this.seesTitle(t.log_in);
    const program = new Program(dev, dev.ben.client_id);
    await program.begin();
    await page.goto(program.code.verification_uri_complete);
    await page.getByText(t.log_in_device).waitFor();
    await this.look();
    await this.field(t.email).fill(dev.anna.email);
    await this.field(t.password).fill("anna-drives-backwards");
    await tab.refused(403, () => this.press(this.button(t.log_in)));
    await this.seesTrouble(t.trouble_wrong_password);
    await this.fillLogIn(dev.anna.email, this.password);
    await this.seesTitle(t.code_title);
    await tab.refused(403, () => this.press(this.button(t.go_on)));
    await this.seesTrouble(t.trouble_foreign);
    await this.look();
    await this.press(this.button(t.use_another));
    await page.getByText(t.log_in_device).waitFor();
    await this.fillLogIn(dev.ben.email, dev.ben.password);
    await this.press(this.button(t.go_on));
    await this.press(this.button(t.allow));
    await this.seesTitle(t.allowed_title);
    await program.fetchTokens();

    // Ben also drives a car of Anna's, and learns nothing of it.
    await page.goto("/vehicles");
    const shared = dev.anna.vehicles[1];
    await this.press(this.link(shared.model));
    await page.getByText(t.secondary_note).waitFor();
    assert.strictEqual(await page.getByRole("table").count(), 0);
    await this.look();
    await this.press(this.button(t.log_out));
    await this.seesTitle(t.log_in);
  }

  async deleteAccount() {
    const { t, page, tab, dev } = this;
    await page.goto("/account");
    await this.fillLogIn(dev.anna.email, this.password);
    await this.seesTitle(t.account);
    await this.press(this.link(t.delete_account));
    await this.seesTitle(t.delete_account);
    await this.look();
    await this.field(t.current_password).fill("anna-drives-backwards");
    await tab.refused(422, () => this.press(this.button(t.delete_account_button)));
    await this.seesTrouble(t.bad_current_password);
    await this.look();
    await this.field(t.current_password).fill(this.password);
    await this.press(this.button(t.delete_account_button));
    await this.seesTitle(t.deleted_title);
    await this.look();
    await page.goto("/vehicles");
    await this.field(t.email).fill(dev.anna.email);
    await this.field(t.password).fill(this.password);
    await tab.refused(403, () => this.press(this.button(t.log_in)));
  }
}

module.exports = { walk };
