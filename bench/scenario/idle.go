package scenario

import (
	"context"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/measure"
	"fluxbase/bench/socket"
	"fluxbase/bench/target"
)

func idle() *Scenario {
	var connections int
	var duration time.Duration
	return &Scenario{
		Name:  "idle",
		Short: "Connect and subscribe N sockets, then leave them alone",
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&connections, "connections", 5000, "subscribed connections")
			f.DurationVar(&duration, "duration", 20*time.Second, "how long to hold them")
		},
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			warm, err := join(ctx, t.Nodes[0], t.AnonKey, map[string]string{"type": "subscribe", "channel": "broadcast:warm"})
			if err != nil {
				return err
			}
			defer warm.Close()
			conns := make([]*socket.Conn, connections)
			defer func() { closeAll(conns) }()

			progress("idle: connecting %d sockets", connections)
			rss, cpu, start := t.ServerRSS(), t.ServerCPU(), time.Now()
			var dialing errgroup.Group
			dialing.SetLimit(16)
			for i := range conns {
				dialing.Go(func() error {
					c, err := join(ctx, t.Nodes[0], t.AnonKey, map[string]string{"type": "subscribe", "channel": "broadcast:idle"})
					if err == nil {
						c.Index, conns[i] = i, c
					}
					return err
				})
			}
			if err := dialing.Wait(); err != nil {
				conns = nil
				return err
			}
			connecting, connected := t.ServerCPU()-cpu, time.Since(start)

			loop, err := socket.NewLoop(func(*socket.Conn, []byte) {})
			if err != nil {
				return err
			}
			defer loop.Close()
			for _, c := range conns {
				if err := loop.Add(c); err != nil {
					return err
				}
			}
			progress("idle: holding them for %v", duration)
			holding, stop := context.WithTimeout(ctx, duration)
			defer stop()
			cpu = t.ServerCPU()
			if err := loop.Run(holding); err != nil {
				return err
			}
			n := float64(connections)
			r.Row("subscribed, idle").
				Set("connections", connections).
				Set("connects/s", n/connected.Seconds()).
				Set("µs CPU/connect", measure.Micros(connecting)/n).
				Set("KiB RSS/connection", float64(t.ServerRSS()-rss)/1024/n).
				Set("µs CPU/connection and second", measure.Micros(t.ServerCPU()-cpu)/n/duration.Seconds()).
				Set("cut", loop.Broken)
			return nil
		},
	}
}
