package channel

import (
	"time"

	"fluxbase/actors/delivery"
)

// Bounds of what waits for one member that gets what it missed first.
const (
	maxHeldBytes = 4 << 20
	maxHeldItems = 4096
	maxHeldTime  = 30 * time.Second
)

// held is a member that is being given what it missed: what is new waits for it.
type held struct {
	member Member
	// recover is the place that it asked to go on from, nil when it asked for none.
	recover *Recover
	// asking: the home was not heard yet. ready: the member said Follow, with skip.
	asking, ready bool
	skip          []string
	// upTo is the offset up to which it has everything; what waits is newer.
	upTo  uint64
	since time.Time

	waiting []any // *deliver or *delivery.Notice, in order
	bytes   int
	// lost: too much waited, and was thrown away.
	lost bool
}

// add keeps numbered messages for later, those beyond upTo.
func (h *held) add(d *deliver) {
	own := *d
	if own.Epoch == h.epoch() && own.Offset <= h.upTo {
		known := min(h.upTo+1-own.Offset, uint64(len(own.Messages)))
		own.Messages, own.Offset = own.Messages[known:], own.Offset+known
	}
	if len(own.Messages) == 0 {
		return
	}
	for _, m := range own.Messages {
		h.bytes += m.size()
	}
	h.keep(&own)
}

// epoch is that of upTo: only what is recovered is counted in it.
func (h *held) epoch() uint64 {
	if h.recover == nil {
		return 0
	}
	return h.recover.Epoch
}

func (h *held) keep(item any) {
	h.waiting = append(h.waiting, item)
	if h.bytes > maxHeldBytes || len(h.waiting) > maxHeldItems {
		h.waiting, h.bytes, h.lost = nil, 0, true
	}
}

// trim forgets what waits and is known already.
func (h *held) trim() {
	waiting := h.waiting
	h.waiting, h.bytes = nil, 0
	for _, item := range waiting {
		if d, ok := item.(*deliver); ok {
			h.add(d)
		} else {
			h.keep(item)
		}
	}
}

// frames are what waited, encoded for the member.
func (h *held) frames(key Key) []*delivery.Frame {
	var all []*delivery.Frame
	if h.lost {
		all = append(all, noticeFrame(h.member.Codec, lostNotice(key, "too much was published meanwhile")))
	}
	for _, item := range h.waiting {
		switch item := item.(type) {
		case *delivery.Notice:
			all = append(all, noticeFrame(h.member.Codec, item))
		case *deliver:
			all = append(all, recoveredFrame(h.member, key, item, h.skip))
		}
	}
	return all
}

// recoveredFrame are messages for one member alone. They are bounded by the history
// they come from and not by what else waits for its socket.
func recoveredFrame(m Member, key Key, d *deliver, skip []string) *delivery.Frame {
	events := make([]delivery.Broadcast, len(d.Messages))
	for i, one := range d.Messages {
		events[i] = one.event(key, d.Epoch, d.Offset+uint64(i))
	}
	frame := encode(m.Codec, events, d.Messages, m.ID, skip)
	frame.Reliable = true
	return frame
}

func noticeFrame(codec delivery.Codec, n *delivery.Notice) *delivery.Frame {
	return &delivery.Frame{Bytes: codec.AppendNotice(nil, n), Messages: 1}
}
