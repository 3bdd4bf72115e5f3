-- +goose Up

-- What the nodes of a cluster agree on. Nothing in this file is granted to any
-- role: only the owner login reads and writes it. Time is judged by the clock of
-- the database alone.

-- Epochs of leases and of homes: later ones are greater, over all of them.
CREATE SEQUENCE platform.cluster_epoch;

-- One row per run of a node, for as long as it renews its lease.
CREATE TABLE platform.cluster_nodes (
  id         text        PRIMARY KEY,
  name       text        NOT NULL,
  address    text        NOT NULL,
  epoch      bigint      NOT NULL,
  joined_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION platform.ring_members() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM pg_catalog.pg_notify('fluxbase_members', '');
  RETURN NULL;
END
$$;
-- +goose StatementEnd
-- Not for renewals: they change nobody's view.
CREATE TRIGGER ring_members AFTER INSERT OR DELETE ON platform.cluster_nodes
  FOR EACH STATEMENT EXECUTE FUNCTION platform.ring_members();

-- Which node holds a home, written once per activation. previous is the node
-- that held it before and must have let go of it.
CREATE TABLE platform.cluster_homes (
  kind     text   NOT NULL,
  key      text   NOT NULL,
  node     text   NOT NULL,
  epoch    bigint NOT NULL,
  previous text,
  PRIMARY KEY (kind, key)
);
CREATE INDEX cluster_homes_node_idx ON platform.cluster_homes (node);

-- Marks of the secrets that must be equal on all nodes.
CREATE TABLE platform.cluster_secrets (
  name     text        PRIMARY KEY,
  salt     bytea       NOT NULL,
  digest   bytea       NOT NULL,
  noted_at timestamptz NOT NULL DEFAULT now()
);

-- The authority that signs the certificates of nodes. Its key is sealed.
CREATE TABLE platform.cluster_authority (
  single      boolean     PRIMARY KEY DEFAULT true CHECK (single),
  certificate bytea       NOT NULL,
  sealed_key  bytea       NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE platform.cluster_authority, platform.cluster_secrets, platform.cluster_homes, platform.cluster_nodes;
DROP FUNCTION platform.ring_members();
DROP SEQUENCE platform.cluster_epoch;
