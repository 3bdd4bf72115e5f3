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

-- The functions below read the settings of the transaction and never fail: a
-- setting that is missing, empty or malformed means an anonymous caller. They are
-- SQL without a search_path of their own, so that the planner inlines them into a
-- policy; every name in them is qualified.

-- +goose StatementBegin
CREATE FUNCTION auth.jwt() RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT coalesce(nullif(pg_catalog.current_setting('request.jwt.claims', true), ''), '{}')::pg_catalog.jsonb $$;
-- +goose StatementEnd
COMMENT ON FUNCTION auth.jwt() IS 'All claims of the caller.';

-- +goose StatementBegin
CREATE FUNCTION auth.uid() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(pg_catalog.current_setting('app.user_id', true), '')::pg_catalog.uuid $$;
-- +goose StatementEnd
COMMENT ON FUNCTION auth.uid() IS 'The id of the user who calls; NULL for keys and anonymous callers.';

-- +goose StatementBegin
CREATE FUNCTION auth.current_user_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(pg_catalog.current_setting('app.user_id', true), '')::pg_catalog.uuid $$;
-- +goose StatementEnd
COMMENT ON FUNCTION auth.current_user_id() IS 'The same as auth.uid().';

-- +goose StatementBegin
CREATE FUNCTION auth.role() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT coalesce(nullif(pg_catalog.current_setting('app.role', true), ''), 'anon') $$;
-- +goose StatementEnd
COMMENT ON FUNCTION auth.role() IS 'The application role of the caller; anon when there is none.';

-- +goose StatementBegin
CREATE FUNCTION auth.current_user_role() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT coalesce(nullif(pg_catalog.current_setting('app.role', true), ''), 'anon') $$;
-- +goose StatementEnd
COMMENT ON FUNCTION auth.current_user_role() IS 'The same as auth.role().';

-- +goose StatementBegin
CREATE FUNCTION auth.is_authenticated() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(pg_catalog.current_setting('app.user_id', true), '') IS NOT NULL $$;
-- +goose StatementEnd
COMMENT ON FUNCTION auth.is_authenticated() IS 'Whether a user calls.';

-- +goose StatementBegin
CREATE FUNCTION auth.is_admin() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT coalesce(pg_catalog.current_setting('app.role', true), '') OPERATOR(pg_catalog.=) 'admin' $$;
-- +goose StatementEnd
COMMENT ON FUNCTION auth.is_admin() IS 'Whether the application role is admin.';

-- +goose StatementBegin
CREATE FUNCTION auth.has_tenant_access(tenant uuid) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT tenant IS NOT DISTINCT FROM nullif(pg_catalog.current_setting('app.current_tenant_id', true), '')::pg_catalog.uuid $$;
-- +goose StatementEnd
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
