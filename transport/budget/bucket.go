package budget

import (
	"math"
	"sync"
	"time"
)

// budget is what a source has left.
type budget struct {
	mu      sync.Mutex
	buckets [resources]bucket
}

// bucket holds what was used and has not been refilled; more than the burst after a
// message that was larger than it.
type bucket struct {
	used float64 // as of at
	at   time.Time
}

// take takes n, or tells how long it would have to wait.
func (b *budget) take(s *schedule, r Resource, n float64, now time.Time) (wait time.Duration) {
	f := s[r]
	if f.rate == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := &b.buckets[r]
	k.settle(f, now)
	if missing := k.used + math.Min(n, f.burst) - f.burst; missing > 0 {
		// Rounded up: a wait of nothing would mean that it was taken.
		return time.Duration(math.Ceil(missing / f.rate * float64(time.Second)))
	}
	k.used += n
	return 0
}

// give takes a take back.
func (b *budget) give(r Resource, n float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buckets[r].used = math.Max(b.buckets[r].used-n, 0)
}

// full tells whether the budget is as a new one.
func (b *budget) full(s *schedule, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.buckets {
		b.buckets[i].settle(s[i], now)
		if b.buckets[i].used > 0 {
			return false
		}
	}
	return true
}

func (k *bucket) settle(f refill, now time.Time) {
	if now.After(k.at) {
		k.used = math.Max(k.used-f.rate*now.Sub(k.at).Seconds(), 0)
		k.at = now
	}
}
