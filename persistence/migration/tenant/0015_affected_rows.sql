-- +goose Up

-- Gives the number of rows that a write changed, and undoes the write when they are
-- more than the server lets its caller change at once.
-- +goose StatementBegin
CREATE FUNCTION app.cap_affected(affected bigint, most bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF affected > most THEN
    RAISE SQLSTATE 'FX010' USING MESSAGE = 'The write would change more than ' || most || ' rows',
      HINT = 'Nothing was changed. Narrow the filter, or write in several steps with limit.';
  END IF;
  RETURN affected;
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION app.cap_affected(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.cap_affected(bigint, bigint) TO anon, authenticated, service_role, tenant_service;

-- +goose Down
DROP FUNCTION app.cap_affected(bigint, bigint);
