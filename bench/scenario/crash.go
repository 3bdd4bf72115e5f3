package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/measure"
	"fluxbase/bench/target"
)

// crashLoad is the load of the crash scenario.
type crashLoad struct {
	nodes, clients, users, writers, rate, kills int
	pause                                       time.Duration
}

func crash() *Scenario {
	var load crashLoad
	return &Scenario{
		Name:        "crash",
		Environment: []string{"FLUXBASE_CLUSTER_ENABLED=yes"},
		Short:       "Nodes, connections and PostgreSQL are killed under write load; clients resume and miss nothing",
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&load.nodes, "nodes", 3, "server processes")
			f.IntVar(&load.clients, "clients", 200, "clients that resume from their cursors")
			f.IntVar(&load.users, "users", 50, "different users among them")
			f.IntVar(&load.writers, "writers", 4, "connections that write to PostgreSQL")
			f.IntVar(&load.rate, "rate", 100, "transactions per second, of all writers")
			f.IntVar(&load.kills, "kills", 100, "a node, all connections to PostgreSQL, and PostgreSQL itself in turn")
			f.DurationVar(&load.pause, "pause", time.Second, "before it is looked for what has ended")
		},
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			return load.run(ctx, t, r)
		},
	}
}

// settleWithin bounds the wait for what is still to be delivered when nothing is
// killed any more.
const settleWithin = 3 * time.Minute

func (l crashLoad) run(ctx context.Context, t *target.Target, r *measure.Report) error {
	if err := t.Exec(ctx, historySchema...); err != nil {
		return err
	}
	if err := t.Call(ctx, "POST", "/api/v1/admin/realtime/tables",
		map[string]string{"schema": "public", "table": "bench_crash"}, nil); err != nil {
		return err
	}
	if err := t.AddNodes(ctx, l.nodes); err != nil {
		return err
	}
	users := make([]string, l.users)
	for i := range users {
		users[i] = uuid.NewString()
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	var work errgroup.Group
	followers := make([]*follower, l.clients)
	for i := range followers {
		token, err := t.Token(users[i%len(users)], "authenticated")
		if err != nil {
			return err
		}
		// Every other one with a filter: of each user's, some are.
		followers[i] = newFollower(t.Nodes, token, sight{user: users[i%len(users)], filtered: i/len(users)%2 == 1})
		work.Go(func() error { return followers[i].run(following) })
	}
	err := l.breakThings(ctx, t, users, followers, r)
	stop()
	return errors.Join(err, work.Wait())
}

// breakThings kills one thing after another while rows are written, waits until
// everybody has what it may see, and compares.
func (l crashLoad) breakThings(ctx context.Context, t *target.Target, users []string, followers []*follower, r *measure.Report) (failed error) {
	for _, f := range followers {
		if err := f.joined(ctx); err != nil {
			return err
		}
	}
	progress("crash: %d clients on %d nodes, %d transactions per second, %d kills", l.clients, len(t.Nodes), l.rate, l.kills)
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var writers errgroup.Group
	for i := range l.writers {
		w := &historyWriter{url: t.DatabaseURL, users: users, random: rand.New(rand.NewPCG(uint64(i), 11)), every: time.Duration(l.writers) * time.Second / time.Duration(l.rate)}
		writers.Go(func() error { return w.run(writing) })
	}
	start := time.Now()
	err := l.killAll(ctx, t)
	stop()
	if err := errors.Join(err, writers.Wait(), l.mend(ctx, t)); err != nil {
		return err
	}
	killed := time.Since(start)
	history, err := readHistory(ctx, t.DatabaseURL)
	if err != nil {
		return err
	}
	// A node may still end of what was done to it.
	mending, mended := context.WithCancel(ctx)
	var mender errgroup.Group
	mender.Go(func() error { return l.keepMending(mending, t) })
	defer func() {
		mended()
		failed = errors.Join(failed, mender.Wait())
	}()
	var want, got, lost, extra, disordered, reconnects int
	deadline := time.Now().Add(settleWithin)
	for _, f := range followers {
		expected := history.seenBy(f.sight)
		f.wait(ctx, expected.count, deadline)
		v := f.compare(expected)
		if v.first != "" {
			progress("crash: user %s, filtered %v: %s", f.sight.user, f.sight.filtered, v.first)
		}
		want, got = want+expected.count, got+v.got
		lost, extra, disordered = lost+v.lost, extra+v.extra, disordered+v.disordered
		reconnects += f.connections - 1
	}
	r.Row("killed").Set("nodes", l.nodes).Set("clients", l.clients).Set("kills", l.kills).
		Set("in s", killed.Seconds()).Set("rows changed", len(history)).
		Set("settled after s", (time.Since(start)-killed).Seconds()).Set("reconnects", reconnects).Set("to see", want).Set("seen", got).
		Set("lost", lost).Set("not to be seen, or twice", extra).Set("rows out of order", disordered)
	return nil
}

// killAll kills as often as it was told to. What was to be killed may have ended
// by itself: that does not count.
func (l crashLoad) killAll(ctx context.Context, t *target.Target) error {
	var missed error
	for done, tries := 0, 0; done < l.kills; tries++ {
		if tries > 3*l.kills {
			return missed
		}
		if missed = l.kill(ctx, t, done); missed == nil {
			done++
		}
		time.Sleep(l.pause)
		if err := l.mend(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// kill kills one thing.
func (l crashLoad) kill(ctx context.Context, t *target.Target, i int) error {
	switch i % 3 {
	case 0:
		return t.Kill(t.Nodes[rand.N(len(t.Nodes))])
	case 1:
		return t.Exec(ctx, `select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`)
	default:
		return l.killBackend(ctx, t)
	}
}

// killBackend kills a process of PostgreSQL, which ends all others and recovers
// from its log.
func (l crashLoad) killBackend(ctx context.Context, t *target.Target) error {
	conn, err := pgx.Connect(ctx, t.DatabaseURL)
	if err != nil {
		return err
	}
	var pid int
	err = conn.QueryRow(ctx, `select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() and datname = current_database() order by random() limit 1`).Scan(&pid)
	// What happens to this connection is of no interest.
	defer func() { _ = conn.Close(ctx) }()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func (l crashLoad) keepMending(ctx context.Context, t *target.Target) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
		if err := l.mend(ctx, t); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// mend is the supervisor of the nodes: it starts those that have ended, until all
// are ready and PostgreSQL answers. A node that could not renew its lease for too
// long has ended itself; the first one takes its PostgreSQL along.
func (l crashLoad) mend(ctx context.Context, t *target.Target) error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var broken error
		for _, n := range t.Nodes {
			if n.Ended() {
				broken = errors.Join(broken, t.Restart(ctx, n))
			}
		}
		if broken == nil {
			broken = t.Exec(ctx, `select 1`)
		}
		if broken == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not mended within 2 minutes: %w", broken)
		}
	}
}
