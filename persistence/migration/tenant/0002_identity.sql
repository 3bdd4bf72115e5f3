-- +goose Up

-- The people who sign in to this tenant's applications.
CREATE TABLE auth.users (
  id                    uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant_id             uuid,
  email                 text        NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
  password_hash         text,
  email_verified        boolean     NOT NULL DEFAULT false,
  -- Operators and services have credentials of their own: a row of this table
  -- must never turn into one of them, whoever writes it.
  role                  text        NOT NULL DEFAULT 'authenticated'
                        CHECK (role <> '' AND length(role) <= 63 AND role NOT IN
                          ('anon', 'service_role', 'tenant_service', 'instance_admin', 'tenant_admin', 'dashboard_user')),
  -- Both are read with every sign-in and refresh.
  user_metadata         jsonb       NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(user_metadata) = 'object' AND octet_length(user_metadata::text) <= 16384),
  app_metadata          jsonb       NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(app_metadata) = 'object' AND octet_length(app_metadata::text) <= 16384),
  failed_login_attempts integer     NOT NULL DEFAULT 0,
  locked_until          timestamptz,
  created_at            timestamptz NOT NULL DEFAULT now(),
  updated_at            timestamptz NOT NULL DEFAULT now()
);

-- Addresses are one person's whatever their case.
CREATE UNIQUE INDEX users_email_key ON auth.users (tenant_id, lower(email)) NULLS NOT DISTINCT;

-- One row per sign-in. A refresh token names the row and a generation of it;
-- only the newest generation may be turned into new tokens.
CREATE TABLE auth.sessions (
  id          uuid        PRIMARY KEY,
  tenant_id   uuid,
  user_id     uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
  generation  integer     NOT NULL DEFAULT 0,
  rotated_at  timestamptz NOT NULL DEFAULT now(),
  expires_at  timestamptz NOT NULL,
  ip_address  text,
  user_agent  text,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_user_id_idx ON auth.sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON auth.sessions (expires_at);

-- Wrong passwords for addresses that nobody has. They are counted and locked as
-- those of real accounts are, so that the answers do not tell which is which.
CREATE TABLE auth.stray_logins (
  tenant_id    uuid        NOT NULL,
  email_digest bytea       NOT NULL,
  failures     integer     NOT NULL,
  locked_until timestamptz,
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, email_digest)
);
CREATE INDEX stray_logins_updated_at_idx ON auth.stray_logins (updated_at);

-- What this tenant has revoked. The nodes read platform.revocations in the
-- control database; this copy keeps the tenant's database complete in itself.
CREATE TABLE auth.revocations (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind       text        NOT NULL CHECK (kind IN ('user', 'session', 'token')),
  subject    text        NOT NULL,
  revoked_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz
);
CREATE INDEX revocations_expires_at_idx ON auth.revocations (expires_at);

-- +goose StatementBegin
CREATE FUNCTION auth.guard_user() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  -- The role that runs the statement decides, never a setting: settings can be
  -- forged by whoever runs SQL.
  trusted boolean := current_user IN ('service_role', 'tenant_service')
    OR pg_catalog.pg_has_role(current_user, (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = TG_RELID), 'MEMBER');
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NOT trusted THEN
      RAISE EXCEPTION 'users are created by signing up' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF new.tenant_id IS NULL THEN
      new.tenant_id := nullif(pg_catalog.current_setting('app.current_tenant_id', true), '')::uuid;
    END IF;
    RETURN new;
  END IF;
  IF NOT trusted THEN
    IF (new.id, new.tenant_id, new.email, new.password_hash, new.email_verified, new.role, new.app_metadata,
        new.failed_login_attempts, new.locked_until, new.created_at)
       IS DISTINCT FROM
       (old.id, old.tenant_id, old.email, old.password_hash, old.email_verified, old.role, old.app_metadata,
        old.failed_login_attempts, old.locked_until, old.created_at) THEN
      RAISE EXCEPTION 'only user_metadata may be changed here'
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Change the address and the password with PATCH /api/v1/auth/user.';
    END IF;
  END IF;
  -- Signing in writes counters; that is no change of the user.
  IF (new.email, new.password_hash, new.email_verified, new.role, new.user_metadata, new.app_metadata)
     IS DISTINCT FROM
     (old.email, old.password_hash, old.email_verified, old.role, old.user_metadata, old.app_metadata) THEN
    new.updated_at := pg_catalog.now();
  ELSE
    new.updated_at := old.updated_at;
  END IF;
  RETURN new;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER guard_user BEFORE INSERT OR UPDATE ON auth.users
  FOR EACH ROW EXECUTE FUNCTION auth.guard_user();

ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.stray_logins ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.revocations ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON auth.users, auth.sessions, auth.stray_logins, auth.revocations
  FROM PUBLIC, anon, authenticated, tenant_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON auth.users, auth.sessions, auth.stray_logins, auth.revocations
  TO service_role;

-- Hash and lock counters are for nobody but the service.
GRANT SELECT (id, tenant_id, email, email_verified, role, user_metadata, app_metadata, created_at, updated_at),
      UPDATE (user_metadata)
  ON auth.users TO authenticated;
GRANT SELECT (id, tenant_id, email, email_verified, role, user_metadata, app_metadata, created_at, updated_at),
      UPDATE (email, email_verified, role, user_metadata, app_metadata),
      DELETE
  ON auth.users TO tenant_service;

CREATE POLICY users_own_row ON auth.users FOR SELECT TO authenticated
  USING (id = auth.uid());
CREATE POLICY users_change_own_row ON auth.users FOR UPDATE TO authenticated
  USING (id = auth.uid()) WITH CHECK (id = auth.uid());
CREATE POLICY users_of_tenant ON auth.users TO tenant_service
  USING (auth.has_tenant_access(tenant_id)) WITH CHECK (auth.has_tenant_access(tenant_id));

-- +goose Down
DROP TABLE auth.revocations;
DROP TABLE auth.stray_logins;
DROP TABLE auth.sessions;
DROP TABLE auth.users;
DROP FUNCTION auth.guard_user();
