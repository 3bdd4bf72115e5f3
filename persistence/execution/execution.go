// Package execution keeps the calls of a tenant's stored procedures: who called what,
// whether it waits, runs or has ended, and how.
//
// A call is noted before it is answered or begun. While it waits or runs it is a task
// of the tenant's queue (persistence/queue), under the same id, and whoever runs it
// holds the task's claim. It ends once: as completed in the transaction of the
// procedure itself, which PostgreSQL undoes when the claim is lost by then, or as
// something else by whoever holds the claim or takes it away. So what a procedure
// wrote is there exactly when its execution is completed, whatever crashed.
package execution

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/queue"
)

// Status is how far an execution is.
type Status string

// The statuses. The last four are ends.
const (
	Pending   Status = "pending"
	Running   Status = "running"
	Completed Status = "completed"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
	TimedOut  Status = "timeout"
)

// Ended tells whether nothing comes behind it.
func (s Status) Ended() bool { return s != Pending && s != Running }

// ErrNotFound means that there is no such execution.
var ErrNotFound = errors.New("no such execution")

// Call is a call of a procedure to be noted.
type Call struct {
	ProcedureID, Namespace, Procedure string
	// Params is the JSON object of the request; nil for {}.
	Params json.RawMessage
	Caller caller.Caller
	// ScheduledAt is the tick that it is for; zero for a request's call.
	ScheduledAt time.Time
}

// Claimed is an execution that this node is to run.
type Claimed struct {
	Call
	queue.Task
}

// Held names its claim.
func (c *Claimed) Held() queue.Held { return queue.Held{ID: c.Task.ID, Claim: c.Claim} }

// Record is an execution as it is shown.
type Record struct {
	ID, ProcedureID, Namespace, Procedure string
	Status                                Status
	Params                                json.RawMessage
	// Result is the array of the rows; nil unless it is completed.
	Result json.RawMessage
	// Truncated tells that there were more rows.
	Truncated               bool
	ErrorCode, ErrorMessage string
	// Rows is how many rows it gave, or changed where it gives none. It and Millis
	// are nil before the end.
	Rows, Millis            *int64
	UserID, UserRole, Email string
	Async                   bool
	ScheduledAt             *time.Time
	CreatedAt               time.Time
	StartedAt, CompletedAt  *time.Time
}

// Store is the executions of one tenant.
type Store struct {
	db     *db.Database
	queue  *queue.Queue
	tenant string
	kind   string
}

// New gives the store of a tenant, by its database and id.
func New(d *db.Database, tenant string) *Store {
	return &Store{db: d, queue: queue.New(d), tenant: tenant, kind: Kind(tenant)}
}

// Kind is the kind of the tasks of a tenant's executions.
func Kind(tenant string) string { return "rpc:" + tenant }

// attempts is how often an execution may be begun that nobody waits for. Only the
// death of a node or of a connection begins it again: what it wrote is undone then.
const attempts = 3

// Lane is whose turn it is: each user's, each key's, the anonymous callers' together,
// and the schedules'.
func (c *Call) Lane() string {
	switch {
	case !c.ScheduledAt.IsZero():
		return "schedule"
	case c.Caller.UserID != "":
		return "user:" + c.Caller.UserID
	case c.Caller.KeyID != "":
		return "key:" + c.Caller.KeyID
	default:
		return "role:" + string(c.Caller.Role)
	}
}

func (c *Call) params() []byte {
	if len(c.Params) == 0 {
		return []byte("{}")
	}
	return c.Params
}

// maxNoted bounds the parameters that are kept of a call which nobody runs from the
// table: an anonymous caller must not fill the disk with them.
const maxNoted = 64 << 10

// noted are the parameters as they are kept of such a call: null for those that are
// too long.
func (c *Call) noted() []byte {
	if params := c.params(); len(params) <= maxNoted {
		return params
	}
	return []byte("null")
}

// insert notes a call; $1 to $9 are what columns gives.
const insert = `
	INSERT INTO rpc.executions (id, tenant_id, procedure_id, namespace, procedure_name, input_params, user_id, user_role, user_email, scheduled_at, status, is_async, caller, started_at, completed_at, error_code, error_message, duration_ms)
	SELECT gen_random_uuid(), $1::uuid, nullif($2, '')::uuid, $3, $4, $5::json, nullif($6, '')::uuid, $7, nullif($8, ''), $9::timestamptz, `

func (s *Store) columns(c *Call, params []byte) []any {
	var at *time.Time
	if !c.ScheduledAt.IsZero() {
		at = &c.ScheduledAt
	}
	return []any{s.tenant, c.ProcedureID, c.Namespace, c.Procedure, string(params), c.Caller.UserID, string(c.Caller.Role), c.Caller.Email, at}
}

// Begin notes a call that somebody waits for, as running and held by the node.
func (s *Store) Begin(ctx context.Context, c Call, node string, lease time.Duration) (*Claimed, error) {
	x := &Claimed{Call: c, Task: queue.Task{Kind: s.kind, Lane: c.Lane(), Attempt: 1, MaxAttempts: 1}}
	err := s.db.Owner(ctx, func(conn *pgxpool.Conn) error {
		batch := &pgx.Batch{}
		// A crash of PostgreSQL that forgets this forgets what the call did, too.
		batch.Queue(`SELECT set_config('synchronous_commit', 'off', true)`)
		batch.Queue(`WITH noted AS (`+insert+`'running', false, NULL, clock_timestamp(), NULL, NULL, NULL, NULL RETURNING id)
			INSERT INTO queue.tasks (id, kind, lane, attempt, max_attempts, claim, node, free_at)
			SELECT id, $10, $11, 1, 1, gen_random_uuid(), $12, clock_timestamp() + $13::float8 * interval '1 second' FROM noted
			RETURNING id::text, claim::text`, append(s.columns(&c, c.noted()), s.kind, c.Lane(), node, lease.Seconds())...).
			QueryRow(func(row pgx.Row) error { return row.Scan(&x.Task.ID, &x.Claim) })
		return db.Fault(conn.SendBatch(ctx, batch).Close())
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}

// Enqueue notes a call that is run later, by any node, and gives its id. With most of
// its caller's calls waiting or running already it refuses with RATE_LIMIT_EXCEEDED;
// most 0 is no limit.
func (s *Store) Enqueue(ctx context.Context, c Call, most int) (id string, err error) {
	who, err := encodeCaller(c.Caller)
	if err != nil {
		return "", err
	}
	err = s.db.Owner(ctx, func(conn *pgxpool.Conn) error {
		err := conn.QueryRow(ctx, `WITH noted AS (`+insert+`'pending', true, $10::json, NULL::timestamptz, NULL, NULL, NULL, NULL
			WHERE $13 = 0 OR (SELECT count(*) FROM queue.tasks t WHERE t.kind = $11 AND t.lane = $12) < $13 RETURNING id)
			SELECT queue.enqueue(id, $11, $12, $14)::text FROM noted`,
			append(s.columns(&c, c.params()), who, s.kind, c.Lane(), most, attempts)...).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.Newf(fault.RateLimitExceeded, "%d executions are waiting or running already", most).WithRetryAfter(time.Second)
		}
		return db.Fault(err)
	})
	return id, err
}

// Reject notes a call that was refused for what it was given, and gives its id.
func (s *Store) Reject(ctx context.Context, c Call, async bool, why *fault.Fault) (id string, err error) {
	err = s.db.Owner(ctx, func(conn *pgxpool.Conn) error {
		return db.Fault(conn.QueryRow(ctx, insert+`'failed', $10, NULL, NULL, clock_timestamp(), $11, $12, 0 RETURNING id::text`,
			append(s.columns(&c, c.noted()), async, string(why.Code), why.Message)...).Scan(&id))
	})
	return id, err
}

// Want is what a node asks for.
type Want struct {
	Node  string
	Count int
	Lease time.Duration
	// PerCaller is how many of one caller's executions run at a time, 0 for any
	// number; After the lane whose turn was last.
	PerCaller int
	After     string
}

// Claim takes executions that wait, or whose node has not renewed its claim, and notes
// that they run. Those that are exhausted are to be ended by Fail.
func (s *Store) Claim(ctx context.Context, w Want) ([]*Claimed, error) {
	tasks, err := s.queue.Claim(ctx, queue.Want{
		Kind: s.kind, Node: w.Node, Count: w.Count, Lease: w.Lease, LaneLimit: w.PerCaller, After: w.After,
	})
	if err != nil || len(tasks) == 0 {
		return nil, err
	}
	held := make(map[string]*Claimed, len(tasks))
	var ids, claims []string
	for _, t := range tasks {
		held[t.ID] = &Claimed{Task: t}
		ids, claims = append(ids, t.ID), append(claims, t.Claim)
	}
	var begun []*Claimed
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			UPDATE rpc.executions x SET status = 'running', started_at = clock_timestamp()
			  FROM queue.tasks t JOIN unnest($1::uuid[], $2::uuid[]) AS h (id, claim) ON t.id = h.id AND t.claim = h.claim
			 WHERE x.id = t.id
			RETURNING x.id::text, coalesce(x.procedure_id::text, ''), x.namespace, x.procedure_name, x.input_params, x.caller, x.scheduled_at`, ids, claims)
		if err != nil {
			return db.Fault(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var params, who []byte
			var at *time.Time
			var call Call
			if err := rows.Scan(&id, &call.ProcedureID, &call.Namespace, &call.Procedure, &params, &who, &at); err != nil {
				return err
			}
			call.Params = append(json.RawMessage(nil), params...)
			if at != nil {
				call.ScheduledAt = *at
			}
			x := held[id]
			if x.Call = call; who != nil { // calls that somebody waited for have none: they are exhausted
				if x.Caller, err = decodeCaller(who); err != nil {
					return err
				}
			}
			begun = append(begun, x)
		}
		return db.Fault(rows.Err())
	})
	return begun, err
}

// Renew makes claims last from now on, and gives the ids of those that are lost.
func (s *Store) Renew(ctx context.Context, held []queue.Held, lease time.Duration) (lost []string, err error) {
	return s.queue.Renew(ctx, held, lease)
}

// Return gives an execution back, to be begun again by any node after the delay. With
// undone this attempt does not count.
func (s *Store) Return(ctx context.Context, h queue.Held, delay time.Duration, undone bool) error {
	if err := s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `
			UPDATE rpc.executions x SET status = 'pending', started_at = NULL
			  FROM queue.tasks t WHERE t.id = x.id AND t.id = $1::uuid AND t.claim = $2::uuid`, h.ID, h.Claim)
		return db.Fault(err)
	}); err != nil {
		return err
	}
	return s.queue.Release(ctx, []queue.Held{h}, delay, undone)
}

// End is how an execution ends that does not complete.
type End struct {
	Status  Status
	Code    fault.Code
	Message string
}

// Fail ends an execution whose claim is held. It is CLAIM_LOST when it has ended
// already or is somebody else's: Get tells.
func (s *Store) Fail(ctx context.Context, h queue.Held, e End) error {
	return s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		tag, err := c.Exec(ctx, `
			WITH gone AS (DELETE FROM queue.tasks WHERE id = $1::uuid AND claim = $2::uuid RETURNING id)
			UPDATE rpc.executions x
			   SET status = $3, error_code = $4, error_message = $5, completed_at = clock_timestamp(),
			       duration_ms = extract(epoch FROM clock_timestamp() - coalesce(x.started_at, clock_timestamp())) * 1000
			  FROM gone WHERE x.id = gone.id`, h.ID, h.Claim, string(e.Status), string(e.Code), e.Message)
		if err == nil && tag.RowsAffected() == 0 {
			return fault.New(fault.ClaimLost, "The execution has ended or belongs to another node")
		}
		return db.Fault(err)
	})
}

// Cancel ends an execution that waits or runs, on any node: from when it returns, a
// procedure that still runs cannot commit any more, and its node is rung for to stop
// it. One that is committing at this moment is waited for. cancelled is false when
// the execution had ended before.
func (s *Store) Cancel(ctx context.Context, id string) (cancelled bool, err error) {
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		err := c.QueryRow(ctx, `
			WITH gone AS (DELETE FROM queue.tasks WHERE id = $1::uuid AND kind = $2 RETURNING id, claim),
			ended AS (
			  UPDATE rpc.executions x
			     SET status = 'cancelled', error_code = $4, error_message = 'The execution was cancelled', completed_at = clock_timestamp(),
			         duration_ms = extract(epoch FROM clock_timestamp() - coalesce(x.started_at, clock_timestamp())) * 1000
			    FROM gone WHERE x.id = gone.id)
			SELECT CASE WHEN claim IS NOT NULL THEN pg_notify($3, '-' || id) IS NOT NULL ELSE true END FROM gone`,
			id, s.kind, queue.Channel, string(fault.Canceled)).Scan(&cancelled)
		if errors.Is(err, pgx.ErrNoRows) {
			cancelled = false
			return nil
		}
		cancelled = err == nil
		return db.Fault(err)
	})
	return cancelled, err
}

// Prune deletes executions that ended before, with their logs, a bounded number of
// them, and tells how many it was. It may run on several nodes at once.
func (s *Store) Prune(ctx context.Context, keep time.Duration) (deleted int64, err error) {
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		return db.Fault(c.QueryRow(ctx, `
			WITH old AS (
			  SELECT id FROM rpc.executions WHERE completed_at < clock_timestamp() - $1::float8 * interval '1 second' AND tenant_id = $2::uuid
			   ORDER BY completed_at LIMIT 1000 FOR UPDATE SKIP LOCKED),
			lines AS (DELETE FROM app.execution_logs l USING old WHERE l.execution_id = old.id),
			gone AS (DELETE FROM rpc.executions x USING old WHERE x.id = old.id RETURNING 1)
			SELECT count(*) FROM gone`, keep.Seconds(), s.tenant).Scan(&deleted))
	})
	return deleted, err
}
