package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"fluxbase/bench/measure"
	"fluxbase/bench/socket"
	"fluxbase/bench/target"
)

// clusterLoad is the load of the cluster scenario.
type clusterLoad struct {
	nodes, subscribers, rate, size, channels int
	duration                                 time.Duration
	redis                                    bool
}

func cluster() *Scenario {
	var load clusterLoad
	return &Scenario{
		Name:        "cluster",
		Environment: []string{"FLUXBASE_CLUSTER_ENABLED=yes"},
		Short:       "Subscribers spread over nodes, a publisher on one; then a node is killed",
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&load.nodes, "nodes", 3, "server processes")
			f.IntVar(&load.subscribers, "subscribers", 1000, "connections, spread evenly")
			f.IntVar(&load.rate, "rate", 50, "messages per second")
			f.IntVar(&load.size, "size", 128, "payload bytes")
			f.IntVar(&load.channels, "channels", 24, "channels that are published to when a node is killed")
			f.DurationVar(&load.duration, "duration", 10*time.Second, "how long to publish")
			f.BoolVar(&load.redis, "redis", false, "keep the histories of channels in the machine's redis-server")
		},
		Prepare: func(ctx context.Context) ([]string, func() error, error) {
			if !load.redis {
				return nil, func() error { return nil }, nil
			}
			return startRedis(ctx)
		},
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			progress("cluster: starting %d nodes", load.nodes)
			if err := t.AddNodes(ctx, load.nodes); err != nil {
				return err
			}
			// The members must have found each other: a channel reaches all of them.
			if err := load.waitConnected(ctx, t); err != nil {
				return err
			}
			if err := load.fanout(ctx, t, r); err != nil {
				return err
			}
			return load.failover(ctx, t, r)
		},
	}
}

func (l clusterLoad) waitConnected(ctx context.Context, t *target.Target) error {
	conns := make([]*socket.Conn, 0, len(t.Nodes))
	defer func() { closeAll(conns) }()
	for _, n := range t.Nodes {
		c, err := join(ctx, n, t.AnonKey, map[string]string{"type": "subscribe", "channel": "broadcast:probe"})
		if err != nil {
			return err
		}
		conns = append(conns, c)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		var answer struct{ Recipients int }
		if err := t.Call(ctx, "POST", "/api/v1/realtime/broadcast",
			map[string]any{"channel": "broadcast:probe", "event": "probe", "payload": 1}, &answer); err != nil {
			return err
		}
		if answer.Recipients >= len(conns) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the nodes did not reach each other's subscribers within 30 s")
}

func (l clusterLoad) fanout(ctx context.Context, t *target.Target, r *measure.Report) error {
	conns := make([]*socket.Conn, l.subscribers)
	defer func() { closeAll(conns) }()
	subscribe := map[string]string{"type": "subscribe", "channel": "broadcast:bench"}
	var dialing errgroup.Group
	dialing.SetLimit(16)
	for i := range conns {
		dialing.Go(func() error {
			c, err := join(ctx, t.Nodes[i%len(t.Nodes)], t.AnonKey, subscribe)
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
	publisher, err := join(ctx, t.Nodes[0], t.AnonKey, map[string]string{"type": "subscribe", "channel": "broadcast:publisher"})
	if err != nil {
		return err
	}
	defer publisher.Close()

	local, remote := newStream(l.subscribers), newStream(l.subscribers)
	loop, err := socket.NewLoop(func(c *socket.Conn, message []byte) {
		if c.Index%len(t.Nodes) == 0 {
			local.handle(c, message)
		} else {
			remote.handle(c, message)
		}
	})
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
	defer stop()
	var loops errgroup.Group
	loops.Go(func() error { return loop.Run(reading) })

	progress("cluster: %d subscribers on %d nodes, %d messages per second", l.subscribers, len(t.Nodes), l.rate)
	messages, err := nodeMessages(ctx, t)
	if err != nil {
		return err
	}
	cpu, start := t.ServerCPU(), time.Now()
	var n int64
	for time.Since(start) < l.duration && ctx.Err() == nil {
		if due := start.Add(time.Duration(n) * time.Second / time.Duration(l.rate)); time.Until(due) > 0 {
			time.Sleep(time.Until(due))
		}
		message := fmt.Appendf(nil, `{"type":"broadcast","channel":"broadcast:bench","event":"e","payload":%s}`, payload(n, l.size))
		if err := publisher.Send(message); err != nil {
			return err
		}
		n++
	}
	near := int64((l.subscribers + len(t.Nodes) - 1) / len(t.Nodes))
	local.wait(ctx, n*near, 3*time.Second)
	remote.wait(ctx, n*(int64(l.subscribers)-near), 3*time.Second)
	used := t.ServerCPU() - cpu
	after, err := nodeMessages(ctx, t)
	if err != nil {
		return err
	}
	stop()
	if err := loops.Wait(); err != nil {
		return err
	}
	received := local.received.Load() + remote.received.Load()
	row := r.Row("publisher's node").Set("subscribers", near).Set("messages", n).Latency(&local.latency)
	local.quality(row, n*near)
	row = r.Row("other nodes").Set("subscribers", int64(l.subscribers)-near).Set("messages", n).
		Latency(&remote.latency).
		Set("µs CPU/delivery, all nodes", measure.Micros(used)/float64(max(received, 1))).
		Set("node messages/publish", float64(after-messages)/float64(max(n, 1)))
	remote.quality(row, n*(int64(l.subscribers)-near))
	return nil
}

// nodeMessages is how many messages all nodes have sent to each other so far.
func nodeMessages(ctx context.Context, t *target.Target) (int64, error) {
	var sum int64
	for i := range t.Nodes {
		one := *t
		one.Nodes = t.Nodes[i : i+1]
		var metrics struct {
			Cluster struct {
				MessagesSent int64 `json:"messages_sent"`
			} `json:"cluster"`
		}
		if err := one.Call(ctx, "GET", "/api/v1/monitoring/metrics", nil, &metrics); err != nil {
			return 0, err
		}
		sum += metrics.Cluster.MessagesSent
	}
	return sum, nil
}

// failover publishes to many channels, whose homes are spread over the nodes,
// with acks, kills the last node and reports how long the channels that lived
// there took to ack again, and what subscribers on the first node saw.
func (l clusterLoad) failover(ctx context.Context, t *target.Target, r *measure.Report) error {
	victim := t.Nodes[len(t.Nodes)-1]
	type line struct {
		publisher, subscriber *socket.Conn
		gap                   time.Duration
		acked                 []int64
		st                    *stream
	}
	lines := make([]*line, l.channels)
	for i := range lines {
		subscribe := map[string]string{"type": "subscribe", "channel": fmt.Sprintf("broadcast:failover-%d", i)}
		subscriber, err := join(ctx, t.Nodes[0], t.AnonKey, subscribe)
		if err != nil {
			return err
		}
		defer subscriber.Close()
		publisher, err := join(ctx, t.Nodes[1%len(t.Nodes)], t.AnonKey, map[string]string{"type": "subscribe", "channel": "broadcast:quiet"})
		if err != nil {
			return err
		}
		defer publisher.Close()
		lines[i] = &line{publisher: publisher, subscriber: subscriber, st: newStream(1)}
		lines[i].st.seen = map[int64]bool{}
	}
	const window = 20 * time.Second
	progress("cluster: publishing to %d channels with acks and killing a node", l.channels)
	var killed time.Time
	var work errgroup.Group
	start := time.Now()
	for i, ln := range lines {
		work.Go(func() error {
			loop, err := socket.NewLoop(ln.st.handle)
			if err != nil {
				return err
			}
			defer loop.Close()
			if err := loop.Add(ln.subscriber); err != nil {
				return err
			}
			reading, stop := context.WithTimeout(ctx, window+3*time.Second)
			defer stop()
			return loop.Run(reading)
		})
		work.Go(func() error {
			var n int64
			last := time.Now()
			for time.Since(start) < window && ctx.Err() == nil {
				id := fmt.Sprintf("m-%d-%d", i, n)
				message := fmt.Appendf(nil, `{"type":"broadcast","channel":"broadcast:failover-%d","event":"e","messageId":"%s","payload":%s}`, i, id, payload(n, 64))
				ok, err := publishAcked(ln.publisher, message, id)
				if err != nil {
					return err
				}
				if ok {
					ln.acked = append(ln.acked, n)
					ln.gap = max(ln.gap, time.Since(last))
					last = time.Now()
				}
				n++
				time.Sleep(20 * time.Millisecond)
			}
			ln.gap = max(ln.gap, time.Since(last))
			return nil
		})
	}
	time.Sleep(3 * time.Second)
	killed = time.Now()
	if err := t.Kill(victim); err != nil {
		return err
	}
	t.Nodes = t.Nodes[:len(t.Nodes)-1]
	if err := work.Wait(); err != nil {
		return err
	}
	var worst time.Duration
	var moved int
	var lost, duplicated, disordered, acked int64
	for _, ln := range lines {
		worst = max(worst, ln.gap)
		if ln.gap > time.Second {
			moved++
		}
		acked += int64(len(ln.acked))
		for _, n := range ln.acked {
			if !ln.st.seen[n] {
				lost++
			}
		}
		duplicated += ln.st.duplicates
		disordered += ln.st.disorder
	}
	r.Row("home killed").Set("channels", l.channels).Set("channels moved", moved).
		Set("acked", acked).Set("acked again after s", worst.Seconds()).
		Set("acked but lost", lost).Set("duplicated", duplicated).Set("disordered", disordered).
		Set("watched for s", time.Since(killed).Seconds())
	return nil
}

// publishAcked sends one message and waits for its ack; a coded refusal counts
// as not acked.
func publishAcked(c *socket.Conn, message []byte, id string) (bool, error) {
	if err := c.Send(message); err != nil {
		return false, err
	}
	for {
		text, err := c.Receive(15 * time.Second)
		if err != nil {
			return false, err
		}
		var reply struct {
			Type      string `json:"type"`
			MessageID string `json:"messageId"`
			Status    string `json:"status"`
		}
		if err := json.Unmarshal(text, &reply); err != nil {
			return false, err
		}
		if reply.MessageID == id {
			return reply.Type == "ack" && reply.Status == "ok", nil
		}
	}
}
