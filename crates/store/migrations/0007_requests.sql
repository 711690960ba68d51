-- How many REST requests each client made for each customer, on the day that is named: `2026-11-28`, in UTC.
CREATE TABLE requests (
    gcid      TEXT    NOT NULL REFERENCES customers,
    client_id TEXT    NOT NULL REFERENCES clients,
    day       TEXT    NOT NULL,
    requests  INTEGER NOT NULL,
    PRIMARY KEY (gcid, client_id)
) STRICT, WITHOUT ROWID;
