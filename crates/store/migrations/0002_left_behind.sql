-- What a connection leaves behind for the next one of its session, as JSON; nothing while it is connected, and after a
-- crash that ended its connection.
ALTER TABLE sessions ADD COLUMN left_behind TEXT;
-- The newest event that it speaks of.
ALTER TABLE sessions ADD COLUMN left_newest INTEGER;

-- Whether the session has ever had a subscription of quality of service 2.
ALTER TABLE sessions ADD COLUMN exactly_once INTEGER NOT NULL DEFAULT 0;

-- Subscriptions become a JSON list of [topic filter, quality of service, subscription identifier or null].
UPDATE sessions SET subscriptions = (
    SELECT json_group_array(json_array(json_extract(value, '$[0]'), json_extract(value, '$[1]'), NULL))
    FROM json_each(sessions.subscriptions)
);
