-- +goose Up

-- The control database: what all tenants share. Nothing in schema platform is
-- granted to API roles except by name.
CREATE SCHEMA platform;
GRANT USAGE ON SCHEMA platform TO authenticated, service_role, tenant_service;

CREATE TABLE platform.tenants (
  id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  -- Unique also among deleted ones: names of databases are made of it.
  slug       text        NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  is_default boolean     NOT NULL DEFAULT false,
  db_name    text,
  status     text        NOT NULL DEFAULT 'creating' CHECK (status IN ('creating', 'active', 'error', 'deleting')),
  metadata   jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz,
  CHECK (NOT is_default OR (db_name IS NULL AND deleted_at IS NULL))
);
CREATE UNIQUE INDEX tenants_default_key ON platform.tenants (is_default) WHERE is_default;

INSERT INTO platform.tenants (slug, name, is_default, status) VALUES ('default', 'Default', true, 'active');

-- +goose StatementBegin
CREATE FUNCTION platform.ring_tenants() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM pg_catalog.pg_notify('fluxbase_tenants', '');
  RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER ring_tenants AFTER INSERT OR UPDATE OR DELETE ON platform.tenants
  FOR EACH STATEMENT EXECUTE FUNCTION platform.ring_tenants();

-- +goose Down
DROP SCHEMA platform CASCADE;
