-- Kinds of clients, consents with a purpose and an end, what customers choose for each client, and what happened.

ALTER TABLE clients ADD COLUMN kind TEXT NOT NULL DEFAULT 'PERSONAL';
UPDATE clients SET kind = 'THIRD_PARTY' WHERE owner IS NULL;
ALTER TABLE clients ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN secret_hash TEXT;
ALTER TABLE clients ADD COLUMN deleted_at INTEGER;

ALTER TABLE consents RENAME COLUMN revoked_at TO ended_at;
ALTER TABLE consents ADD COLUMN end_reason TEXT;
-- Until now, nothing else ended one.
UPDATE consents SET end_reason = 'TOKEN_REUSE' WHERE ended_at IS NOT NULL;
ALTER TABLE consents ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
ALTER TABLE consents ADD COLUMN expires_at INTEGER;
CREATE INDEX consents_customer ON consents (gcid);
CREATE INDEX consents_client ON consents (client_id);
CREATE INDEX consents_expires_at ON consents (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;

-- Whoever asks about a token is told since when it is good. Until now, each lived an hour.
ALTER TABLE access_tokens ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;
UPDATE access_tokens SET issued_at = expires_at - 3600000000;

-- How long the consent lasts that comes of the grant, in seconds; for ever where it is not said.
ALTER TABLE device_grants ADD COLUMN lasts_seconds INTEGER;

-- What a customer ticked for a client; counts like one more container.
CREATE TABLE stream_configurations (
    gcid        TEXT    NOT NULL REFERENCES customers,
    client_id   TEXT    NOT NULL REFERENCES clients,
    -- A JSON list of names.
    descriptors TEXT    NOT NULL,
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (gcid, client_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE location_settings (
    gcid        TEXT    NOT NULL REFERENCES customers,
    client_id   TEXT    NOT NULL REFERENCES clients,
    precision   TEXT    NOT NULL,
    hides_zones INTEGER NOT NULL,
    PRIMARY KEY (gcid, client_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE zones (
    id           TEXT    NOT NULL PRIMARY KEY,
    gcid         TEXT    NOT NULL REFERENCES customers,
    name         TEXT    NOT NULL,
    latitude_e6  INTEGER NOT NULL,
    longitude_e6 INTEGER NOT NULL,
    radius_m     INTEGER NOT NULL
) STRICT;
CREATE INDEX zones_customer ON zones (gcid);

-- Tokens of clients that act for themselves.
CREATE TABLE client_tokens (
    hash       TEXT    NOT NULL PRIMARY KEY,
    client_id  TEXT    NOT NULL REFERENCES clients,
    scopes     TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX client_tokens_client ON client_tokens (client_id);

-- How much each client was sent, of which vehicle, over which channel (STREAM or REST).
CREATE TABLE deliveries (
    gcid      TEXT    NOT NULL REFERENCES customers,
    client_id TEXT    NOT NULL REFERENCES clients,
    vin       TEXT    NOT NULL,
    channel   TEXT    NOT NULL,
    first_at  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    messages  INTEGER NOT NULL,
    PRIMARY KEY (gcid, client_id, vin, channel)
) STRICT, WITHOUT ROWID;

-- What happened. It refers to no other table, so that it tells of what is gone.
CREATE TABLE ledger (
    number     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    gcid       TEXT,
    client_id  TEXT,
    act        TEXT    NOT NULL,
    -- Whether it belongs to the record of consents.
    on_consent INTEGER NOT NULL,
    -- A JSON object.
    detail     TEXT    NOT NULL
) STRICT;
CREATE INDEX ledger_customer ON ledger (gcid, number);
CREATE INDEX ledger_at ON ledger (at) WHERE on_consent = 0;
CREATE TRIGGER ledger_is_not_rewritten BEFORE UPDATE ON ledger BEGIN
    SELECT RAISE(ABORT, 'the ledger is only added to');
END;
-- The record of consents goes with the account, and not before.
CREATE TRIGGER ledger_keeps_consents BEFORE DELETE ON ledger
    WHEN old.on_consent = 1 AND EXISTS (SELECT 1 FROM customers WHERE gcid = old.gcid)
BEGIN
    SELECT RAISE(ABORT, 'the record of consents stays as long as the account');
END;
