package kernel

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// NodeID names a run of a node: a node that restarts has another one.
type NodeID string

// Wire is a message that may cross nodes. WireKind names its type for good: nodes
// of two versions may talk to each other.
type Wire interface {
	WireKind() string
	// AppendWire appends the encoded message to dst.
	AppendWire(dst []byte) ([]byte, error)
}

// FromNode is how a Wire reaches a service or a home.
type FromNode struct {
	From NodeID
	Msg  Wire
}

var wires sync.Map // kind → func([]byte) (Wire, error)

// RegisterWire makes a kind known; call it from init. decode owns its argument,
// and must answer any bytes with an error rather than a panic. Registering a kind
// twice panics.
func RegisterWire(kind string, decode func([]byte) (Wire, error)) {
	if _, taken := wires.LoadOrStore(kind, decode); taken {
		panic("wire kind " + kind + " is registered twice")
	}
}

// DecodeWire decodes a message of a registered kind.
func DecodeWire(kind string, data []byte) (Wire, error) {
	decode, ok := wires.Load(kind)
	if !ok {
		return nil, fmt.Errorf("unknown wire kind %q", kind)
	}
	return decode.(func([]byte) (Wire, error))(data)
}

// Members tells which nodes there are.
type Members interface {
	Self() NodeID
	// Nodes are the live nodes in a stable order, Self among them. The caller
	// must not change the slice.
	Nodes() []NodeID
	// Watch calls f with the nodes after each change; Watch first, then read
	// Nodes. f runs on a foreign goroutine and must not block.
	Watch(f func(nodes []NodeID)) (cancel func())
}

// Placement says where things live in the cluster, and brings messages there.
type Placement interface {
	// RegisterService names an actor of this node that gets a FromNode as a Tell
	// for each message sent to (this node, name). A later registration replaces
	// an earlier one.
	RegisterService(name string, r Ref)
	// Tell sends msg to a service of a node: at most once, and in order from
	// node to node while the link between them lives. An error says that it was
	// not sent.
	Tell(node NodeID, service string, msg Wire) error
	// Home is the node where the home of (kind, key) lives, by the members known
	// now.
	Home(kind, key string) NodeID
	// RegisterKind makes homes of a kind possible on this node. spawn is called
	// with a strictly rising epoch each time that a home is made; the actor gets
	// a FromNode as an Ask for each message and answers with a Wire.
	RegisterKind(kind string, spawn func(key string, epoch uint64) Props)
	// AskHome asks the home of (kind, key), which is made if need be. It tries
	// again until ctx ends when the home moves or cannot be reached, so msg may
	// be handled more than once.
	AskHome(ctx context.Context, kind, key string, msg Wire) (Wire, error)
}

// SharedLimits counts what all nodes together allow.
type SharedLimits interface {
	// Allow takes one of limit per window for key. remaining is negative when
	// nothing was left; reset says when there will be.
	Allow(ctx context.Context, key string, limit int, window time.Duration) (remaining int, reset time.Duration, err error)
}
