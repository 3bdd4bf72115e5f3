-- +goose Up

-- The plan tells, too, which tables policies read and what the functions are that
-- policies name the caller by.

-- The relations that the SELECT policies of a table read: in subqueries, through
-- views, through functions whose body PostgreSQL has parsed, and through the
-- policies of what they read. What a function with a body of text reads is known
-- to nobody. The table itself is among them only when something else leads there.
-- +goose StatementBegin
CREATE FUNCTION realtime.relations_read(relation oid) RETURNS SETOF oid
LANGUAGE sql STABLE SET search_path = '' AS $$
  WITH RECURSIVE read (classid, objid) AS (
    SELECT 'pg_policy'::regclass::oid, p.oid FROM pg_policy p WHERE p.polrelid = relation AND p.polcmd IN ('r', '*')
    UNION
    SELECT n.classid, n.objid
      FROM read r
     CROSS JOIN LATERAL (
       SELECT d.refclassid AS classid, d.refobjid AS objid FROM pg_depend d
        WHERE d.classid = r.classid AND d.objid = r.objid
          AND r.classid IN ('pg_policy'::regclass, 'pg_rewrite'::regclass, 'pg_proc'::regclass)
          AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)
          -- Every policy depends on the table that it is for.
          AND NOT EXISTS (SELECT FROM pg_policy p WHERE r.classid = 'pg_policy'::regclass AND p.oid = r.objid AND p.polrelid = d.refobjid)
       UNION ALL
       SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite w JOIN pg_class v ON v.oid = w.ev_class AND v.relkind = 'v'
        WHERE r.classid = 'pg_class'::regclass AND w.ev_class = r.objid
       UNION ALL
       SELECT 'pg_class'::regclass, i.inhrelid FROM pg_inherits i WHERE r.classid = 'pg_class'::regclass AND i.inhparent = r.objid
       UNION ALL
       SELECT 'pg_policy'::regclass, p.oid FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE r.classid = 'pg_class'::regclass AND p.polrelid = r.objid AND c.relrowsecurity AND p.polcmd IN ('r', '*')) n)
  SELECT objid FROM read WHERE classid = 'pg_class'::regclass
$$;
-- +goose StatementEnd

-- The functions of schema auth that take no arguments, as far as they are one SQL
-- expression that PostgreSQL has parsed and nothing but that, and who may call
-- them. A reader trusts a name only with the body that it knows.
-- +goose StatementBegin
CREATE FUNCTION realtime.claim_functions() RETURNS json
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT coalesce(json_object_agg(p.proname, json_build_object(
           'body', pg_get_function_sqlbody(p.oid),
           'type', format_type(p.prorettype, NULL),
           'roles', (SELECT coalesce(json_agg(r.rolname ORDER BY r.rolname), '[]') FROM pg_roles r
                      WHERE r.rolname IN ('anon', 'authenticated', 'service_role', 'tenant_service')
                        AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))) ORDER BY p.proname), '{}')
    FROM pg_proc p
    JOIN pg_language l ON l.oid = p.prolang
   WHERE p.pronamespace = to_regnamespace('auth') AND p.pronargs = 0 AND p.prokind = 'f' AND l.lanname = 'sql'
     AND p.prosqlbody IS NOT NULL AND NOT p.proretset AND NOT p.prosecdef AND p.proconfig IS NULL AND p.provolatile = 's'
$$;
-- +goose StatementEnd

-- Whether a role has a privilege by an access list (kind as for acldefault). What
-- has_column_privilege and its kin say comes from a cache that learns of a REVOKE a
-- moment after snapshots see it: a plan must not be older than its own snapshot.
-- +goose StatementBegin
CREATE FUNCTION realtime.granted(acl aclitem[], kind "char", owner oid, role oid, privilege text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT EXISTS (
    SELECT FROM aclexplode(coalesce(acl, acldefault(kind, owner))) AS g
     WHERE g.privilege_type = privilege AND (g.grantee = 0 OR pg_has_role(role, g.grantee, 'USAGE')))
$$;
-- +goose StatementEnd

-- Everything that a reader must know to judge and deliver the changes of the
-- enabled tables: columns, keys, policies, what each of the callers' roles may do,
-- and which of the enabled tables the policies read. Policies are printed with an
-- empty search path, so that they mean the same wherever they are evaluated. plain
-- tells that text is UTF-8 and that PostgreSQL's types are cast as it is shipped.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.plan() RETURNS json
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT json_build_object(
    'plain', getdatabaseencoding() = 'UTF8'
      AND NOT EXISTS (SELECT FROM pg_cast WHERE oid >= 16384 AND castsource < 16384 AND casttarget < 16384),
    'functions', realtime.claim_functions(),
    'tables', coalesce(json_agg(json_build_object(
    'id', t.id, 'relation', c.oid::bigint, 'schema', n.nspname, 'table', c.relname,
    'events', t.events, 'exclude', t.excluded_columns,
    'signature', realtime.column_signature(c.oid),
    'key', realtime.key_columns(c.oid),
    'rls', c.relrowsecurity,
    'reads', (SELECT coalesce(json_agg(DISTINCT o.id ORDER BY o.id), '[]')
                FROM realtime.relations_read(c.oid) AS x
                JOIN realtime.schema_registry o ON o.relation IN (x, pg_partition_root(x)) AND o.realtime_enabled),
    'columns', (SELECT coalesce(json_agg(json_build_object(
                         'name', a.attname, 'type', y.typname, 'sql', format_type(a.atttypid, a.atttypmod),
                         'base_schema', e.nspname, 'base', e.typname, 'array', e.is_array, 'category', e.typcategory,
                         'deterministic', (SELECT l.collisdeterministic FROM pg_collation l WHERE l.oid = a.attcollation)) ORDER BY a.attnum), '[]')
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
                       'usage', r.reads_all OR realtime.granted(n.nspacl, 'n', n.nspowner, r.oid, 'USAGE'),
                       'bypass', r.rolsuper OR r.rolbypassrls OR (NOT c.relforcerowsecurity AND pg_has_role(r.oid, c.relowner, 'USAGE')),
                       'columns', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
                                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                      AND (r.selects OR realtime.granted(a.attacl, 'c', c.relowner, r.oid, 'SELECT'))))), '{}')
                FROM (SELECT x.*, x.reads_all OR realtime.granted(c.relacl, 'r', c.relowner, x.oid, 'SELECT') AS selects
                        FROM (SELECT oid, rolname, rolsuper, rolbypassrls,
                                     rolsuper OR pg_has_role(oid, 'pg_read_all_data', 'USAGE') AS reads_all
                                FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role', 'tenant_service')) x) r)
  ) ORDER BY t.id), '[]'))
  FROM realtime.schema_registry t
  JOIN pg_class c ON c.oid = t.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE t.realtime_enabled
$$;
-- +goose StatementEnd

-- Called by the event trigger of bootstrap for every DDL command, inside it.
-- Keeps names, partitions and triggers as they should be, and writes the marker.
-- event and tag are those of the event trigger. Policies of any table, views and
-- functions change what an enabled table's policies mean and read.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION realtime.schema_changed(event text, tag text) RETURNS void
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
    IF touched IS NOT NULL OR tag IN ('DROP POLICY', 'DROP OWNED', 'DROP VIEW', 'DROP FUNCTION', 'DROP ROUTINE') THEN
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
  IF tag IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE TRIGGER') THEN
    -- These may give an enabled table consequences: a trigger, or a foreign key
    -- of another table with an action.
    PERFORM realtime.sync_triggers(r.id)
       FROM realtime.schema_registry r
      WHERE r.realtime_enabled AND r.relation IN (
        SELECT coalesce(pg_partition_root(u.touched), u.touched)
          FROM pg_event_trigger_ddl_commands() d
         CROSS JOIN LATERAL (
           SELECT t.tgrelid AS touched FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
            WHERE d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND p.pronamespace NOT IN ('realtime'::regnamespace, 'realtime_log'::regnamespace)
           UNION ALL
           SELECT c.confrelid FROM pg_constraint c WHERE d.classid = 'pg_class'::regclass AND c.conrelid = d.objid AND c.contype = 'f') u);
  END IF;
  IF cardinality(touched) > 0 THEN
    PERFORM realtime.follow_names();
    FOREACH one IN ARRAY touched LOOP
      PERFORM realtime.sync_triggers(one);
    END LOOP;
    PERFORM realtime.log_marker(lower(tag), touched);
  ELSIF tag IN ('ALTER TABLE', 'CREATE POLICY', 'ALTER POLICY', 'CREATE VIEW', 'CREATE FUNCTION', 'ALTER FUNCTION', 'ALTER ROUTINE') THEN
    PERFORM realtime.log_marker(lower(tag), NULL);
  END IF;
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION realtime.relations_read(oid), realtime.claim_functions() FROM PUBLIC;

-- A reader that has the plan of before must read it again.
SELECT realtime.log_marker('migrate', NULL) WHERE EXISTS (SELECT FROM realtime.schema_registry WHERE realtime_enabled);

-- +goose Down
-- Only 0003 takes these functions away, with the whole schema: what it made could
-- read the log without them, but nothing asks it to.
SELECT 1;
