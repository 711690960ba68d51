// A customer's program: it asks for access by device code, reads over REST, and streams over MQTT.

"use strict";

const assert = require("node:assert");
const { createHash, randomBytes } = require("node:crypto");

const mqtt = require("mqtt");

const { waitFor } = require("./wait");

const SCOPES = "authenticate_user openid cardata:api:read cardata:streaming:read";

class Program {
  constructor(dev, clientId) {
    this.dev = dev;
    this.clientId = clientId;
    this.messages = [];
  }

  // Asks for a code, for the person to approve.
  async begin() {
    const verifier = randomBytes(32).toString("base64url");
    const answer = await this.dev.request("POST", "/gcdm/oauth/device/code", {
      form: {
        client_id: this.clientId,
        response_type: "device_code",
        scope: SCOPES,
        code_challenge: createHash("sha256").update(verifier).digest("base64url"),
        code_challenge_method: "S256",
      },
    });
    assert.strictEqual(answer.status, 200, answer.text);
    this.verifier = verifier;
    this.code = answer.json;
    return this.code;
  }

  // Asks for tokens once.
  poll() {
    return this.dev.request("POST", "/gcdm/oauth/token", {
      form: {
        client_id: this.clientId,
        device_code: this.code.device_code,
        grant_type: "urn:ietf:params:oauth:grant-type:device_code",
        code_verifier: this.verifier,
      },
    });
  }

  // Fetches the tokens that a person allowed.
  async fetchTokens() {
    const answer = await this.poll();
    assert.strictEqual(answer.status, 200, answer.text);
    this.tokens = answer.json;
  }

  read(where) {
    return this.dev.request("GET", where, { token: this.tokens.access_token });
  }

  async registerContainer(name, ...technicalDescriptors) {
    const json = { name, purpose: "see it in the portal", technicalDescriptors };
    const answer = await this.dev.request("POST", "/customers/containers", { token: this.tokens.access_token, json });
    assert.strictEqual(answer.status, 201, answer.text);
    return answer.json.containerId;
  }

  // Connects to the stream and subscribes to all of the customer's vehicles.
  async stream() {
    const { mqtt_host: host, mqtt_port: port } = this.dev.ready;
    this.connection = await mqtt.connectAsync(`mqtts://${host}:${port}`, {
      ca: this.dev.ca,
      username: this.tokens.gcid,
      password: this.tokens.id_token,
      clientId: `program-${this.clientId}`,
      protocolVersion: 5,
      reconnectPeriod: 0,
    });
    this.isOpen = true;
    this.connection.on("close", () => (this.isOpen = false));
    this.connection.on("message", (_topic, payload) => this.messages.push(JSON.parse(payload.toString())));
    await this.connection.subscribeAsync(`${this.tokens.gcid}/+`, { qos: 1 });
  }

  firstMessage() {
    return waitFor(() => this.messages[0], "the first message", 30);
  }

  async end() {
    await this.connection?.endAsync(true);
  }
}

module.exports = { Program };
