// The portal's sentences, from its own list, so that tests find things by what a person reads there, in both languages,
// and a better word breaks no test.

"use strict";

const fs = require("node:fs");
const path = require("node:path");

const { PROJECT } = require("./dev");

const LIST = path.join(PROJECT, "crates/server/src/portal/text.rs");
const LINE = /^ {4}(\w+): ("(?:[^"\\]|\\.)*"), ("(?:[^"\\]|\\.)*");$/gm;

const LANGUAGES = { en: {}, de: {} };
for (const [, name, english, german] of fs.readFileSync(LIST, "utf8").matchAll(LINE)) {
  LANGUAGES.en[name] = JSON.parse(english);
  LANGUAGES.de[name] = JSON.parse(german);
}

// A text with each `{}` replaced by one of `parts`, in their order.
function fill(text, ...parts) {
  return text.replaceAll("{}", () => parts.shift() ?? "");
}

// A text as a pattern, with anything in place of each `{}`.
function pattern(text) {
  const pieces = text.split("{}").map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(pieces.join(".*"));
}

module.exports = { LANGUAGES, fill, pattern };
