package channel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/actors/kernel/kerneltest"
	"fluxbase/persistence/fault"
)

// shelf is a kernel.History in memory.
type shelf struct {
	mu     sync.Mutex
	kept   map[string]*kernel.Kept
	claims int
	fail   error // of everything
	// swallow makes appends succeed and say that they failed.
	swallow bool
}

func newShelf() *shelf { return &shelf{kept: map[string]*kernel.Kept{}} }

func (s *shelf) set(fail error, swallow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.swallow = fail, swallow
}

func (s *shelf) Claim(_ context.Context, key string, epoch uint64, _ time.Duration) (kernel.Kept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return kernel.Kept{}, s.fail
	}
	k := s.kept[key]
	if k == nil {
		k = &kernel.Kept{Epoch: epoch}
		s.kept[key] = k
	}
	s.claims++
	k.Claim = strconv.Itoa(s.claims)
	return *k, nil
}

func (s *shelf) Append(_ context.Context, key, claim string, behind uint64, entries [][]byte, keep int, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kept[key]
	switch {
	case s.fail != nil:
		return s.fail
	case k == nil || k.Claim != claim || k.Offset != behind:
		return kernel.ErrSuperseded
	}
	k.Offset += uint64(len(entries))
	k.Entries = append(k.Entries[:len(k.Entries):len(k.Entries)], entries...)
	k.Entries = k.Entries[max(len(k.Entries)-keep, 0):]
	if s.swallow {
		return errors.New("no answer")
	}
	return nil
}

func (s *shelf) Renew(_ context.Context, key, claim string, _ time.Duration) error {
	return s.Append(context.Background(), key, claim, 0, nil, 1<<30, 0)
}

func shelved(t *testing.T, n *kerneltest.Node, s kernel.History) kernel.Ref {
	t.Helper()
	RegisterHome(n, HomeOptions{History: s})
	ref, err := n.System.Spawn(RouterProps(n, n))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// A home that dies takes nothing along: the next one goes on in the same order, and
// nobody is told that anything may be missing.
func TestHistoryOutlivesTheHome(t *testing.T) {
	c, s := kerneltest.New(t), newShelf()
	nodes, routers, home, alive := threeNodes(t, c, func(t *testing.T, n *kerneltest.Node) kernel.Ref { return shelved(t, n, s) })
	one := listen(t, nodes[alive[0]], routers[alive[0]], "1")
	first := mustPublish(t, routers[alive[0]], Publish{Event: "e", Payload: []byte("1"), Scope: "s", MessageID: "m1"})
	one.hears("e=1/1 ")
	// Acknowledged to one node, and lost on the way to the others.
	c.Lose(func(kernel.NodeID, kernel.NodeID, kernel.Wire) bool { return true })
	mustPublish(t, routers[alive[1]], Publish{Event: "e", Payload: []byte("2")})
	c.Lose(nil)
	c.Crash(home)
	third := mustPublish(t, routers[alive[1]], Publish{Event: "e", Payload: []byte("3")})
	if third.Epoch != first.Epoch || third.Offset != 3 {
		t.Errorf("after %+v came %+v", first, third)
	}
	one.hears("e=1/1 e=2/2 e=3/3 ")
	// What the first home numbered is known to the next.
	if again := mustPublish(t, routers[alive[1]], Publish{Event: "e", Payload: []byte("1"), Scope: "s", MessageID: "m1"}); again.Offset != 1 {
		t.Errorf("numbered again as %d", again.Offset)
	}
	back, j := resume(t, nodes[alive[1]], routers[alive[1]], "2", &Recover{first.Epoch, 1}, nil)
	if !j.Recovered {
		t.Errorf("joined %+v", j)
	}
	back.hears("e=2/2 e=3/3 ")
}

// While the history cannot be reached nothing is acknowledged, and nothing is lost or
// doubled by that.
func TestHistoryFails(t *testing.T) {
	n, s := kerneltest.New(t).Join("a"), newShelf()
	r := shelved(t, n, s)
	l := listen(t, n, r, "1")
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("1")})
	s.set(errors.New("down"), false)
	p := Publish{Event: "e", Payload: []byte("2"), Scope: "s", MessageID: "m"}
	if _, err := publish(t, r, p); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("published: %v", err)
	}
	s.set(nil, false)
	retry := func(p Publish) Published {
		for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			done, err := publish(t, r, p)
			if err == nil {
				return done
			}
			if time.Since(start) > 8*time.Second {
				t.Fatal(err)
			}
		}
	}
	retry(p)
	l.hears("e=1/1 e=2/2 ")
	// It was written although the answer says otherwise: the publisher that tries
	// again learns that, and the members get it.
	s.set(nil, true)
	p = Publish{Event: "e", Payload: []byte("3"), Scope: "s", MessageID: "m3"}
	if _, err := publish(t, r, p); err == nil {
		t.Error("acknowledged in doubt")
	}
	s.set(nil, false)
	if done := retry(p); done.Offset != 3 {
		t.Errorf("numbered as %d", done.Offset)
	}
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("4")})
	l.hears("e=1/1 e=2/2 e=3/3 e=4/4 ")
}

// A home that somebody took over from appends nothing, and its publishers' messages
// go to the other one.
func TestLateHome(t *testing.T) {
	n, s := kerneltest.New(t).Join("a"), newShelf()
	r := shelved(t, n, s)
	l := listen(t, n, r, "1")
	mustPublish(t, r, Publish{Event: "e", Payload: []byte("1")})
	if _, err := s.Claim(t.Context(), room.String(), 1000, 0); err != nil {
		t.Fatal(err)
	}
	if done := mustPublish(t, r, Publish{Event: "e", Payload: []byte("2")}); done.Offset != 2 {
		t.Errorf("got %+v", done)
	}
	l.hears("e=1/1 e=2/2 ")
}

func TestManyPublishersOfAKeptChannel(t *testing.T) {
	n, s := kerneltest.New(t).Join("a"), newShelf()
	r := shelved(t, n, s)
	l := listen(t, n, r, "1")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 25 {
				if _, err := publish(t, r, Publish{Event: fmt.Sprint("x", i), Payload: fmt.Append(nil, k)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	l.eventually("200 messages", func() bool { return strings.Count(l.text.String(), "x") == 200 })
	for i, word := range strings.Fields(l.text.String()) {
		if !strings.HasSuffix(word, fmt.Sprint("/", i+1)) {
			t.Fatalf("message %d is %s", i+1, word)
		}
	}
	if k := s.kept[room.String()]; k.Offset != 200 || len(k.Entries) != 200 {
		t.Errorf("kept %d of %d", len(k.Entries), k.Offset)
	}
}

func TestHistoryRules(t *testing.T) {
	o := HomeOptions{
		Limits: HistoryLimits{Messages: 1},
		Rules: []HistoryRule{
			{"exact", HistoryLimits{Messages: 2}},
			{"chat:*:log", HistoryLimits{Messages: 3}},
			{"chat:*", HistoryLimits{None: true}},
			{"*end", HistoryLimits{Messages: 5}},
		},
	}
	for name, want := range map[string]HistoryLimits{
		"exact": {Messages: 2}, "exactly": {Messages: 1}, "chat:a:log": {Messages: 3}, "chat:log": {None: true},
		"chat:": {None: true}, "chat": {Messages: 1}, "the end": {Messages: 5}, "": {Messages: 1},
	} {
		if got := o.limitsOf(name); got != want {
			t.Errorf("%q: %+v, want %+v", name, got, want)
		}
	}
	n := kerneltest.New(t).Join("a")
	RegisterHome(n, HomeOptions{Rules: []HistoryRule{{"*", HistoryLimits{None: true}}}})
	r, err := n.System.Spawn(RouterProps(n, n))
	if err != nil {
		t.Fatal(err)
	}
	epoch := mustPublish(t, r, Publish{Event: "e"}).Epoch
	if _, j := resume(t, n, r, "1", &Recover{epoch, 0}, nil); j.Recovered || j.Reason != "too_old" {
		t.Errorf("joined %+v", j)
	}
}

func FuzzEntry(f *testing.F) {
	f.Add(appendEntry(nil, kept{&message{Event: "e", Payload: []byte("1")}, time.UnixMilli(5)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := readEntry(b)
		if err != nil {
			return
		}
		if again, err := readEntry(appendEntry(nil, k)); err != nil || again.Identity != k.Identity || !again.at.Equal(k.at) {
			t.Fatalf("%+v came back as %+v, %v", k, again, err)
		}
	})
}
