package realtime

import (
	"sync"
	"time"
)

// wheelSlots is the number of parts into which one turn of the wheel is cut.
const wheelSlots = 15

// wheel visits every socket once per turn: one goroutine and one timer for all
// of them, and the work spread evenly over the turn.
type wheel struct {
	slots [wheelSlots]slot
	next  int // slot for the next socket
	mu    sync.Mutex
	stop  chan struct{}
	done  chan struct{}
}

type slot struct {
	mu   sync.Mutex
	list []*socket
}

func startWheel(turn time.Duration) *wheel {
	w := &wheel{stop: make(chan struct{}), done: make(chan struct{})}
	go w.run(turn / wheelSlots)
	return w
}

func (w *wheel) run(tick time.Duration) {
	defer close(w.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for at := 0; ; at = (at + 1) % wheelSlots {
		select {
		case <-w.stop:
			return
		case now := <-ticker.C:
			s := &w.slots[at]
			s.mu.Lock()
			list := append([]*socket(nil), s.list...)
			s.mu.Unlock()
			for _, k := range list {
				k.beat(now)
			}
		}
	}
}

func (w *wheel) add(k *socket) {
	w.mu.Lock()
	k.slot = w.next
	w.next = (w.next + 1) % wheelSlots
	w.mu.Unlock()
	s := &w.slots[k.slot]
	s.mu.Lock()
	defer s.mu.Unlock()
	k.place = len(s.list)
	s.list = append(s.list, k)
}

func (w *wheel) remove(k *socket) {
	s := &w.slots[k.slot]
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.list[len(s.list)-1]
	s.list[k.place], last.place = last, k.place
	s.list[len(s.list)-1] = nil
	s.list = s.list[:len(s.list)-1]
}

func (w *wheel) close() {
	close(w.stop)
	<-w.done
}
