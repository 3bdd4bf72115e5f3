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
