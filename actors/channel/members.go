package channel

import (
	"slices"
	"time"

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
	// skipping are the members with something to skip.
	skipping map[*member]struct{}
}

type member struct {
	ref   kernel.Ref
	id    string
	group *group
	at    int // index in group.list
	// own is set while a run holds messages that this member sent itself, or that
	// are not for it.
	own bool
	// skip are ids of messages that this member has already, until a time.
	skip      []string
	skipUntil time.Time
}

// skipTime is how long after a member has got messages of realtime.messages the
// same ones may come through the channel.
const skipTime = time.Minute

type group struct {
	codec delivery.Codec
	list  []*member
}

func newMembers() *members {
	return &members{byRef: map[kernel.Ref]*member{}, byID: map[string]*member{}, skipping: map[*member]struct{}{}}
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
	delete(s.skipping, m)
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

// skip keeps messages from a member that has them already.
func (s *members) skip(ref kernel.Ref, ids []string) {
	if m := s.byRef[ref]; m != nil && len(ids) > 0 {
		m.skip, m.skipUntil = ids, time.Now().Add(skipTime)
		s.skipping[m] = struct{}{}
	}
}

// concerned are the members with something to skip among the messages.
func (s *members) concerned(list []*message) (some []*member) {
	now := time.Now()
	for m := range s.skipping {
		if now.After(m.skipUntil) {
			m.skip = nil
			delete(s.skipping, m)
			continue
		}
		if slices.ContainsFunc(list, func(one *message) bool { return one.ID != "" && slices.Contains(m.skip, one.ID) }) {
			some = append(some, m)
		}
	}
	return some
}

// run sends one run of messages: everybody gets the same bytes, except senders
// among the members, who get their own messages marked, and those who have some of
// them already.
func (s *members) run(events []delivery.Broadcast, list []*message, w *delivery.Window) {
	var senders []*member
	for _, m := range list {
		if own := s.byID[m.Sender]; own != nil && !own.own {
			own.own = true
			senders = append(senders, own)
		}
	}
	if len(s.skipping) > 0 {
		for _, m := range s.concerned(list) {
			if !m.own {
				m.own = true
				senders = append(senders, m)
			}
		}
	}
	for _, g := range s.groups {
		s.tell(g, senders, encode(g.codec, events, list, "", nil), w)
	}
	for _, own := range senders {
		own.own = false
		frame := encode(own.group.codec, events, list, own.id, own.skip)
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

func encode(codec delivery.Codec, events []delivery.Broadcast, list []*message, sender string, skip []string) *delivery.Frame {
	size := 0
	for _, m := range list {
		size += m.size() + 128
	}
	frame := &delivery.Frame{Bytes: make([]byte, 0, size)}
	for i := range events {
		if id := list[i].ID; id != "" && slices.Contains(skip, id) {
			continue
		}
		before := len(frame.Bytes)
		frame.Bytes = codec.AppendBroadcast(frame.Bytes, &events[i], sender != "" && list[i].Sender == sender)
		if len(frame.Bytes) > before {
			frame.Messages++
		}
	}
	return frame
}

// notice tells every member something about the channel.
func (s *members) notice(n *delivery.Notice) {
	for _, g := range s.groups {
		frame := noticeFrame(g.codec, n)
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
