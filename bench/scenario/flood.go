package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/measure"
	"fluxbase/bench/socket"
	"fluxbase/bench/target"
)

// floodLoad is the load of the flood scenario: a quiet tenant's paced fan-out, and
// another tenant's connections that send as fast as their sockets take it.
type floodLoad struct {
	quiet    fanoutLoad
	flooders int
	rounds   int
}

func flood() *Scenario {
	var load floodLoad
	return &Scenario{
		Name:  "flood",
		Short: "A tenant's paced fan-out, alone and beside a tenant that floods broadcasts and joins",
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&load.quiet.subscribers, "subscribers", 100, "subscribed connections of the quiet tenant")
			f.IntVar(&load.quiet.size, "size", 128, "payload bytes")
			f.IntVar(&load.quiet.rate, "rate", 200, "messages per second of the quiet tenant")
			f.DurationVar(&load.quiet.duration, "duration", 4*time.Second, "how long to publish, per round and case")
			f.IntVar(&load.flooders, "flooders", 50, "connections of the flooding tenant")
			f.IntVar(&load.rounds, "rounds", 3, "times to measure both cases, in turn")
		},
		Environment: []string{
			"FLUXBASE_REALTIME_LIMITS_TENANT_MESSAGES_PER_SECOND=300",
			"FLUXBASE_REALTIME_LIMITS_TENANT_JOINS_PER_SECOND=500",
		},
		Run: load.run,
	}
}

// floodLead is how long a flood runs before it is measured beside: what is allowed at
// once is over then.
const floodLead = 2 * time.Second

// floodTenant is the slug of the tenant that floods.
const floodTenant = "flood"

func (l *floodLoad) run(ctx context.Context, t *target.Target, r *measure.Report) error {
	if err := t.Exec(ctx, `INSERT INTO platform.tenants (slug, name, status) VALUES ('`+floodTenant+`', 'Flood', 'active') ON CONFLICT DO NOTHING`); err != nil {
		return err
	}
	quiet := &sender{
		pids: t.ServerCPU,
		rss:  t.ServerRSS,
		join: func(ctx context.Context) (*socket.Conn, error) {
			return join(ctx, t.Nodes[0], t.AnonKey, map[string]string{"type": "subscribe", "channel": "broadcast:bench"})
		},
		wrap: func(p []byte) []byte {
			return fmt.Appendf(nil, `{"type":"broadcast","channel":"broadcast:bench","event":"e","payload":%s}`, p)
		},
	}
	var alone, flooded []float64
	for round := range l.rounds {
		row := r.Row(fmt.Sprintf("alone %d", round+1))
		if err := l.quiet.measure(ctx, quiet, row); err != nil {
			return err
		}
		alone = append(alone, row.Value("p99 ms"))
		row = r.Row(fmt.Sprintf("beside the flood %d", round+1))
		if err := l.beside(ctx, t, quiet, row); err != nil {
			return err
		}
		flooded = append(flooded, row.Value("p99 ms"))
	}
	r.Row("median").Set("p99 ms", middle(flooded)).Set("p99 alone ms", middle(alone)).Set("p99 moved by %", 100*(middle(flooded)/middle(alone)-1))
	return nil
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// beside measures while the other tenant floods.
func (l *floodLoad) beside(ctx context.Context, t *target.Target, quiet *sender, row *measure.Row) error {
	var sent, refused, delivered atomic.Int64
	loop, err := socket.NewLoop(func(_ *socket.Conn, message []byte) {
		if strings.Contains(string(message), "RATE_LIMIT_EXCEEDED") {
			refused.Add(1)
		} else {
			delivered.Add(1)
		}
	})
	if err != nil {
		return err
	}
	defer loop.Close()
	conns := make([]*socket.Conn, l.flooders)
	for i := range conns {
		url := "ws" + strings.TrimPrefix(t.Nodes[0].URL, "http") + "/realtime?tenant=" + floodTenant
		if conns[i], err = socket.Dial(ctx, url, ""); err != nil {
			closeAll(conns[:i])
			return err
		}
		if err = errors.Join(conns[i].Flood(), loop.Add(conns[i])); err != nil {
			closeAll(conns[:i+1])
			return err
		}
	}
	reading, stop := context.WithCancel(ctx)
	var flooding errgroup.Group
	flooding.Go(func() error { return loop.Run(reading) })
	for i, c := range conns {
		flooding.Go(func() error {
			for n := 0; reading.Err() == nil; n++ {
				// The send ends with an error when the socket is closed below.
				if c.Send(floodMessage(i, n)) != nil {
					return nil
				}
				sent.Add(1)
			}
			return nil
		})
	}
	time.Sleep(floodLead)
	before, start, database := sent.Load(), time.Now(), t.PostgresCPU()
	refusedBefore, deliveredBefore := refused.Load(), delivered.Load()
	err = l.quiet.measure(ctx, quiet, row)
	seconds := time.Since(start).Seconds()
	row.Set("flood sent/s", float64(sent.Load()-before)/seconds).
		Set("flood refused/s", float64(refused.Load()-refusedBefore)/seconds).
		Set("flood received/s", float64(delivered.Load()-deliveredBefore)/seconds).
		Set("PostgreSQL % of a core", 100*(t.PostgresCPU()-database).Seconds()/seconds)
	stop()
	closeAll(conns)
	return errors.Join(err, flooding.Wait())
}

// floodMessage is the nth message of a flooding connection: mostly broadcasts, and
// now and then another channel.
func floodMessage(connection, n int) []byte {
	if n%10 == 9 {
		kind := "subscribe"
		if n%20 == 19 {
			kind = "unsubscribe"
		}
		return fmt.Appendf(nil, `{"type":%q,"channel":"broadcast:flood-%d-%d"}`, kind, connection, n/20%50)
	}
	return fmt.Appendf(nil, `{"type":"broadcast","channel":"broadcast:flood","event":"e","payload":%s}`, payload(int64(n), 128))
}
