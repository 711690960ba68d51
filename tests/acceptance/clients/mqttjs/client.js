// MQTT.js. See ../README.md for what goes in and out.

const { readFileSync } = require("node:fs");
const { createInterface } = require("node:readline");

const mqtt = require("mqtt");

const settings = JSON.parse(process.argv[2]);
const is5 = settings.version === "5";
const REAUTHENTICATE = 0x19;

const tell = (event, fields) => console.log(JSON.stringify({ event, ...fields }));

const properties = {};
if (is5) {
  properties.sessionExpiryInterval = settings.expiry_seconds;
  if (settings.topic_aliases > 0) {
    properties.topicAliasMaximum = settings.topic_aliases;
  }
  if (settings.auth_method) {
    properties.authenticationMethod = settings.auth_method;
  }
}

const scheme = settings.websocket_path ? "wss" : "mqtts";
const address = `${scheme}://${settings.host}:${settings.port}${settings.websocket_path ?? ""}`;
const client = mqtt.connect(address, {
  ca: readFileSync(settings.ca_file),
  username: settings.user,
  password: settings.password,
  clientId: settings.client_id,
  protocolVersion: is5 ? 5 : 4,
  clean: false,
  // What comes before the first handler is there is not lost; and the session knows what was subscribed.
  resubscribe: false,
  reconnectPeriod: settings.reconnects ? 200 : 0,
  properties: is5 ? properties : undefined,
});

// What the server's DISCONNECT said, until the connection is gone.
let end = { code: null, reason: null };

client.on("connect", (connack) => tell("connected", { session_present: connack.sessionPresent }));
client.on("error", (error) => {
  if (typeof error.code === "number") {
    tell("refused", { code: error.code });
  }
});
client.on("disconnect", (packet) => {
  end = { code: packet.reasonCode, reason: packet.properties?.reasonString ?? null };
});
client.on("close", () => {
  tell("closed", end);
  end = { code: null, reason: null };
});
client.on("message", (topic, payload, packet) => {
  const identifier = packet.properties?.subscriptionIdentifier ?? [];
  tell("message", {
    topic,
    payload: payload.toString(),
    qos: packet.qos,
    dup: packet.dup,
    retain: packet.retain,
    identifiers: [identifier].flat(),
    user: Object.entries(packet.properties?.userProperties ?? {}),
  });
});
client.handleAuth = (packet, callback) => {
  if (packet.reasonCode === 0) {
    tell("reauthenticated");
  }
  callback();
};

const actions = {
  subscribe({ filter, qos, identifier }) {
    const options = { qos };
    if (identifier !== null) {
      options.properties = { subscriptionIdentifier: identifier };
    }
    // A refused filter is an error here, too; the codes are in the packet.
    client.subscribe(filter, options, (_error, _granted, packet) => {
      tell("subscribed", { granted: packet?.granted ?? [] });
    });
  },
  connect({ password }) {
    client.options.password = password;
    client.reconnect();
  },
  reauthenticate({ token }) {
    // Not public, but there is no other way to send AUTH.
    client._sendPacket({
      cmd: "auth",
      reasonCode: REAUTHENTICATE,
      properties: { authenticationMethod: settings.auth_method, authenticationData: Buffer.from(token) },
    });
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    actions[command.do](command);
  })
  .on("close", () => process.exit(0));
