package replay

import (
	"context"
	"log/slog"
	"testing"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// receiver is a connection that remembers the frames that it was told.
func receiver(t *testing.T) (kernel.Ref, *[]*delivery.Frame) {
	t.Helper()
	system := kernel.NewSystem(kernel.SystemOptions{Name: "test", Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := system.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var got []*delivery.Frame
	ref, err := system.Spawn(kernel.Props{
		New: func() kernel.Actor { return kernel.Func(func(*kernel.Context, any) {}) },
		Intercept: func(msg any) bool {
			switch msg.(type) {
			case *delivery.Frame, *delivery.Link:
				got = append(got, frame(msg))
				return true
			}
			return false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return ref, &got
}

func tracked(w *delivery.Window) *delivery.Frame {
	f := &delivery.Frame{Bytes: []byte("x"), Messages: 1, Reliable: true}
	f.Track(w, 1)
	return f
}

func TestTheGateKeepsTheOrder(t *testing.T) {
	ref, got := receiver(t)
	g := &gate{to: ref}
	w := delivery.NewWindow(100, func() {})
	var stream delivery.Stream
	first, second, third := tracked(w), tracked(w), tracked(w)
	g.pass(stream.Ring().Add(first))
	g.pass(second)
	if len(*got) != 0 {
		t.Fatal("the gate lets something through before it is opened")
	}
	if g.pass("a message for the actor") {
		t.Error("the gate takes what is for the actor")
	}
	g.release()
	g.pass(third)
	if len(*got) != 3 || (*got)[0] != first || (*got)[1] != second || (*got)[2] != third {
		t.Errorf("got %v", *got)
	}
}

func TestWhatTheGateThrowsAwayIsDone(t *testing.T) {
	ref, got := receiver(t)
	late := 0
	g := &gate{to: ref, late: func() { late++ }}
	w := delivery.NewWindow(100, func() {})
	other := delivery.NewWindow(100, func() {})
	g.pass(tracked(w))
	g.pass(delivery.Evict{Window: other, Through: 100})
	if late != 0 || w.Used() != 1 {
		t.Error("the gate gives up for another window")
	}
	// What it holds keeps others waiting.
	g.pass(delivery.Evict{Window: w, Through: 1})
	if late != 1 || w.Used() != 0 {
		t.Errorf("late %d, %d bytes on their way", late, w.Used())
	}
	g.pass(tracked(w))
	if w.Used() != 0 || len(*got) != 0 {
		t.Error("something came through behind that")
	}
}

func TestTheBudgetLetsInWhoWaitsWhenThereIsRoom(t *testing.T) {
	ref, _ := receiver(t)
	b := NewBudget(10)
	if !b.enter(ref) {
		t.Fatal("an empty budget is full")
	}
	b.hold(12)
	if b.enter(ref) || len(b.waiting) != 1 {
		t.Fatal("a full budget lets somebody in")
	}
	b.hold(-1)
	if b.enter(ref) {
		t.Error("there is no room yet")
	}
	b.hold(-5)
	if len(b.waiting) != 0 || !b.enter(ref) || b.Used() != 6 {
		t.Errorf("%d wait, %d bytes are held", len(b.waiting), b.Used())
	}
}
