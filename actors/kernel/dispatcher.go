package kernel

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// keptRunners is how many goroutines wait for the next busy actor at most.
const keptRunners = 64

// runners is a dispatcher that uses its goroutines again: an actor that wakes on
// a new one grows its stack each time, which costs more than the wake itself.
type runners struct {
	mu     sync.Mutex
	idle   []chan func()
	closed bool
}

var _ actor.Dispatcher = (*runners)(nil)

// Schedule implements actor.Dispatcher. It never blocks.
func (r *runners) Schedule(work func()) {
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		next := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		next <- work
		return
	}
	r.mu.Unlock()
	go r.run(work)
}

// Throughput implements actor.Dispatcher: after so many messages in a row an
// actor lets others run.
func (*runners) Throughput() int { return 300 }

func (r *runners) run(work func()) {
	wake := make(chan func(), 1)
	for work != nil {
		work()
		r.mu.Lock()
		if r.closed || len(r.idle) >= keptRunners {
			r.mu.Unlock()
			return
		}
		r.idle = append(r.idle, wake)
		r.mu.Unlock()
		work = <-wake
	}
}

// close ends the waiting goroutines, and the others when their work is done.
func (r *runners) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, wake := range r.idle {
		wake <- nil
	}
	r.idle = nil
}
