-- What a connection leaves behind for the next one of its session, as JSON; nothing while it is connected, and after a
-- crash that ended its connection.
ALTER TABLE sessions ADD COLUMN left_behind TEXT;
-- The newest event that it speaks of.
ALTER TABLE sessions ADD COLUMN left_newest INTEGER;

-- Subscriptions become a JSON list of [topic filter, quality of service, subscription identifier or null].
UPDATE sessions SET subscriptions = (
    SELECT json_group_array(json_array(json_extract(value, '$[0]'), json_extract(value, '$[1]'), NULL))
    FROM json_each(sessions.subscriptions)
);
