package revocation

import (
	"sync"
	"sync/atomic"
	"time"

	"fluxbase/persistence/caller"
	store "fluxbase/persistence/revocation"
)

// set is the deny-list in memory. Reading it costs a few map look-ups; one actor
// writes it.
type set struct {
	size    atomic.Int64
	mu      sync.RWMutex
	entries map[name]term
}

type name struct {
	kind    store.Kind
	subject string
}

type term struct{ revokedAt, expiresAt time.Time }

func newSet() *set { return &set{entries: map[name]term{}} }

func (s *set) add(entries []store.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		n := name{e.Kind, e.Subject}
		t := term{e.RevokedAt, e.ExpiresAt}
		// A second entry for the same subject may reach further in either direction.
		if old, ok := s.entries[n]; ok {
			if old.revokedAt.After(t.revokedAt) {
				t.revokedAt = old.revokedAt
			}
			if old.expiresAt.IsZero() || !t.expiresAt.IsZero() && old.expiresAt.After(t.expiresAt) {
				t.expiresAt = old.expiresAt
			}
		}
		s.entries[n] = t
	}
	s.size.Store(int64(len(s.entries)))
}

func (s *set) prune(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, t := range s.entries {
		if !t.expiresAt.IsZero() && t.expiresAt.Before(now) {
			delete(s.entries, n)
		}
	}
	s.size.Store(int64(len(s.entries)))
}

// covers tells whether c's credential is on the list.
func (s *set) covers(c caller.Caller) bool {
	if s.size.Load() == 0 {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, n := range [...]name{{store.Session, c.SessionID}, {store.Token, c.TokenID}, {store.Key, c.KeyID}} {
		if n.subject == "" {
			continue
		}
		if _, ok := s.entries[n]; ok {
			return true
		}
	}
	if c.UserID == "" {
		return false
	}
	t, ok := s.entries[name{store.User, c.UserID}]
	// iat has whole seconds: a token of the same second may be older than the
	// revocation, so it falls too.
	return ok && c.IssuedAt.Unix() <= t.revokedAt.Unix()
}

// Revoked is one revocation that a node has just learnt of.
type Revoked struct{ store.Entry }

// Covers tells whether c's credential is refused from now on.
func (r Revoked) Covers(c caller.Caller) bool {
	switch r.Kind {
	case store.Session:
		return c.SessionID == r.Subject
	case store.Token:
		return c.TokenID == r.Subject
	case store.Key:
		return c.KeyID == r.Subject
	case store.User:
		return c.UserID == r.Subject && c.IssuedAt.Unix() <= r.RevokedAt.Unix()
	default:
		return false
	}
}
