package presence

import (
	"encoding/json"
	"errors"
	"slices"

	"fluxbase/actors/kernel"
)

// apply asks a home to take steps of one node's connections, in this order.
type apply struct {
	Steps []Change `json:"steps"`
}

// applied answers apply: per step a code, empty for one that was taken, and the
// ref that the state has now.
type applied struct {
	Codes []string `json:"codes"`
	Refs  []string `json:"refs"`
}

// announce tells a home all that a node's connections track; it replaces what
// the home knew of the node, and registers the node's interest.
type announce struct {
	Metas []*Meta `json:"metas,omitempty"`
	// Epoch is that of the home that the node heard last, 0 for none; Lingering is
	// what lingered there.
	Epoch     uint64  `json:"epoch,omitempty"`
	Lingering []*Meta `json:"lingering,omitempty"`
}

// state answers announce with everything in the room.
type state struct {
	Epoch uint64  `json:"epoch"`
	Seq   uint64  `json:"seq"`
	Metas []*Meta `json:"metas,omitempty"`
}

// keep renews a node's lease; Metas is the number that the node has there.
type keep struct {
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq"`
	Metas int    `json:"metas"`
}

// kept answers keep: Same is false when the node must announce again.
type kept struct {
	Same bool `json:"same"`
}

// withdraw ends a node's interest and all that it had in the room.
type withdraw struct{}

// changed brings steps to a node. Seq rises by one with each of them.
type changed struct {
	Room  string   `json:"room"`
	Epoch uint64   `json:"epoch"`
	Seq   uint64   `json:"seq"`
	Steps []Change `json:"steps"`
}

func init() {
	register[apply]()
	register[applied]()
	register[announce]()
	register[state]()
	register[keep]()
	register[kept]()
	register[withdraw]()
	register[changed]()
}

// register makes JSON the encoding of T between nodes: rooms change at the speed
// at which people come and go, so clarity wins.
func register[T any, P interface {
	*T
	kernel.Wire
}]() {
	kernel.RegisterWire(P(new(T)).WireKind(), func(b []byte) (kernel.Wire, error) {
		w := P(new(T))
		if err := json.Unmarshal(b, w); err != nil {
			return nil, err
		}
		if c, ok := any(w).(interface{ complete() bool }); ok && !c.complete() {
			return nil, errIncomplete
		}
		return w, nil
	})
}

// errIncomplete is the failure of a message that says nothing where it names a state.
var errIncomplete = errors.New("a presence message without a state that it names")

func (m *apply) complete() bool   { return !slices.ContainsFunc(m.Steps, Change.empty) }
func (m *changed) complete() bool { return !slices.ContainsFunc(m.Steps, Change.empty) }
func (m *state) complete() bool   { return !slices.Contains(m.Metas, nil) }
func (m *announce) complete() bool {
	return !slices.Contains(m.Metas, nil) && !slices.Contains(m.Lingering, nil)
}

func appendJSON(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

// WireKind names the message between nodes.
func (*apply) WireKind() string { return "presence.apply" }

// WireKind names the message between nodes.
func (*applied) WireKind() string { return "presence.applied" }

// WireKind names the message between nodes.
func (*announce) WireKind() string { return "presence.announce" }

// WireKind names the message between nodes.
func (*state) WireKind() string { return "presence.state" }

// WireKind names the message between nodes.
func (*keep) WireKind() string { return "presence.keep" }

// WireKind names the message between nodes.
func (*kept) WireKind() string { return "presence.kept" }

// WireKind names the message between nodes.
func (*withdraw) WireKind() string { return "presence.withdraw" }

// WireKind names the message between nodes.
func (*changed) WireKind() string { return "presence.changed" }

// AppendWire appends the message's encoding.
func (m *apply) AppendWire(dst []byte) ([]byte, error) { return appendJSON(dst, m) }

// AppendWire appends the message's encoding.
func (m *applied) AppendWire(dst []byte) ([]byte, error) { return appendJSON(dst, m) }

// AppendWire appends the message's encoding.
func (m *announce) AppendWire(dst []byte) ([]byte, error) { return appendJSON(dst, m) }

// AppendWire appends the message's encoding.
func (m *state) AppendWire(dst []byte) ([]byte, error) { return appendJSON(dst, m) }

// AppendWire appends the message's encoding.
func (m *keep) AppendWire(dst []byte) ([]byte, error) { return appendJSON(dst, m) }

// AppendWire appends the message's encoding.
func (m *kept) AppendWire(dst []byte) ([]byte, error) { return appendJSON(dst, m) }

// AppendWire appends the message's encoding.
func (m *withdraw) AppendWire(dst []byte) ([]byte, error) { return appendJSON(dst, m) }

// AppendWire appends the message's encoding.
func (m *changed) AppendWire(dst []byte) ([]byte, error) { return appendJSON(dst, m) }
