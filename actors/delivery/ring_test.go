package delivery

import (
	"slices"
	"testing"
)

// take empties a queue of runs, giving the frames' first bytes.
func take(queue []Run) (got []byte) {
	for i := range queue {
		for r := &queue[i]; r.Len() > 0; r.Shift() {
			got = append(got, r.First().Bytes[0])
		}
	}
	return got
}

// push queues a link as a connection does: into its stream's last run if it can.
func push(queue []Run, l *Link) []Run {
	for i := len(queue) - 1; i >= 0; i-- {
		if queue[i].Of(l) {
			if queue[i].Extend(l) {
				return queue
			}
			break
		}
	}
	var r Run
	r.Extend(l)
	return append(queue, r)
}

// TestRingHoldsWhatWaitsInConstantSpace: a receiver that is behind on two rings
// holds two runs, however many frames they are.
func TestRingHoldsWhatWaitsInConstantSpace(t *testing.T) {
	var first, second Stream
	a, b := first.Ring(), second.Ring()
	var queue []Run
	for i := range byte(100) {
		queue = push(queue, a.Add(&Frame{Bytes: []byte{i}}))
		queue = push(queue, b.Add(&Frame{Bytes: []byte{100 + i}}))
	}
	if len(queue) != 2 || queue[0].Len() != 100 {
		t.Fatalf("%d runs", len(queue))
	}
	got := take(queue)
	if len(got) != 200 || !slices.IsSorted(got) {
		t.Fatalf("got %v", got)
	}
}

// TestRingsOfAStreamKeepTheirOrder: a receiver that goes to another ring and back
// gets everything in the order in which it was added.
func TestRingsOfAStreamKeepTheirOrder(t *testing.T) {
	var s Stream
	a, b := s.Ring(), s.Ring()
	var queue []Run
	for i, ring := range []*Ring{a, a, b, a, b, b} {
		queue = push(queue, ring.Add(&Frame{Bytes: []byte{byte(i)}}))
	}
	if got := take(queue); !slices.Equal(got, []byte{0, 1, 2, 3, 4, 5}) {
		t.Fatalf("got %v", got)
	}
}

// TestRunDoesNotSkip: a receiver that was not given a frame of the ring does not
// get it with the next one.
func TestRunDoesNotSkip(t *testing.T) {
	var s Stream
	r := s.Ring()
	var queue []Run
	queue = push(queue, r.Add(&Frame{Bytes: []byte{1}}))
	r.Add(&Frame{Bytes: []byte{2}})
	queue = push(queue, r.Add(&Frame{Bytes: []byte{3}}))
	if got := take(queue); !slices.Equal(got, []byte{1, 3}) {
		t.Fatalf("got %v", got)
	}
}

// TestFrameGivesItsBytesBack: when the last receiver is done.
func TestFrameGivesItsBytesBack(t *testing.T) {
	woken := 0
	w := NewWindow(10, func() { woken++ })
	f := &Frame{Bytes: make([]byte, 20), Reliable: true}
	f.Track(w, 2)
	f.Done()
	if f.Bytes == nil || !w.Full() {
		t.Fatal("given back too early")
	}
	f.Done()
	if f.Bytes != nil || w.Used() != 0 || woken != 1 {
		t.Errorf("bytes %d, used %d, woken %d times", len(f.Bytes), w.Used(), woken)
	}
}
