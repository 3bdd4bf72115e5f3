-- +goose Up

-- rpc: procedures, which are stored SQL statements that callers run by name. No
-- role of the API reaches the tables: what a procedure may do is decided when it
-- is stored, so that nobody may store one around that.
CREATE SCHEMA rpc;

-- Numbers every state of every procedure, so that what was made of one is known to
-- be old.
CREATE SEQUENCE rpc.revision;

CREATE TABLE rpc.procedures (
  id                         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant_id                  uuid        NOT NULL,
  namespace                  text        NOT NULL CHECK (namespace ~ '^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$'),
  name                       text        NOT NULL CHECK (name ~ '^[A-Za-z0-9_][A-Za-z0-9_-]{0,126}$'),
  description                text        NOT NULL DEFAULT '',
  -- The text that was handed in, and of it the statement without annotations.
  original_code              text        NOT NULL CHECK (octet_length(original_code) <= 262144),
  sql_query                  text        NOT NULL,
  -- The statement as it is sent to PostgreSQL, with what its parameters stand for,
  -- and the edition of the compiler that made it.
  statement                  json        NOT NULL,
  edition                    integer     NOT NULL,
  -- NULL is any. Members keep their order.
  input_schema               json,
  output_schema              json,
  -- NULL is all tables.
  allowed_tables             text[],
  allowed_schemas            text[]      NOT NULL DEFAULT '{public}',
  max_execution_time_seconds double precision NOT NULL CHECK (max_execution_time_seconds > 0),
  require_roles              text[]      NOT NULL DEFAULT '{}',
  is_public                  boolean     NOT NULL DEFAULT false,
  disable_execution_logs     boolean     NOT NULL DEFAULT false,
  schedule                   text        CHECK (schedule <> ''),
  enabled                    boolean     NOT NULL DEFAULT true,
  version                    integer     NOT NULL DEFAULT 1 CHECK (version > 0),
  source                     text        NOT NULL CHECK (source IN ('filesystem', 'api')),
  created_by                 text,
  created_at                 timestamptz NOT NULL DEFAULT now(),
  updated_at                 timestamptz NOT NULL DEFAULT now(),
  revision                   bigint      NOT NULL DEFAULT nextval('rpc.revision'),
  UNIQUE (tenant_id, namespace, name)
);
ALTER SEQUENCE rpc.revision OWNED BY rpc.procedures.revision;
CREATE INDEX procedures_schedule_idx ON rpc.procedures (tenant_id) WHERE schedule IS NOT NULL AND enabled;

-- +goose StatementBegin
CREATE FUNCTION rpc.renew_procedure() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.revision := pg_catalog.nextval('rpc.revision');
  NEW.updated_at := pg_catalog.now();
  RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER renew_procedure BEFORE UPDATE ON rpc.procedures
  FOR EACH ROW EXECUTE FUNCTION rpc.renew_procedure();

-- The nodes keep procedures in memory until this rings.
-- +goose StatementBegin
CREATE FUNCTION rpc.ring_procedures() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM pg_catalog.pg_notify('fluxbase_procedures', '');
  RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER ring_procedures AFTER INSERT OR UPDATE OR DELETE ON rpc.procedures
  FOR EACH STATEMENT EXECUTE FUNCTION rpc.ring_procedures();

-- +goose Down
DROP SCHEMA rpc CASCADE;
