-- What lets events in: programs that report for vehicles, and the certificates of vehicles that report for themselves.

CREATE TABLE sources (
    name       TEXT    NOT NULL PRIMARY KEY,
    -- Of the key that the program shows.
    key_hash   TEXT    NOT NULL UNIQUE,
    -- A JSON array of the vehicles that it may report for; NULL is any.
    vins       TEXT,
    created_at INTEGER NOT NULL
) STRICT;

-- What requests with an idempotency key were answered, for a sender who asks again.
CREATE TABLE ingest_answers (
    -- The hash of what the sender showed.
    sender    TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    body_hash TEXT    NOT NULL,
    status    INTEGER NOT NULL,
    answer    TEXT    NOT NULL,
    kept_at   INTEGER NOT NULL,
    PRIMARY KEY (sender, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX ingest_answers_kept_at ON ingest_answers (kept_at);

CREATE TABLE vehicle_certificates (
    -- In lower-case hexadecimal.
    serial     TEXT    NOT NULL PRIMARY KEY,
    vin        TEXT    NOT NULL REFERENCES vehicles,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX vehicle_certificates_vin ON vehicle_certificates (vin);
