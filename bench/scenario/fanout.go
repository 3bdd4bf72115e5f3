package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/floor"
	"fluxbase/bench/measure"
	"fluxbase/bench/socket"
	"fluxbase/bench/target"
)

// fanoutLoad is the load of the fanout scenario.
type fanoutLoad struct {
	subscribers, size, rate, inFlight int
	duration                          time.Duration
}

func fanout() *Scenario {
	var load fanoutLoad
	return &Scenario{
		Name:  "fanout",
		Short: "One publisher, N subscribers of one broadcast channel",
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&load.subscribers, "subscribers", 1000, "subscribed connections")
			f.IntVar(&load.size, "size", 128, "payload bytes")
			f.IntVar(&load.rate, "rate", 0, "messages per second; 0 saturates")
			f.IntVar(&load.inFlight, "in-flight", 16, "messages on their way at once when saturating")
			f.DurationVar(&load.duration, "duration", 10*time.Second, "how long to publish")
		},
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			server := broadcasting(t)
			progress("fluxbase: %d subscribers", load.subscribers)
			if err := load.measure(ctx, server, r.Row("fluxbase")); err != nil {
				return err
			}
			process, err := floor.Start("fanout")
			if err != nil {
				return err
			}
			bare := &sender{
				pids: measure.Processes{process.PID}.CPU,
				rss:  measure.Processes{process.PID}.RSS,
				join: func(ctx context.Context) (*socket.Conn, error) {
					return socket.Dial(ctx, "ws://"+process.Host+"/", "")
				},
				wrap: func(p []byte) []byte { return p },
			}
			progress("floor: a bare loop of writes")
			err = load.measure(ctx, bare, r.Row("floor: bare writes"))
			return errors.Join(err, process.Close())
		},
	}
}

// broadcasting is the server with one broadcast channel.
func broadcasting(t *target.Target) *sender {
	return &sender{
		pids: t.ServerCPU,
		rss:  t.ServerRSS,
		join: func(ctx context.Context) (*socket.Conn, error) {
			return join(ctx, t.Nodes[0], t.AnonKey, map[string]string{"type": "subscribe", "channel": "broadcast:bench"})
		},
		wrap: func(p []byte) []byte {
			return fmt.Appendf(nil, `{"type":"broadcast","channel":"broadcast:bench","event":"e","payload":%s}`, p)
		},
	}
}

// sender is what differs between the server and the floor.
type sender struct {
	pids func() time.Duration
	rss  func() int64
	join func(context.Context) (*socket.Conn, error)
	wrap func(payload []byte) []byte
}

func (l fanoutLoad) measure(ctx context.Context, s *sender, row *measure.Row) error {
	conns := make([]*socket.Conn, l.subscribers)
	defer func() { closeAll(conns) }()
	rss := s.rss()
	var dialing errgroup.Group
	dialing.SetLimit(16)
	for i := range conns {
		dialing.Go(func() error {
			c, err := s.join(ctx)
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
	rss = s.rss() - rss
	publisher, err := s.join(ctx)
	if err != nil {
		return err
	}
	defer publisher.Close()

	st := newStream(l.subscribers)
	st.arrived = make([]atomic.Int32, 4*l.inFlight+1024)
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
	// The publisher's own copies are read and thrown away by a second loop.
	own, err := socket.NewLoop(func(*socket.Conn, []byte) {})
	if err != nil {
		return err
	}
	defer own.Close()
	if err := own.Add(publisher); err != nil {
		return err
	}
	reading, stop := context.WithCancel(ctx)
	var loops errgroup.Group
	loops.Go(func() error { return loop.Run(reading) })
	loops.Go(func() error { return own.Run(reading) })

	cpu, start := s.pids(), time.Now()
	sent, err := l.publish(ctx, s, publisher, st)
	if err != nil {
		stop()
		return errors.Join(err, loops.Wait())
	}
	want := sent * int64(l.subscribers)
	st.wait(ctx, want, 3*time.Second)
	elapsed, used := time.Since(start), s.pids()-cpu
	stop()
	if err := loops.Wait(); err != nil {
		return err
	}
	received := st.received.Load()
	row.Set("subscribers", l.subscribers).Set("messages", sent).
		Set("deliveries/s", float64(received)/elapsed.Seconds()).
		Set("µs CPU/delivery", measure.Micros(used)/float64(max(received, 1))).
		Latency(&st.latency)
	st.quality(row, want)
	row.Set("cut", loop.Broken).Set("KiB RSS/connection", float64(rss)/1024/float64(l.subscribers))
	return nil
}

// publish sends for the load's duration: paced, or as fast as deliveries allow.
func (l fanoutLoad) publish(ctx context.Context, s *sender, publisher *socket.Conn, st *stream) (int64, error) {
	var n int64
	start := time.Now()
	for time.Since(start) < l.duration && ctx.Err() == nil {
		if l.rate > 0 {
			if due := start.Add(time.Duration(n) * time.Second / time.Duration(l.rate)); time.Until(due) > 0 {
				time.Sleep(time.Until(due))
			}
		} else if oldest := n - int64(l.inFlight); oldest >= 0 {
			if !l.delivered(ctx, st, oldest) {
				return n, nil
			}
			st.arrived[int(oldest)%len(st.arrived)].Store(0)
		}
		if err := publisher.Send(s.wrap(payload(n, l.size))); err != nil {
			return n, fmt.Errorf("publish: %w", err)
		}
		n++
	}
	return n, nil
}

// delivered waits until every subscriber has message n; it gives up after 5 s,
// when something is lost for good.
func (l fanoutLoad) delivered(ctx context.Context, st *stream, n int64) bool {
	counter := &st.arrived[int(n)%len(st.arrived)]
	for start := time.Now(); int(counter.Load()) < l.subscribers; {
		if time.Since(start) > 5*time.Second || ctx.Err() != nil {
			return false
		}
		time.Sleep(50 * time.Microsecond)
	}
	return true
}
