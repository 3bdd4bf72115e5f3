package limit

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// The memory counter is a fixed number of maps with a fixed number of windows
// each: about 130,000 clients, some 20 MB at most.
const (
	memoryShards    = 32
	windowsPerShard = 4096
	evictionSample  = 16
)

// Memory counts in this process. A window starts with a client's first call.
type Memory struct {
	seed   maphash.Seed
	now    func() time.Time
	shards [memoryShards]memoryShard
}

type memoryShard struct {
	mu      sync.Mutex
	windows map[string]window
	swept   time.Time
}

type window struct {
	ends  time.Time
	count int
}

var _ Counter = (*Memory)(nil)

// NewMemory makes an empty counter.
func NewMemory() *Memory { return &Memory{seed: maphash.MakeSeed(), now: time.Now} }

// Allow counts one call; it never fails.
func (m *Memory) Allow(_ context.Context, key string, limit int, span time.Duration) (int, time.Duration, error) {
	remaining, reset := m.allow(key, limit, span)
	return remaining, reset, nil
}

func (m *Memory) allow(key string, limit int, span time.Duration) (remaining int, reset time.Duration) {
	s := &m.shards[maphash.String(m.seed, key)%memoryShards]
	now := m.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	w, known := s.windows[key]
	if !known || !now.Before(w.ends) {
		if !known {
			s.makeRoom(now)
		}
		w = window{ends: now.Add(span)}
	}
	if w.count >= limit {
		return -1, w.ends.Sub(now)
	}
	w.count++
	s.windows[key] = w
	return limit - w.count, w.ends.Sub(now)
}

// makeRoom keeps the map within its bound. When everything in it still counts,
// the window that ends first of a few is forgotten: a flood of addresses costs
// others at most a fresh window, and never memory.
func (s *memoryShard) makeRoom(now time.Time) {
	if s.windows == nil {
		s.windows = make(map[string]window)
	}
	if len(s.windows) < windowsPerShard {
		return
	}
	if now.Sub(s.swept) >= time.Second {
		s.swept = now
		for key, w := range s.windows {
			if !now.Before(w.ends) {
				delete(s.windows, key)
			}
		}
	}
	for len(s.windows) >= windowsPerShard {
		var victim string
		var soonest time.Time
		seen := 0
		for key, w := range s.windows {
			if seen == 0 || w.ends.Before(soonest) {
				victim, soonest = key, w.ends
			}
			if seen++; seen == evictionSample {
				break
			}
		}
		delete(s.windows, victim)
	}
}
