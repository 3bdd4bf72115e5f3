// Package budget bounds how fast clients of the realtime doors may send: each
// connection by itself, and all connections and requests of a user, an address and
// a tenant together. A message that some budget has nothing left for is refused with
// RATE_LIMIT_EXCEEDED, and says which limit it was and when to try again.
//
// Budgets are kept in memory, per node: what a cluster lets through is as many times
// as much as it has nodes.
package budget

import "math"

// Rates bound what may come from one source per second; 0 for no bound. Twice as
// much may come at once, and always one; of presences, always five.
type Rates struct {
	// Messages are all messages; of these, Joins are subscriptions, and Presences
	// show or take back a state.
	Messages, Joins, Presences float64
	// Bytes of messages. A message that is larger than what may come at once is
	// taken when nothing came for a while, and paid for afterwards.
	Bytes float64
	// MessageBurst is how many messages may come at once, instead of twice Messages;
	// 0 for that.
	MessageBurst float64
}

// Limits are the rates of each source that a client belongs to. Clients without a
// user have no such source.
type Limits struct {
	Connection, User, IP, Tenant Rates
}

// Resource is what is counted.
type Resource uint8

// The resources.
const (
	Messages Resource = iota
	Joins
	Presences
	Bytes

	resources
)

// words are the resources in refusals, keys in the configuration.
var (
	words = [resources]string{"messages", "subscriptions at once", "presence messages", "bytes"}
	keys  = [resources]string{"messages_per_second", "joins_per_second", "presence_per_second", "bytes_per_second"}
)

// presenceBurst lets a client set its state up, however low the rate.
const presenceBurst = 5

// refill is how a bucket fills: per second, up to burst. A zero rate is no bound.
type refill struct{ rate, burst float64 }

// schedule is how the buckets of a source fill.
type schedule [resources]refill

// schedule is nil when there is no bound.
func (r Rates) schedule() *schedule {
	s := &schedule{}
	for i, rate := range [resources]float64{r.Messages, r.Joins, r.Presences, r.Bytes} {
		if rate > 0 {
			s[i] = refill{rate: rate, burst: math.Max(2*rate, 1)}
		}
	}
	if s[Presences].rate > 0 {
		s[Presences].burst = math.Max(s[Presences].burst, presenceBurst)
	}
	if s[Messages].rate > 0 && r.MessageBurst > 0 {
		s[Messages].burst = r.MessageBurst
	}
	if *s == (schedule{}) {
		return nil
	}
	return s
}
