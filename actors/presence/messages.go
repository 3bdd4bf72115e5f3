package presence

import (
	"encoding/json"
	"strings"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// Kind is the name under which homes of rooms are placed in the cluster.
const Kind = "presence"

// Service is the name under which each node's Router takes messages from homes.
const Service = "presences"

// Key names a room: that of a channel of a tenant. The public and the private
// channel of one name have different rooms.
type Key struct {
	Tenant, Channel string
	Private         bool
}

// String is the key as the cluster's placement sees it. Ids of tenants hold
// neither of the two separators.
func (k Key) String() string {
	if k.Private {
		return k.Tenant + "#" + k.Channel
	}
	return k.Tenant + "/" + k.Channel
}

func parseKey(s string) Key {
	i := strings.IndexAny(s, "/#")
	if i < 0 {
		return Key{Tenant: s}
	}
	return Key{Tenant: s[:i], Channel: s[i+1:], Private: s[i] == '#'}
}

// Watch makes a connection receive the room's events, beginning with a sync of
// the present state. Watching twice sends another sync. Not answered.
type Watch struct {
	Room       Key
	Subscriber delivery.Subscriber
}

// Track shows a state under a key, for as long as the connection lives, and for
// Limits.Grace after it was cut. Tracking the same key again replaces the
// connection's state there. When a state of the same user and key lingers, this one
// takes its place. Tracked answers.
type Track struct {
	Room  Key
	Owner kernel.Ref
	// Conn is the owner's connection id, User whose it is; empty for nobody in
	// particular.
	Conn, User, Key string
	// State is any JSON value.
	State json.RawMessage
	// Ref comes back with Tracked.
	Ref string
}

// Tracked tells the owner how its Track ended.
type Tracked struct {
	Room     Key
	Key, Ref string
	// Err is a coded fault when the room did not take the state.
	Err error
}

// Untrack takes back the connection's own state under a key. Unknown keys are
// none of the connection's and are left alone. Not answered.
type Untrack struct {
	Room  Key
	Owner kernel.Ref
	Key   string
}

// Leave ends everything that a connection has in the room. Not answered.
type Leave struct {
	Room  Key
	Owner kernel.Ref
	// Cut says that the connection was cut rather than left: its states linger,
	// except where the user has come back already.
	Cut bool
}

// Ended is told to watchers and owners when a room's actor failed: they must
// watch and track again.
type Ended struct{ Room Key }

// Limits bound a room. Zero means the default.
type Limits struct {
	// PerRoom is the number of states in one room; default 1000.
	PerRoom int
	// Grace is how long a state outlives a connection that was cut, so that nobody
	// is told of a client that comes back at once; default 5 s, negative for none.
	Grace time.Duration
}

func (l Limits) orDefault() Limits {
	if l.PerRoom == 0 {
		l.PerRoom = 1000
	}
	if l.Grace == 0 {
		l.Grace = 5 * time.Second
	}
	return l
}

// forwarded is a message that came through the router.
type forwarded struct{ msg any }

// idle says that a room's actor has nothing to do, and how many of the
// messages forwarded to it it has handled.
type idle struct {
	room    Key
	handled uint64
}

// membersChanged says that the cluster's members changed.
type membersChanged struct{}

// renew is the tick on which a node renews its lease at the home.
type renew struct{}

// graceOver ends the time in which a copy keeps what was not announced again.
type graceOver struct{}

// emitNow ends the pause between two rounds of events in a large room.
type emitNow struct{}
