package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/measure"
	"fluxbase/bench/socket"
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
	cursor, err := l.begin(ctx, t)
	if err != nil {
		return err
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
	missing, err := l.missing(ctx, t, cursor)
	if err != nil {
		return err
	}
	r.Row("without realtime").Set("writers", l.writers).Set("rows", plain.rows).
		Set("rows/s", plain.perSecond()).Set("PostgreSQL µs CPU/row", plain.perRow())
	r.Row("with realtime").Set("writers", l.writers).Set("rows", logged.rows).
		Set("rows/s", logged.perSecond()).Set("PostgreSQL µs CPU/row", logged.perRow()).
		Set("more µs", logged.perRow()-plain.perRow()).
		Set("throughput %", 100*logged.perSecond()/plain.perSecond()).
		Set("not replayable", missing)
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

// begin subscribes, and leaves with the cursor of the beginning: nobody is
// subscribed while rows are written.
func (l writerLoad) begin(ctx context.Context, t *target.Target) (cursor string, failed error) {
	err := l.subscribed(ctx, t, map[string]string{}, func(text []byte) (bool, error) {
		cursor = cursorIn(text)
		return cursor != "", nil
	})
	return cursor, err
}

// missing counts the rows that do not come once and with what is in them when all
// is replayed from the cursor.
func (l writerLoad) missing(ctx context.Context, t *target.Target, cursor string) (int64, error) {
	conn, err := pgx.Connect(ctx, t.DatabaseURL)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select id, n from public.bench_logged`)
	if err != nil {
		return 0, err
	}
	left := map[int64]int64{}
	var id, n int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { left[id] = n; return nil }); err != nil {
		return 0, err
	}
	progress("writer: replaying %d rows", len(left))
	var twice int64
	err = l.subscribed(ctx, t, map[string]string{"cursor": cursor}, func(text []byte) (bool, error) {
		id, known := numberAfter(text, []byte(`"id":`))
		if !known {
			return false, nil
		}
		n, _ := numberAfter(text, numberMark)
		if want, ok := left[id]; !ok || n != want {
			twice++
		}
		delete(left, id)
		return len(left) == 0, nil
	})
	return int64(len(left)) + twice, err
}

// subscribed hands over what a subscription to the table brings, until take says
// that it is enough, or nothing comes any more.
func (l writerLoad) subscribed(ctx context.Context, t *target.Target, config map[string]string, take func([]byte) (bool, error)) error {
	conn, err := socket.Dial(ctx, "ws://"+t.Nodes[0].Host+"/realtime", t.ServiceKey)
	if err != nil {
		return err
	}
	defer conn.Close()
	config["event"], config["schema"], config["table"] = "*", "public", "bench_logged"
	request, err := json.Marshal(map[string]any{"type": "subscribe", "config": config})
	if err != nil {
		return err
	}
	if err := conn.Send(request); err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		text, err := conn.Receive(20 * time.Second)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		if enough, err := take(text); enough || err != nil {
			return err
		}
	}
	return nil
}

// cursorIn is the cursor in a message, empty when it has none.
func cursorIn(text []byte) string {
	var m struct{ Payload struct{ Cursor string } }
	if json.Unmarshal(text, &m) != nil {
		return ""
	}
	return m.Payload.Cursor
}
