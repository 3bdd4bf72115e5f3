package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/floor"
	"fluxbase/bench/measure"
	"fluxbase/bench/target"
	"fluxbase/bench/wire"
)

// load is how calls are driven: by workers that each wait for the answer to one
// before they send the next.
type load struct {
	workers  int
	duration time.Duration
}

func (l *load) flags(f *pflag.FlagSet) {
	f.IntVar(&l.workers, "workers", 16, "keep-alive connections")
	f.DurationVar(&l.duration, "duration", 5*time.Second, "how long each kind of call runs")
}

// identities are users with a token each.
func identities(t *target.Target, n int) (users, tokens []string, err error) {
	for range n {
		user := uuid.NewString()
		token, err := t.Token(user, "authenticated")
		if err != nil {
			return nil, nil, err
		}
		users, tokens = append(users, user), append(tokens, token)
	}
	return users, tokens, nil
}

// startFloor starts the floor server of the scenarios that speak HTTP, with a login
// of its own for the database.
func startFloor(ctx context.Context, t *target.Target) (*floor.Process, error) {
	password := uuid.NewString()
	if err := t.Exec(ctx,
		`do $$ begin create role bench_floor login noinherit; exception when duplicate_object then null; end $$`,
		fmt.Sprintf(`alter role bench_floor password '%s'`, password),
		`grant authenticated, service_role to bench_floor`,
	); err != nil {
		return nil, err
	}
	address, err := url.Parse(t.DatabaseURL)
	if err != nil {
		return nil, err
	}
	address.User = url.UserPassword("bench_floor", password)
	query := address.Query()
	query.Set("pool_max_conns", "16")
	address.RawQuery = query.Encode()
	return floor.Start("rest", "FLOOR_DATABASE_URL="+address.String(), "FLOOR_JWT_SECRET="+t.Secret())
}

// call is one kind of request: its bytes for a given host, and what is expected.
type call struct {
	name, title string
	status      int
	request     func(host, token string, owner int) []byte
}

// beside drives a call at the server and at its floor, and reports both. The two take
// turns twice, so that a slow moment of the machine does not fall on one of them
// alone.
func (l load) beside(ctx context.Context, t *target.Target, f *floor.Process, c call, tokens []string, r *measure.Report) error {
	var ours, bare figures
	for range 2 {
		progress("%s: %s", r.Scenario, c.title)
		if err := l.drive(ctx, t, t.Nodes[0].Host, c, tokens, t.ServerCPU, &ours); err != nil {
			return err
		}
		if err := l.drive(ctx, t, f.Host, c, tokens, measure.Processes{f.PID}.CPU, &bare); err != nil {
			return fmt.Errorf("floor: %w", err)
		}
	}
	ours.report(r.Row(c.title)).Set("of the floor", fmt.Sprintf("%.0f %%", 100*ours.perSecond()/bare.perSecond()))
	bare.report(r.Row("  floor"))
	return nil
}

// figures sum up the turns of one kind of call.
type figures struct {
	latency       measure.Histogram
	elapsed       time.Duration
	cpu, postgres time.Duration
	bytes         int64
}

func (f *figures) perSecond() float64 { return float64(f.latency.Count()) / f.elapsed.Seconds() }

func (f *figures) report(row *measure.Row) *measure.Row {
	n := float64(max(f.latency.Count(), 1))
	return row.Set("calls/s", f.perSecond()).
		Set("server µs CPU", measure.Micros(f.cpu)/n).
		Set("PostgreSQL µs CPU", measure.Micros(f.postgres)/n).
		Set("sum", measure.Micros(f.cpu+f.postgres)/n).
		Set("bytes", int64(float64(f.bytes)/n)).
		Latency(&f.latency)
}

func (l load) drive(ctx context.Context, t *target.Target, host string, c call, tokens []string, cpu func() time.Duration, f *figures) error {
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
				owner := rand.IntN(len(tokens))
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
