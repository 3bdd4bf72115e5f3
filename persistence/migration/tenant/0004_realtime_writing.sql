-- +goose Up

-- What a writer pays for the change log. Each enabled table gets trigger functions
-- of its own, written for its columns and for the slot that the log is at: most of
-- the cost of logging one row was finding that out anew for every statement. They
-- are written again when the table or the slot changes, and outlive the table's
-- being enabled, as its row in the registry does.

-- They run as the log's owner. Whoever could name one could put it on a table of his
-- own and write what he likes into the log: nobody may use their schema.
CREATE SCHEMA realtime_log;

-- Markers are few, and looked for often: they have a part of the log to themselves,
-- and no index that every entry would pay for.
DROP INDEX realtime.changes_marker;
CREATE TABLE realtime.changes_markers PARTITION OF realtime.changes FOR VALUES IN (-1);
ALTER TABLE realtime.changes_markers ALTER record SET STORAGE EXTERNAL;
INSERT INTO realtime.ring (slot) VALUES (-1);

-- How often each slot was emptied.
ALTER TABLE realtime.ring ADD emptied bigint NOT NULL DEFAULT 0;

-- 1 while a reader of the log waits for its bell; see await_bell. Not logged: after
-- a crash nobody waits, until the readers are back.
CREATE UNLOGGED SEQUENCE realtime.bell_awaited MINVALUE 0 MAXVALUE 1 START 0 CACHE 1;

-- Asks for the bell. A reader must do so before it takes its snapshot: then whoever
-- found the bell not asked for has a transaction id that this snapshot, or the one
-- that the bell causes, sees running or done.
-- +goose StatementBegin
CREATE FUNCTION realtime.await_bell() RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF pg_sequence_last_value('realtime.bell_awaited') IS DISTINCT FROM 1 THEN
    PERFORM setval('realtime.bell_awaited', 1);
  END IF;
END $$;
-- +goose StatementEnd

-- Makes sure that what a snapshot saw end stays so after a crash. PostgreSQL gives
-- the id of a transaction whose end was not on disk to another one then: a reader
-- that had seen it end would never look at that other one. Whoever keeps a position,
-- or gives one away, calls this behind the snapshot and waits for the commit.
-- +goose StatementBegin
CREATE FUNCTION realtime.keep_snapshot() RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn() THEN
    PERFORM set_config('synchronous_commit', 'local', true);
    PERFORM pg_logical_emit_message(true, 'fluxbase', '');
  END IF;
END $$;
-- +goose StatementEnd

-- The part of the log that a slot is.
-- +goose StatementBegin
CREATE FUNCTION realtime.slot_part(slot_no integer) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT CASE WHEN slot_no < 0 THEN 'realtime.changes_markers' ELSE 'realtime.changes_' || to_char(slot_no, 'FM00') END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.slot_bytes(slot_no integer) RETURNS bigint
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT pg_relation_size(c.oid) + CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_relation_size(c.reltoastrelid) END
    FROM pg_class c WHERE c.oid = realtime.slot_part(slot_no)::regclass
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.log_marker(kind text, tables integer[]) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  INSERT INTO realtime.changes_markers (slot, id, ord, table_id, type, depth, record)
  SELECT -1, i.id, i.id, 0, 'M', 0,
         json_build_object('kind', kind, 'columns', (
           SELECT coalesce(json_object_agg(t.id, realtime.column_signature(t.relation)), '{}')
             FROM realtime.schema_registry t WHERE t.id = ANY(tables) AND t.relation IS NOT NULL))
    FROM (SELECT nextval('realtime.change_id') AS id) i;
  PERFORM realtime.ring_doorbell();
END $$;
-- +goose StatementEnd

-- Entries that were logged last have the greatest places, too.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.last_logged(entries bigint) RETURNS SETOF bigint
LANGUAGE sql SET search_path = '' AS $$
  SELECT id FROM realtime.changes WHERE xid = pg_current_xact_id() ORDER BY ord DESC LIMIT entries
$$;
-- +goose StatementEnd

-- The logging functions run this with the writer's search_path, as the owner: it
-- names everything with its schema, operators too. So does log_function.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.keep_key_statement(rows_of text, image text, flag integer, keys text[], relation oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
BEGIN
  IF keys = '{}' THEN
    RAISE EXCEPTION 'a row of % is too large for realtime', relation::regclass
      USING ERRCODE = 'program_limit_exceeded', HINT = 'Add a primary key to the table, or raise realtime.max_image_bytes.';
  END IF;
  RETURN format($f$
    UPDATE realtime.changes c SET %1$I = k.key
      FROM (SELECT pg_catalog.row_number() OVER (ORDER BY id) AS n, id FROM realtime.last_logged($1) AS id) e
      JOIN (SELECT pg_catalog.row_number() OVER () AS n, pg_catalog.json_build_object(%2$s) AS key FROM %3$I r) k ON k.n OPERATOR(pg_catalog.=) e.n
     WHERE c.xid OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id() AND c.id OPERATOR(pg_catalog.=) e.id
       AND c.truncated OPERATOR(pg_catalog.&) %4$s OPERATOR(pg_catalog.>) 0$f$,
    image, (SELECT string_agg(format('%L, r.%I', one, one), ', ') FROM unnest(keys) AS one), rows_of, flag);
END $$;
-- +goose StatementEnd

-- Remembers until the end of the statement that a row was too large, and gives the
-- flag for its entry.
-- +goose StatementBegin
CREATE FUNCTION realtime.note_cut(flag integer) RETURNS integer
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM set_config('realtime.cut', 'y', true);
  RETURN flag;
END $$;
-- +goose StatementEnd

-- The image of a row, whatever the writer's settings are.
-- +goose StatementBegin
CREATE FUNCTION realtime.image(one record) RETURNS json
LANGUAGE plpgsql
SET search_path = '' SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = 1 AS $$
BEGIN
  RETURN row_to_json(one);
END $$;
-- +goose StatementEnd

-- The condition under which a writer's own settings give the images that
-- realtime.image gives: empty when they always do, NULL when that is not known of
-- a type of the columns.
-- +goose StatementBegin
CREATE FUNCTION realtime.plain_settings(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
  WITH columns AS (
    SELECT y.typname, y.typtype, n.nspname, s.setting
      FROM pg_attribute a
     CROSS JOIN LATERAL realtime.element_type(a.atttypid) e
      JOIN pg_namespace n ON n.nspname = e.nspname
      JOIN pg_type y ON y.typnamespace = n.oid AND y.typname = e.typname
      LEFT JOIN (VALUES
        (NULL, '{bool,int2,int4,int8,numeric,text,varchar,bpchar,char,name,uuid,json,jsonb,date,timestamp,time,inet,cidr,macaddr,macaddr8,bit,varbit,oid,xid8,tsvector,int4range,int8range,numrange}'::text[]),
        ('TimeZone', '{timestamptz}'),
        ('IntervalStyle', '{interval}'),
        ('bytea_output', '{bytea}'),
        ('extra_float_digits', '{float4,float8,point,line,lseg,box,path,polygon,circle}')) AS s (setting, types)
        ON n.nspname = 'pg_catalog' AND y.typname = ANY (s.types)
     WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
       AND NOT (y.typtype = 'e' AND NOT EXISTS (SELECT FROM pg_cast c WHERE c.castsource = y.oid))
       AND NOT (s.types IS NOT NULL AND s.setting IS NULL)
  )
  SELECT CASE WHEN bool_or(c.setting IS NULL) THEN NULL ELSE coalesce(string_agg(DISTINCT p.condition, ' AND '), '') END
    FROM columns c
    LEFT JOIN (VALUES
      ('TimeZone', $p$pg_catalog.current_setting('TimeZone') OPERATOR(pg_catalog.=) ANY (ARRAY['UTC', 'Etc/UTC', 'GMT'])$p$),
      ('IntervalStyle', $p$pg_catalog.current_setting('IntervalStyle') OPERATOR(pg_catalog.=) 'postgres'$p$),
      ('bytea_output', $p$pg_catalog.current_setting('bytea_output') OPERATOR(pg_catalog.=) 'hex'$p$),
      ('extra_float_digits', $p$pg_catalog.current_setting('extra_float_digits') OPERATOR(pg_catalog.=) ANY (ARRAY['1', '2', '3'])$p$)) AS p (setting, condition)
      USING (setting)
$$;
-- +goose StatementEnd

-- Whether statements on a table may cause others: it, or one of its partitions, has
-- triggers that are not ours, or foreign keys that refer to it with an action.
-- +goose StatementBegin
CREATE FUNCTION realtime.has_consequences(relation oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT EXISTS (
    SELECT FROM pg_trigger t
      JOIN pg_proc p ON p.oid = t.tgfoid
      JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE t.tgrelid IN (SELECT relid FROM pg_partition_tree(relation) UNION SELECT relation)
       AND CASE WHEN t.tgisinternal AND n.nspname = 'pg_catalog' THEN p.proname ~ '^RI_FKey_(cascade|setnull|setdefault)_'
                ELSE n.nspname NOT IN ('realtime', 'realtime_log') END)
$$;
-- +goose StatementEnd

-- Whether the event trigger tells of schema changes: what a logging function takes
-- for granted is put right then.
-- +goose StatementBegin
CREATE FUNCTION realtime.hears_of_schema() RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT EXISTS (SELECT FROM pg_event_trigger
                  WHERE evtfoid = to_regproc('fluxbase.announce_schema') AND evtenabled <> 'D' AND evtevent = 'ddl_command_end')
$$;
-- +goose StatementEnd

-- What a statement's entries need besides being written: their place among what the
-- statement caused, and the bell if somebody waits for it. caused tells that the
-- statement may have caused others; one that logged nothing may have begun.
-- +goose StatementBegin
CREATE FUNCTION realtime.statement_logged(of_table integer, relation oid, entries bigint, caused boolean) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  level integer := pg_trigger_depth();
BEGIN
  IF caused THEN
    PERFORM realtime.order_nested(of_table, relation, level, entries);
  ELSIF level > coalesce(substring(current_setting('realtime.nested', true) FROM '^[0-9]{1,4}$')::integer, 1) THEN
    PERFORM set_config('realtime.nested', level::text, true);
  END IF;
  IF entries > 0 AND pg_sequence_last_value('realtime.bell_awaited') = 1 THEN
    PERFORM setval('realtime.bell_awaited', 0);
    PERFORM pg_notify('fluxbase_changes', '');
  END IF;
END $$;
-- +goose StatementEnd

-- The body of the function that logs one kind of statement on a table.
--
-- Every writer pays for it: one statement writes the entries, and one expression
-- finds out whether anything rare is to be done. Settings are not pinned, search
-- path included, because pinning costs more than writing a row: so everything is
-- named with its schema, operators too. RETURN NEW is NULL here, and cheaper than
-- the expression NULL.
--
-- OLD and NEW rows of an UPDATE are paired by their number: PostgreSQL appends
-- to both transition tables in one step per row. The one exception is a moved
-- row that a BEFORE trigger of its new partition swallowed; then the numbers
-- differ and rows are paired by key.
-- +goose StatementBegin
CREATE FUNCTION realtime.log_function(of_table integer, event text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
  relation    oid     := (SELECT r.relation FROM realtime.schema_registry r WHERE r.id = of_table);
  slot        integer := pg_sequence_last_value('realtime.ring_slot');
  fits        text    := ' OPERATOR(pg_catalog.<=) ' || (SELECT s.max_image_bytes FROM realtime.log_state s);
  caused      boolean := NOT realtime.hears_of_schema() OR realtime.has_consequences(relation);
  plain       text    := CASE WHEN realtime.hears_of_schema() THEN realtime.plain_settings(relation) END;
  image       text    := CASE WHEN plain IS NULL THEN 'realtime.image(r)'
                              WHEN plain = '' THEN 'pg_catalog.row_to_json(r)'
                              ELSE 'CASE WHEN plain THEN pg_catalog.row_to_json(r) ELSE realtime.image(r) END' END;
  partitioned boolean := (SELECT c.relkind = 'p' FROM pg_class c WHERE c.oid = relation);
  keys        text    := format('realtime.key_columns(%s)', relation);
  body        text    := 'DECLARE logged bigint;';
BEGIN
  image := format('CASE WHEN pg_catalog.pg_column_size(r)%s THEN %s END AS image', fits, image);
  IF plain <> '' THEN
    body := body || format(' plain boolean := %s;', plain);
  END IF;
  IF partitioned AND event = 'UPDATE' THEN
    body := body || ' keys pg_catalog.text[];';
  END IF;
  body := body || E'\nBEGIN\n';

  IF event = 'UPDATE' THEN
    IF partitioned THEN
      body := body || format($f$
  IF (SELECT pg_catalog.count(*) FROM realtime_old) OPERATOR(pg_catalog.<>) (SELECT pg_catalog.count(*) FROM realtime_new) THEN
    keys := %4$s;
    INSERT INTO %1$s (slot, id, ord, table_id, type, depth, record, old_record)
    SELECT %2$s, p.id, p.id, %3$s, (CASE WHEN p.record IS NULL THEN 'D' WHEN p.old_record IS NULL THEN 'I' ELSE 'U' END)::pg_catalog."char",
           pg_catalog.pg_trigger_depth(), p.record, p.old_record
      FROM (SELECT pg_catalog.nextval('realtime.change_id') AS id, c.image AS record, o.image AS old_record
              FROM (SELECT realtime.image(r) AS image, realtime.image_key(realtime.image(r), keys) AS key FROM realtime_old r) o
              FULL JOIN (SELECT realtime.image(r) AS image, realtime.image_key(realtime.image(r), keys) AS key FROM realtime_new r) c
                ON c.key OPERATOR(pg_catalog.=) o.key) p;
  ELSE$f$, realtime.slot_part(slot), slot, of_table, keys);
    END IF;
    body := body || format($f$
    INSERT INTO %1$s (slot, id, ord, table_id, type, depth, truncated, record, old_record)
    SELECT %2$s, p.id, p.id, %3$s, 'U', pg_catalog.pg_trigger_depth(),
           CASE WHEN pg_catalog.pg_column_size(p.record)%4$s THEN 0 ELSE realtime.note_cut(1) END
             OPERATOR(pg_catalog.+) CASE WHEN pg_catalog.pg_column_size(p.old_record)%4$s THEN 0 ELSE realtime.note_cut(2) END,
           CASE WHEN pg_catalog.pg_column_size(p.record)%4$s THEN p.record END,
           CASE WHEN pg_catalog.pg_column_size(p.old_record)%4$s THEN p.old_record END
      FROM (SELECT pg_catalog.nextval('realtime.change_id') AS id, q.record, q.old_record
              FROM (SELECT c.image AS record, o.image AS old_record
                      FROM (SELECT pg_catalog.row_number() OVER () AS n, %5$s FROM realtime_new r) c
                      JOIN (SELECT pg_catalog.row_number() OVER () AS n, %5$s FROM realtime_old r) o ON o.n OPERATOR(pg_catalog.=) c.n
                     ORDER BY c.n) q) p;$f$, realtime.slot_part(slot), slot, of_table, fits, image);
    IF partitioned THEN
      body := body || E'\n  END IF;';
    END IF;
  ELSE
    body := body || format($f$
    INSERT INTO %1$s (slot, id, ord, table_id, type, depth, truncated, %6$s)
    SELECT %2$s, i.id, i.id, %3$s, %7$L, pg_catalog.pg_trigger_depth(),
           CASE WHEN pg_catalog.pg_column_size(i.image)%4$s THEN 0 ELSE realtime.note_cut(%8$s) END,
           CASE WHEN pg_catalog.pg_column_size(i.image)%4$s THEN i.image END
      FROM (SELECT pg_catalog.nextval('realtime.change_id') AS id, %5$s FROM %9$s r) i;$f$,
      realtime.slot_part(slot), slot, of_table, fits, image,
      CASE event WHEN 'INSERT' THEN 'record' ELSE 'old_record' END, left(event, 1),
      CASE event WHEN 'INSERT' THEN 1 ELSE 2 END, CASE event WHEN 'INSERT' THEN 'realtime_new' ELSE 'realtime_old' END);
  END IF;

  body := body || format($f$
  GET DIAGNOSTICS logged = ROW_COUNT;
  IF logged OPERATOR(pg_catalog.>) 0
     AND (pg_catalog.pg_sequence_last_value('realtime.bell_awaited') OPERATOR(pg_catalog.=) 1
          OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 1
          OR pg_catalog.current_setting('realtime.cut', true) OPERATOR(pg_catalog.<>) '')%s THEN
    IF pg_catalog.current_setting('realtime.cut', true) OPERATOR(pg_catalog.<>) '' THEN
      PERFORM pg_catalog.set_config('realtime.cut', '', true);$f$,
    CASE WHEN caused THEN $c$
     OR pg_catalog.current_setting('realtime.nested', true) OPERATOR(pg_catalog.<>) ''$c$ ELSE '' END);
  IF event <> 'DELETE' THEN
    body := body || format($f$
      EXECUTE realtime.keep_key_statement('realtime_new', 'record', 1, %s, TG_RELID) USING logged;$f$, keys);
  END IF;
  IF event <> 'INSERT' THEN
    body := body || format($f$
      EXECUTE realtime.keep_key_statement('realtime_old', 'old_record', 2, %s, TG_RELID) USING logged;$f$, keys);
  END IF;
  RETURN body || format($f$
    END IF;
    PERFORM realtime.statement_logged(%s, TG_RELID, logged, %s);
  END IF;
  RETURN NEW;
END$f$, of_table, caused::text);
END $$;
-- +goose StatementEnd

-- Logs that a table was emptied. Emptying a partitioned table fires for every
-- member: one entry says it, as long as nothing was logged for the table since.
-- +goose StatementBegin
CREATE FUNCTION realtime.log_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  of_table integer := TG_ARGV[0];
  mark     bigint  := substring(current_setting('realtime.emptied_' || of_table, true) FROM '^[0-9]{1,18}$')::bigint;
  logged   bigint;
BEGIN
  IF mark IS NOT NULL
     AND EXISTS (SELECT FROM realtime.changes WHERE ord = mark AND xid = pg_current_xact_id() AND table_id = of_table AND type = 'T')
     AND NOT EXISTS (SELECT FROM realtime.changes WHERE ord > mark AND xid = pg_current_xact_id() AND table_id = of_table) THEN
    logged := 0;
  ELSE
    INSERT INTO realtime.changes (slot, id, ord, table_id, type, depth)
    SELECT pg_sequence_last_value('realtime.ring_slot'), i.id, i.id, of_table, 'T', pg_trigger_depth()
      FROM (SELECT nextval('realtime.change_id') AS id) i
    RETURNING set_config('realtime.emptied_' || of_table, id::text, true)::bigint INTO mark;
    logged := 1;
  END IF;
  PERFORM realtime.statement_logged(of_table, TG_RELID, logged, true);
  RETURN NULL;
END $$;
-- +goose StatementEnd

-- Writes the logging functions of an enabled table, where they are not what they
-- should be. Prune waits for nobody who does it: a function must not be written for
-- a slot that is being left.
-- +goose StatementBegin
CREATE FUNCTION realtime.sync_functions(of_table integer) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT format('realtime_log.%s_%s', lower(e.event), r.id) AS name, realtime.log_function(r.id, e.event) AS body
      FROM realtime.schema_registry r CROSS JOIN LATERAL unnest(r.events) AS e (event)
     WHERE r.id = of_table AND r.realtime_enabled AND r.relation IS NOT NULL
  LOOP
    IF (SELECT p.prosrc FROM pg_proc p WHERE p.oid = to_regproc(one.name)) IS DISTINCT FROM one.body THEN
      EXECUTE format('CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS %L', one.name, one.body);
    END IF;
  END LOOP;
END $$;
-- +goose StatementEnd

-- The triggers that an enabled table and all of its partitions must have; none
-- for a disabled one. The first argument tells whose they are. A statement's
-- beginning is of interest where it may cause others; a TRUNCATE is rare enough.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.wanted_triggers(of_table integer)
RETURNS TABLE (member oid, name text, event text, arguments text[])
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT m.member, realtime.trigger_name(r.table_name) || '_' || lower(e.event), e.event,
         CASE e.event WHEN 'BEGIN' THEN ARRAY[r.id::text, array_to_string(
                                          CASE WHEN k.caused THEN r.events END || CASE WHEN 'DELETE' = ANY(r.events) THEN ARRAY['TRUNCATE'] END, ' ')]
                      ELSE ARRAY[r.id::text] END
    FROM realtime.schema_registry r
    JOIN pg_class root ON root.oid = r.relation
   CROSS JOIN LATERAL (SELECT NOT realtime.hears_of_schema() OR realtime.has_consequences(r.relation) AS caused) k
   CROSS JOIN LATERAL (SELECT relid::oid AS member FROM pg_partition_tree(r.relation) UNION SELECT r.relation) m
    JOIN pg_class c ON c.oid = m.member AND c.relkind IN ('r', 'p')
   CROSS JOIN LATERAL (SELECT unnest(r.events) AS event
                       UNION ALL SELECT 'TRUNCATE' WHERE 'DELETE' = ANY(r.events)
                       UNION ALL SELECT 'BEGIN' WHERE k.caused OR 'DELETE' = ANY(r.events)
                       UNION ALL SELECT 'ROUTE' WHERE c.relispartition AND c.relkind = 'r' AND 'UPDATE' = ANY(r.events)) e
   WHERE r.id = of_table AND r.realtime_enabled
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.sync_triggers(of_table integer) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  one record;
BEGIN
  -- Until the end of the transaction the ring does not move.
  PERFORM pg_advisory_xact_lock_shared(7310868735490452);
  PERFORM realtime.sync_functions(of_table);
  FOR one IN
    SELECT t.tgrelid, t.tgname::text AS tgname
      FROM pg_trigger t
      JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE p.pronamespace IN ('realtime'::regnamespace, 'realtime_log'::regnamespace)
       AND encode(t.tgargs, 'escape') LIKE of_table || '\\000%'
       AND NOT EXISTS (SELECT FROM realtime.wanted_triggers(of_table) w
                        WHERE w.member = t.tgrelid AND w.name = t.tgname AND p.proname <> 'log_change'
                          AND encode(t.tgargs, 'escape') = array_to_string(w.arguments, '\000') || '\000')
  LOOP
    PERFORM fluxbase.drop_log_trigger(one.tgrelid, one.tgname);
  END LOOP;
  FOR one IN
    SELECT w.* FROM realtime.wanted_triggers(of_table) w
     WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = w.member AND t.tgname = w.name)
     ORDER BY w.member
  LOOP
    PERFORM fluxbase.create_log_trigger(one.member, one.name, one.event, one.arguments);
  END LOOP;
END $$;
-- +goose StatementEnd

-- Moves the ring on and empties its oldest slots: those whose newest entry is
-- older than keep, and the oldest ones while the log is larger than largest.
-- Emptying waits for nobody longer than lock_timeout: a slot that is in use stays
-- until the next time. Gives the number of slots that were emptied, or NULL when
-- another session is doing it.
--
-- The lock is enough of a fence: it is the transaction's own, so whoever lost his
-- connection has lost it and what he did together.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.prune(keep interval, largest bigint) RETURNS integer
LANGUAGE plpgsql SET search_path = '' SET lock_timeout = '100ms' AS $$
DECLARE
  slots   constant integer := 16;
  here    integer;
  ahead   integer;
  slot_no integer;
  emptied integer := 0;
  newest  timestamptz;
BEGIN
  IF NOT pg_try_advisory_xact_lock(7310868735490450) THEN
    RETURN NULL;
  END IF;
  here := pg_sequence_last_value('realtime.ring_slot');

  FOR i IN 1 .. slots - 1 LOOP -- the oldest is the one ahead of the writers
    slot_no := (here + i) % slots;
    CONTINUE WHEN realtime.slot_bytes(slot_no) = 0;
    EXECUTE format('SELECT max(logged_at) FROM (SELECT logged_at FROM %s ORDER BY ord DESC LIMIT 1000) t', realtime.slot_part(slot_no)) INTO newest;
    IF newest IS NULL OR newest < clock_timestamp() - keep
       OR (SELECT sum(realtime.slot_bytes(s)) FROM generate_series(0, slots - 1) AS s) > largest THEN
      EXIT WHEN NOT realtime.empty_slot(slot_no);
      emptied := emptied + 1;
    ELSE
      EXIT;
    END IF;
  END LOOP;

  -- Few rows, and nobody else writes to old ones.
  WITH gone AS (
    DELETE FROM realtime.changes_markers WHERE logged_at < clock_timestamp() - keep RETURNING xid)
  UPDATE realtime.ring r SET pruned_min = g.lowest, pruned_max = g.highest, pruned_snapshot = pg_current_snapshot()
    FROM (SELECT min(xid) AS lowest, max(xid) AS highest FROM gone) g
   WHERE r.slot = -1 AND g.highest IS NOT NULL;

  -- Not while somebody writes a logging function: it might be for the slot that is
  -- left.
  IF NOT pg_try_advisory_xact_lock(7310868735490452) THEN
    RETURN emptied;
  END IF;
  IF realtime.slot_bytes(here) > largest / slots
     OR (realtime.slot_bytes(here) > 0 AND (SELECT opened_at FROM realtime.ring WHERE slot = here) < clock_timestamp() - keep / slots) THEN
    ahead := (here + 1) % slots;
    IF realtime.slot_bytes(ahead) > 0 THEN
      IF NOT realtime.empty_slot(ahead) THEN
        RETURN emptied;
      END IF;
      emptied := emptied + 1;
    END IF;
    UPDATE realtime.ring SET opened_at = clock_timestamp() WHERE slot = ahead;
    PERFORM setval('realtime.ring_slot', ahead);
  END IF;
  -- Also when it did not move: a sequence keeps what a transaction that failed set.
  PERFORM realtime.sync_functions(id) FROM realtime.schema_registry WHERE realtime_enabled;
  RETURN emptied;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.empty_slot(slot_no integer) RETURNS boolean
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  part    text := realtime.slot_part(slot_no);
  lowest  xid8;
  highest xid8;
BEGIN
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part);
  EXECUTE format('SELECT xid FROM %s ORDER BY xid LIMIT 1', part) INTO lowest;
  EXECUTE format('SELECT xid FROM %s ORDER BY xid DESC LIMIT 1', part) INTO highest;
  IF highest IS NOT NULL THEN
    UPDATE realtime.ring SET pruned_min = lowest, pruned_max = highest, pruned_snapshot = pg_current_snapshot() WHERE slot = slot_no;
  END IF;
  EXECUTE format('TRUNCATE %s', part);
  UPDATE realtime.ring SET emptied = emptied + 1 WHERE slot = slot_no;
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END $$;
-- +goose StatementEnd

REVOKE ALL ON realtime.changes_markers FROM PUBLIC;
REVOKE ALL ON SEQUENCE realtime.bell_awaited FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA realtime FROM PUBLIC;

SELECT realtime.sync_triggers(id) FROM realtime.schema_registry WHERE relation IS NOT NULL ORDER BY id;
DROP FUNCTION realtime.log_change();

-- +goose Down
-- 0003 takes the rest away with its schema. The triggers go with their functions.
DROP SCHEMA realtime_log CASCADE;
