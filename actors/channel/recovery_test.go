package channel

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/kernel/kerneltest"
)

// resume joins as somebody who was here before, and gives what it was told. It says
// Follow when go is closed; nil means at once.
func resume(t *testing.T, n *kerneltest.Node, router kernel.Ref, id string, at *Recover, ready <-chan struct{}, skip ...string) (*listener, Joined) {
	t.Helper()
	l := &listener{t: t}
	var err error
	if l.ref, err = n.System.Spawn(kernel.Props{
		New: func() kernel.Actor { return kernel.Func(l.receive) },
		Intercept: func(msg any) bool {
			f, ok := msg.(*delivery.Frame)
			if ok {
				l.take(f)
			}
			return ok
		},
	}); err != nil {
		t.Fatal(err)
	}
	if err = router.Tell(Join{Key: room, Member: Member{ID: id, Subscriber: delivery.Subscriber{Ref: l.ref, Codec: textCodec{}}}, Recover: at, Hold: true}); err != nil {
		t.Fatal(err)
	}
	l.eventually("joined", func() bool { return len(l.told) == 1 })
	j := l.told[0].(Joined)
	if j.Err != nil || !j.Held {
		t.Fatalf("joined as %+v", j)
	}
	if j.Missed != nil {
		l.take(j.Missed)
	}
	follow := func() {
		if err := j.Channel.Tell(Follow{Key: room, Member: l.ref, Skip: skip}); err != nil {
			t.Error(err)
		}
	}
	if ready == nil {
		follow()
	} else {
		go func() { <-ready; follow() }()
	}
	return l, j
}

func (l *listener) take(f *delivery.Frame) {
	l.mu.Lock()
	l.text.Write(f.Bytes)
	l.mu.Unlock()
	f.Done()
}

func numbers(t *testing.T, r kernel.Ref, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		mustPublish(t, r, Publish{Event: "e", Payload: fmt.Append(nil, i)})
	}
}

func TestRecovery(t *testing.T) {
	n := kerneltest.New(t).Join("a")
	RegisterHome(n, HomeOptions{Limits: HistoryLimits{Messages: 4}})
	r, err := n.System.Spawn(RouterProps(n, n))
	if err != nil {
		t.Fatal(err)
	}
	first := listen(t, n, r, "first")
	epoch := first.told[0].(Joined).Epoch
	numbers(t, r, 1, 6)
	for _, test := range []struct {
		name      string
		at        *Recover
		recovered bool
		reason    string
		hears     string
	}{
		{"everything since", &Recover{epoch, 4}, true, "", "e=5/5 e=6/6 e=7/7 "},
		{"as far as the history goes", &Recover{epoch, 2}, true, "", "e=3/3 e=4/4 e=5/5 e=6/6 e=7/7 "},
		{"nothing was missed", &Recover{epoch, 6}, true, "", "e=7/7 "},
		{"the history is shorter", &Recover{epoch, 1}, false, delivery.TooOld, "e=7/7 "},
		{"another order", &Recover{epoch - 1, 6}, false, delivery.EpochChanged, "e=7/7 "},
		{"a place that this order does not have", &Recover{epoch, 100}, false, delivery.EpochChanged, "e=7/7 "},
		{"nothing asked", nil, false, "", "e=7/7 "},
	} {
		l, j := resume(t, n, r, test.name, test.at, nil)
		if j.Recovered != test.recovered || j.Reason != test.reason || j.Epoch != epoch || j.Offset != 6 {
			t.Errorf("%s: joined %+v", test.name, j)
		}
		defer func() { l.hears(test.hears) }()
	}
	numbers(t, r, 7, 7)
}

// What is published before the member follows is not lost, and comes behind what it
// missed; ids that it has are left out.
func TestNewMessagesWaitForTheMember(t *testing.T) {
	n := kerneltest.New(t).Join("a")
	r := router(t, n)
	first := listen(t, n, r, "first")
	numbers(t, r, 1, 2)
	ready := make(chan struct{})
	l, _ := resume(t, n, r, "second", &Recover{first.told[0].(Joined).Epoch, 1}, ready, "kept", "later")
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("3"), ID: "kept"})
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("4"), ID: "other"})
	l.hears("e=2/2 ")
	close(ready)
	l.hears("e=2/2 e=4/4 ")
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("5"), ID: "later"})
	// The same message of the database once, whoever sends it.
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("5"), ID: "later"})
	numbers(t, r, 6, 6)
	l.hears("e=2/2 e=4/4 e=6/6 ")
	first.hears("e=1/1 e=2/2 e=3/3 e=4/4 e=5/5 e=6/6 ")
}

// Members come and go on three nodes while everybody publishes: each of them has the
// whole order in the end, nothing twice.
func TestRecoveryUnderWay(t *testing.T) {
	c := kerneltest.New(t)
	var nodes []*kerneltest.Node
	var routers []kernel.Ref
	for _, id := range []kernel.NodeID{"a", "b", "c"} {
		n := c.Join(id)
		nodes, routers = append(nodes, n), append(routers, router(t, n))
	}
	base := listen(t, nodes[0], routers[0], "base")
	for start := time.Now(); mustPublish(t, routers[1], Publish{Event: "start"}).Recipients < 1; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 8*time.Second {
			t.Fatal("the member is not known to the home")
		}
	}
	from := mustPublish(t, routers[1], Publish{Event: "start"})
	var publishing sync.WaitGroup
	for i, r := range routers {
		publishing.Go(func() {
			for n := range 60 {
				if _, err := publish(t, r, Publish{Event: fmt.Sprintf("x%d", i), Payload: fmt.Append(nil, n)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var late []*listener
	for i := range 9 {
		l, j := resume(t, nodes[i%3], routers[i%3], fmt.Sprint("late", i), &Recover{from.Epoch, from.Offset}, nil)
		if !j.Recovered {
			t.Fatalf("not recovered: %+v", j)
		}
		late = append(late, l)
	}
	publishing.Wait()
	base.eventually("180 messages", func() bool { return strings.Count(base.text.String(), "x") == 180 })
	want := after(base, "x")
	for i, l := range late {
		l.eventually("180 messages", func() bool { return strings.Count(l.text.String(), "x") >= 180 })
		if got := after(l, "x"); got != want {
			t.Errorf("%d has\n%s\nwant\n%s", i, got, want)
		}
	}
}

// Whatever order the answers and the messages come in, what waits is what is behind
// the answer, in order.
func TestHeldMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &held{member: Member{Subscriber: delivery.Subscriber{Codec: textCodec{}}}, recover: &Recover{Epoch: 1}}
		answered := rapid.Uint64Range(0, 12).Draw(t, "newest")
		before := rapid.Uint64Range(0, 12).Draw(t, "delivered before the answer")
		next := rapid.Uint64Range(1, 4).Draw(t, "first")
		first := next
		deliverUpTo := func(to uint64) {
			for next <= to {
				n := min(rapid.Uint64Range(1, 3).Draw(t, "batch"), to-next+1)
				d := &deliver{Epoch: 1, Offset: next}
				for i := range n {
					d.Messages = append(d.Messages, &message{Event: "e", Payload: fmt.Append(nil, next+i)})
				}
				h.add(d)
				next += n
			}
		}
		deliverUpTo(before)
		h.upTo = answered
		h.trim()
		deliverUpTo(12)
		var got strings.Builder
		for _, f := range h.frames(room) {
			got.Write(f.Bytes)
		}
		var want strings.Builder
		for i := max(first, answered+1); i <= 12; i++ {
			fmt.Fprintf(&want, "e=%d/%d ", i, i)
		}
		if got.String() != want.String() {
			t.Fatalf("got %s, want %s", got.String(), want.String())
		}
	})
}
