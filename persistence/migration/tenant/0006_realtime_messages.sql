-- +goose Up

-- Messages of channels. A row of realtime.messages is a message that the database
-- sends, and its policies decide who may read and write private channels: the
-- server tries rows out under them and never keeps those.
--
-- Rows are kept for three days. They lie in a ring of five parts, one for each day
-- of five; a part is emptied before its next turn. Emptying a part is quick and
-- waits for nobody, dropping one would make writers wait.
--   topic      the channel's name
--   extension  broadcast or presence; only broadcasts are sent
--   seq, xid   the place in the reading order, see realtime.changes
CREATE TABLE realtime.messages (
  id             uuid        NOT NULL DEFAULT gen_random_uuid(),
  topic          text        NOT NULL CHECK (topic <> '' AND topic NOT LIKE 'realtime:admin:%' AND topic NOT LIKE 'fluxbase:%'),
  extension      text        NOT NULL CHECK (extension IN ('broadcast', 'presence')),
  event          text,
  payload        jsonb,
  binary_payload bytea,
  private        boolean     NOT NULL DEFAULT false,
  inserted_at    timestamptz NOT NULL DEFAULT now(),
  updated_at     timestamptz NOT NULL DEFAULT now(),
  seq            bigint      GENERATED ALWAYS AS IDENTITY,
  xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),
  day            smallint    NOT NULL DEFAULT (extract(epoch FROM now())::bigint / 86400) % 5,
  PRIMARY KEY (id, day),
  CHECK (payload IS NULL OR binary_payload IS NULL),
  CONSTRAINT payload_size CHECK (coalesce(pg_column_size(payload), 0) + coalesce(octet_length(binary_payload), 0) <= 3072000)
) PARTITION BY LIST (day);

CREATE INDEX messages_xid ON realtime.messages (xid);
CREATE INDEX messages_topic ON realtime.messages (topic, inserted_at) WHERE extension = 'broadcast' AND private;

-- +goose StatementBegin
DO $$
BEGIN
  FOR i IN 0..4 LOOP
    EXECUTE format('CREATE TABLE realtime.messages_%s PARTITION OF realtime.messages FOR VALUES IN (%s)', i, i);
  END LOOP;
END $$;
-- +goose StatementEnd

ALTER TABLE realtime.messages ENABLE ROW LEVEL SECURITY;

-- How far messages have been relayed to their channels, and by whom: who relays them
-- takes the next number, and whoever had a lower one writes here no more. epoch is that of the
-- change log: when it is another one, this is a copy or a restored database, and
-- relaying begins with what comes.
CREATE TABLE realtime.message_relay (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  home      bigint  NOT NULL DEFAULT 0,
  epoch     text    NOT NULL DEFAULT '',
  seen      pg_snapshot,
  reading   pg_snapshot,
  last      bigint
);

INSERT INTO realtime.message_relay DEFAULT VALUES;

-- Holds nothing. A row that refers to it can be written and never committed.
CREATE TABLE realtime.never (id integer PRIMARY KEY CHECK (id <> id));

CREATE TABLE realtime.trial (
  never integer NOT NULL REFERENCES realtime.never DEFERRABLE INITIALLY DEFERRED
);

-- +goose StatementBegin
CREATE FUNCTION realtime.topic() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('realtime.topic', true), '');
-- +goose StatementEnd
COMMENT ON FUNCTION realtime.topic() IS 'The channel that is being asked for, in policies on realtime.messages.';

-- Rings for messages that were sent: one transaction at a time, as
-- realtime.ring_doorbell() does for changes. Trials ring nothing: they are undone.
-- +goose StatementBegin
CREATE FUNCTION realtime.message_sent() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF pg_try_advisory_xact_lock(7310868735490453) THEN
    PERFORM pg_notify('fluxbase_messages', '');
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER message_sent AFTER INSERT ON realtime.messages FOR EACH STATEMENT
  WHEN (current_setting('realtime.trial', true) IS DISTINCT FROM 'on')
  EXECUTE FUNCTION realtime.message_sent();

-- Sends a message to a channel when the transaction commits. It runs as whoever
-- calls it: the policies on realtime.messages decide. What goes wrong becomes a
-- warning, because a message is no reason to lose what is being written.
-- +goose StatementBegin
CREATE FUNCTION realtime.send(payload jsonb, event text, topic text, private boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM set_config('realtime.topic', topic, true);
  INSERT INTO realtime.messages (topic, extension, event, payload, private)
  VALUES (topic, 'broadcast', event, coalesce(payload, 'null'), coalesce(private, true));
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'realtime.send: %', SQLERRM;
END $$;
-- +goose StatementEnd

-- The same for bytes that are not JSON.
-- +goose StatementBegin
CREATE FUNCTION realtime.send_binary(payload bytea, event text, topic text, private boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM set_config('realtime.topic', topic, true);
  INSERT INTO realtime.messages (topic, extension, event, binary_payload, private)
  VALUES (topic, 'broadcast', event, coalesce(payload, ''), coalesce(private, true));
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'realtime.send_binary: %', SQLERRM;
END $$;
-- +goose StatementEnd

-- Sends a change of a row to a private channel. It is for trigger functions, which
-- know all of its arguments.
-- +goose StatementBegin
CREATE FUNCTION realtime.broadcast_changes(topic_name text, event_name text, operation text, table_name text, table_schema text, new record, old record, level text DEFAULT 'ROW') RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF level = 'STATEMENT' THEN
    RAISE EXCEPTION 'realtime.broadcast_changes is for triggers that fire FOR EACH ROW' USING ERRCODE = 'feature_not_supported';
  END IF;
  PERFORM realtime.send(
    jsonb_build_object('old_record', to_jsonb(old), 'record', to_jsonb(new), 'operation', operation, 'table', table_name, 'schema', table_schema),
    event_name, topic_name);
EXCEPTION
  WHEN feature_not_supported THEN
    RAISE;
  WHEN OTHERS THEN
    RAISE WARNING 'realtime.broadcast_changes: %', SQLERRM;
END $$;
-- +goose StatementEnd

-- Writes a row of each extension to a topic, as the owner, for a caller who wants
-- to know whether he may see them. Nobody can keep them: the transaction, or the
-- part of it that did this, cannot be committed.
-- +goose StatementBegin
CREATE FUNCTION realtime.write_trial(topic text) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  ids uuid[];
BEGIN
  INSERT INTO realtime.trial VALUES (0);
  WITH written AS (
    INSERT INTO realtime.messages (topic, extension, event, payload, private)
    SELECT topic, e, '', '{}', true FROM unnest(ARRAY['broadcast', 'presence']) AS e
    RETURNING id)
  SELECT array_agg(id) INTO ids FROM written;
  RETURN ids;
END $$;
-- +goose StatementEnd

-- The settings that policies on realtime.messages may read besides the claims.
-- Nothing of the transaction is worth waiting for the disk.
-- +goose StatementBegin
CREATE FUNCTION realtime.begin_trial(topic text) RETURNS void
LANGUAGE sql SET search_path = '' AS $$
  SELECT set_config('realtime.trial', 'on', true),
         set_config('realtime.topic', topic, true),
         set_config('request.headers', '{}', true),
         set_config('request.jwt.claim.sub', coalesce(c ->> 'sub', ''), true),
         set_config('request.jwt.claim.role', coalesce(c ->> 'role', ''), true),
         set_config('synchronous_commit', 'off', true)
    FROM (SELECT coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb AS c) claims
$$;
-- +goose StatementEnd

-- Which extensions of a private channel the caller may read. Rows are written and
-- looked at as the caller; raising undoes them. It must be what a transaction does
-- alone: what the policies were told stays set.
-- +goose StatementBegin
CREATE FUNCTION realtime.may_read(topic text, OUT broadcast boolean, OUT presence boolean)
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  ids uuid[];
BEGIN
  PERFORM realtime.begin_trial(topic);
  BEGIN
    ids := realtime.write_trial(topic);
    SELECT coalesce(bool_or(m.extension = 'broadcast'), false), coalesce(bool_or(m.extension = 'presence'), false)
      INTO broadcast, presence
      FROM realtime.messages m WHERE m.id = ANY (ids);
    RAISE EXCEPTION USING ERRCODE = 'RT000';
  EXCEPTION
    WHEN SQLSTATE 'RT000' THEN
    WHEN check_violation THEN
      broadcast := false;
      presence := false;
  END;
END $$;
-- +goose StatementEnd

-- Whether the caller may write to an extension of a private channel.
-- +goose StatementBegin
CREATE FUNCTION realtime.may_write(topic text, extension text) RETURNS boolean
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM realtime.begin_trial(topic);
  BEGIN
    INSERT INTO realtime.messages (topic, extension, event, payload, private) VALUES (topic, extension, '', '{}', true);
    RAISE EXCEPTION USING ERRCODE = 'RT000';
  EXCEPTION
    WHEN SQLSTATE 'RT000' THEN
      RETURN true;
    WHEN insufficient_privilege OR check_violation THEN
      RETURN false;
  END;
END $$;
-- +goose StatementEnd

-- Empties the parts of the ring in which nothing is young enough to be kept. It
-- waits for nobody longer than lock_timeout: a part in use stays until the next
-- time. Gives the number of parts that were emptied, or NULL when another session
-- is doing it.
-- +goose StatementBegin
CREATE FUNCTION realtime.prune_messages() RETURNS integer
LANGUAGE plpgsql SET search_path = '' SET lock_timeout = '100ms' AS $$
DECLARE
  today   constant bigint := extract(epoch FROM now())::bigint / 86400;
  emptied integer := 0;
  part    text;
BEGIN
  IF NOT pg_try_advisory_xact_lock(7310868735490451) THEN
    RETURN NULL;
  END IF;
  -- Today and the three days before are kept. The part of the day ahead is the one
  -- of the day four days ago.
  part := 'realtime.messages_' || (today + 1) % 5;
  IF pg_relation_size(part::regclass) > 0 THEN
    BEGIN
      EXECUTE format('TRUNCATE %s', part);
      emptied := 1;
    EXCEPTION WHEN lock_not_available THEN
      RETURN 0;
    END;
  END IF;
  RETURN emptied;
END $$;
-- +goose StatementEnd

-- Nothing of the schema is for callers but what is named here.
REVOKE ALL ON realtime.messages, realtime.message_relay, realtime.never, realtime.trial FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA realtime FROM PUBLIC;
GRANT USAGE ON SCHEMA realtime TO anon, authenticated, tenant_service;
GRANT SELECT (id, topic, extension, event, payload, binary_payload, private, inserted_at, updated_at),
      INSERT (topic, extension, event, payload, binary_payload, private)
  ON realtime.messages TO anon, authenticated, service_role, tenant_service;
GRANT EXECUTE ON FUNCTION realtime.topic(),
      realtime.send(jsonb, text, text, boolean), realtime.send_binary(bytea, text, text, boolean),
      realtime.broadcast_changes(text, text, text, text, text, record, record, text),
      realtime.write_trial(text), realtime.begin_trial(text), realtime.may_read(text), realtime.may_write(text, text)
  TO anon, authenticated, service_role, tenant_service;

-- +goose Down
DROP TABLE realtime.trial, realtime.never, realtime.message_relay;
DROP FUNCTION realtime.prune_messages(), realtime.may_write(text, text), realtime.may_read(text), realtime.begin_trial(text),
  realtime.write_trial(text), realtime.broadcast_changes(text, text, text, text, text, record, record, text),
  realtime.send_binary(bytea, text, text, boolean), realtime.send(jsonb, text, text, boolean);
DROP TABLE realtime.messages;
DROP FUNCTION realtime.message_sent(), realtime.topic();
REVOKE USAGE ON SCHEMA realtime FROM anon, authenticated, tenant_service;
