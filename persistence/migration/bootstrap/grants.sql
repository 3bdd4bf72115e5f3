-- Schema public is open to the API: whoever creates a table there gets it served,
-- and row-level security is the guard. TRUNCATE passes by policies, REFERENCES
-- and TRIGGER lead around them: only the service gets those.
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role, tenant_service, fluxbase_owner;
GRANT CREATE ON SCHEMA public TO service_role, fluxbase_owner;

ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO anon, authenticated, tenant_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT ALL ON TABLES TO service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT SELECT, REFERENCES, TRIGGER ON TABLES TO fluxbase_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT USAGE, SELECT ON SEQUENCES TO anon, authenticated, tenant_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT ALL ON SEQUENCES TO service_role;

-- Tables that were there before are not opened to anybody: nobody wrote them with
-- the API in mind. The owner login may log their changes.
DO $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT c.oid::regclass AS name FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND pg_has_role(c.relowner, 'USAGE')
      AND NOT has_table_privilege('fluxbase_owner', c.oid, 'TRIGGER')
  LOOP
    EXECUTE format('GRANT SELECT, REFERENCES, TRIGGER ON %s TO fluxbase_owner', t.name);
  END LOOP;
END
$$;
