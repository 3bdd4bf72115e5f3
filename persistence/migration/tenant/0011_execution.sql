-- +goose Up

-- Work that is done later, or by whoever has time: see persistence/queue. Nothing
-- of the schema is for callers but queue.settle, which asks for what only the
-- holder of a claim knows. Time is judged by the clock of the database alone.
CREATE SCHEMA queue;

-- One row per task that waits or is being done; who has done it deletes it.
--   kind      what is to be done, for which tenant; its own tables have the rest under
--             the same id
--   lane      whose task it is: lanes take turns
--   free_at   nobody may claim it before: when it is due, or when the lease of
--             whoever has claimed it runs out
--   attempt   how often it has been claimed
--   claim     names the latest claim, and nobody but its holder knows it; NULL
--             while the task waits
CREATE TABLE queue.tasks (
  id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  kind         text        NOT NULL,
  lane         text        NOT NULL DEFAULT '',
  payload      jsonb       NOT NULL DEFAULT '{}',
  free_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempt      integer     NOT NULL DEFAULT 0,
  max_attempts integer     NOT NULL DEFAULT 1 CHECK (max_attempts > 0),
  claim        uuid,
  node         text,
  enqueued_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((claim IS NULL) = (node IS NULL))
);
CREATE INDEX tasks_turn ON queue.tasks (kind, lane, free_at);

-- Adds a task in the transaction of what it is about, and rings for it.
-- +goose StatementBegin
CREATE FUNCTION queue.enqueue(id uuid, kind text, lane text, max_attempts integer, payload jsonb DEFAULT '{}', free_at timestamptz DEFAULT clock_timestamp()) RETURNS uuid
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  INSERT INTO queue.tasks (id, kind, lane, payload, free_at, max_attempts)
  VALUES (enqueue.id, enqueue.kind, enqueue.lane, enqueue.payload, enqueue.free_at, enqueue.max_attempts);
  PERFORM pg_notify('fluxbase_queue', enqueue.kind);
  RETURN enqueue.id;
END $$;
-- +goose StatementEnd

-- Ends a task for the holder of the claim, in the transaction of what was done.
-- FX006: somebody else has claimed it since, or it was taken back; what was done
-- is undone then.
-- +goose StatementBegin
CREATE FUNCTION queue.settle(task uuid, held uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  DELETE FROM queue.tasks t WHERE t.id = task AND t.claim = held;
  IF NOT FOUND THEN
    RAISE SQLSTATE 'FX006' USING MESSAGE = 'The task is no longer held by this claim';
  END IF;
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION queue.enqueue(uuid, text, text, integer, jsonb, timestamptz), queue.settle(uuid, uuid) FROM PUBLIC;
GRANT USAGE ON SCHEMA queue TO anon, authenticated, service_role, tenant_service;
GRANT EXECUTE ON FUNCTION queue.settle(uuid, uuid) TO anon, authenticated, service_role, tenant_service;

-- One row per call of a procedure. While it waits or runs there is a task of its id
-- in the queue.
--   caller        on whose behalf it runs when it runs later
--   scheduled_at  the tick of a schedule that it is for
CREATE TABLE rpc.executions (
  id             uuid        PRIMARY KEY,
  tenant_id      uuid        NOT NULL,
  procedure_id   uuid,
  namespace      text        NOT NULL,
  procedure_name text        NOT NULL,
  status         text        NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'timeout')),
  input_params   json        NOT NULL DEFAULT '{}',
  result         json,
  truncated      boolean     NOT NULL DEFAULT false,
  error_code     text,
  error_message  text,
  rows_returned  bigint,
  duration_ms    bigint,
  user_id        uuid,
  user_role      text        NOT NULL,
  user_email     text,
  is_async       boolean     NOT NULL,
  caller         json,
  scheduled_at   timestamptz,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at     timestamptz,
  completed_at   timestamptz
);
CREATE INDEX executions_recent ON rpc.executions (tenant_id, created_at DESC, id);
CREATE INDEX executions_user ON rpc.executions (tenant_id, user_id, created_at DESC) WHERE user_id IS NOT NULL;
CREATE INDEX executions_ended ON rpc.executions (completed_at) WHERE completed_at IS NOT NULL;

-- Notes how a call ended, as the last statement of the procedure's own transaction:
-- either the procedure's effects and its end are there, or neither.
-- +goose StatementBegin
CREATE FUNCTION rpc.complete_execution(execution uuid, held uuid, rows json, row_count bigint, cut boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM queue.settle(execution, held);
  UPDATE rpc.executions x
     SET status = 'completed', result = rows, rows_returned = row_count, truncated = cut, completed_at = clock_timestamp(),
         duration_ms = extract(epoch FROM clock_timestamp() - x.started_at) * 1000
   WHERE x.id = execution;
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION rpc.complete_execution(uuid, uuid, json, bigint, boolean) FROM PUBLIC;
GRANT USAGE ON SCHEMA rpc TO anon, authenticated, service_role, tenant_service;
GRANT EXECUTE ON FUNCTION rpc.complete_execution(uuid, uuid, json, bigint, boolean) TO anon, authenticated, service_role, tenant_service;

-- When procedures with a schedule are next due. Whoever moves next_at on starts the
-- run that it stood for.
CREATE TABLE rpc.schedules (
  tenant_id uuid        NOT NULL,
  namespace text        NOT NULL,
  name      text        NOT NULL,
  schedule  text        NOT NULL,
  next_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, namespace, name)
);

-- Lines that executions of any type logged, numbered from 1 without gaps.
CREATE TABLE app.execution_logs (
  execution_id   uuid        NOT NULL,
  execution_type text        NOT NULL CHECK (execution_type IN ('function', 'job', 'rpc')),
  line_number    integer     NOT NULL,
  level          text        NOT NULL,
  message        text        NOT NULL,
  fields         jsonb,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (execution_id, line_number)
);

-- +goose Down
DROP TABLE app.execution_logs, rpc.schedules;
DROP FUNCTION rpc.complete_execution(uuid, uuid, json, bigint, boolean);
REVOKE USAGE ON SCHEMA rpc FROM anon, authenticated, service_role, tenant_service;
DROP TABLE rpc.executions;
DROP FUNCTION queue.settle(uuid, uuid), queue.enqueue(uuid, text, text, integer, jsonb, timestamptz);
DROP TABLE queue.tasks;
DROP SCHEMA queue;
