-- +goose Up

-- The change log. Triggers on the tables that are enabled for realtime append
-- every row's image here, in the writer's own transaction; the readers of all
-- nodes take what one snapshot sees and the one before did not. Nothing in this
-- schema is granted to the roles of callers: the log holds rows that they may
-- not see.

-- Which tables are enabled. A row outlives being disabled; relation follows a
-- table through renames.
CREATE TABLE realtime.schema_registry (
  id               serial      PRIMARY KEY,
  schema_name      text        NOT NULL,
  table_name       text        NOT NULL,
  realtime_enabled boolean     NOT NULL DEFAULT true,
  events           text[]      NOT NULL DEFAULT '{INSERT,UPDATE,DELETE}'
                   CHECK (events <@ '{INSERT,UPDATE,DELETE}' AND cardinality(events) > 0),
  excluded_columns text[]      NOT NULL DEFAULT '{}',
  tenant_id        uuid,
  relation         oid,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  UNIQUE NULLS NOT DISTINCT (schema_name, table_name, tenant_id)
);

CREATE INDEX schema_registry_relation ON realtime.schema_registry (relation);

-- One value per entry, drawn while the row's lock is held: CACHE 1 makes the
-- order of the ids the order of the writes to a row.
CREATE SEQUENCE realtime.change_id CACHE 1;

-- The slot of the ring that writers append to. A sequence, because writers read
-- it without waiting for whoever moves it on.
CREATE SEQUENCE realtime.ring_slot MINVALUE 0 START 0 CACHE 1;
SELECT setval('realtime.ring_slot', 0);

-- One row per logged row, TRUNCATE or marker.
--   type       I, U, D, T (TRUNCATE) or M (marker: something about the tables
--              themselves changed; record says what)
--   ord        the place in the reading order: ord, depth, id. It is the id,
--              except for a statement whose triggers wrote to logged tables: its
--              entries come before theirs although they were logged after them.
--   depth      pg_trigger_depth() of the logging trigger
--   truncated  1: record holds the key only; 2: old_record does
CREATE TABLE realtime.changes (
  id          bigint      NOT NULL,
  ord         bigint      NOT NULL,
  xid         xid8        NOT NULL DEFAULT pg_current_xact_id(),
  logged_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  table_id    integer     NOT NULL,
  depth       smallint    NOT NULL DEFAULT 1,
  slot        smallint    NOT NULL,
  truncated   smallint    NOT NULL DEFAULT 0,
  type        "char"      NOT NULL,
  record      json,
  old_record  json
) PARTITION BY LIST (slot);

-- Not compressed: only so does pg_column_size tell, without reading an image, how
-- much of a reader's memory it takes.
ALTER TABLE realtime.changes ALTER record SET STORAGE EXTERNAL, ALTER old_record SET STORAGE EXTERNAL;

CREATE INDEX changes_ord ON realtime.changes (ord);
CREATE INDEX changes_xid ON realtime.changes (xid);
CREATE INDEX changes_marker ON realtime.changes (xid) WHERE type = 'M';

-- What was emptied from each slot: xids and the snapshot that saw them end.
CREATE TABLE realtime.ring (
  slot            smallint    PRIMARY KEY,
  opened_at       timestamptz,
  pruned_min      xid8,
  pruned_max      xid8,
  pruned_snapshot pg_snapshot
);

-- +goose StatementBegin
DO $$
BEGIN
  FOR i IN 0..15 LOOP
    EXECUTE format('CREATE TABLE realtime.changes_%s PARTITION OF realtime.changes FOR VALUES IN (%s)', to_char(i, 'FM00'), i);
    INSERT INTO realtime.ring (slot, opened_at) VALUES (i, CASE i WHEN 0 THEN now() END);
  END LOOP;
END $$;
-- +goose StatementEnd

-- The one row of what the log remembers about itself. epoch is what
-- realtime.current_epoch() gave when the log was made or emptied last: when the
-- two differ, this is a copy, a restore or another timeline, and positions made
-- before mean nothing here.
CREATE TABLE realtime.log_state (
  singleton       boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  random_id       uuid    NOT NULL DEFAULT gen_random_uuid(),
  epoch           text,
  max_image_bytes integer NOT NULL DEFAULT 8388608 CHECK (max_image_bytes > 0)
);

INSERT INTO realtime.log_state DEFAULT VALUES;

-- +goose StatementBegin
CREATE FUNCTION realtime.current_epoch() RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT md5(concat_ws(':',
    (SELECT random_id FROM realtime.log_state),
    (SELECT system_identifier FROM pg_control_system()),
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
    (SELECT oid FROM pg_database WHERE datname = current_database())))
$$;
-- +goose StatementEnd

UPDATE realtime.log_state SET epoch = realtime.current_epoch();

-- Rings the doorbell, unless another transaction that is still open has rung it:
-- a NOTIFY costs its transaction a lock that the whole server has only once. Who
-- is refused here has its transaction id already, so the reader that the other
-- one wakes sees it running and comes back for it.
-- +goose StatementBegin
CREATE FUNCTION realtime.ring_doorbell() RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF pg_try_advisory_xact_lock(7310868735490449) THEN
    PERFORM pg_notify('fluxbase_changes', '');
  END IF;
END $$;
-- +goose StatementEnd

-- The columns of a table's primary key, in the key's order; empty without one.
-- +goose StatementBegin
CREATE FUNCTION realtime.key_columns(relation oid) RETURNS text[]
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT coalesce(array_agg(a.attname::text ORDER BY k.place), '{}')
    FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
   WHERE i.indrelid = relation AND i.indisprimary AND k.place <= i.indnkeyatts
$$;
-- +goose StatementEnd

-- A digest of the columns that an image of the table has.
-- +goose StatementBegin
CREATE FUNCTION realtime.column_signature(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT md5(coalesce(string_agg(concat_ws(' ', attnum, quote_ident(attname), atttypid, atttypmod), ',' ORDER BY attnum), ''))
    FROM pg_attribute
   WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
$$;
-- +goose StatementEnd

-- The values of an image under the given keys, as an array to compare.
-- +goose StatementBegin
CREATE FUNCTION realtime.image_key(image json, keys text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT array_agg(image ->> k ORDER BY place) FROM unnest(keys) WITH ORDINALITY AS t(k, place)
$$;
-- +goose StatementEnd

-- Notes where the log stood when a statement began: what its triggers log comes
-- behind that. Fires only once a nested entry was logged in the transaction, so
-- that ordinary statements do not pay for it. The notes are stacks, one per
-- relation and trigger depth.
-- +goose StatementBegin
CREATE FUNCTION realtime.begin_statement() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  stack text := format('realtime.begun_%s_%s', TG_RELID, pg_trigger_depth());
BEGIN
  PERFORM set_config(stack, concat_ws(',', nullif(current_setting(stack, true), ''), coalesce(pg_sequence_last_value('realtime.change_id'), 0)), true);
  RETURN NULL;
END $$;
-- +goose StatementEnd

-- The function of a trigger that never runs; see fluxbase.create_log_trigger.
-- +goose StatementBegin
CREATE FUNCTION realtime.keep_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  RETURN NEW;
END $$;
-- +goose StatementEnd

-- Takes the newest note of begin_statement off its stack; 0 when the statement
-- began before there was a nested entry. The statements of a foreign key's action
-- begin one level deeper than their AFTER triggers run.
-- +goose StatementBegin
CREATE FUNCTION realtime.statement_begun(relation oid, level integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  stack text;
  notes text[];
BEGIN
  FOR d IN level .. level + 1 LOOP
    stack := format('realtime.begun_%s_%s', relation, d);
    notes := string_to_array(current_setting(stack, true), ',');
    IF cardinality(notes) > 0 THEN
      PERFORM set_config(stack, array_to_string(trim_array(notes, 1), ','), true);
      -- Settings can be written by anybody.
      RETURN coalesce(substring(notes[cardinality(notes)] FROM '^[0-9]{1,18}$')::bigint, 0);
    END IF;
  END LOOP;
  RETURN 0;
END $$;
-- +goose StatementEnd

-- The ids of the newest entries of this transaction: as many as the statement at
-- hand has just logged.
-- +goose StatementBegin
CREATE FUNCTION realtime.last_logged(entries bigint) RETURNS SETOF bigint
LANGUAGE sql SET search_path = '' AS $$
  SELECT id FROM realtime.changes WHERE xid = pg_current_xact_id() ORDER BY id DESC LIMIT entries
$$;
-- +goose StatementEnd

-- The statement that gives entries whose row was too large the key of the row:
-- rows and entries have the same order. $1 is the number of entries. Without a
-- key nothing would say which row it was.
-- +goose StatementBegin
CREATE FUNCTION realtime.keep_key_statement(rows_of text, image text, flag integer, keys text[], relation oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
BEGIN
  IF keys = '{}' THEN
    RAISE EXCEPTION 'a row of % is too large for realtime', relation::regclass
      USING ERRCODE = 'program_limit_exceeded', HINT = 'Add a primary key to the table, or raise realtime.max_image_bytes.';
  END IF;
  RETURN format($f$
    UPDATE realtime.changes c SET %1$I = k.key
      FROM (SELECT row_number() OVER (ORDER BY id) AS n, id FROM realtime.last_logged($1) AS id) e
      JOIN (SELECT row_number() OVER () AS n, json_build_object(%2$s) AS key FROM %3$I r) k USING (n)
     WHERE c.xid = pg_current_xact_id() AND c.id = e.id AND c.truncated & %4$s > 0$f$,
    image, (SELECT string_agg(format('%L, r.%I', one, one), ', ') FROM unnest(keys) AS one), rows_of, flag);
END $$;
-- +goose StatementEnd

-- Puts the entries that a statement has just logged before those that its own
-- triggers logged ahead of it. The setting realtime.nested holds the greatest
-- depth of the transaction's entries, if it is more than 1.
--
-- A row trigger that fires BEFORE may write the same row first (delete what has
-- the key, say). Such an entry is known by its image: it did not start from
-- what the statement wrote, so the statement's entry comes before the first
-- nested entry of its row that did, and stays where it is when none did.
-- +goose StatementBegin
CREATE FUNCTION realtime.order_nested(of_table integer, relation oid, level integer, logged bigint) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  deepest  integer := coalesce(substring(current_setting('realtime.nested', true) FROM '^[0-9]{1,4}$')::integer, 1);
  begun    bigint  := realtime.statement_begun(relation, level);
  first_id bigint;
  last_id  bigint;
  mark     bigint;
  keys     text[];
BEGIN
  IF logged = 0 THEN
    RETURN;
  END IF;
  IF level > deepest THEN
    PERFORM set_config('realtime.nested', level::text, true);
    RETURN;
  END IF;
  IF level = deepest THEN
    RETURN;
  END IF;
  SELECT min(id), max(id) INTO first_id, last_id FROM realtime.last_logged(logged) AS id;
  SELECT min(ord) INTO mark FROM realtime.changes
   WHERE ord > begun AND ord < first_id AND xid = pg_current_xact_id() AND depth > level;
  IF mark IS NOT NULL THEN
    keys := realtime.key_columns(relation);
    WITH mine AS MATERIALIZED (
      SELECT id, record::text AS image, realtime.image_key(coalesce(record, old_record), keys) AS key
        FROM realtime.changes
       WHERE xid = pg_current_xact_id() AND ord BETWEEN first_id AND last_id AND id BETWEEN first_id AND last_id
    ), nested AS MATERIALIZED (
      SELECT ord, old_record::text AS image, realtime.image_key(coalesce(old_record, record), keys) AS key
        FROM realtime.changes
       WHERE xid = pg_current_xact_id() AND ord >= mark AND id < first_id
         AND table_id = of_table AND depth > level AND type <> 'T'
    ), place AS (
      SELECT m.id, count(n.ord) AS touching, min(n.ord) FILTER (WHERE n.image IS NOT DISTINCT FROM m.image) AS before
        FROM mine m LEFT JOIN nested n ON n.key = m.key
       GROUP BY m.id)
    UPDATE realtime.changes c
       SET ord = CASE WHEN p.touching = 0 THEN mark ELSE p.before END
      FROM place p
     WHERE c.xid = pg_current_xact_id() AND c.ord BETWEEN first_id AND last_id AND c.id = p.id
       AND (p.touching = 0 OR p.before IS NOT NULL);
  END IF;
END $$;
-- +goose StatementEnd

-- Logs what one statement did to one table. Arguments: the table's id in the
-- registry, the largest image in bytes, and whether the table is partitioned.
-- The settings are pinned so that an image reads the same whoever wrote the row.
--
-- Every writer pays for this: one statement writes the entries, and only what is
-- rare (a nested statement, a row that is too large) looks at them again. A row
-- that is too large says so by a setting.
--
-- OLD and NEW rows of an UPDATE are paired by their number: PostgreSQL appends
-- to both transition tables in one step per row. The one exception is a moved
-- row that a BEFORE trigger of its new partition swallowed; then the numbers
-- differ and rows are paired by key.
-- +goose StatementBegin
CREATE FUNCTION realtime.log_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = '' SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = 1 AS $$
DECLARE
  of_table integer  := TG_ARGV[0];
  largest  integer  := TG_ARGV[1];
  level    smallint := pg_trigger_depth();
  logged   bigint;
  keys     text[];
  mark     bigint;
BEGIN
  CASE TG_OP
  WHEN 'INSERT' THEN
    INSERT INTO realtime.changes (slot, id, ord, table_id, type, depth, truncated, record)
    SELECT pg_sequence_last_value('realtime.ring_slot'), i.id, i.id, of_table, 'I', level,
           CASE WHEN pg_column_size(i.image) <= largest THEN 0 ELSE length(set_config('realtime.cut', 'y', true)) END,
           CASE WHEN pg_column_size(i.image) <= largest THEN i.image END
      FROM (SELECT nextval('realtime.change_id') AS id,
                   CASE WHEN pg_column_size(r) <= largest THEN row_to_json(r) END AS image
              FROM realtime_new r) i;

  WHEN 'DELETE' THEN
    INSERT INTO realtime.changes (slot, id, ord, table_id, type, depth, truncated, old_record)
    SELECT pg_sequence_last_value('realtime.ring_slot'), i.id, i.id, of_table, 'D', level,
           CASE WHEN pg_column_size(i.image) <= largest THEN 0 ELSE 2 * length(set_config('realtime.cut', 'y', true)) END,
           CASE WHEN pg_column_size(i.image) <= largest THEN i.image END
      FROM (SELECT nextval('realtime.change_id') AS id,
                   CASE WHEN pg_column_size(r) <= largest THEN row_to_json(r) END AS image
              FROM realtime_old r) i;

  WHEN 'UPDATE' THEN
    IF TG_ARGV[2] = 'partitioned'
       AND (SELECT count(*) FROM realtime_old) <> (SELECT count(*) FROM realtime_new) THEN
      keys := realtime.key_columns(TG_RELID);
      INSERT INTO realtime.changes (slot, id, ord, table_id, type, depth, record, old_record)
      SELECT pg_sequence_last_value('realtime.ring_slot'), p.id, p.id, of_table,
             CASE WHEN p.record IS NULL THEN 'D' WHEN p.old_record IS NULL THEN 'I' ELSE 'U' END::"char", level, p.record, p.old_record
        FROM (SELECT nextval('realtime.change_id') AS id, c.image AS record, o.image AS old_record
                FROM (SELECT row_to_json(r) AS image, realtime.image_key(row_to_json(r), keys) AS key FROM realtime_old r) o
                FULL JOIN (SELECT row_to_json(r) AS image, realtime.image_key(row_to_json(r), keys) AS key FROM realtime_new r) c
                  ON c.key = o.key) p;
    ELSE
      INSERT INTO realtime.changes (slot, id, ord, table_id, type, depth, truncated, record, old_record)
      SELECT pg_sequence_last_value('realtime.ring_slot'), p.id, p.id, of_table, 'U', level,
             CASE WHEN pg_column_size(p.record) <= largest THEN 0 ELSE length(set_config('realtime.cut', 'y', true)) END
               + CASE WHEN pg_column_size(p.old_record) <= largest THEN 0 ELSE 2 * length(set_config('realtime.cut', 'y', true)) END,
             CASE WHEN pg_column_size(p.record) <= largest THEN p.record END,
             CASE WHEN pg_column_size(p.old_record) <= largest THEN p.old_record END
        FROM (SELECT nextval('realtime.change_id') AS id, q.record, q.old_record
                FROM (SELECT c.image AS record, o.image AS old_record
                        FROM (SELECT row_number() OVER () AS n, CASE WHEN pg_column_size(r) <= largest THEN row_to_json(r) END AS image
                                FROM realtime_new r) c
                        JOIN (SELECT row_number() OVER () AS n, CASE WHEN pg_column_size(r) <= largest THEN row_to_json(r) END AS image
                                FROM realtime_old r) o USING (n)
                       ORDER BY n) q) p;
    END IF;

  ELSE -- TRUNCATE
    -- Emptying a partitioned table fires for every member. One entry says it,
    -- as long as nothing was logged for the table since.
    mark := substring(current_setting('realtime.emptied_' || of_table, true) FROM '^[0-9]{1,18}$')::bigint;
    IF mark IS NOT NULL
       AND EXISTS (SELECT FROM realtime.changes WHERE ord = mark AND xid = pg_current_xact_id() AND table_id = of_table AND type = 'T')
       AND NOT EXISTS (SELECT FROM realtime.changes WHERE ord > mark AND xid = pg_current_xact_id() AND table_id = of_table) THEN
      mark := -mark;
    END IF;
    INSERT INTO realtime.changes (slot, id, ord, table_id, type, depth)
    SELECT pg_sequence_last_value('realtime.ring_slot'), i.id, i.id, of_table, 'T', level
      FROM (SELECT nextval('realtime.change_id') AS id) i
     WHERE mark IS NULL OR mark >= 0
    RETURNING set_config('realtime.emptied_' || of_table, id::text, true)::bigint INTO mark;
  END CASE;

  GET DIAGNOSTICS logged = ROW_COUNT;
  IF logged > 0 AND current_setting('realtime.cut', true) = 'y' THEN
    PERFORM set_config('realtime.cut', '', true);
    keys := realtime.key_columns(coalesce(pg_partition_root(TG_RELID), TG_RELID));
    IF TG_OP <> 'DELETE' THEN
      EXECUTE realtime.keep_key_statement('realtime_new', 'record', 1, keys, TG_RELID) USING logged;
    END IF;
    IF TG_OP <> 'INSERT' THEN
      EXECUTE realtime.keep_key_statement('realtime_old', 'old_record', 2, keys, TG_RELID) USING logged;
    END IF;
  END IF;

  IF level > 1 OR current_setting('realtime.nested', true) <> '' THEN
    PERFORM realtime.order_nested(of_table, TG_RELID, level, logged);
  END IF;
  IF logged = 0 THEN
    RETURN NULL;
  END IF;

  -- realtime.ring_doorbell(), written out: a call costs every statement.
  IF pg_try_advisory_xact_lock(7310868735490449) THEN
    PERFORM pg_notify('fluxbase_changes', '');
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd

-- What a column's values are compared as: the type beneath a domain, and of an
-- array the type of its elements.
-- +goose StatementBegin
CREATE FUNCTION realtime.element_type(column_type oid)
RETURNS TABLE (nspname name, typname name, typcategory "char", is_array boolean)
LANGUAGE sql STABLE SET search_path = '' AS $$
  WITH RECURSIVE beneath AS (
    SELECT t.oid, t.typtype, t.typbasetype, t.typcategory, t.typelem FROM pg_type t WHERE t.oid = column_type
    UNION ALL
    SELECT t.oid, t.typtype, t.typbasetype, t.typcategory, t.typelem FROM beneath b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd')
  SELECT n.nspname, t.typname, CASE t.typtype WHEN 'c' THEN 'C' ELSE t.typcategory END, b.typcategory = 'A'
    FROM beneath b
    JOIN pg_type t ON t.oid = CASE WHEN b.typcategory = 'A' THEN b.typelem ELSE b.oid END
    JOIN pg_namespace n ON n.oid = t.typnamespace
   WHERE b.typtype <> 'd'
$$;
-- +goose StatementEnd

-- Everything that a reader must know of the enabled tables to judge and deliver
-- their changes: columns, keys, policies, and what each of the callers' roles may
-- do. Policies are printed with an empty search path, so that they mean the same
-- wherever they are evaluated.
-- +goose StatementBegin
CREATE FUNCTION realtime.plan() RETURNS json
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT coalesce(json_agg(json_build_object(
    'id', t.id, 'relation', c.oid::bigint, 'schema', n.nspname, 'table', c.relname,
    'events', t.events, 'exclude', t.excluded_columns,
    'signature', realtime.column_signature(c.oid),
    'key', realtime.key_columns(c.oid),
    'rls', c.relrowsecurity,
    'columns', (SELECT coalesce(json_agg(json_build_object(
                         'name', a.attname, 'type', y.typname, 'sql', format_type(a.atttypid, a.atttypmod),
                         'base_schema', e.nspname, 'base', e.typname, 'array', e.is_array, 'category', e.typcategory) ORDER BY a.attnum), '[]')
                  FROM pg_attribute a
                  JOIN pg_type y ON y.oid = a.atttypid
                 CROSS JOIN LATERAL realtime.element_type(a.atttypid) e
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'policies', (SELECT coalesce(json_agg(json_build_object('name', p.polname, 'permissive', p.polpermissive,
                          'using', pg_get_expr(p.polqual, p.polrelid),
                          'roles', (SELECT coalesce(json_agg(r.rolname), '[]') FROM pg_roles r
                                     WHERE r.rolname IN ('anon', 'authenticated', 'service_role', 'tenant_service')
                                       AND EXISTS (SELECT FROM unnest(p.polroles) AS g WHERE g = 0 OR pg_has_role(r.oid, g, 'USAGE')))) ORDER BY p.polname), '[]')
                   FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*')),
    'roles', (SELECT coalesce(json_object_agg(r.rolname, json_build_object(
                       'usage', has_schema_privilege(r.oid, n.oid, 'USAGE'),
                       'bypass', r.rolsuper OR r.rolbypassrls OR (NOT c.relforcerowsecurity AND pg_has_role(r.oid, c.relowner, 'USAGE')),
                       'columns', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
                                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                      AND has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT')))), '{}')
                FROM pg_roles r WHERE r.rolname IN ('anon', 'authenticated', 'service_role', 'tenant_service'))
  ) ORDER BY t.id), '[]')
  FROM realtime.schema_registry t
  JOIN pg_class c ON c.oid = t.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE t.realtime_enabled
$$;
-- +goose StatementEnd

-- Writes a marker: from here on the tables are something else. columns names the
-- tables whose columns may be other ones, with their digests. Readers meet it in
-- the order of the changes around it.
-- +goose StatementBegin
CREATE FUNCTION realtime.log_marker(kind text, tables integer[]) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  INSERT INTO realtime.changes (slot, id, ord, table_id, type, depth, record)
  SELECT pg_sequence_last_value('realtime.ring_slot'), i.id, i.id, 0, 'M', 0,
         json_build_object('kind', kind, 'columns', (
           SELECT coalesce(json_object_agg(t.id, realtime.column_signature(t.relation)), '{}')
             FROM realtime.schema_registry t WHERE t.id = ANY(tables) AND t.relation IS NOT NULL))
    FROM (SELECT nextval('realtime.change_id') AS id) i;
  PERFORM realtime.ring_doorbell();
END $$;
-- +goose StatementEnd

-- The stem of the names of a table's triggers. Names are bytes to PostgreSQL and
-- are cut at 63 of them.
-- +goose StatementBegin
CREATE FUNCTION realtime.trigger_name(table_name text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT CASE WHEN octet_length(table_name) <= 38 THEN table_name ELSE left(md5(table_name), 38) END || '_realtime_notify'
$$;
-- +goose StatementEnd

-- The triggers that an enabled table and all of its partitions must have; none
-- for a disabled one.
-- +goose StatementBegin
CREATE FUNCTION realtime.wanted_triggers(of_table integer)
RETURNS TABLE (member oid, name text, event text, arguments text[])
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT m.member, realtime.trigger_name(r.table_name) || '_' || lower(e.event), e.event,
         ARRAY[r.id::text, s.max_image_bytes::text, CASE root.relkind WHEN 'p' THEN 'partitioned' ELSE 'plain' END,
               CASE e.event WHEN 'BEGIN' THEN array_to_string(r.events, ' ') ELSE '' END]
    FROM realtime.schema_registry r
    JOIN pg_class root ON root.oid = r.relation
   CROSS JOIN realtime.log_state s
   CROSS JOIN LATERAL (SELECT relid::oid AS member FROM pg_partition_tree(r.relation) UNION SELECT r.relation) m
    JOIN pg_class c ON c.oid = m.member AND c.relkind IN ('r', 'p')
   CROSS JOIN LATERAL (SELECT unnest(r.events) AS event
                       UNION ALL SELECT 'TRUNCATE' WHERE 'DELETE' = ANY(r.events)
                       UNION ALL SELECT 'BEGIN'
                       UNION ALL SELECT 'ROUTE' WHERE c.relispartition AND c.relkind = 'r' AND 'UPDATE' = ANY(r.events)) e
   WHERE r.id = of_table AND r.realtime_enabled
$$;
-- +goose StatementEnd

-- Gives every member the triggers that it must have, and takes them from
-- relations that are no members any more. Changes nothing where all is as it
-- should be.
-- +goose StatementBegin
CREATE FUNCTION realtime.sync_triggers(of_table integer) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT t.tgrelid, t.tgname::text AS tgname
      FROM pg_trigger t
     WHERE t.tgfoid IN ('realtime.log_change'::regproc, 'realtime.begin_statement'::regproc, 'realtime.keep_row'::regproc)
       AND encode(t.tgargs, 'escape') LIKE of_table || '\\000%'
       AND NOT EXISTS (SELECT FROM realtime.wanted_triggers(of_table) w
                        WHERE w.member = t.tgrelid AND w.name = t.tgname
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

-- Called by the event trigger of bootstrap for every DDL command, inside it.
-- Keeps names, partitions and triggers as they should be, and writes the marker.
-- event and tag are those of the event trigger.
-- +goose StatementBegin
CREATE FUNCTION realtime.schema_changed(event text, tag text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  touched integer[];
  one     integer;
BEGIN
  IF NOT EXISTS (SELECT FROM realtime.schema_registry WHERE relation IS NOT NULL) THEN
    RETURN;
  END IF;

  IF event = 'sql_drop' THEN
    WITH gone AS (
      UPDATE realtime.schema_registry r SET realtime_enabled = false, relation = NULL, updated_at = now()
        FROM pg_event_trigger_dropped_objects() d
       WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.objid = r.relation
      RETURNING r.id)
    SELECT array_agg(id) INTO touched FROM gone;
    IF touched IS NOT NULL OR tag IN ('DROP POLICY', 'DROP OWNED') THEN
      PERFORM realtime.log_marker(lower(tag), touched);
    END IF;
    RETURN;
  END IF;

  IF tag IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE POLICY', 'ALTER POLICY') THEN
    SELECT array_agg(DISTINCT r.id) INTO touched
      FROM pg_event_trigger_ddl_commands() d
      LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
      JOIN realtime.schema_registry r
        ON r.relation IN (coalesce(p.polrelid, d.objid), pg_partition_root(coalesce(p.polrelid, d.objid)))
     WHERE d.classid IN ('pg_policy'::regclass, 'pg_class'::regclass);
  ELSIF tag IN ('GRANT', 'REVOKE', 'ALTER SCHEMA', 'ALTER TYPE', 'ALTER DOMAIN') THEN
    -- These do not say which tables they are about.
    touched := ARRAY(SELECT id FROM realtime.schema_registry WHERE relation IS NOT NULL);
  END IF;
  IF cardinality(touched) > 0 THEN
    PERFORM realtime.follow_names();
    FOREACH one IN ARRAY touched LOOP
      PERFORM realtime.sync_triggers(one);
    END LOOP;
    PERFORM realtime.log_marker(lower(tag), touched);
  END IF;
END $$;
-- +goose StatementEnd

-- Makes the registry say the names that the tables have now, and find by name
-- the tables whose oid is gone (after a restore). A disabled entry gives way when
-- another table took its name.
-- +goose StatementBegin
CREATE FUNCTION realtime.follow_names() RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  moved record;
BEGIN
  FOR moved IN
    SELECT r.id, r.tenant_id, n.nspname::text AS schema_name, c.relname::text AS table_name
      FROM realtime.schema_registry r JOIN pg_class c ON c.oid = r.relation JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE (r.schema_name, r.table_name) IS DISTINCT FROM (n.nspname::text, c.relname::text)
  LOOP
    DELETE FROM realtime.schema_registry
     WHERE (schema_name, table_name) = (moved.schema_name, moved.table_name) AND tenant_id IS NOT DISTINCT FROM moved.tenant_id
       AND id <> moved.id AND NOT realtime_enabled;
    UPDATE realtime.schema_registry SET schema_name = moved.schema_name, table_name = moved.table_name, updated_at = now() WHERE id = moved.id;
  END LOOP;
END $$;
-- +goose StatementEnd

-- Empties the log and begins a new epoch, for a database that is a copy of the
-- one that the positions were made in.
-- +goose StatementBegin
CREATE FUNCTION realtime.reset_log() RETURNS text
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  fresh text;
  one   integer;
BEGIN
  LOCK TABLE realtime.log_state IN EXCLUSIVE MODE;
  SELECT epoch INTO fresh FROM realtime.log_state;
  IF fresh = realtime.current_epoch() THEN
    RETURN fresh; -- another reader was faster
  END IF;
  TRUNCATE realtime.changes;
  UPDATE realtime.ring SET pruned_min = NULL, pruned_max = NULL, pruned_snapshot = NULL, opened_at = CASE slot WHEN 0 THEN now() END;
  PERFORM setval('realtime.ring_slot', 0);
  UPDATE realtime.schema_registry r
     SET relation = to_regclass(format('%I.%I', r.schema_name, r.table_name))
   WHERE r.relation IS DISTINCT FROM to_regclass(format('%I.%I', r.schema_name, r.table_name))::oid
     AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = r.relation AND n.nspname = r.schema_name AND c.relname = r.table_name);
  FOR one IN SELECT id FROM realtime.schema_registry WHERE realtime_enabled AND relation IS NOT NULL LOOP
    PERFORM realtime.sync_triggers(one);
  END LOOP;
  UPDATE realtime.log_state SET random_id = gen_random_uuid();
  UPDATE realtime.log_state SET epoch = realtime.current_epoch() RETURNING epoch INTO fresh;
  RETURN fresh;
END $$;
-- +goose StatementEnd

-- Moves the ring on and empties its oldest slots: those whose newest entry is
-- older than keep, and the oldest ones while the log is larger than largest.
-- Emptying waits for nobody longer than lock_timeout: a slot that is in use stays
-- until the next time. Gives the number of slots that were emptied, or NULL when
-- another session is doing it.
-- +goose StatementBegin
CREATE FUNCTION realtime.prune(keep interval, largest bigint) RETURNS integer
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
    EXECUTE format('SELECT max(logged_at) FROM (SELECT logged_at FROM realtime.changes_%s ORDER BY ord DESC LIMIT 1000) t', to_char(slot_no, 'FM00')) INTO newest;
    IF newest IS NULL OR newest < clock_timestamp() - keep
       OR (SELECT sum(realtime.slot_bytes(s)) FROM generate_series(0, slots - 1) AS s) > largest THEN
      EXIT WHEN NOT realtime.empty_slot(slot_no);
      emptied := emptied + 1;
    ELSE
      EXIT;
    END IF;
  END LOOP;

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
  RETURN emptied;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION realtime.slot_bytes(slot_no integer) RETURNS bigint
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT pg_relation_size(c.oid) + CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_relation_size(c.reltoastrelid) END
    FROM pg_class c WHERE c.oid = ('realtime.changes_' || to_char(slot_no, 'FM00'))::regclass
$$;
-- +goose StatementEnd

-- Empties one slot and writes down what was in it, so that a reader who needed
-- it learns that it came too late. False when the slot is in use.
-- +goose StatementBegin
CREATE FUNCTION realtime.empty_slot(slot_no integer) RETURNS boolean
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  part   text := 'realtime.changes_' || to_char(slot_no, 'FM00');
  lowest xid8;
  highest xid8;
BEGIN
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part);
  EXECUTE format('SELECT xid FROM %s ORDER BY xid LIMIT 1', part) INTO lowest;
  EXECUTE format('SELECT xid FROM %s ORDER BY xid DESC LIMIT 1', part) INTO highest;
  IF highest IS NOT NULL THEN
    UPDATE realtime.ring SET pruned_min = lowest, pruned_max = highest, pruned_snapshot = pg_current_snapshot() WHERE slot = slot_no;
  END IF;
  EXECUTE format('TRUNCATE %s', part);
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END $$;
-- +goose StatementEnd

REVOKE ALL ON ALL TABLES IN SCHEMA realtime FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA realtime FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA realtime FROM PUBLIC;
GRANT EXECUTE ON FUNCTION realtime.schema_changed(text, text) TO fluxbase_ddl;

-- +goose Down
DROP SCHEMA realtime CASCADE;
CREATE SCHEMA realtime;
GRANT USAGE ON SCHEMA realtime TO service_role, fluxbase_ddl;
