package replay

import (
	"sync"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// gate stands between a table and a subscriber. It keeps what the table sends until
// it is opened; from then on it lets everything through, in the order in which it
// came.
type gate struct {
	mu   sync.Mutex
	to   kernel.Ref
	open bool
	shut bool // for ever: nothing comes through any more
	held []any
	// late is called when what is held keeps others waiting too long. It must not
	// block.
	late func()
}

// pass takes what is told to the actor and is meant for the subscriber. It is called
// on the goroutine of whoever tells.
func (g *gate) pass(msg any) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch m := msg.(type) {
	case *delivery.Frame, *delivery.Link:
		switch {
		case g.shut:
			frame(m).Done()
		case g.open:
			g.send(m)
		default:
			g.held = append(g.held, m)
		}
		return true
	case delivery.Evict:
		for _, h := range g.held {
			if frame(h).Overdue(m) {
				g.drop()
				g.late()
				break
			}
		}
		return true
	}
	return false
}

// release opens the gate behind what it holds.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
	for _, m := range g.held {
		g.send(m)
	}
	g.held = nil
}

// close throws away what is held and what will come.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop()
}

// Call with the lock held.
func (g *gate) drop() {
	g.shut = true
	for _, m := range g.held {
		frame(m).Done()
	}
	g.held = nil
}

func (g *gate) send(msg any) {
	if err := g.to.Tell(msg); err != nil {
		frame(msg).Done() // the connection is gone
	}
}

func frame(msg any) *delivery.Frame {
	if l, ok := msg.(*delivery.Link); ok {
		return l.Frame
	}
	return msg.(*delivery.Frame)
}
