// Waiting for conditions, never for time alone.

"use strict";

const { setTimeout: pause } = require("node:timers/promises");

// The first result of `condition` that counts as true; fails when there is none within `seconds`.
async function waitFor(condition, what, seconds = 10) {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > deadline) {
      throw new Error(`waited ${seconds} s in vain for ${typeof what === "string" ? what : what()}`);
    }
    await pause(20);
  }
}

module.exports = { waitFor };
