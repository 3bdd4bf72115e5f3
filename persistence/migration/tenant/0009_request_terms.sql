-- +goose Up

-- What a request may demand of the transaction that its statement runs in. Each
-- function ends the transaction by an error whose SQLSTATE the server knows.

-- Gives the number of rows that a write changed, unless there are fewer or more
-- than wanted.
-- +goose StatementBegin
CREATE FUNCTION app.check_affected(affected bigint, lowest bigint, highest bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF affected < lowest OR affected > highest THEN
    RAISE SQLSTATE 'FX004' USING MESSAGE = 'The write changed another number of rows than wanted', DETAIL = affected;
  END IF;
  RETURN affected;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION app.roll_back() RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  RAISE SQLSTATE 'FX005' USING MESSAGE = 'The transaction is rolled back as asked';
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION app.check_affected(bigint, bigint, bigint), app.roll_back() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.check_affected(bigint, bigint, bigint), app.roll_back() TO anon, authenticated, service_role, tenant_service;

-- +goose Down
DROP FUNCTION app.roll_back(), app.check_affected(bigint, bigint, bigint);
