// Package relay brings the messages that a tenant's database sends to their
// channels.
//
// They are rows of realtime.messages. One actor in the cluster, the tenant's relay
// (kind "relay"), reads them in the order of their commits and publishes each to its
// channel, whose home numbers it like any other message: so every subscriber on
// every node gets it once, in one order. The place up to which everything is
// published is kept in the database. A relay that takes over begins there, and what
// was published already is recognised by its id.
//
// Each node on which the tenant is in use has an Attendant, which keeps the relay
// alive and tells it when the database rings.
package relay

import (
	"context"
	"errors"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/message"
)

// Kind is the name under which relays are placed in the cluster, by the tenant's id.
const Kind = "relay"

// Attend tells an Attendant to begin: the node takes part in the cluster.
type Attend struct{}

// Rung tells an Attendant that the database sends something, or may have done so
// while nobody listened.
type Rung struct{}

// Source is the messages of a tenant's database; *message.Store is one.
type Source interface {
	Claim(ctx context.Context) (*message.Relay, message.Place, error)
}

// attend asks the relay to go on for a while, and to read now.
type attend struct{}

// attended answers attend.
type attended struct{}

func init() {
	kernel.RegisterWire((*attend)(nil).WireKind(), empty[*attend]("attend", &attend{}))
	kernel.RegisterWire((*attended)(nil).WireKind(), empty[*attended]("attended", &attended{}))
}

func empty[W kernel.Wire](name string, w W) func([]byte) (kernel.Wire, error) {
	return func(b []byte) (kernel.Wire, error) {
		if len(b) > 0 {
			return nil, errors.New("malformed relay." + name)
		}
		return w, nil
	}
}

// WireKind names the message between nodes.
func (*attend) WireKind() string { return "relay.attend" }

// WireKind names the message between nodes.
func (*attended) WireKind() string { return "relay.attended" }

// AppendWire appends nothing: the message has no contents.
func (*attend) AppendWire(dst []byte) ([]byte, error) { return dst, nil }

// AppendWire appends nothing: the message has no contents.
func (*attended) AppendWire(dst []byte) ([]byte, error) { return dst, nil }
