package connection

import (
	"fluxbase/actors/channel"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/message"
)

// gate is what the policies let the connection's caller do in a private channel, as
// far as that was asked. What may be read is asked before the channel is joined,
// what may be written by the first request that needs it, and everything again for
// another caller.
type gate struct {
	// attempt numbers the question on its way, 0 for none; an answer to an earlier
	// one means nothing. extension is what it is about, empty for reading.
	attempt   int
	extension message.Extension
	read      message.Access
	writes    map[message.Extension]bool
	// judging: reading was asked again for a new caller, whose token is acknowledged
	// when that is answered.
	judging bool
	// waiting are requests that came while a question was on its way.
	waiting []any
}

// ask asks the policies.
func (c *core) askPolicies(at topic, s *channelState, e message.Extension) {
	c.attempts++
	s.gate.attempt, s.gate.extension = c.attempts, e
	c.host.authorize(at.name, c.attempts, e)
}

// passes tells whether a request that writes may be done now. One that may not is
// answered, or waits until that is known and is done then.
func (c *core) passes(at topic, s *channelState, e message.Extension, request any, refused Refused) bool {
	if !at.private {
		return true
	}
	may, known := s.gate.writes[e]
	switch {
	case s.gate.attempt != 0 || !known:
		c.wait(at, s, e, request, refused)
	case !may:
		c.refuse(fault.AccessDenied, "no permission to write "+string(e)+" messages to this channel", refused)
	default:
		return true
	}
	return false
}

func (c *core) wait(at topic, s *channelState, e message.Extension, request any, refused Refused) {
	g := &s.gate
	if len(g.waiting) >= maxQueued {
		c.refuse(fault.Overloaded, "too many messages wait for this channel", refused)
		return
	}
	g.waiting = append(g.waiting, request)
	if g.attempt == 0 {
		c.askPolicies(at, s, e)
	}
}

// authorized takes the answer to a question: what may be read, or written of what
// was asked.
func (c *core) authorized(name string, attempt int, a message.Access, err error) {
	at := topic{name, true}
	s := c.channels[at]
	if s == nil || s.gate.attempt != attempt {
		return
	}
	g := &s.gate
	g.attempt = 0
	waiting := g.waiting
	switch {
	case g.extension == "":
		g.judging = false
		c.readable(at, s, a, err)
	case err != nil:
		g.waiting = nil
		c.abandon(at, waiting, err)
		waiting = nil
	default:
		if g.writes == nil {
			g.writes = map[message.Extension]bool{}
		}
		may := g.extension == message.Broadcast && a.Broadcast || g.extension == message.Presence && a.Presence
		g.writes[g.extension] = may
		if g.extension == message.Presence && !may {
			c.hide(at, s)
		}
	}
	if c.channels[at] == s {
		g.waiting = nil
		for _, request := range waiting {
			c.request(request)
		}
	}
	c.settle()
}

// request does what had to wait.
func (c *core) request(m any) {
	switch m := m.(type) {
	case Broadcast:
		c.broadcast(m)
	case Track:
		c.track(m)
	case Untrack:
		c.untrack(m)
	}
}

// abandon answers requests that waited in vain.
func (c *core) abandon(at topic, waiting []any, err error) {
	for _, request := range waiting {
		refused := at.refused()
		switch m := request.(type) {
		case Broadcast:
			refused.MessageID = m.MessageID
		case Track:
			refused.Ref = m.Ref
		}
		c.refuseErr(err, refused)
	}
}

// readable lets the caller in as far as it may read, or out.
func (c *core) readable(at topic, s *channelState, now message.Access, err error) {
	before := s.gate.read
	if err == nil && !now.Any() {
		err = fault.New(fault.AccessDenied, "no permission to read from this channel")
	}
	switch {
	case err != nil && before.Any():
		waiting := s.gate.waiting
		s.gate.waiting = nil
		c.dropChannel(at)
		c.refuseErr(err, at.ended())
		c.abandon(at, waiting, err)
		return
	case err != nil:
		c.notJoined(at, s, err)
		return
	}
	s.gate.read = now
	switch {
	case now.Broadcast && !before.Broadcast:
		s.joined = false
		c.join(at, s)
	case !now.Broadcast && before.Broadcast:
		c.host.leave(c.channelKey(at))
		c.entered(at, s, channel.Joined{})
	case !before.Any():
		c.entered(at, s, channel.Joined{})
	}
	if s.watching && !now.Presence {
		s.watching, s.keys = false, nil
		c.host.unwatch(c.roomKey(at), false)
	}
	if before.Any() && !before.Presence && s.wantsPresences(at) {
		c.watchPresence(at, s)
	}
	if len(s.keys) > 0 && s.gate.attempt == 0 {
		// What is shown needs the permission, too.
		c.askPolicies(at, s, message.Presence)
	}
}

// hide takes back what the connection shows in a channel.
func (c *core) hide(at topic, s *channelState) {
	if len(s.keys) == 0 {
		return
	}
	for key := range s.keys {
		c.host.untrack(c.roomKey(at), key)
	}
	s.keys = nil
	c.refuse(fault.AccessDenied, "no permission to write presence messages to this channel", at.refused())
}

// reconsiderPrivate asks again for a new caller. What the client asks for from now
// on waits for the answer.
func (c *core) reconsiderPrivate(at topic, s *channelState) {
	s.gate.judging, s.gate.writes = true, nil
	c.askPolicies(at, s, "")
}
