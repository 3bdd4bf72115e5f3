-- +goose Up

-- What a write with an idempotency key was answered. The row is made in the
-- transaction of the write: either both are there or neither.
CREATE TABLE app.idempotency_keys (
  -- A hash of who asked, of the route and of the key.
  scope      bytea PRIMARY KEY,
  -- A hash of what was asked.
  request    bytea NOT NULL,
  affected   bigint NOT NULL DEFAULT 0,
  records    text,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON app.idempotency_keys (created_at);

-- Claims a key for the transaction, or says by its SQLSTATE why it cannot be
-- claimed: FX001 another transaction has it at this moment, FX002 it was used for
-- another request, FX003 this very request was answered.
-- +goose StatementBegin
CREATE FUNCTION app.claim_idempotency_key(key_scope bytea, key_request bytea, lifetime interval) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  earlier bytea;
BEGIN
  IF NOT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(pg_catalog.encode(key_scope, 'hex'), 0)) THEN
    RAISE SQLSTATE 'FX001' USING MESSAGE = 'The request with this idempotency key is in progress';
  END IF;
  DELETE FROM app.idempotency_keys k WHERE k.scope = key_scope AND k.created_at < now() - lifetime;
  -- A few old ones go with each new one, so that the table stays as large as its window.
  DELETE FROM app.idempotency_keys k WHERE k.scope IN (
    SELECT o.scope FROM app.idempotency_keys o WHERE o.created_at < now() - lifetime
    ORDER BY o.created_at LIMIT 10 FOR UPDATE SKIP LOCKED);
  INSERT INTO app.idempotency_keys (scope, request) VALUES (key_scope, key_request) ON CONFLICT DO NOTHING;
  IF FOUND THEN
    RETURN;
  END IF;
  SELECT k.request INTO earlier FROM app.idempotency_keys k WHERE k.scope = key_scope;
  IF earlier = key_request THEN
    RAISE SQLSTATE 'FX003' USING MESSAGE = 'The request with this idempotency key was answered';
  END IF;
  RAISE SQLSTATE 'FX002' USING MESSAGE = 'The idempotency key was used for another request';
END $$;
-- +goose StatementEnd

-- Keeps what the write of the transaction that claimed the key answers, and gives
-- the number of rows back.
-- +goose StatementBegin
CREATE FUNCTION app.keep_answer(key_scope bytea, rows_affected bigint, rows_written text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
  UPDATE app.idempotency_keys SET affected = rows_affected, records = rows_written WHERE scope = key_scope RETURNING affected
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION app.kept_answer(key_scope bytea, key_request bytea) RETURNS TABLE (affected bigint, records text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT affected, records FROM app.idempotency_keys WHERE scope = key_scope AND request = key_request
$$;
-- +goose StatementEnd

GRANT USAGE ON SCHEMA app TO anon, authenticated, tenant_service;
REVOKE ALL ON app.idempotency_keys FROM PUBLIC;
REVOKE ALL ON FUNCTION app.claim_idempotency_key(bytea, bytea, interval), app.keep_answer(bytea, bigint, text), app.kept_answer(bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.claim_idempotency_key(bytea, bytea, interval), app.keep_answer(bytea, bigint, text), app.kept_answer(bytea, bytea)
  TO anon, authenticated, service_role, tenant_service;

-- +goose Down
REVOKE USAGE ON SCHEMA app FROM anon, authenticated, tenant_service;
DROP FUNCTION app.kept_answer(bytea, bytea), app.keep_answer(bytea, bigint, text), app.claim_idempotency_key(bytea, bytea, interval);
DROP TABLE app.idempotency_keys;
