package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/measure"
	"fluxbase/bench/target"
)

// writerLoad is the load of the writer scenario.
type writerLoad struct {
	writers, rounds int
	commit          string
	phase           time.Duration
}

func writer() *Scenario {
	var load writerLoad
	return &Scenario{
		Name:  "writer",
		Short: "What the change log costs those who write: single-row inserts into a table with and without realtime",
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&load.writers, "writers", 8, "connections that insert one row after another")
			f.IntVar(&load.rounds, "rounds", 4, "times that each table is written to in turn")
			f.DurationVar(&load.phase, "phase", 3*time.Second, "how long one turn takes")
			f.StringVar(&load.commit, "synchronous-commit", "off", "on or off; off leaves the disk out of it")
		},
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			return load.run(ctx, t, r)
		},
	}
}

// written is what the writers of one table did in all its turns.
type written struct {
	rows int64
	cpu  time.Duration
	took time.Duration
}

func (w written) perSecond() float64 { return float64(w.rows) / w.took.Seconds() }
func (w written) perRow() float64    { return measure.Micros(w.cpu) / float64(max(w.rows, 1)) }

func (l writerLoad) run(ctx context.Context, t *target.Target, r *measure.Report) (failed error) {
	tables := []string{"bench_plain", "bench_logged"}
	for _, table := range tables {
		if err := t.Exec(ctx, `drop table if exists public.`+table,
			`create table public.`+table+` (id bigserial primary key, owner uuid not null, n bigint not null, body text not null)`); err != nil {
			return err
		}
	}
	if err := t.Call(ctx, "POST", "/api/v1/admin/realtime/tables",
		map[string]string{"schema": "public", "table": "bench_logged"}, nil); err != nil {
		return err
	}
	conns := make([]*pgx.Conn, l.writers)
	defer func() {
		for _, c := range conns {
			if c != nil {
				failed = errors.Join(failed, c.Close(ctx))
			}
		}
	}()
	for i := range conns {
		config, err := pgx.ParseConfig(t.DatabaseURL)
		if err != nil {
			return err
		}
		config.RuntimeParams["synchronous_commit"] = l.commit
		if conns[i], err = pgx.ConnectConfig(ctx, config); err != nil {
			return err
		}
	}
	progress("writer: %d writers, %d turns of %v for each table, synchronous_commit %s", l.writers, l.rounds, l.phase, l.commit)
	var warm written
	for _, table := range tables {
		if err := l.turn(ctx, t, conns, table, time.Second, &warm); err != nil {
			return err
		}
	}
	results := make([]written, len(tables))
	for range l.rounds {
		for i, table := range tables {
			if err := l.turn(ctx, t, conns, table, l.phase, &results[i]); err != nil {
				return err
			}
		}
	}
	plain, logged := results[0], results[1]
	missing, err := l.missing(ctx, t)
	if err != nil {
		return err
	}
	r.Row("without realtime").Set("writers", l.writers).Set("rows", plain.rows).
		Set("rows/s", plain.perSecond()).Set("PostgreSQL µs CPU/row", plain.perRow())
	r.Row("with realtime").Set("writers", l.writers).Set("rows", logged.rows).
		Set("rows/s", logged.perSecond()).Set("PostgreSQL µs CPU/row", logged.perRow()).
		Set("more µs", logged.perRow()-plain.perRow()).
		Set("throughput %", 100*logged.perSecond()/plain.perSecond()).
		Set("not in the log", missing)
	return nil
}

// turn lets all writers insert into one table for a while.
func (l writerLoad) turn(ctx context.Context, t *target.Target, conns []*pgx.Conn, table string, length time.Duration, sum *written) error {
	insert := `insert into public.` + table + ` (owner, n, body) values ($1, $2, repeat('x', 64))`
	var rows atomic.Int64
	cpu, start := t.PostgresCPU(), time.Now()
	var writing errgroup.Group
	for _, c := range conns {
		owner := uuid.New()
		writing.Go(func() error {
			var n int64
			defer func() { rows.Add(n) }()
			for time.Since(start) < length && ctx.Err() == nil {
				if _, err := c.Exec(ctx, insert, owner, n); err != nil {
					return fmt.Errorf("write to %s: %w", table, err)
				}
				n++
			}
			return ctx.Err()
		})
	}
	err := writing.Wait()
	sum.rows += rows.Load()
	sum.took += time.Since(start)
	sum.cpu += t.PostgresCPU() - cpu
	return err
}

// missing counts the rows of the table with realtime that the log does not have
// once and with their image.
func (l writerLoad) missing(ctx context.Context, t *target.Target) (missing int64, failed error) {
	conn, err := pgx.Connect(ctx, t.DatabaseURL)
	if err != nil {
		return 0, err
	}
	defer func() { failed = errors.Join(failed, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, `select count(*) from public.bench_logged b
		full join (select (c.record ->> 'id')::bigint as id, count(*) as n, min(c.record ->> 'n') as number
		             from realtime.changes c join realtime.schema_registry r on r.id = c.table_id
		            where r.table_name = 'bench_logged' and r.realtime_enabled and c.type = 'I' group by 1) l using (id)
		where b.id is null or l.id is null or l.n <> 1 or l.number::bigint <> b.n`).Scan(&missing)
	return missing, err
}
