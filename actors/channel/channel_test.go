package channel

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/kernel/kerneltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var room = Key{Tenant: "t", Name: "room"}

// textCodec writes events as words, for tests to read.
type textCodec struct{ delivery.Codec }

func (textCodec) Dialect() string { return "text" }
func (textCodec) AppendBroadcast(dst []byte, b *delivery.Broadcast, self bool) []byte {
	return fmt.Appendf(dst, "%s=%s/%d%s ", b.Event, b.Payload, b.Offset, map[bool]string{true: "(own)"}[self])
}
func (textCodec) AppendNotice(dst []byte, n *delivery.Notice) []byte {
	return fmt.Appendf(dst, "%s ", n.Type)
}

// listener is a member that writes down what it gets.
type listener struct {
	t    *testing.T
	ref  kernel.Ref
	mu   sync.Mutex
	text strings.Builder
	told []any
}

func listen(t *testing.T, n *kerneltest.Node, router kernel.Ref, id string) *listener {
	t.Helper()
	l := &listener{t: t}
	var err error
	l.ref, err = n.System.Spawn(kernel.Props{
		New: func() kernel.Actor { return kernel.Func(l.receive) },
		Intercept: func(msg any) bool {
			f, ok := msg.(*delivery.Frame)
			if ok {
				l.mu.Lock()
				l.text.Write(f.Bytes)
				l.mu.Unlock()
				f.Done()
			}
			return ok
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = router.Tell(Join{Key: room, Member: Member{ID: id, Subscriber: delivery.Subscriber{Ref: l.ref, Codec: textCodec{}}}})
	if err != nil {
		t.Fatal(err)
	}
	l.eventually("joined", func() bool { return len(l.told) == 1 && l.told[0].(Joined).Err == nil })
	return l
}

func (l *listener) receive(_ *kernel.Context, msg any) {
	switch msg.(type) {
	case Joined, Published, Ended:
		l.mu.Lock()
		l.told = append(l.told, msg)
		l.mu.Unlock()
	}
}

func (l *listener) eventually(what string, ok func() bool) {
	l.t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		fine, text := ok(), l.text.String()
		l.mu.Unlock()
		if fine {
			return
		}
		if time.Since(start) > 8*time.Second {
			l.t.Fatalf("never: %s; has %q", what, text)
		}
	}
}

func (l *listener) hears(want string) {
	l.t.Helper()
	l.eventually("hears "+want, func() bool { return l.text.String() == want })
}

func router(t *testing.T, n *kerneltest.Node) kernel.Ref {
	t.Helper()
	RegisterHome(n, HomeOptions{})
	ref, err := n.System.Spawn(RouterProps(n, n))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func publish(t *testing.T, to kernel.Ref, p Publish) (Published, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	p.Key = room
	return kernel.Ask[Published](ctx, to, p)
}

func mustPublish(t *testing.T, to kernel.Ref, p Publish) Published {
	t.Helper()
	done, err := publish(t, to, p)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestOneNode(t *testing.T) {
	n := kerneltest.New(t).Join("a")
	r := router(t, n)
	first, second := listen(t, n, r, "first"), listen(t, n, r, "second")
	if done := mustPublish(t, r, Publish{Event: "e", Payload: []byte("1"), Sender: "first", MessageID: "x"}); done.Offset != 1 || done.Recipients != 2 {
		t.Errorf("got %+v", done)
	}
	if done := mustPublish(t, r, Publish{Event: "e", Payload: []byte("1"), Sender: "first", MessageID: "x"}); done.Offset != 1 {
		t.Errorf("the same id again: %+v", done)
	}
	// Another sender's id is another message.
	if done := mustPublish(t, r, Publish{Event: "e", Payload: []byte("2"), Sender: "second", MessageID: "x"}); done.Offset != 2 {
		t.Errorf("another sender's: %+v", done)
	}
	first.hears("e=1/1(own) e=2/2 ")
	second.hears("e=1/1 e=2/2(own) ")
	if err := r.Tell(Leave{Key: room, Member: first.ref}); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("3")})
	second.hears("e=1/1 e=2/2(own) e=3/3 ")
	first.hears("e=1/1(own) e=2/2 ")
	// A member that is gone is forgotten by the next message.
	second.ref.Stop()
	<-second.ref.Done()
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("4")})
	if done := mustPublish(t, r, Publish{Event: "e", Payload: []byte("5")}); done.Recipients != 0 {
		t.Errorf("recipients %d", done.Recipients)
	}
}

// TestThreeNodes: members on all nodes hear the same in the same order, whoever
// publishes.
func TestThreeNodes(t *testing.T) {
	c := kerneltest.New(t)
	var routers []kernel.Ref
	var listeners []*listener
	for _, id := range []kernel.NodeID{"a", "b", "c"} {
		n := c.Join(id)
		routers = append(routers, router(t, n))
		listeners = append(listeners, listen(t, n, routers[len(routers)-1], string(id)))
	}
	// The last node to join may have become the home: members are told that, and
	// everybody must be known to it before the count is right.
	for start := time.Now(); mustPublish(t, routers[0], Publish{Event: "start"}).Recipients < 3; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 8*time.Second {
			t.Fatal("not everybody is known to the home")
		}
	}
	var all sync.WaitGroup
	for i, r := range routers {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := range 100 {
				if _, err := publish(t, r, Publish{Event: fmt.Sprintf("x%d", i), Payload: fmt.Appendf(nil, "%d", n)}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	for _, l := range listeners {
		l.eventually("300 messages", func() bool { return strings.Count(l.text.String(), "x") >= 300 })
	}
	want := after(listeners[0], "x")
	for i, l := range listeners[1:] {
		if got := after(l, "x"); got != want {
			t.Errorf("node %d heard another order:\n%s\n%s", i+1, got, want)
		}
	}
}

// after gives the events with a prefix that a listener heard.
func after(l *listener, prefix string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, word := range strings.Fields(l.text.String()) {
		if strings.HasPrefix(word, prefix) {
			out = append(out, word)
		}
	}
	return strings.Join(out, " ")
}

// TestLostDeliveriesAreFetched: a node that misses a message finds the hole and
// gets it from the home's history, in order.
func TestLostDeliveriesAreFetched(t *testing.T) {
	c := kerneltest.New(t)
	a, b := c.Join("a"), c.Join("b")
	ra, rb := router(t, a), router(t, b)
	home, far := a, b
	rh, rf := ra, rb
	if a.Home(Kind, room.String()) == "b" {
		home, far, rh, rf = b, a, rb, ra
	}
	near, l := listen(t, home, rh, "near"), listen(t, far, rf, "far")
	mustPublish(t, rh, Publish{Event: "e", Payload: []byte("1")})
	l.hears("e=1/1 ")
	c.Lose(func(kernel.NodeID, kernel.NodeID, kernel.Wire) bool { return true })
	mustPublish(t, rh, Publish{Event: "e", Payload: []byte("2")})
	mustPublish(t, rh, Publish{Event: "e", Payload: []byte("3")})
	c.Lose(nil)
	mustPublish(t, rh, Publish{Event: "e", Payload: []byte("4")})
	l.hears("e=1/1 e=2/2 e=3/3 e=4/4 ")
	// Even when no later message shows the hole, the next renewal does.
	c.Lose(func(kernel.NodeID, kernel.NodeID, kernel.Wire) bool { return true })
	mustPublish(t, rh, Publish{Event: "e", Payload: []byte("5")})
	c.Lose(nil)
	l.hears("e=1/1 e=2/2 e=3/3 e=4/4 e=5/5 ")
	near.hears("e=1/1 e=2/2 e=3/3 e=4/4 e=5/5 ")
}

// TestHomeDies: publishing goes on at the new home, and members of the old order
// are told that something may be missing.
func TestHomeDies(t *testing.T) {
	testLosingTheHome(t, (*kerneltest.Cluster).Crash, "e=1/1 messages_lost e=2/1 ")
}

// TestHomeLeaves: a home that stops in order says what its last message was. Who has
// that has missed nothing.
func TestHomeLeaves(t *testing.T) {
	testLosingTheHome(t, (*kerneltest.Cluster).Kill, "e=1/1 e=2/1 ")
}

// threeNodes joins nodes with routers, and tells which of them is the room's home and
// which are not.
func threeNodes(t *testing.T, c *kerneltest.Cluster, router func(*testing.T, *kerneltest.Node) kernel.Ref) (
	nodes map[kernel.NodeID]*kerneltest.Node, routers map[kernel.NodeID]kernel.Ref, home kernel.NodeID, alive []kernel.NodeID,
) {
	t.Helper()
	nodes, routers = map[kernel.NodeID]*kerneltest.Node{}, map[kernel.NodeID]kernel.Ref{}
	for _, id := range []kernel.NodeID{"a", "b", "c"} {
		nodes[id] = c.Join(id)
		routers[id] = router(t, nodes[id])
	}
	home = nodes["a"].Home(Kind, room.String())
	for id := range nodes {
		if id != home {
			alive = append(alive, id)
		}
	}
	return nodes, routers, home, alive
}

func testLosingTheHome(t *testing.T, lose func(*kerneltest.Cluster, kernel.NodeID), want string) {
	c := kerneltest.New(t)
	nodes, routers, home, alive := threeNodes(t, c, router)
	one, two := listen(t, nodes[alive[0]], routers[alive[0]], "1"), listen(t, nodes[alive[1]], routers[alive[1]], "2")
	first := mustPublish(t, routers[alive[0]], Publish{Event: "e", Payload: []byte("1")})
	one.hears("e=1/1 ")
	two.hears("e=1/1 ")
	lose(c, home)
	second := mustPublish(t, routers[alive[0]], Publish{Event: "e", Payload: []byte("2")})
	if second.Epoch <= first.Epoch || second.Offset != 1 {
		t.Errorf("epoch %d offset %d after epoch %d", second.Epoch, second.Offset, first.Epoch)
	}
	one.hears(want)
	two.hears(want)
}

// TestChannelFails: members of a channel whose actor panics are told.
func TestChannelFails(t *testing.T) {
	n := kerneltest.New(t).Join("a")
	r := router(t, n)
	l := listen(t, n, r, "x")
	ref := l.told[0].(Joined).Channel
	if err := ref.Tell(Join{Member: Member{Subscriber: delivery.Subscriber{}}}); err != nil {
		t.Fatal(err) // no codec: the actor panics
	}
	l.eventually("ended", func() bool { _, ok := l.told[len(l.told)-1].(Ended); return ok })
	again := listen(t, n, r, "y")
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("1")})
	again.eventually("hears again", func() bool { return strings.Contains(again.text.String(), "e=1") })
}

// The home outlives a node's actor that was idle, and with it what it remembers of
// that actor's messages.
func TestActorThatWasIdle(t *testing.T) {
	n := kerneltest.New(t).Join("a")
	r := router(t, n)
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("1")})
	if err := r.Tell(idle{key: room, handled: 1}); err != nil {
		t.Fatal(err)
	}
	l := listen(t, n, r, "first")
	if done := mustPublish(t, r, Publish{Event: "e", Payload: []byte("2")}); done.Offset != 2 {
		t.Errorf("got %+v", done)
	}
	l.hears("e=2/2 ")
}

func TestSameIDWithOtherContents(t *testing.T) {
	n := kerneltest.New(t).Join("a")
	r := router(t, n)
	l := listen(t, n, r, "first")
	for _, payload := range []string{"1", "2", "2"} {
		mustPublish(t, r, Publish{Event: "e", Payload: []byte(payload), Sender: "other", MessageID: "x"})
	}
	l.hears("e=1/1 e=2/2 ")
}
