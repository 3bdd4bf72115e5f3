package realtime

import "sync"

// laneTurn is how many outboxes of one tenant are written for before those of
// another have their turn.
const laneTurn = 16

// writer is a loop that writes for many outboxes, in turns of their tenants: one
// whose messages go to thousands delays another's by a turn, not by a round. Frames
// that arrive for an outbox before its turn leave together.
type writer struct {
	mu      sync.Mutex
	tenants map[string]*lane // of all tenants that had a socket here
	lanes   []*lane          // with outboxes that are ready, in the order of their turns
	waiting bool             // the loop sleeps
	stopped bool
	wake    chan struct{}
	done    chan struct{}
}

// lane is where the outboxes of one tenant wait for their turn. The writer's lock
// guards it.
type lane struct {
	writer *writer
	round  []*outbox // those from at on are left of this round
	at     int
	next   []*outbox // of the next one
	queued bool
}

func startWriter() *writer {
	w := &writer{tenants: map[string]*lane{}, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// lane gives the lane of a tenant. There are as many as tenants: they are kept.
func (w *writer) lane(tenant string) *lane {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.tenants[tenant]
	if l == nil {
		l = &lane{writer: w}
		w.tenants[tenant] = l
	}
	return l
}

// ready queues an outbox of the lane for its next round.
func (l *lane) ready(o *outbox) {
	w := l.writer
	w.mu.Lock()
	l.next = append(l.next, o)
	if !l.queued {
		l.queued = true
		w.lanes = append(w.lanes, l)
	}
	wake := w.waiting
	w.waiting = false
	w.mu.Unlock()
	if wake {
		w.wake <- struct{}{}
	}
}

// stop ends the loop when nothing is ready any more. Outboxes must have been ended
// before.
func (w *writer) stop() {
	w.mu.Lock()
	w.stopped = true
	wake := w.waiting
	w.waiting = false
	w.mu.Unlock()
	if wake {
		w.wake <- struct{}{}
	}
	<-w.done
}

func (w *writer) run() {
	defer close(w.done)
	turn := make([]*outbox, 0, laneTurn)
	buffer := make([]byte, 0, joinBytes)
	for {
		w.mu.Lock()
		turn = w.next(turn[:0])
		if len(turn) == 0 {
			if w.stopped {
				w.mu.Unlock()
				return
			}
			w.waiting = true
			w.mu.Unlock()
			<-w.wake
			continue
		}
		w.mu.Unlock()
		for _, o := range turn {
			if o.flush(buffer) {
				o.lane.ready(o)
			}
		}
		clear(turn)
	}
}

// next appends the outboxes whose turn it is, and none when nothing is ready.
func (w *writer) next(turn []*outbox) []*outbox {
	if len(w.lanes) == 0 {
		return turn
	}
	l := w.lanes[0]
	w.lanes = w.lanes[:copy(w.lanes, w.lanes[1:])]
	if l.at == len(l.round) {
		l.round, l.next, l.at = l.next, l.round[:0], 0
	}
	n := min(len(l.round)-l.at, laneTurn)
	turn = append(turn, l.round[l.at:l.at+n]...)
	clear(l.round[l.at : l.at+n])
	l.at += n
	if l.queued = l.at < len(l.round) || len(l.next) > 0; l.queued {
		w.lanes = append(w.lanes, l)
	}
	return turn
}
