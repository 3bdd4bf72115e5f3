-- Make and remove the triggers of the change log. A table may belong to anybody,
-- and only its owner, the holder of TRIGGER on it, or a superuser may put a
-- trigger there: these run as the administrator, can do nothing but this, and
-- obey fluxbase_owner only. What they attach runs as fluxbase_owner.
CREATE OR REPLACE FUNCTION fluxbase.create_log_trigger(member oid, name text, event text, arguments text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  given text := (SELECT string_agg(quote_literal(a), ', ') FROM unnest(arguments) AS a);
  log   text := format('realtime_log.%I', lower(event) || '_' || arguments[1]);
BEGIN
  EXECUTE CASE event
    -- Only for what is logged: each beginning has an end. The second argument
    -- lists the events.
    WHEN 'BEGIN' THEN format($f$CREATE TRIGGER %I BEFORE %s ON %s FOR EACH STATEMENT
      WHEN (pg_catalog.current_setting('realtime.nested', true) <> '') EXECUTE FUNCTION realtime.begin_statement(%s)$f$, name,
      (SELECT string_agg(e, ' OR ') FROM (VALUES ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS v (e)
        WHERE e = ANY (string_to_array(arguments[2], ' '))), member::regclass, given)
    -- Never runs. That a partition has a BEFORE INSERT row trigger makes PostgreSQL
    -- take the rows of a MERGE one by one: else an UPDATE that follows an INSERT
    -- gets the inserted row into its NEW TABLE instead of its own (seen in 15.18).
    WHEN 'ROUTE' THEN format('CREATE TRIGGER %I BEFORE INSERT ON %s FOR EACH ROW WHEN (false) EXECUTE FUNCTION realtime.keep_row(%s)', name, member::regclass, given)
    WHEN 'TRUNCATE' THEN format('CREATE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION realtime.log_truncate(%s)', name, member::regclass, given)
    WHEN 'INSERT' THEN format('CREATE TRIGGER %I AFTER INSERT ON %s REFERENCING NEW TABLE AS realtime_new FOR EACH STATEMENT EXECUTE FUNCTION %s(%s)', name, member::regclass, log, given)
    WHEN 'UPDATE' THEN format('CREATE TRIGGER %I AFTER UPDATE ON %s REFERENCING OLD TABLE AS realtime_old NEW TABLE AS realtime_new FOR EACH STATEMENT EXECUTE FUNCTION %s(%s)', name, member::regclass, log, given)
    WHEN 'DELETE' THEN format('CREATE TRIGGER %I AFTER DELETE ON %s REFERENCING OLD TABLE AS realtime_old FOR EACH STATEMENT EXECUTE FUNCTION %s(%s)', name, member::regclass, log, given)
  END;
END
$$;

CREATE OR REPLACE FUNCTION fluxbase.drop_log_trigger(member oid, name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
              WHERE t.tgrelid = member AND t.tgname = name AND p.pronamespace IN (to_regnamespace('realtime'), to_regnamespace('realtime_log'))) THEN
    EXECUTE format('DROP TRIGGER %I ON %s', name, member::regclass);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION fluxbase.create_log_trigger(oid, text, text, text[]), fluxbase.drop_log_trigger(oid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fluxbase.create_log_trigger(oid, text, text, text[]), fluxbase.drop_log_trigger(oid, text) TO fluxbase_owner;
