package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/cluster/frame"
	"fluxbase/persistence/lease"
)

const (
	// releaseBatch is how many homes are given back in one statement; more than
	// releaseQueue that wait are not: their rows are in nobody's way.
	releaseBatch   = 500
	releaseQueue   = 10_000
	releaseTimeout = 5 * time.Second
	yieldTry       = 2 * time.Second
	yieldPause     = 100 * time.Millisecond
)

// holds are the homes that this node took, from the moment that the database gave
// their epochs.
type holds struct {
	c *Cluster

	shut    atomic.Bool
	mu      sync.Mutex
	byHome  map[homeName]*hold
	release chan lease.Home
	quit    chan struct{}
	running sync.WaitGroup
}

type homeName struct{ kind, key string }

type hold struct {
	epoch uint64
	// giveUp ends the taking, when somebody took the home after us.
	giveUp context.CancelFunc
}

func newHolds(c *Cluster) *holds {
	return &holds{c: c, byHome: map[homeName]*hold{}, release: make(chan lease.Home, releaseQueue), quit: make(chan struct{})}
}

// take gives a home that is to be made its epoch. When it returns, nobody else
// answers for the home any more.
func (h *holds) take(ctx context.Context, kind, key string) (uint64, error) {
	if h.closed() || h.c.Home(kind, key) != h.c.id {
		return 0, errMoved
	}
	taken, err := h.c.o.Store.TakeHome(ctx, kind, key, h.c.members.self)
	if errors.Is(err, lease.ErrLost) {
		h.c.members.fence("its lease ran out")
		return 0, kernel.ErrStopped
	}
	if err != nil {
		h.c.logger.Warn("a home could not be taken", "kind", kind, "key", key, "error", err)
		return 0, errUnreachable
	}
	ctx, giveUp := context.WithCancel(ctx)
	name := homeName{kind, key}
	mine := &hold{epoch: taken.Epoch, giveUp: giveUp}
	h.mu.Lock()
	h.byHome[name] = mine
	h.mu.Unlock()
	if before := kernel.NodeID(taken.Previous); before != "" && before != h.c.id {
		if err := h.awaitYield(ctx, before, taken); err != nil {
			h.ended(kind, key, taken.Epoch)
			return 0, err
		}
	}
	h.c.counters.activations.Add(1)
	return taken.Epoch, nil
}

// awaitYield waits until the node that held the home before has let go of it, or
// is dead by the database's clock: then it was fenced before.
func (h *holds) awaitYield(ctx context.Context, before kernel.NodeID, taken lease.Home) error {
	for {
		if _, ok := h.c.members.view().node(before); ok {
			answer, err := h.c.askNode(ctx, yieldTry, before, frame.Frame{
				Type: frame.Yield, Name: taken.Kind, Key: taken.Key, Data: binary.AppendUvarint(nil, taken.Epoch),
			})
			if err == nil && answer.Kind == agreed {
				return nil
			}
			if err == nil && answer.Kind == refusedMoved {
				// Somebody took it after us.
				return errMoved
			}
		}
		alive, err := h.c.o.Store.IsAlive(ctx, string(before))
		if err == nil && !alive {
			return nil
		}
		select {
		case <-ctx.Done():
			return errMoved
		case <-time.After(yieldPause):
		}
		h.c.members.refresh()
	}
}

// yield lets go of a home that another node took with a greater epoch.
func (c *Cluster) yield(ctx context.Context, from kernel.NodeID, f *frame.Frame) frame.Frame {
	epoch, n := binary.Uvarint(f.Data)
	if n <= 0 {
		return refusal(kernel.ErrStopped)
	}
	c.counters.yields.Add(1)
	// Who takes homes of this node knows of a member that this node may not know.
	if _, known := c.members.view().node(from); !known {
		c.members.refresh()
	}
	name := homeName{f.Name, f.Key}
	c.holds.mu.Lock()
	mine := c.holds.byHome[name]
	c.holds.mu.Unlock()
	if mine != nil {
		if mine.epoch > epoch {
			return refusal(errMoved)
		}
		mine.giveUp()
	}
	if err := c.homes.Stop(ctx, f.Name, f.Key); err != nil {
		return refusal(err)
	}
	return frame.Frame{Kind: agreed}
}

// ended is called when a home that was taken has ended.
func (h *holds) ended(kind, key string, epoch uint64) {
	name := homeName{kind, key}
	h.mu.Lock()
	if mine := h.byHome[name]; mine != nil && mine.epoch == epoch {
		mine.giveUp()
		delete(h.byHome, name)
	}
	h.mu.Unlock()
	select {
	case h.release <- lease.Home{Kind: kind, Key: key, Epoch: epoch}:
	default:
	}
}

// close takes no more homes.
func (h *holds) close() { h.shut.Store(true) }

func (h *holds) closed() bool { return h.shut.Load() }

func (h *holds) start() {
	h.running.Go(func() {
		for {
			select {
			case first := <-h.release:
				h.giveBack(first)
			case <-h.quit:
				for len(h.release) > 0 {
					h.giveBack(<-h.release)
				}
				return
			}
		}
	})
}

// giveBack gives a home back, and those that wait with it.
func (h *holds) giveBack(first lease.Home) {
	batch := []lease.Home{first}
	for len(batch) < releaseBatch && len(h.release) > 0 {
		batch = append(batch, <-h.release)
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := h.c.o.Store.ReleaseHomes(ctx, batch, h.c.members.self); err != nil {
		// The rows name a holder that answers, when asked, that it let go.
		h.c.logger.Warn("homes could not be given back", "homes", len(batch), "error", err)
	}
}

// stop gives back what waits and ends.
func (h *holds) stop() {
	close(h.quit)
	h.running.Wait()
}
