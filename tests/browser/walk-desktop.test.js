"use strict";

const { test } = require("node:test");

const { walk } = require("./harness/walk");

for (const language of ["en", "de"]) {
  test(`every page is good on a desktop, in ${language}`, () => walk("desktop", language));
}
