// The PyPI package `bmw-cardata` as a process of its own; see clients/with_bmw_cardata.py.

"use strict";

const { spawn } = require("node:child_process");
const path = require("node:path");
const { createInterface } = require("node:readline");

const { PROJECT, ownEnvironment } = require("./dev");
const { waitFor } = require("./wait");

const PYTHON = process.env.CARDATA_PYTHON ?? path.join(PROJECT, "target/acceptance-venv/bin/python");
const PROGRAM = path.join(__dirname, "../clients/with_bmw_cardata.py");

class Unmodified {
  constructor(dev, clientId) {
    const { http_url, mqtt_host, mqtt_port, ca_file } = dev.ready;
    const settings = JSON.stringify({ client_id: clientId, http_url, mqtt_host, mqtt_port, ca_file });
    this.events = [];
    this.complaints = "";
    this.process = spawn(PYTHON, [PROGRAM, settings], { env: ownEnvironment() });
    this.process.stderr.on("data", (text) => (this.complaints += text));
    this.process.on("error", (error) => (this.complaints += error));
    createInterface({ input: this.process.stdout }).on("line", (line) => this.events.push(JSON.parse(line)));
  }

  // Gives a command, and waits for the event that answers it.
  async ask(command, event) {
    const known = this.events.length;
    this.process.stdin.write(`${command}\n`);
    return this.heard((one, index) => index >= known && one.event === event, event);
  }

  heard(condition, what) {
    const why = () => `${what}; came: ${JSON.stringify(this.events.slice(-3))} ${this.complaints.slice(-2000)}`;
    return waitFor(() => this.events.find(condition), why);
  }

  get messages() {
    return this.events.filter(({ event }) => event === "message");
  }

  end() {
    this.process.kill();
  }
}

module.exports = { Unmodified };
