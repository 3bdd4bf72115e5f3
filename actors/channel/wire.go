package channel

import (
	"encoding/binary"
	"errors"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// message is a broadcast on its way between nodes and in a home's history.
type message struct {
	Event, MessageID, Sender string
	// Identity is what duplicates are recognised by: the sender and its message
	// id, or an id made by the sender's node.
	Identity string
	// Payload is JSON, unless Raw says that it is other bytes.
	Payload []byte
	Raw     bool
	// ID is the message's id in realtime.messages, if it is kept there.
	ID string
}

// event is the message as its receivers' codecs see it.
func (m *message) event(key Key, epoch, offset uint64) delivery.Broadcast {
	b := delivery.Broadcast{
		Channel: key.Name, Private: key.Private, Event: m.Event, Payload: m.Payload,
		MessageID: m.MessageID, ID: m.ID, Offset: offset, Epoch: epoch,
	}
	if m.Raw {
		b.Payload, b.Raw = nil, m.Payload
	}
	return b
}

func (m *message) size() int {
	return len(m.Event) + len(m.MessageID) + len(m.Sender) + len(m.Identity) + len(m.ID) + len(m.Payload) + 64
}

// publishBatch asks a home to number messages of one node, in this order.
type publishBatch struct{ Messages []*message }

// numbered answers a publishBatch: one offset per message.
type numbered struct {
	Epoch   uint64
	Offsets []uint64
	// Elsewhere is the number of members on nodes other than the asking one.
	Elsewhere uint64
}

// interest says that a node has members (or, with 0, none any more), and what
// the newest message is that it knows of.
type interest struct{ Members uint64 }

// interested answers interest with the newest number.
type interested struct{ Epoch, Offset uint64 }

// deliver brings numbered messages to a node.
type deliver struct {
	Key           string
	Epoch, Offset uint64 // of the first message
	Messages      []*message
}

// closed says that a home has stopped, and what its newest message was.
type closed struct {
	Key           string
	Epoch, Offset uint64
}

// fetch asks a home's history for the messages From … To, or up to the newest one
// when To is 0.
type fetch struct{ Epoch, From, To uint64 }

// fetched answers fetch; Messages is empty when the history has them no more.
type fetched struct {
	Epoch, Offset uint64
	// Newest is the offset of the newest message.
	Newest   uint64
	Messages []*message
}

func init() {
	register := func(kind string, decode func(*reader) kernel.Wire) {
		kernel.RegisterWire(kind, func(b []byte) (kernel.Wire, error) {
			r := &reader{b: b}
			w := decode(r)
			if r.bad || len(r.b) > 0 {
				return nil, errors.New("malformed " + kind)
			}
			return w, nil
		})
	}
	register((&publishBatch{}).WireKind(), func(r *reader) kernel.Wire { return &publishBatch{Messages: r.messages()} })
	register((&numbered{}).WireKind(), func(r *reader) kernel.Wire {
		return &numbered{Epoch: r.number(), Elsewhere: r.number(), Offsets: r.numbers()}
	})
	register((&interest{}).WireKind(), func(r *reader) kernel.Wire { return &interest{Members: r.number()} })
	register((&interested{}).WireKind(), func(r *reader) kernel.Wire {
		return &interested{Epoch: r.number(), Offset: r.number()}
	})
	register((&deliver{}).WireKind(), func(r *reader) kernel.Wire {
		return &deliver{Key: r.text(), Epoch: r.number(), Offset: r.number(), Messages: r.messages()}
	})
	register((&closed{}).WireKind(), func(r *reader) kernel.Wire {
		return &closed{Key: r.text(), Epoch: r.number(), Offset: r.number()}
	})
	register((&fetch{}).WireKind(), func(r *reader) kernel.Wire {
		return &fetch{Epoch: r.number(), From: r.number(), To: r.number()}
	})
	register((&fetched{}).WireKind(), func(r *reader) kernel.Wire {
		return &fetched{Epoch: r.number(), Offset: r.number(), Newest: r.number(), Messages: r.messages()}
	})
}

// WireKind names the message between nodes.
func (*publishBatch) WireKind() string { return "channel.publish" }

// WireKind names the message between nodes.
func (*numbered) WireKind() string { return "channel.numbered" }

// WireKind names the message between nodes.
func (*interest) WireKind() string { return "channel.interest" }

// WireKind names the message between nodes.
func (*interested) WireKind() string { return "channel.interested" }

// WireKind names the message between nodes.
func (*deliver) WireKind() string { return "channel.deliver" }

// WireKind names the message between nodes.
func (*closed) WireKind() string { return "channel.closed" }

// WireKind names the message between nodes.
func (*fetch) WireKind() string { return "channel.fetch" }

// WireKind names the message between nodes.
func (*fetched) WireKind() string { return "channel.fetched" }

// AppendWire appends the message's encoding.
func (p *publishBatch) AppendWire(dst []byte) ([]byte, error) {
	return appendMessages(dst, p.Messages), nil
}

// AppendWire appends the message's encoding.
func (n *numbered) AppendWire(dst []byte) ([]byte, error) {
	dst = binary.AppendUvarint(dst, n.Epoch)
	dst = binary.AppendUvarint(dst, n.Elsewhere)
	dst = binary.AppendUvarint(dst, uint64(len(n.Offsets)))
	for _, o := range n.Offsets {
		dst = binary.AppendUvarint(dst, o)
	}
	return dst, nil
}

// AppendWire appends the message's encoding.
func (i *interest) AppendWire(dst []byte) ([]byte, error) {
	return binary.AppendUvarint(dst, i.Members), nil
}

// AppendWire appends the message's encoding.
func (i *interested) AppendWire(dst []byte) ([]byte, error) {
	return binary.AppendUvarint(binary.AppendUvarint(dst, i.Epoch), i.Offset), nil
}

// AppendWire appends the message's encoding.
func (d *deliver) AppendWire(dst []byte) ([]byte, error) {
	dst = appendText(dst, d.Key)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, d.Epoch), d.Offset)
	return appendMessages(dst, d.Messages), nil
}

// AppendWire appends the message's encoding.
func (c *closed) AppendWire(dst []byte) ([]byte, error) {
	dst = appendText(dst, c.Key)
	return binary.AppendUvarint(binary.AppendUvarint(dst, c.Epoch), c.Offset), nil
}

// AppendWire appends the message's encoding.
func (f *fetch) AppendWire(dst []byte) ([]byte, error) {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, f.Epoch), f.From)
	return binary.AppendUvarint(dst, f.To), nil
}

// AppendWire appends the message's encoding.
func (f *fetched) AppendWire(dst []byte) ([]byte, error) {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, f.Epoch), f.Offset)
	return appendMessages(binary.AppendUvarint(dst, f.Newest), f.Messages), nil
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendMessages(dst []byte, list []*message) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, m := range list {
		for _, s := range []string{m.Event, m.MessageID, m.Sender, m.Identity, m.ID} {
			dst = appendText(dst, s)
		}
		if m.Raw {
			dst = append(dst, 1)
		} else {
			dst = append(dst, 0)
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(m.Payload))), m.Payload...)
	}
	return dst
}

// reader takes a message apart. A short or absurd input sets bad and yields
// zero values from then on.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, used := binary.Uvarint(r.b)
	if used <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[used:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) text() string { return string(r.bytes()) }

// count reads the length of a list whose items take at least size bytes each,
// so that a lying length cannot make us allocate.
func (r *reader) count(size int) int {
	n := r.number()
	if n > uint64(len(r.b)/size) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) numbers() []uint64 {
	out := make([]uint64, r.count(1))
	for i := range out {
		out[i] = r.number()
	}
	return out
}

func (r *reader) messages() []*message {
	out := make([]*message, r.count(7))
	for i := range out {
		out[i] = &message{
			Event: r.text(), MessageID: r.text(), Sender: r.text(), Identity: r.text(), ID: r.text(),
			Raw: r.number() == 1,
		}
		// A copy: the link's buffer belongs to the link.
		out[i].Payload = append([]byte(nil), r.bytes()...)
	}
	return out
}
