-- What the owner login needs in this database.
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE :database TO fluxbase_owner;
GRANT CONNECT ON DATABASE :database TO fluxbase_user, fluxbase_service;

DO $$
BEGIN
  -- Bookkeeping of migrations; made here and not by a migration, because the
  -- first migration is already written down in it.
  IF to_regnamespace('fluxbase') IS NULL THEN
    CREATE SCHEMA fluxbase;
  END IF;
END
$$;
GRANT USAGE, CREATE ON SCHEMA fluxbase TO fluxbase_owner;
