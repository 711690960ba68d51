"use strict";

const { test } = require("node:test");

const { walk } = require("./harness/walk");

for (const language of ["en", "de"]) {
  test(`every page is good on a phone, in ${language}`, () => walk("phone", language));
}
