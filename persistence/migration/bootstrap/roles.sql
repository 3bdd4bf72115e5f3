-- Roles of the whole server. Every statement changes only what is not as it
-- should be.
DO $$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT * FROM (VALUES
      ('anon',             'NOLOGIN NOINHERIT'),
      ('authenticated',    'NOLOGIN NOINHERIT'),
      ('service_role',     'NOLOGIN NOINHERIT BYPASSRLS'),
      ('tenant_service',   'NOLOGIN NOINHERIT'),
      ('fluxbase_owner',   'LOGIN NOINHERIT'),
      ('fluxbase_user',    'LOGIN NOINHERIT'),
      ('fluxbase_service', 'LOGIN NOINHERIT'),
      -- Runs the announcements of the event triggers: code that fluxbase_owner
      -- may replace must never run as the superuser whose DDL it follows.
      ('fluxbase_ddl',     'NOLOGIN NOINHERIT')) AS t (name, options)
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = t.name)
  LOOP
    EXECUTE format('CREATE ROLE %I %s', r.name, r.options);
  END LOOP;

  -- A login must get nothing by membership alone: only by asking for the role.
  FOR r IN SELECT rolname AS name FROM pg_roles
    WHERE rolname IN ('fluxbase_owner', 'fluxbase_user', 'fluxbase_service') AND rolinherit
  LOOP
    EXECUTE format('ALTER ROLE %I NOINHERIT', r.name);
  END LOOP;

  IF NOT (SELECT rolbypassrls FROM pg_roles WHERE rolname = 'service_role') THEN
    ALTER ROLE service_role BYPASSRLS;
  END IF;

  FOR r IN SELECT * FROM (VALUES
      ('fluxbase_user', 'anon'), ('fluxbase_user', 'authenticated'),
      ('fluxbase_service', 'service_role'), ('fluxbase_service', 'tenant_service')) AS t (login, role)
    WHERE NOT EXISTS (
      SELECT FROM pg_auth_members m
      WHERE m.member = t.login::regrole AND m.roleid = t.role::regrole)
  LOOP
    EXECUTE format('GRANT %I TO %I', r.role, r.login);
  END LOOP;
END
$$;
