// The real binary: `cardata dev` in a temporary folder of its own, on free ports of the loopback interface.

"use strict";

const { spawn } = require("node:child_process");
const { X509Certificate, createHash } = require("node:crypto");
const fs = require("node:fs");
const https = require("node:https");
const os = require("node:os");
const path = require("node:path");
const tls = require("node:tls");

const { waitFor } = require("./wait");

const PROJECT = path.resolve(__dirname, "../../..");
const BINARY = process.env.CARDATA_BINARY ?? path.join(PROJECT, "target/debug/cardata");
const START_SECONDS = 30;
const STOP_SECONDS = 10;

class Dev {
  // Starts the server and waits until it says that everything accepts connections.
  static async start(...flags) {
    const dev = new Dev();
    dev.folder = fs.mkdtempSync(path.join(os.tmpdir(), "cardata browser "));
    const readyFile = path.join(dev.folder, "ready.json");
    const log = fs.openSync(path.join(dev.folder, "log"), "a");
    const listeners = ["http", "mqtt", "vehicles-mqtt", "admin"].flatMap((one) => [`--${one}`, "127.0.0.1:0"]);
    const data = path.join(dev.folder, "data");
    dev.process = spawn(BINARY, ["dev", "--data-dir", data, ...listeners, "--ready-file", readyFile, ...flags], {
      cwd: dev.folder,
      env: ownEnvironment(),
      stdio: ["ignore", log, log],
    });
    fs.closeSync(log);
    dev.ended = new Promise((resolve, reject) => {
      dev.process.on("exit", resolve);
      dev.process.on("error", reject);
    });
    // Whoever awaits it learns of an error; until then it is no fault of this program.
    dev.ended.catch(() => {});
    try {
      await waitFor(() => fs.existsSync(readyFile) || dev.process.exitCode !== null, "the ready file", START_SECONDS);
      if (dev.process.exitCode !== null) throw new Error(`cardata dev ended at once: ${dev.log}`);
      dev.ready = JSON.parse(fs.readFileSync(readyFile, "utf8"));
      dev.ca = fs.readFileSync(dev.ready.ca_file);
    } catch (error) {
      await dev.kill();
      throw error;
    }
    return dev;
  }

  // Ends the server as an operator would; it must end well and in time.
  async stop() {
    this.process.kill("SIGTERM");
    const timeout = setTimeout(() => this.process.kill("SIGKILL"), STOP_SECONDS * 1000);
    const code = await this.ended;
    clearTimeout(timeout);
    const log = this.log;
    fs.rmSync(this.folder, { recursive: true });
    if (code !== 0 || log.includes("panicked at")) {
      throw new Error(`cardata dev ended with ${code}: ${log.slice(-4000)}`);
    }
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.ended.catch(() => {});
    fs.rmSync(this.folder, { recursive: true });
  }

  get log() {
    return fs.readFileSync(path.join(this.folder, "log"), "utf8");
  }

  get url() {
    return this.ready.http_url;
  }

  get anna() {
    return this.ready.customers[0];
  }

  get ben() {
    return this.ready.customers[1];
  }

  // A request to the public listener, as a program sends it.
  request(method, where, { token, form, json, lines } = {}) {
    const headers = { Accept: "application/json" };
    let body;
    if (token) headers.Authorization = `Bearer ${token}`;
    if (form) {
      headers["Content-Type"] = "application/x-www-form-urlencoded";
      body = new URLSearchParams(form).toString();
    } else if (json) {
      headers["Content-Type"] = "application/json";
      body = JSON.stringify(json);
    } else if (lines) {
      headers["Content-Type"] = "application/x-ndjson";
      body = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    }
    if (where.startsWith("/customers")) headers["x-version"] = "v1";
    return new Promise((resolve, reject) => {
      const request = https.request(this.url + where, { method, headers, ca: this.ca }, (answer) => {
        const chunks = [];
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = (answer.headers["content-type"] ?? "").includes("json");
          resolve({ status: answer.statusCode, text, json: isJson && text ? JSON.parse(text) : null });
        });
        answer.on("error", reject);
      });
      request.on("error", reject);
      request.end(body);
    });
  }

  // Puts events in as the operator; when this returns, they are durable.
  async inject(...events) {
    const answer = await this.request("POST", "/ingest/v1/events", { token: this.ready.admin_token, lines: events });
    if (answer.status !== 200 || answer.json.accepted !== events.length) throw new Error(answer.text);
  }

  // The hash of the public key of a server that the sandbox's own authority vouches for: what a browser is told to trust.
  async trustedKey() {
    const { hostname, port } = new URL(this.url);
    const certificate = await new Promise((resolve, reject) => {
      const socket = tls.connect({ host: hostname, port, servername: hostname, ca: this.ca }, () => {
        resolve(socket.getPeerCertificate().raw);
        socket.end();
      });
      socket.on("error", reject);
    });
    const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
    return createHash("sha256").update(key).digest("base64");
  }
}

// The environment without the settings of whoever runs the tests.
function ownEnvironment() {
  const isOurs = (name) => name.startsWith("CARDATA_") || name === "RUST_LOG";
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isOurs(name)));
}

module.exports = { Dev, PROJECT, ownEnvironment };
