-- The directory's first tables.
--
-- Ids are text in their canonical form, instants are whole microseconds since 1970-01-01T00:00:00Z, lists are JSON.
-- STRICT, so that no column can come to hold another type than it says.

CREATE TABLE customers (
    gcid          TEXT    NOT NULL PRIMARY KEY,
    email         TEXT    NOT NULL,
    -- In lower case by Unicode's rules, which the program applies: databases differ in what they fold.
    email_folded  TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE vehicles (
    vin        TEXT NOT NULL PRIMARY KEY,
    drivetrain TEXT NOT NULL,
    -- A JSON object.
    build      TEXT NOT NULL
) STRICT;

CREATE TABLE mappings (
    gcid         TEXT    NOT NULL REFERENCES customers,
    vin          TEXT    NOT NULL REFERENCES vehicles,
    mapping_type TEXT    NOT NULL,
    since        INTEGER NOT NULL,
    PRIMARY KEY (gcid, vin)
) STRICT;

CREATE TABLE clients (
    id         TEXT    NOT NULL PRIMARY KEY,
    owner      TEXT    REFERENCES customers,
    name       TEXT    NOT NULL,
    api        INTEGER NOT NULL,
    stream     INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX clients_owner ON clients (owner);

CREATE TABLE consents (
    id         TEXT    NOT NULL PRIMARY KEY,
    gcid       TEXT    NOT NULL REFERENCES customers,
    client_id  TEXT    NOT NULL REFERENCES clients,
    scopes     TEXT    NOT NULL,
    granted_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE TABLE device_grants (
    device_code_hash TEXT    NOT NULL PRIMARY KEY,
    user_code        TEXT    NOT NULL,
    client_id        TEXT    NOT NULL REFERENCES clients,
    scopes           TEXT    NOT NULL,
    code_challenge   TEXT    NOT NULL,
    expires_at       INTEGER NOT NULL,
    polled_at        INTEGER,
    -- PENDING, APPROVED, DENIED or EXCHANGED.
    state            TEXT    NOT NULL,
    -- The customer, for APPROVED only.
    approved_by      TEXT    REFERENCES customers
) STRICT;
CREATE INDEX device_grants_user_code ON device_grants (user_code);
CREATE INDEX device_grants_expires_at ON device_grants (expires_at);

CREATE TABLE refresh_tokens (
    hash       TEXT    NOT NULL PRIMARY KEY,
    consent_id TEXT    NOT NULL REFERENCES consents,
    expires_at INTEGER NOT NULL,
    rotated_at INTEGER
) STRICT;
CREATE INDEX refresh_tokens_consent ON refresh_tokens (consent_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE TABLE access_tokens (
    hash       TEXT    NOT NULL PRIMARY KEY,
    consent_id TEXT    NOT NULL REFERENCES consents,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX access_tokens_consent ON access_tokens (consent_id);
CREATE INDEX access_tokens_expires_at ON access_tokens (expires_at);

CREATE TABLE signing_keys (
    kid         TEXT    NOT NULL PRIMARY KEY,
    private_pem TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE containers (
    id          TEXT    NOT NULL PRIMARY KEY,
    gcid        TEXT    NOT NULL REFERENCES customers,
    client_id   TEXT    NOT NULL REFERENCES clients,
    name        TEXT    NOT NULL,
    purpose     TEXT    NOT NULL,
    -- A JSON list of names.
    descriptors TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    deleted_at  INTEGER
) STRICT;
CREATE INDEX containers_customer ON containers (gcid, client_id);

CREATE TABLE sessions (
    -- Short, because each cursor repeats it.
    number         INTEGER NOT NULL PRIMARY KEY,
    gcid           TEXT    NOT NULL REFERENCES customers,
    client_id      TEXT    NOT NULL REFERENCES clients,
    mqtt_client_id TEXT    NOT NULL,
    -- A JSON list of [topic filter, quality of service].
    subscriptions  TEXT    NOT NULL,
    -- How long it is kept after its connection has ended; for ever where it is not said.
    expiry_seconds INTEGER,
    -- When it ends; not said while it is connected.
    expires_at     INTEGER,
    UNIQUE (gcid, client_id, mqtt_client_id)
) STRICT;

CREATE INDEX sessions_by_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;

-- The busiest table, moved for every acknowledged batch: no second tree beside the key, and no reference to the
-- vehicle, lest one strange VIN fail the moves of everybody else in its transaction.
CREATE TABLE cursors (
    session  INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    vin      TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (session, vin)
) STRICT, WITHOUT ROWID;
