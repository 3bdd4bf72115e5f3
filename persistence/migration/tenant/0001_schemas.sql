-- +goose Up

-- auth: users, sessions and the functions that policies use. realtime: the change
-- log. app: settings of the tenant's application.
CREATE SCHEMA auth;
CREATE SCHEMA realtime;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role, tenant_service;
GRANT USAGE ON SCHEMA realtime, app TO service_role;
-- The event trigger tells the change log of schema changes.
GRANT USAGE ON SCHEMA realtime TO fluxbase_ddl;

-- What is created in schema public through the owner login is open to the API
-- like what an administrator creates there.
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO anon, authenticated, tenant_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT ALL ON TABLES TO service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT USAGE, SELECT ON SEQUENCES TO anon, authenticated, tenant_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT ALL ON SEQUENCES TO service_role;

-- The functions below read the settings of the transaction; what is not set means
-- an anonymous caller, never an error. Their bodies are parsed here and now, so
-- that no search_path changes their meaning, and are single expressions, so that
-- the planner puts them into the policy that calls them. The server sets app.user_id
-- and app.role; the claims serve whoever tries a policy out by hand.

CREATE FUNCTION auth.jwt() RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb;
COMMENT ON FUNCTION auth.jwt() IS 'All claims of the caller.';

CREATE FUNCTION auth.uid() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
  nullif(current_setting('app.user_id', true), ''),
  -- Tokens of others may have a subject that is no uuid.
  substring(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
            from '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$'))::uuid;
COMMENT ON FUNCTION auth.uid() IS 'The id of the user who calls; NULL for keys and anonymous callers.';

CREATE FUNCTION auth.current_user_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN auth.uid();
COMMENT ON FUNCTION auth.current_user_id() IS 'The same as auth.uid().';

CREATE FUNCTION auth.role() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
  nullif(current_setting('app.role', true), ''),
  nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role', ''),
  'anon');
COMMENT ON FUNCTION auth.role() IS 'The application role of the caller; anon when there is none.';

CREATE FUNCTION auth.current_user_role() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN auth.role();
COMMENT ON FUNCTION auth.current_user_role() IS 'The same as auth.role().';

CREATE FUNCTION auth.is_authenticated() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN auth.uid() IS NOT NULL;
COMMENT ON FUNCTION auth.is_authenticated() IS 'Whether a user calls.';

CREATE FUNCTION auth.is_admin() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN auth.role() = 'admin';
COMMENT ON FUNCTION auth.is_admin() IS 'Whether the application role is admin.';

CREATE FUNCTION auth.has_tenant_access(tenant uuid) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN tenant IS NOT DISTINCT FROM nullif(current_setting('app.current_tenant_id', true), '')::uuid;
COMMENT ON FUNCTION auth.has_tenant_access(uuid) IS 'Whether a row of this tenant belongs to the current one; without a current tenant only rows of none do.';

-- +goose StatementBegin
CREATE FUNCTION auth.enable_rls(table_name text, schema_name text DEFAULT 'public') RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  EXECUTE pg_catalog.format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', schema_name, table_name);
  EXECUTE pg_catalog.format('ALTER TABLE %I.%I FORCE ROW LEVEL SECURITY', schema_name, table_name);
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION auth.enable_rls(text, text) IS 'Switches row-level security on, for the owner of the table too. Only the owner may do it.';

-- +goose StatementBegin
CREATE FUNCTION auth.disable_rls(table_name text, schema_name text DEFAULT 'public') RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  EXECUTE pg_catalog.format('ALTER TABLE %I.%I NO FORCE ROW LEVEL SECURITY', schema_name, table_name);
  EXECUTE pg_catalog.format('ALTER TABLE %I.%I DISABLE ROW LEVEL SECURITY', schema_name, table_name);
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION auth.disable_rls(text, text) IS 'Switches row-level security off. Only the owner may do it.';

-- +goose Down
DROP SCHEMA app CASCADE;
DROP SCHEMA realtime CASCADE;
DROP SCHEMA auth CASCADE;
