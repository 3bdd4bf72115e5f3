package credential

import (
	"crypto/sha256"
	"sync"

	"fluxbase/persistence/caller"
)

const (
	shards = 16
	// perShard bounds one half of a shard; a cache holds at most twice as much.
	perShard = 1024
)

// cache remembers verified tokens by their hash, so that a token that is used
// again costs neither a signature check nor a parse. It is bounded: each shard
// has a young and an old half; what is used moves to the young one, and when
// that is full the old one is forgotten.
type cache [shards]struct {
	mu         sync.Mutex
	young, old map[fingerprint]caller.Caller
}

type fingerprint [sha256.Size]byte

func (c *cache) get(f fingerprint) (caller.Caller, bool) {
	s := &c[f[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.young[f]; ok {
		return found, true
	}
	found, ok := s.old[f]
	if ok {
		c.insert(f, found)
	}
	return found, ok
}

func (c *cache) put(f fingerprint, found caller.Caller) {
	s := &c[f[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	c.insert(f, found)
}

// insert needs the shard's lock.
func (c *cache) insert(f fingerprint, found caller.Caller) {
	s := &c[f[0]%shards]
	if len(s.young) >= perShard {
		s.old, s.young = s.young, nil
	}
	if s.young == nil {
		s.young = make(map[fingerprint]caller.Caller)
	}
	s.young[f] = found
}
