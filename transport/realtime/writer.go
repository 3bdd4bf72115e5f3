package realtime

import "sync"

// writer is a loop that writes for many outboxes. Frames that arrive while it
// makes its round leave together on its next one.
type writer struct {
	mu      sync.Mutex
	list    []*outbox
	waiting bool // the loop sleeps
	stopped bool
	wake    chan struct{}
	done    chan struct{}
}

func startWriter() *writer {
	w := &writer{wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// ready queues an outbox for the next round.
func (w *writer) ready(o *outbox) {
	w.mu.Lock()
	w.list = append(w.list, o)
	wake := w.waiting
	w.waiting = false
	w.mu.Unlock()
	if wake {
		w.wake <- struct{}{}
	}
}

// stop ends the loop after its round. Outboxes must have been ended before.
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
	var round []*outbox
	buffer := make([]byte, 0, joinBytes)
	for {
		w.mu.Lock()
		if len(w.list) == 0 {
			if w.stopped {
				w.mu.Unlock()
				return
			}
			w.waiting = true
			w.mu.Unlock()
			<-w.wake
			continue
		}
		round, w.list = w.list, round[:0]
		w.mu.Unlock()
		for i, o := range round {
			if o.flush(buffer) {
				w.ready(o)
			}
			round[i] = nil
		}
	}
}
