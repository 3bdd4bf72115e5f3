package budget

import (
	"math"
	"time"

	"fluxbase/persistence/fault"
)

// Account is what a client may still send: the budgets of its sources. Make it with
// Ledger.Open. One goroutine at a time uses it.
type Account struct {
	sources []source
	held    []string // keys of shared budgets, to close
}

// source is one of those that a client belongs to.
type source struct {
	name     string // in refusals
	prefix   string // of its keys in the configuration
	schedule *schedule
	budget   *budget
}

// Take takes n of a resource from every source, or from none: then the fault says
// whose limit it was, and when to try again. A nil account has no limits.
func (a *Account) Take(r Resource, n int, now time.Time) *fault.Fault {
	if a == nil {
		return nil
	}
	for i, s := range a.sources {
		wait := s.budget.take(s.schedule, r, float64(n), now)
		if wait == 0 {
			continue
		}
		for _, paid := range a.sources[:i] {
			if paid.schedule[r].rate > 0 {
				paid.budget.give(r, float64(n))
			}
		}
		return fault.Newf(fault.RateLimitExceeded, "too many %s %s", words[r], s.name).
			WithRetryAfter(wait).
			WithField("limit", s.prefix+keys[r]).
			WithField("retry_after", math.Ceil(wait.Seconds()*1000)/1000)
	}
	return nil
}

// TakeMessage takes what a message of size bytes costs, whatever is in it.
func (a *Account) TakeMessage(size int, now time.Time) *fault.Fault {
	if f := a.Take(Messages, 1, now); f != nil {
		return f
	}
	return a.Take(Bytes, size, now)
}
