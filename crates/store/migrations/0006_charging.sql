-- Charging sessions that were found in the journal. They outlive the events in which they were found.

-- How far the search got with a vehicle. A row stays when all was forgotten, so that a search which began before can't
-- write after.
CREATE TABLE charging_progress (
    vin      TEXT    NOT NULL PRIMARY KEY REFERENCES vehicles,
    -- Grows with each change; who changes the row says which one was read.
    version  INTEGER NOT NULL,
    -- The number of the last event that was searched.
    sequence INTEGER NOT NULL,
    -- A JSON object.
    detector TEXT    NOT NULL
) STRICT;

CREATE TABLE charging_sessions (
    vin        TEXT    NOT NULL REFERENCES vehicles,
    started_at INTEGER NOT NULL,
    -- Whether nothing can change it any more; the others are written anew each time.
    is_settled INTEGER NOT NULL,
    -- A JSON object.
    session    TEXT    NOT NULL,
    PRIMARY KEY (vin, started_at)
) STRICT, WITHOUT ROWID;
