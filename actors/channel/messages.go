package channel

import (
	"encoding/json"
	"strings"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// Kind is the name under which homes of channels are placed in the cluster.
const Kind = "channel"

// Service is the name under which each node's Router takes messages from homes.
const Service = "channels"

// Key names a channel: two tenants' channels of one name have nothing in common,
// and neither have the public and the private channel of one name.
type Key struct {
	Tenant, Name string
	// Private channels are open to those whom the policies on realtime.messages
	// let in. Whoever tells a channel's actors anything has checked that.
	Private bool
}

// String is the key as the cluster's placement sees it. Ids of tenants hold
// neither of the two separators.
func (k Key) String() string {
	if k.Private {
		return k.Tenant + "#" + k.Name
	}
	return k.Tenant + "/" + k.Name
}

func parseKey(s string) Key {
	i := strings.IndexAny(s, "/#")
	if i < 0 {
		return Key{Tenant: s}
	}
	return Key{Tenant: s[:i], Name: s[i+1:], Private: s[i] == '#'}
}

// Member is a connection that receives a channel's messages.
type Member struct {
	delivery.Subscriber
	// ID is the connection's id; messages published with it as their Sender
	// reach this member marked as its own.
	ID string
}

// Recover is the place in a channel's order up to which a member has everything.
type Recover struct{ Epoch, Offset uint64 }

// Join is told to the Router to make a connection a member. Joined is told to
// Member.Ref when nothing published from then on can be missed, or when joining
// failed. Joining twice is harmless.
type Join struct {
	Key    Key
	Member Member
	// Recover asks for what was published behind a place; nil for nothing.
	Recover *Recover
	// Hold keeps what is new back until the member says Follow. With Recover it is
	// always so.
	Hold bool
}

// Joined answers a Join.
type Joined struct {
	Key Key
	// Channel takes Publish, Follow and Leave for this channel directly.
	Channel kernel.Ref
	// Epoch and Offset are the place behind which messages come.
	Epoch, Offset uint64
	// Held: nothing comes until the member says Follow.
	Held bool
	// Recovered: Missed is all that was published behind the place that was asked
	// for, nil when that is nothing. Otherwise Reason says why it cannot be given, if
	// it was asked for; it is one of delivery's reasons.
	Recovered bool
	Reason    string
	Missed    *delivery.Frame
	// Err is a coded fault when joining failed.
	Err error
}

// Follow says that a held member has what it missed. It is told to the channel and
// not answered.
type Follow struct {
	Key    Key
	Member kernel.Ref
	// Skip are ids of messages that it has, too, although they may come.
	Skip []string
}

// Leave ends a membership. It is told to the channel and not answered.
type Leave struct {
	Key    Key
	Member kernel.Ref
}

// Ended is told to the members of a channel that stopped by a failure: they must
// join again, and may have missed messages.
type Ended struct{ Key Key }

// Publish sends a message to every member. Told with ReplyTo set, or asked, it is
// answered by Published.
type Publish struct {
	Key   Key
	Event string
	// Payload is any JSON value. Raw, when it is not nil, is sent instead of it:
	// bytes that are not JSON.
	Payload json.RawMessage
	Raw     []byte
	// MessageID makes the message idempotent within Scope: a message with an id and
	// contents that were used lately is acked again and not sent again.
	MessageID string
	// Scope names whose id it is; empty means Sender's.
	Scope string
	// Sender is the connection id of the publisher, empty for the server.
	Sender string
	// ID is the message's id in realtime.messages, empty when it is not kept there.
	// A message with one is sent once, whoever publishes it.
	ID string
	// ReplyTo is told Published; zero for nobody.
	ReplyTo kernel.Ref
}

// Published says that a message has its number.
type Published struct {
	Key       Key
	MessageID string
	// Epoch and Offset are the message's place in the channel's order.
	Epoch, Offset uint64
	// Recipients is the number of members on this node, and on other nodes as of
	// their last report.
	Recipients int
	// Err is a coded fault when the message was not numbered.
	Err error
}

// GetStats asks the Router for Stats; an empty Tenant asks for all.
type GetStats struct{ Tenant string }

// Stats is what a node knows of its channels.
type Stats struct {
	// Channels is the number of channels in use on this node.
	Channels int
}

// Router-internal messages: a local actor says that it has nothing to do, and
// which of the messages forwarded to it it has seen.
type idle struct {
	key     Key
	handled uint64
}

// membersChanged says that the cluster's members changed.
type membersChanged struct{}

// windowOpen says that the local fan-out window has room again.
type windowOpen struct{}

// renew is the local actor's tick: renew interest, look for holes.
type renew struct{}
