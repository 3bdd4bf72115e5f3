package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"fluxbase/bench/flooder"
	"fluxbase/bench/measure"
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
			f.IntVar(&load.quiet.rate, "rate", 100, "messages per second of the quiet tenant")
			f.DurationVar(&load.quiet.duration, "duration", 3*time.Second, "how long to publish, per round and case")
			f.IntVar(&load.flooders, "flooders", 50, "connections of the flooding tenant")
			f.IntVar(&load.rounds, "rounds", 5, "times to measure both cases, in turn")
		},
		Environment: []string{
			// More than the quiet tenant needs.
			"FLUXBASE_REALTIME_LIMITS_TENANT_MESSAGES_PER_SECOND=150",
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
	quiet := broadcasting(t)
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
func (l *floodLoad) beside(ctx context.Context, t *target.Target, quiet *sender, row *measure.Row) (failed error) {
	url := "ws" + strings.TrimPrefix(t.Nodes[0].URL, "http") + "/realtime?tenant=" + floodTenant
	flooders, err := flooder.Start(url, l.flooders)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, flooders.Close()) }()
	if _, err := flooders.Totals(); err != nil {
		return err
	}
	time.Sleep(floodLead)
	before, err := flooders.Totals()
	if err != nil {
		return err
	}
	start, database := time.Now(), t.PostgresCPU()
	if err := l.quiet.measure(ctx, quiet, row); err != nil {
		return err
	}
	seconds, used := time.Since(start).Seconds(), t.PostgresCPU()-database
	after, err := flooders.Totals()
	if err != nil {
		return err
	}
	row.Set("flood sent/s", float64(after.Sent-before.Sent)/seconds).
		Set("refused/s", float64(after.Refused-before.Refused)/seconds).
		Set("received/s", float64(after.Received-before.Received)/seconds).
		Set("PostgreSQL % of a core", 100*used.Seconds()/seconds)
	return nil
}
