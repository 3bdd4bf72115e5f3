package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fluxbase/actors/channel"
	"fluxbase/actors/kernel"
	"fluxbase/actors/kernel/kerneltest"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/message"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"))
}

// channels is a router that writes down what is published, and may refuse it.
type channels struct {
	mu     sync.Mutex
	got    []string
	refuse int // how many to refuse first
}

func (ch *channels) Receive(c *kernel.Context, msg any) {
	p, ok := msg.(channel.Publish)
	if !ok {
		return
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.refuse > 0 {
		ch.refuse--
		c.Fail(errors.New("no"))
		return
	}
	ch.got = append(ch.got, fmt.Sprintf("%s:%s", p.Key, p.Payload))
	c.Reply(channel.Published{})
}

// wait gives what was published, when that are so many messages: a message may be
// published again, as its channel's home knows.
func (ch *channels) wait(t *testing.T, want int) []string {
	t.Helper()
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		ch.mu.Lock()
		var got []string
		for _, m := range ch.got {
			if !slices.Contains(got, m) {
				got = append(got, m)
			}
		}
		ch.mu.Unlock()
		if len(got) >= want {
			return got
		}
		if time.Since(start) > 10*time.Second {
			t.Fatalf("got %v, want %d", got, want)
		}
	}
}

// node joins a node that may be the home of relays, with an attendant.
func node(t *testing.T, c *kerneltest.Cluster, id kernel.NodeID, ch *channels, s Source) *kerneltest.Node {
	t.Helper()
	n := c.Join(id)
	router, err := n.System.Spawn(kernel.Props{New: func() kernel.Actor { return ch }})
	if err != nil {
		t.Fatal(err)
	}
	RegisterHome(n, Options{Channels: router, Source: func(context.Context, string) (Source, error) { return s, nil }})
	attendant, err := n.System.Spawn(AttendantProps("attendant", "t", n, n))
	if err != nil {
		t.Fatal(err)
	}
	if err := attendant.Tell(Attend{}); err != nil {
		t.Fatal(err)
	}
	return n
}

// What is sent goes on to be published, in order, whatever fails and whoever relays.
func TestRelay(t *testing.T) {
	d := dbtest.New(t)
	s := message.New(d.DB)
	if _, _, err := s.Claim(t.Context()); err != nil { // from here on
		t.Fatal(err)
	}
	send := func(from, to int) {
		d.Exec(fmt.Sprintf(`SELECT realtime.send(to_jsonb(i), 'e', 'c' || i %% 2, i %% 2 = 0) FROM generate_series(%d, %d) AS i`, from, to))
	}
	c := kerneltest.New(t)
	ch := &channels{refuse: 3}
	send(1, 4)
	first, second := node(t, c, "a", ch, s), node(t, c, "b", ch, s)
	ch.wait(t, 4)
	if first.Home(Kind, "t") == "a" {
		c.Crash("a")
	} else {
		c.Crash("b")
		second = first
	}
	send(5, 8)
	if second.Home(Kind, "t") != second.Self() {
		t.Fatal("the relay lives nowhere")
	}
	got := ch.wait(t, 8)
	for _, key := range []string{"t#c0:", "t/c1:"} {
		var own []string
		for _, m := range got {
			if n, ok := strings.CutPrefix(m, key); ok {
				own = append(own, n)
			}
		}
		want := map[string]string{"t#c0:": "2 4 6 8", "t/c1:": "1 3 5 7"}[key]
		if strings.Join(own, " ") != want {
			t.Errorf("%s got %v, want %s", key, own, want)
		}
	}
}

func TestWire(t *testing.T) {
	for _, w := range []kernel.Wire{&attend{}, &attended{}} {
		b, err := w.AppendWire(nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := kernel.DecodeWire(w.WireKind(), b); err != nil || back.WireKind() != w.WireKind() {
			t.Errorf("%s came back as %v, %v", w.WireKind(), back, err)
		}
		if _, err := kernel.DecodeWire(w.WireKind(), []byte{1}); err == nil {
			t.Errorf("%s took what is not its own", w.WireKind())
		}
	}
}
