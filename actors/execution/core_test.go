package execution

import (
	"context"
	"testing"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/queue"
)

// refs are different references, of actors that do nothing.
func refs(t *testing.T, n int) (all []kernel.Ref) {
	t.Helper()
	s := kernel.NewSystem(kernel.SystemOptions{Name: "refs"})
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for range n {
		r, err := s.Spawn(kernel.Props{New: func() kernel.Actor { return kernel.Func(func(*kernel.Context, any) {}) }})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestPlaces(t *testing.T) {
	c := newCore(Limits{Sync: 2, Async: 1, PerCaller: 2, Waiting: 1}.orDefault())
	run := refs(t, 4)
	admit := func(lane string, now bool, code fault.Code) {
		t.Helper()
		got, err := c.admit(lane, lane != "shared")
		if got != now || fault.CodeOf(err) != code {
			t.Errorf("%s: %v, %v; want %v, %q", lane, got, err, now, code)
		}
	}
	admit("a", true, "")
	c.begin(run[0], &place{lane: "a"})
	c.begin(run[1], &place{lane: "a"})
	admit("a", false, fault.RateLimitExceeded)
	admit("b", false, "")
	c.lanes["shared"] = 9
	admit("shared", false, "")
	delete(c.lanes, "shared")
	if c.free() != 1 {
		t.Errorf("%d places for the queue, want 1: they are others", c.free())
	}
	c.begin(run[2], &place{lane: "a", async: true, claim: &queue.Held{ID: "x", Claim: "1"}})
	if c.free() != 0 {
		t.Error("there is a place for the queue")
	}
	c.hold(run[0], queue.Held{ID: "y", Claim: "2"})
	c.hold(run[3], queue.Held{ID: "z", Claim: "3"}) // has ended before it was heard of
	if held := c.held(); len(held) != 2 || c.byID["x"] != run[2] || c.byID["y"] != run[0] {
		t.Errorf("held are %v, %v", held, c.byID)
	}
	if c.end(run[0]) == nil || c.end(run[0]) != nil || len(c.held()) != 1 {
		t.Error("a place is given back once")
	}
	admit("a", true, "")
	c.draining = true
	admit("b", false, fault.ServiceUnavailable)
	if c.free() != 0 {
		t.Error("a node that stops takes from the queue")
	}
	c.end(run[1])
	c.end(run[2])
	if c.sync != 0 || c.async != 0 || len(c.lanes) != 0 || len(c.byID) != 0 {
		t.Errorf("something is left: %+v", c)
	}
}
