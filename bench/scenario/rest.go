package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/floor"
	"fluxbase/bench/measure"
	"fluxbase/bench/target"
	"fluxbase/bench/wire"
)

// restRows and restOwners make a table in which each owner sees 50 rows.
const (
	restRows   = 10000
	restOwners = 200
)

type restLoad struct {
	workers  int
	duration time.Duration
	only     string
}

func rest() *Scenario {
	var load restLoad
	return &Scenario{
		Name:  "rest",
		Short: "REST calls under row-level security beside a floor server in the same run",
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&load.workers, "workers", 16, "keep-alive connections")
			f.DurationVar(&load.duration, "duration", 5*time.Second, "how long each kind of call runs")
			f.StringVar(&load.only, "only", "", "one of get, list, insert, bulk")
		},
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			return load.run(ctx, t, r)
		},
	}
}

// call is one kind of request: its bytes for a given host, and what is expected.
type call struct {
	name, title string
	status      int
	request     func(host, token string, owner int) []byte
}

func (l restLoad) run(ctx context.Context, t *target.Target, r *measure.Report) error {
	owners := make([]string, restOwners)
	tokens := make([]string, restOwners)
	for i := range owners {
		owners[i] = uuid.NewString()
		token, err := t.Token(owners[i], "authenticated")
		if err != nil {
			return err
		}
		tokens[i] = token
	}
	password := uuid.NewString()
	if err := t.Exec(ctx,
		`drop table if exists public.bench_rest`,
		`create table public.bench_rest (id bigserial primary key, owner uuid not null, n int not null, body text not null, created_at timestamptz not null default now())`,
		fmt.Sprintf(`insert into public.bench_rest (owner, n, body)
			select ('{%s}'::uuid[])[1 + i %% %d], i, 'row ' || i from generate_series(0, %d) i`,
			strings.Join(owners, ","), restOwners, restRows-1),
		`create index on public.bench_rest (owner, id)`,
		`analyze public.bench_rest`,
		`alter table public.bench_rest enable row level security`,
		`create policy owner on public.bench_rest using (owner = auth.uid()) with check (owner = auth.uid())`,
		`grant select, insert, update, delete on public.bench_rest to authenticated`,
		`grant usage on sequence public.bench_rest_id_seq to authenticated`,
		`do $$ begin create role bench_floor login noinherit; exception when duplicate_object then null; end $$`,
		fmt.Sprintf(`alter role bench_floor password '%s'`, password),
		`grant authenticated to bench_floor`,
	); err != nil {
		return err
	}
	floorURL, err := url.Parse(t.DatabaseURL)
	if err != nil {
		return err
	}
	floorURL.User = url.UserPassword("bench_floor", password)
	process, err := floor.Start("rest", "FLOOR_DATABASE_URL="+floorURL.String()+poolSize(floorURL), "FLOOR_JWT_SECRET="+t.Secret())
	if err != nil {
		return err
	}
	defer process.Close()

	for _, c := range calls(owners) {
		if l.only != "" && l.only != c.name {
			continue
		}
		// The two take turns twice, so that a slow moment of the machine does not
		// fall on one of them alone.
		var ours, bare restFigures
		for range 2 {
			progress("rest: %s", c.title)
			if err := l.drive(ctx, t, t.Nodes[0].Host, c, tokens, t.ServerCPU, &ours); err != nil {
				return err
			}
			if err := l.drive(ctx, t, process.Host, c, tokens, measure.Processes{process.PID}.CPU, &bare); err != nil {
				return fmt.Errorf("floor: %w", err)
			}
		}
		ours.report(r.Row(c.title)).Set("of the floor", fmt.Sprintf("%.0f %%", 100*ours.perSecond()/bare.perSecond()))
		bare.report(r.Row("  floor"))
	}
	return nil
}

func poolSize(u *url.URL) string {
	separator := "?"
	if u.RawQuery != "" {
		separator = "&"
	}
	return separator + "pool_max_conns=16"
}

func calls(owners []string) []call {
	const list = "/api/v1/tables/bench_rest"
	row := func(owner int) string {
		return fmt.Sprintf(`{"owner":"%s","n":%d,"body":"a new row"}`, owners[owner], rand.IntN(1_000_000))
	}
	return []call{
		{"get", "get by id", 200, func(host, token string, owner int) []byte {
			id := 1 + owner + restOwners*rand.IntN(restRows/restOwners)
			return wire.Request("GET", host, fmt.Sprintf("/api/v1/tables/public/bench_rest/%d", id), token, "")
		}},
		{"list", "list 20, filter and order", 200, func(host, token string, _ int) []byte {
			return wire.Request("GET", host, list+fmt.Sprintf("?n=gte.%d&order=id.asc&limit=20", rand.IntN(3000)), token, "")
		}},
		{"insert", "insert one, returned", 201, func(host, token string, owner int) []byte {
			return wire.Request("POST", host, list, token, row(owner))
		}},
		{"bulk", "insert 100, returned", 201, func(host, token string, owner int) []byte {
			rows := make([]string, 100)
			for i := range rows {
				rows[i] = row(owner)
			}
			return wire.Request("POST", host, list, token, "["+strings.Join(rows, ",")+"]")
		}},
	}
}

// restFigures sum up the turns of one kind of call.
type restFigures struct {
	latency       measure.Histogram
	elapsed       time.Duration
	cpu, postgres time.Duration
	bytes         int64
}

func (f *restFigures) perSecond() float64 { return float64(f.latency.Count()) / f.elapsed.Seconds() }

func (f *restFigures) report(row *measure.Row) *measure.Row {
	n := float64(max(f.latency.Count(), 1))
	return row.Set("calls/s", f.perSecond()).
		Set("server µs CPU", measure.Micros(f.cpu)/n).
		Set("PostgreSQL µs CPU", measure.Micros(f.postgres)/n).
		Set("bytes", int64(float64(f.bytes)/n)).
		Latency(&f.latency)
}

func (l restLoad) drive(ctx context.Context, t *target.Target, host string, c call, tokens []string, cpu func() time.Duration, f *restFigures) error {
	histograms := make([]measure.Histogram, l.workers)
	sizes := make([]int64, l.workers)
	before, postgres, start := cpu(), t.PostgresCPU(), time.Now()
	var workers errgroup.Group
	for w := range l.workers {
		workers.Go(func() (failed error) {
			client, err := wire.Dial(host)
			if err != nil {
				return err
			}
			defer func() { failed = errors.Join(failed, client.Close()) }()
			for time.Since(start) < l.duration && ctx.Err() == nil {
				owner := rand.IntN(restOwners)
				request := c.request(host, tokens[owner], owner)
				sent := time.Now()
				status, body, err := client.Do(request)
				if err != nil {
					return err
				}
				if status != c.status {
					return fmt.Errorf("%s: status %d: %s", c.title, status, body)
				}
				histograms[w].Record(time.Since(sent))
				sizes[w] += int64(len(body))
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	f.elapsed += time.Since(start)
	f.cpu += cpu() - before
	f.postgres += t.PostgresCPU() - postgres
	for w := range histograms {
		f.latency.Merge(&histograms[w])
		f.bytes += sizes[w]
	}
	return nil
}
