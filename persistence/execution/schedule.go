package execution

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// Scheduled is a procedure that runs by a schedule.
type Scheduled struct{ Namespace, Name, Schedule string }

// Tick is the next moment of a schedule.
type Tick struct {
	Scheduled
	At time.Time
}

// Ticks notes what is scheduled now and gives the next tick of each, and the time by
// the database's clock, which is the one that counts. A schedule that was not there,
// or was another one, begins at its first tick after that time; ticks of what is
// scheduled no longer are forgotten. next gives the first tick after a moment, or the
// zero time for none.
func (s *Store) Ticks(ctx context.Context, wanted []Scheduled, next func(schedule string, after time.Time) time.Time) (ticks []Tick, now time.Time, err error) {
	noted := map[Scheduled]time.Time{}
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT clock_timestamp(), coalesce(namespace, ''), coalesce(name, ''), coalesce(schedule, ''), next_at
			  FROM (SELECT) one LEFT JOIN rpc.schedules ON tenant_id = $1::uuid`, s.tenant)
		if err != nil {
			return db.Fault(err)
		}
		defer rows.Close()
		for rows.Next() {
			var t Scheduled
			var at *time.Time
			if err := rows.Scan(&now, &t.Namespace, &t.Name, &t.Schedule, &at); err != nil {
				return err
			}
			if at != nil {
				noted[t] = at.UTC()
			}
		}
		if err := rows.Err(); err != nil {
			return db.Fault(err)
		}
		now = now.UTC()
		batch := &pgx.Batch{}
		for _, w := range wanted {
			at, there := noted[w]
			delete(noted, w)
			if !there {
				if at = next(w.Schedule, now); at.IsZero() {
					continue
				}
				// Another node may have been first: its tick counts.
				batch.Queue(`
					INSERT INTO rpc.schedules AS s (tenant_id, namespace, name, schedule, next_at) VALUES ($1::uuid, $2, $3, $4, $5)
					ON CONFLICT (tenant_id, namespace, name) DO UPDATE
					   SET schedule = excluded.schedule, next_at = CASE WHEN s.schedule = excluded.schedule THEN s.next_at ELSE excluded.next_at END
					RETURNING next_at`, s.tenant, w.Namespace, w.Name, w.Schedule, at).
					QueryRow(func(row pgx.Row) error {
						err := row.Scan(&at)
						ticks = append(ticks, Tick{w, at.UTC()})
						return err
					})
				continue
			}
			ticks = append(ticks, Tick{w, at})
		}
		for gone := range noted {
			batch.Queue(`DELETE FROM rpc.schedules WHERE tenant_id = $1::uuid AND namespace = $2 AND name = $3 AND schedule = $4`,
				s.tenant, gone.Namespace, gone.Name, gone.Schedule)
		}
		return db.Fault(c.SendBatch(ctx, batch).Close())
	})
	return ticks, now, err
}

// Fire moves a schedule on to its next tick and enqueues the call that the tick stands
// for, both or neither. Of all nodes that try, one fires a tick; the others, and
// whoever comes before the tick by the database's clock, get false.
func (s *Store) Fire(ctx context.Context, t Tick, next time.Time, c Call) (fired bool, err error) {
	who, err := encodeCaller(c.Caller)
	if err != nil {
		return false, err
	}
	err = s.db.Owner(ctx, func(conn *pgxpool.Conn) error {
		var id string
		err := conn.QueryRow(ctx, `
			WITH taken AS (
			  UPDATE rpc.schedules SET next_at = $10
			   WHERE tenant_id = $1::uuid AND namespace = $3 AND name = $4 AND schedule = $11 AND next_at = $12 AND next_at <= clock_timestamp()
			  RETURNING 1),
			noted AS (`+insert+`'pending', true, $13::json, NULL::timestamptz, NULL, NULL, NULL, NULL FROM taken RETURNING id)
			SELECT queue.enqueue(id, $14, $15, $16)::text FROM noted`,
			append(s.columns(&c, c.params()), next, t.Schedule, t.At, who, s.kind, c.Lane(), attempts)...).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		fired = err == nil
		return db.Fault(err)
	})
	return fired, err
}

// Due gives the tenants in a database that have executions which wait or run, or a tick
// of a schedule within the time.
func Due(ctx context.Context, d *db.Database, within time.Duration) (tenants []string, err error) {
	err = d.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT substr(kind, $1) FROM queue.tasks WHERE starts_with(kind, $2)
			UNION
			SELECT tenant_id::text FROM rpc.schedules WHERE next_at < clock_timestamp() + $3::float8 * interval '1 second'`,
			len(Kind(""))+1, Kind(""), within.Seconds())
		if err != nil {
			return db.Fault(err)
		}
		tenants, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return db.Fault(err)
	})
	return tenants, err
}
