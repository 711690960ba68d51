-- Sessions of fleets, in which a client reads for itself what many customers let it see: they are nobody's, so `gcid` may
-- be NULL. SQLite changes no column's constraints, so the tables are built anew, cursors with them.

CREATE TABLE cursors_before AS SELECT session, vin, sequence FROM cursors;
CREATE TABLE sessions_before AS SELECT * FROM sessions;
DROP TABLE cursors;
-- Its triggers and indexes go with it.
DROP TABLE sessions;
DROP TABLE session_counts;

CREATE TABLE sessions (
    -- Short, because each cursor repeats it.
    number         INTEGER NOT NULL PRIMARY KEY,
    -- Whose data; NULL for a fleet.
    gcid           TEXT    REFERENCES customers,
    client_id      TEXT    NOT NULL REFERENCES clients,
    -- Of a group that shares a subscription: `$share/`, its name and its filter. No client can connect as that.
    mqtt_client_id TEXT    NOT NULL,
    -- A JSON list of [topic filter, quality of service, subscription identifier or null].
    subscriptions  TEXT    NOT NULL,
    -- How long it is kept after its connection has ended; for ever where it is not said.
    expiry_seconds INTEGER,
    -- When it ends; not said while it is connected.
    expires_at     INTEGER,
    -- What its last connection left behind, as JSON; nothing while it is connected, and after a crash.
    left_behind    TEXT,
    -- The newest event that it speaks of.
    left_newest    INTEGER,
    -- Whether it has ever had a subscription of quality of service 2.
    exactly_once   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (gcid, client_id, mqtt_client_id)
) STRICT;
-- Two NULLs are not the same to UNIQUE.
CREATE UNIQUE INDEX sessions_of_fleets ON sessions (client_id, mqtt_client_id) WHERE gcid IS NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX sessions_by_age ON sessions (gcid, client_id, number);

CREATE TABLE cursors (
    session  INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    vin      TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (session, vin)
) STRICT, WITHOUT ROWID;

-- How many sessions a client has at a customer, or, under an empty GCID, for itself.
CREATE TABLE session_counts (
    gcid      TEXT    NOT NULL,
    client_id TEXT    NOT NULL,
    sessions  INTEGER NOT NULL,
    PRIMARY KEY (gcid, client_id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER session_put AFTER INSERT ON sessions BEGIN
    INSERT INTO session_counts (gcid, client_id, sessions) VALUES (coalesce(new.gcid, ''), new.client_id, 1)
        ON CONFLICT (gcid, client_id) DO UPDATE SET sessions = sessions + 1;
END;
CREATE TRIGGER session_removed AFTER DELETE ON sessions BEGIN
    UPDATE session_counts SET sessions = sessions - 1
        WHERE gcid = coalesce(old.gcid, '') AND client_id = old.client_id;
END;

INSERT INTO sessions (number, gcid, client_id, mqtt_client_id, subscriptions, expiry_seconds, expires_at, left_behind,
                      left_newest, exactly_once)
    SELECT number, gcid, client_id, mqtt_client_id, subscriptions, expiry_seconds, expires_at, left_behind,
           left_newest, exactly_once
    FROM sessions_before;
INSERT INTO cursors (session, vin, sequence) SELECT session, vin, sequence FROM cursors_before;
DROP TABLE cursors_before;
DROP TABLE sessions_before;
