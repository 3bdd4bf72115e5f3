package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/measure"
	"fluxbase/bench/socket"
	"fluxbase/bench/target"
)

// changesLoad is the load of the changes scenario.
type changesLoad struct {
	subscribers, identities, rate, burst int
	policy                               string
	duration                             time.Duration
}

func changes() *Scenario {
	var load changesLoad
	return &Scenario{
		Name:  "changes",
		Short: "Row changes to N subscribers under row-level security, paced and in one statement",
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&load.subscribers, "subscribers", 500, "subscribed connections")
			f.IntVar(&load.identities, "identities", 500, "different users among them")
			f.IntVar(&load.rate, "rate", 200, "single-row inserts per second")
			f.IntVar(&load.burst, "burst", 10000, "rows of the one statement at the end; 0 for none")
			f.StringVar(&load.policy, "policy", "owner", "none, true, owner, or sql: owner in a form that only PostgreSQL decides")
			f.DurationVar(&load.duration, "duration", 10*time.Second, "how long to write at the rate")
		},
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			return load.run(ctx, t, r)
		},
	}
}

func (l changesLoad) run(ctx context.Context, t *target.Target, r *measure.Report) error {
	policies := map[string][]string{
		"none": {`alter table public.bench_changes disable row level security`},
		"true": {`create policy everyone on public.bench_changes for select using (true)`},
		"owner": {
			`create policy owner on public.bench_changes for select using (owner = auth.uid())`,
		},
		"sql": {
			`create policy owner on public.bench_changes for select using (owner = auth.uid() and length(body) > 0)`,
		},
	}
	policy, known := policies[l.policy]
	if !known {
		return fmt.Errorf("policy %q: want none, true, owner or sql", l.policy)
	}
	if err := t.Exec(ctx, append([]string{
		`drop table if exists public.bench_changes`,
		`create table public.bench_changes (id bigserial primary key, owner uuid not null, n bigint not null, t bigint not null, body text not null)`,
		`alter table public.bench_changes enable row level security`,
		`grant select on public.bench_changes to anon, authenticated`,
	}, policy...)...); err != nil {
		return err
	}
	if err := t.Call(ctx, "POST", "/api/v1/admin/realtime/tables",
		map[string]string{"schema": "public", "table": "bench_changes"}, nil); err != nil {
		return err
	}
	users := make([]string, l.identities)
	for i := range users {
		users[i] = uuid.NewString()
	}
	rss := t.ServerRSS()
	conns, err := l.subscribe(ctx, t, users)
	defer func() { closeAll(conns) }()
	if err != nil {
		return err
	}
	rss = t.ServerRSS() - rss
	st := newStream(l.subscribers)
	loop, err := socket.NewLoop(st.handle)
	if err != nil {
		return err
	}
	defer loop.Close()
	for _, c := range conns {
		if err := loop.Add(c); err != nil {
			return err
		}
	}
	reading, stop := context.WithCancel(ctx)
	var loops errgroup.Group
	loops.Go(func() error { return loop.Run(reading) })
	err = l.write(ctx, t, users, st, r)
	stop()
	if len(r.Rows) > 0 {
		r.Rows[len(r.Rows)-1].Set("cut", loop.Broken).Set("KiB RSS/connection", float64(rss)/1024/float64(l.subscribers))
	}
	return errors.Join(err, loops.Wait())
}

func (l changesLoad) subscribe(ctx context.Context, t *target.Target, users []string) ([]*socket.Conn, error) {
	conns := make([]*socket.Conn, l.subscribers)
	var dialing errgroup.Group
	dialing.SetLimit(16)
	for i := range conns {
		dialing.Go(func() error {
			token, err := t.Token(users[i%len(users)], "authenticated")
			if err != nil {
				return err
			}
			c, err := join(ctx, t.Nodes[0], token, map[string]any{
				"type": "subscribe", "channel": "table:public.bench_changes",
				"config": map[string]string{"event": "*", "schema": "public", "table": "bench_changes"},
			})
			if err == nil {
				c.Index, conns[i] = i, c
			}
			return err
		})
	}
	if err := dialing.Wait(); err != nil {
		return nil, err
	}
	return conns, nil
}

// write inserts at the rate, then in one statement; after each it waits for the
// last delivery.
func (l changesLoad) write(ctx context.Context, t *target.Target, users []string, st *stream, r *measure.Report) error {
	conn, err := pgx.Connect(ctx, t.DatabaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	readers := func(row int) int64 {
		if l.policy != "owner" && l.policy != "sql" {
			return int64(l.subscribers)
		}
		user := row % len(users)
		return int64((l.subscribers - user + len(users) - 1) / len(users))
	}
	const insert = `insert into public.bench_changes (owner, n, t, body) values ($1, $2, $3, repeat('x', 64))`

	progress("changes: policy %s, %d subscribers, %d identities, %d rows/s", l.policy, l.subscribers, len(users), l.rate)
	var want int64
	rows := 0
	server, postgres, start := t.ServerCPU(), t.PostgresCPU(), time.Now()
	for time.Since(start) < l.duration && ctx.Err() == nil {
		if due := start.Add(time.Duration(rows) * time.Second / time.Duration(l.rate)); time.Until(due) > 0 {
			time.Sleep(time.Until(due))
		}
		if _, err := conn.Exec(ctx, insert, users[rows%len(users)], rows, time.Now().UnixNano()); err != nil {
			return err
		}
		want += readers(rows)
		rows++
	}
	writing := time.Since(start)
	st.wait(ctx, want, 5*time.Second)
	row := r.Row(fmt.Sprintf("paced, policy %s", l.policy)).
		Set("subscribers", l.subscribers).Set("identities", len(users)).
		Set("rows", rows).Set("rows/s", float64(rows)/writing.Seconds()).
		Set("server ms CPU/row", measure.Millis(t.ServerCPU()-server)/float64(max(rows, 1))).
		Set("PostgreSQL ms CPU/row", measure.Millis(t.PostgresCPU()-postgres)/float64(max(rows, 1))).
		Latency(&st.latency)
	st.quality(row, want)
	if l.burst == 0 {
		return nil
	}

	progress("changes: one statement of %d rows", l.burst)
	st.latency = measure.Histogram{}
	before := st.received.Load()
	want = before
	for i := range l.burst {
		want += readers(i)
	}
	server, postgres, start = t.ServerCPU(), t.PostgresCPU(), time.Now()
	_, err = conn.Exec(ctx, `
		insert into public.bench_changes (owner, n, t, body)
		select ($1::uuid[])[1 + i % $2], $3 + i, $4, repeat('x', 64)
		  from generate_series(0, $5 - 1) i`,
		users, len(users), rows, time.Now().UnixNano(), l.burst)
	if err != nil {
		return err
	}
	statement := time.Since(start)
	st.wait(ctx, want, 15*time.Second)
	elapsed := time.Since(start)
	row = r.Row(fmt.Sprintf("one statement, policy %s", l.policy)).
		Set("subscribers", l.subscribers).Set("identities", len(users)).
		Set("rows", l.burst).Set("statement s", statement.Seconds()).Set("last delivery s", elapsed.Seconds()).
		Set("deliveries/s", float64(st.received.Load()-before)/elapsed.Seconds()).
		Set("server ms CPU/row", measure.Millis(t.ServerCPU()-server)/float64(l.burst)).
		Set("PostgreSQL ms CPU/row", measure.Millis(t.PostgresCPU()-postgres)/float64(l.burst)).
		Latency(&st.latency)
	st.quality(row, want)
	return nil
}
