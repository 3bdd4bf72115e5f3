package channel

import (
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// frameBytes is the size up to which messages that are delivered together are
// joined into one frame run.
const frameBytes = 64 << 10

// members are a channel's members on one node, grouped by wire dialect so that
// each message is encoded once per dialect and handed on in one tight loop.
type members struct {
	byRef  map[kernel.Ref]*member
	byID   map[string]*member
	groups []*group
}

type member struct {
	ref   kernel.Ref
	id    string
	group *group
	at    int // index in group.list
	// own is set while a run holds messages that this member sent itself.
	own bool
}

type group struct {
	codec delivery.Codec
	list  []*member
}

func newMembers() *members {
	return &members{byRef: map[kernel.Ref]*member{}, byID: map[string]*member{}}
}

func (s *members) len() int { return len(s.byRef) }

func (s *members) add(m Member) {
	if old := s.byRef[m.Ref]; old != nil {
		s.remove(m.Ref)
	}
	g := s.group(m.Codec)
	entry := &member{ref: m.Ref, id: m.ID, group: g, at: len(g.list)}
	g.list = append(g.list, entry)
	s.byRef[m.Ref], s.byID[m.ID] = entry, entry
}

func (s *members) group(codec delivery.Codec) *group {
	for _, g := range s.groups {
		if g.codec.Dialect() == codec.Dialect() {
			return g
		}
	}
	g := &group{codec: codec}
	s.groups = append(s.groups, g)
	return g
}

func (s *members) remove(ref kernel.Ref) {
	m := s.byRef[ref]
	if m == nil {
		return
	}
	delete(s.byRef, ref)
	if s.byID[m.id] == m {
		delete(s.byID, m.id)
	}
	list := m.group.list
	last := list[len(list)-1]
	list[m.at], last.at = last, m.at
	list[len(list)-1] = nil
	m.group.list = list[:len(list)-1]
}

// broadcast hands messages to every member, charging the bytes to w. Members
// whose connection is gone are dropped.
func (s *members) broadcast(key Key, epoch, offset uint64, list []*message, w *delivery.Window) {
	events := make([]delivery.Broadcast, len(list))
	for i, m := range list {
		events[i] = m.event(key, epoch, offset+uint64(i))
	}
	for len(events) > 0 {
		n, bytes := 0, 0
		for n < len(events) && (n == 0 || bytes+list[n].size() <= frameBytes) {
			bytes += list[n].size()
			n++
		}
		s.run(events[:n], list[:n], w)
		events, list = events[n:], list[n:]
	}
}

// run sends one run of messages: everybody gets the same bytes, except senders
// among the members, who get their own messages marked.
func (s *members) run(events []delivery.Broadcast, list []*message, w *delivery.Window) {
	var senders []*member
	for _, m := range list {
		if own := s.byID[m.Sender]; own != nil && !own.own {
			own.own = true
			senders = append(senders, own)
		}
	}
	for _, g := range s.groups {
		s.tell(g, senders, encode(g.codec, events, list, ""), w)
	}
	for _, own := range senders {
		own.own = false
		frame := encode(own.group.codec, events, list, own.id)
		if len(frame.Bytes) == 0 {
			continue
		}
		frame.Track(w, 1)
		if own.ref.Tell(frame) != nil {
			frame.Done()
			s.remove(own.ref)
		}
	}
}

func (s *members) tell(g *group, senders []*member, frame *delivery.Frame, w *delivery.Window) {
	receivers := len(g.list)
	for _, own := range senders {
		if own.group == g {
			receivers--
		}
	}
	if receivers == 0 || len(frame.Bytes) == 0 {
		return
	}
	frame.Track(w, receivers)
	// Backwards, because remove moves the last member into the hole.
	for i := len(g.list) - 1; i >= 0; i-- {
		m := g.list[i]
		if m.own {
			continue
		}
		if m.ref.Tell(frame) != nil {
			frame.Done()
			s.remove(m.ref)
		}
	}
}

func encode(codec delivery.Codec, events []delivery.Broadcast, list []*message, sender string) *delivery.Frame {
	size := 0
	for _, m := range list {
		size += m.size() + 128
	}
	frame := &delivery.Frame{Bytes: make([]byte, 0, size), Messages: len(events)}
	for i := range events {
		frame.Bytes = codec.AppendBroadcast(frame.Bytes, &events[i], sender != "" && list[i].Sender == sender)
	}
	return frame
}

// notice tells every member something about the channel.
func (s *members) notice(n *delivery.Notice) {
	for _, g := range s.groups {
		frame := &delivery.Frame{Bytes: g.codec.AppendNotice(nil, n), Messages: 1}
		if len(frame.Bytes) == 0 {
			continue
		}
		for i := len(g.list) - 1; i >= 0; i-- {
			if ref := g.list[i].ref; ref.Tell(frame) != nil {
				s.remove(ref)
			}
		}
	}
}
