package replay

import (
	"sync"

	"fluxbase/actors/kernel"
)

// Budget bounds the bytes that replays hold: read, and not written to their clients
// yet. A read that is under way may go beyond it.
type Budget struct {
	mu      sync.Mutex
	limit   int64
	used    int64
	waiting []kernel.Ref
}

// NewBudget makes a budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// proceed says that there may be room in the budget.
type proceed struct{}

// enter tells whether there is room. If not, the actor is told proceed when there is.
func (b *Budget) enter(r kernel.Ref) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used < b.limit {
		return true
	}
	b.waiting = append(b.waiting, r)
	return false
}

// hold adds n bytes, or takes them back when n is negative.
func (b *Budget) hold(n int64) {
	b.mu.Lock()
	b.used += n
	var woken []kernel.Ref
	if b.used < b.limit {
		woken, b.waiting = b.waiting, nil
	}
	b.mu.Unlock()
	for _, r := range woken {
		// One that has ended waits for nothing.
		_ = r.Tell(proceed{})
	}
}

// Used is the number of bytes held.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
