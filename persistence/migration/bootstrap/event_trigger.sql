-- Announces schema changes: to the catalogue by NOTIFY, to the change log by
-- calling realtime.schema_changed(event text, tag text) where that exists. Inside
-- it pg_event_trigger_ddl_commands() and pg_event_trigger_dropped_objects() tell
-- what happened. It runs as fluxbase_ddl, which has no right but that.
CREATE OR REPLACE FUNCTION fluxbase.announce_schema() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_TAG IN ('REFRESH MATERIALIZED VIEW', 'CREATE STATISTICS', 'ALTER STATISTICS') THEN
    RETURN;
  END IF;
  -- Temporary tables are nobody else's business, and the functions of realtime_log
  -- follow what was announced already.
  IF TG_EVENT = 'ddl_command_end' THEN
    IF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() c
                   WHERE c.schema_name IS NULL OR c.schema_name NOT IN ('pg_temp', 'realtime_log')) THEN
      RETURN;
    END IF;
  ELSIF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() o WHERE NOT o.is_temporary) THEN
    RETURN;
  END IF;
  PERFORM pg_notify('fluxbase_schema', '');
  IF EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname = 'realtime' AND p.proname = 'schema_changed' AND p.pronargs = 2
               AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')) THEN
    PERFORM realtime.schema_changed(TG_EVENT, TG_TAG);
  END IF;
END
$$;

-- A view runs with its owner's rights unless it says security_invoker: to write
-- through it is to pass by the policies of the table beneath. Whoever wants that
-- grants it. Views of a version that let nobody write through any lose what default
-- privileges gave away; afterwards grants are not touched any more.
DO $$
DECLARE
  v record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                 WHERE n.nspname = 'fluxbase' AND p.proname = 'grant_created' AND p.prosrc NOT LIKE '%security_invoker%') THEN
    RETURN;
  END IF;
  FOR v IN SELECT c.oid::regclass AS name FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' AND pg_has_role(c.relowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions) o WHERE o.option_name = 'security_invoker' AND o.option_value::boolean)
  LOOP
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s FROM anon, authenticated, tenant_service', v.name);
  END LOOP;
END
$$;

-- Gives what was created in schema public by somebody whose default privileges
-- are not ours the same grants, and takes from a new view that runs with its
-- owner's rights what default privileges gave beside reading. It runs as whoever
-- created it, so that it can grant nothing that he could not.
CREATE OR REPLACE FUNCTION fluxbase.grant_created() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  o record;
BEGIN
  FOR o IN SELECT c.object_type, c.object_identity, c.objid,
      c.object_type = 'view' AND NOT EXISTS (SELECT FROM pg_class v, pg_options_to_table(v.reloptions) p
        WHERE v.oid = c.objid AND p.option_name = 'security_invoker' AND p.option_value::boolean) AS definer,
      -- CREATE OR REPLACE leaves the row type, and the grants, as they were.
      EXISTS (SELECT FROM pg_type t WHERE t.typrelid = c.objid AND age(t.xmin) <= 0) AS new
    FROM pg_event_trigger_ddl_commands() c
    WHERE c.schema_name = 'public'
      AND c.object_type IN ('table', 'view', 'materialized view', 'foreign table', 'sequence')
      AND NOT c.in_extension
  LOOP
    IF o.object_type = 'sequence' THEN
      IF NOT has_sequence_privilege('authenticated', o.objid, 'USAGE') THEN
        EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE %s TO anon, authenticated, tenant_service', o.object_identity);
        EXECUTE format('GRANT ALL ON SEQUENCE %s TO service_role', o.object_identity);
      END IF;
      CONTINUE;
    END IF;
    IF NOT has_table_privilege('authenticated', o.objid, 'SELECT') THEN
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO anon, authenticated, tenant_service', o.object_identity);
      EXECUTE format('GRANT ALL ON %s TO service_role', o.object_identity);
      EXECUTE format('GRANT SELECT, REFERENCES, TRIGGER ON %s TO fluxbase_owner', o.object_identity);
    ELSIF NOT o.new THEN
      CONTINUE;
    END IF;
    IF o.definer THEN
      EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s FROM anon, authenticated, tenant_service', o.object_identity);
    END IF;
  END LOOP;
END
$$;

DO $$
DECLARE
  t record;
BEGIN
  IF (SELECT proowner FROM pg_proc WHERE oid = 'fluxbase.announce_schema()'::regprocedure) <> 'fluxbase_ddl'::regrole THEN
    GRANT CREATE, USAGE ON SCHEMA fluxbase TO fluxbase_ddl;
    ALTER FUNCTION fluxbase.announce_schema() OWNER TO fluxbase_ddl;
    REVOKE CREATE ON SCHEMA fluxbase FROM fluxbase_ddl;
  END IF;
  FOR t IN SELECT * FROM (VALUES
      -- They fire in the order of their names: grants come first.
      ('fluxbase_announce', 'ddl_command_end', '', 'announce_schema'),
      ('fluxbase_announce_drop', 'sql_drop', '', 'announce_schema'),
      ('fluxbase_access', 'ddl_command_end',
       'WHEN TAG IN (''CREATE TABLE'', ''CREATE TABLE AS'', ''SELECT INTO'', ''CREATE VIEW'', ''CREATE MATERIALIZED VIEW'', ''CREATE FOREIGN TABLE'', ''CREATE SEQUENCE'', ''IMPORT FOREIGN SCHEMA'')',
       'grant_created')) AS v (name, event, condition, function)
    WHERE NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = v.name)
  LOOP
    EXECUTE format('CREATE EVENT TRIGGER %I ON %s %s EXECUTE FUNCTION fluxbase.%I()',
                   t.name, t.event, t.condition, t.function);
  END LOOP;
END
$$;
