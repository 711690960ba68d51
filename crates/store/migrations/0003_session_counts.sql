-- The sessions of a client at a customer that were put first, without looking at the others.
CREATE INDEX sessions_by_age ON sessions (gcid, client_id, number);

-- How many sessions a client has at a customer, since counting the rows takes the longer the more there are.
CREATE TABLE session_counts (
    gcid      TEXT    NOT NULL,
    client_id TEXT    NOT NULL,
    sessions  INTEGER NOT NULL,
    PRIMARY KEY (gcid, client_id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER session_put AFTER INSERT ON sessions BEGIN
    INSERT INTO session_counts (gcid, client_id, sessions) VALUES (new.gcid, new.client_id, 1)
        ON CONFLICT (gcid, client_id) DO UPDATE SET sessions = sessions + 1;
END;
CREATE TRIGGER session_removed AFTER DELETE ON sessions BEGIN
    UPDATE session_counts SET sessions = sessions - 1 WHERE gcid = old.gcid AND client_id = old.client_id;
END;
INSERT INTO session_counts (gcid, client_id, sessions)
    SELECT gcid, client_id, count(*) FROM sessions GROUP BY gcid, client_id;
