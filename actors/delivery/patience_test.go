package delivery

import (
	"testing"
	"time"
)

// watched is a window under Patience, with the clock in the test's hands.
type watched struct {
	window   *Window
	patience Patience
	now      time.Time
}

func watch(limit int64) *watched {
	return &watched{window: NewWindow(limit, func() {}), now: time.Unix(0, 0)}
}

func (w *watched) send(bytes, receivers int) *Frame {
	f := &Frame{Bytes: make([]byte, bytes), Reliable: true}
	f.Track(w.window, receivers)
	return f
}

// pass lets time pass in steps of a quarter second, doing something in each, until
// somebody is cut.
func (w *watched) pass(d time.Duration, do func()) *Evict {
	for ; d > 0; d -= 250 * time.Millisecond {
		if do != nil {
			do()
		}
		if cut, _ := w.patience.Check(w.window, w.now); cut != nil {
			return cut
		}
		w.now = w.now.Add(250 * time.Millisecond)
	}
	return nil
}

func TestPatienceEndsForWhoStandsStill(t *testing.T) {
	w := watch(1000)
	kept, done := w.send(600, 2), w.send(600, 2)
	done.Done()
	done.Done()
	kept.Done()
	w.send(600, 2)
	if cut := w.pass(1900*time.Millisecond, nil); cut != nil {
		t.Fatalf("cut too early: %+v", cut)
	}
	cut := w.pass(time.Second, nil)
	if cut == nil || !cut.Still || !kept.Overdue(*cut) {
		t.Fatalf("cut %+v, want the holder of the oldest frame", cut)
	}
	if newer := w.send(1, 1); newer.Overdue(*cut) {
		t.Error("who holds a newer frame only is cut, too")
	}
}

// TestPatienceWithManyRows: whatever time a statement's rows take, nobody is cut
// while all go on.
func TestPatienceWithManyRows(t *testing.T) {
	w := watch(1000)
	var sent []*Frame
	for range 4 {
		sent = append(sent, w.send(300, 10))
	}
	cut := w.pass(time.Minute, func() {
		for range 10 {
			sent[0].Done()
		}
		sent = append(sent[1:], w.send(300, 10))
	})
	if cut != nil {
		t.Fatalf("cut %+v", cut)
	}
}

// TestPatienceEndsForWhoOnlyDrips: most have what is newest and wait, and the end
// of the window hardly moves.
func TestPatienceEndsForWhoOnlyDrips(t *testing.T) {
	w := watch(160_000)
	var sent []*Frame
	send := func() {
		f := w.send(100, 10)
		for range 9 {
			f.Done()
		}
		sent = append(sent, f)
	}
	for !w.window.Full() {
		send()
	}
	first := sent[0]
	cut := w.pass(time.Minute, func() {
		sent[0].Done()
		sent = sent[1:]
		send()
	})
	if cut == nil || cut.Still || !sent[0].Overdue(*cut) || first.Overdue(*cut) != true {
		t.Fatalf("cut %+v", cut)
	}
	if waited := w.now.Sub(time.Unix(0, 0)); waited > 3*time.Second {
		t.Errorf("the others waited %v", waited)
	}
}

// TestPatienceForgets: a window that has room again needs no more checks.
func TestPatienceForgets(t *testing.T) {
	w := watch(100)
	f := w.send(200, 1)
	if _, more := w.patience.Check(w.window, w.now); !more {
		t.Fatal("a full window is not watched")
	}
	f.Done()
	w.now = w.now.Add(time.Second)
	if cut, more := w.patience.Check(w.window, w.now); cut != nil || more {
		t.Fatalf("cut %v, more %v", cut, more)
	}
}
