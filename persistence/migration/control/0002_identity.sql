-- +goose Up

-- The people who operate this installation. Nothing in this file is granted to
-- any role: only the owner login reads and writes it.
CREATE TABLE platform.users (
  id                    uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  email                 text        NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
  password_hash         text,
  full_name             text        NOT NULL CHECK (length(full_name) BETWEEN 1 AND 100),
  avatar_url            text,
  email_verified        boolean     NOT NULL DEFAULT false,
  role                  text        NOT NULL CHECK (role IN ('instance_admin', 'tenant_admin', 'dashboard_user')),
  is_active             boolean     NOT NULL DEFAULT true,
  failed_login_attempts integer     NOT NULL DEFAULT 0,
  locked_until          timestamptz,
  last_login_at         timestamptz,
  created_at            timestamptz NOT NULL DEFAULT now(),
  updated_at            timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email_key ON platform.users (lower(email));

CREATE TABLE platform.sessions (
  id         uuid        PRIMARY KEY,
  user_id    uuid        NOT NULL REFERENCES platform.users (id) ON DELETE CASCADE,
  generation integer     NOT NULL DEFAULT 0,
  rotated_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  ip_address text,
  user_agent text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_user_id_idx ON platform.sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON platform.sessions (expires_at);

CREATE TABLE platform.stray_logins (
  email_digest bytea       PRIMARY KEY,
  failures     integer     NOT NULL,
  locked_until timestamptz,
  updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stray_logins_updated_at_idx ON platform.stray_logins (updated_at);

-- One row once set-up is done; its key is the fence between two set-ups at once.
CREATE TABLE platform.setup (
  done         boolean     PRIMARY KEY DEFAULT true CHECK (done),
  user_id      uuid,
  completed_at timestamptz NOT NULL DEFAULT now()
);

-- Opaque keys. They are found by the HMAC of the key, so that the table alone
-- lets nobody in; sealed holds the key itself, encrypted, only for the two
-- default keys that "fluxbase keys" prints.
CREATE TABLE platform.service_keys (
  id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant_id   uuid,
  name        text        NOT NULL,
  description text,
  key_type    text        NOT NULL CHECK (key_type IN ('anon', 'publishable', 'tenant_service', 'service')),
  digest      bytea       NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  key_prefix  text        NOT NULL,
  sealed      bytea,
  scopes      text[],
  enabled     boolean     NOT NULL DEFAULT true,
  created_at  timestamptz NOT NULL DEFAULT now(),
  expires_at  timestamptz,
  revoked_at  timestamptz
);
CREATE UNIQUE INDEX service_keys_name_key ON platform.service_keys (tenant_id, name) NULLS NOT DISTINCT;

-- +goose StatementBegin
CREATE FUNCTION platform.ring_keys() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM pg_catalog.pg_notify('fluxbase_keys', '');
  RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER ring_keys AFTER INSERT OR UPDATE OR DELETE ON platform.service_keys
  FOR EACH STATEMENT EXECUTE FUNCTION platform.ring_keys();

-- The deny-list of all tenants, read by every node in the order of its numbers.
CREATE TABLE platform.revocations (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id  uuid,
  kind       text        NOT NULL CHECK (kind IN ('user', 'session', 'token', 'key')),
  subject    text        NOT NULL,
  revoked_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz
);
CREATE INDEX revocations_expires_at_idx ON platform.revocations (expires_at);

-- A number must not become visible after a greater one, or a node that has read
-- the greater would never read it. So the number is drawn while a lock is held
-- that the writer keeps until it has committed: statement triggers fire before
-- the row, and with it the number, is made.
-- +goose StatementBegin
CREATE FUNCTION platform.order_revocations() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock(7166010952312101);
  RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER order_revocations BEFORE INSERT ON platform.revocations
  FOR EACH STATEMENT EXECUTE FUNCTION platform.order_revocations();

-- +goose StatementBegin
CREATE FUNCTION platform.ring_revocations() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM pg_catalog.pg_notify('fluxbase_revocations', (SELECT pg_catalog.max(id)::text FROM added));
  RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER ring_revocations AFTER INSERT ON platform.revocations
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION platform.ring_revocations();

REVOKE ALL ON platform.users, platform.sessions, platform.stray_logins, platform.setup,
  platform.service_keys, platform.revocations
  FROM PUBLIC, anon, authenticated, service_role, tenant_service;

-- +goose Down
DROP TABLE platform.revocations;
DROP TABLE platform.service_keys;
DROP TABLE platform.setup;
DROP TABLE platform.stray_logins;
DROP TABLE platform.sessions;
DROP TABLE platform.users;
DROP FUNCTION platform.ring_revocations();
DROP FUNCTION platform.order_revocations();
DROP FUNCTION platform.ring_keys();
