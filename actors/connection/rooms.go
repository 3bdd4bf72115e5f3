package connection

import (
	"encoding/json"

	"fluxbase/actors/presence"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/message"
)

// shown is a presence state of the connection.
type shown struct {
	state json.RawMessage
	// taken: the room took a state under this key, perhaps an earlier one.
	taken bool
}

func (c *core) roomKey(at topic) presence.Key {
	return presence.Key{Tenant: c.caller.Tenant, Channel: at.name, Private: at.private}
}

func (c *core) track(m Track) {
	at := topic{m.Channel, m.Private}
	refused := at.refused()
	refused.Ref = m.Ref
	switch {
	case m.Channel == "":
		c.refuse(fault.MissingRequiredField, "channel is required for presence", refused)
		return
	case m.Key == "":
		c.refuse(fault.MissingRequiredField, "key is required for presence track", refused)
		return
	}
	if len(m.State) > c.limits.PresenceBytes {
		c.refuse(fault.PayloadTooLarge, "presence state is too large", refused)
		return
	}
	if err := c.authorize(at, true); err != nil {
		c.refuseErr(err, refused)
		return
	}
	if s := c.channels[at]; (s == nil || len(s.keys) == 0) && c.tracking() >= c.limits.Presences {
		c.refuse(fault.PresenceLimitReached, "too many presence channels on this connection", refused)
		return
	}
	s, err := c.enter(at, SubscribeChannel{})
	if err != nil {
		c.refuseErr(err, refused)
		return
	}
	if !c.passes(at, s, message.Presence, m, refused) {
		return
	}
	c.watchPresence(at, s)
	if s.keys == nil {
		s.keys = map[string]*shown{}
	}
	if s.keys[m.Key] == nil {
		s.keys[m.Key] = &shown{}
	}
	s.keys[m.Key].state = m.State
	c.host.track(c.roomKey(at), m)
}

// tracking is the number of channels with a presence of this connection.
func (c *core) tracking() (n int) {
	for _, s := range c.channels {
		if len(s.keys) > 0 {
			n++
		}
	}
	return n
}

func (c *core) watchPresence(at topic, s *channelState) {
	if !s.watching && (!at.private || s.gate.read.Presence) {
		s.watching = true
		c.host.watch(c.roomKey(at), s.codec)
	}
}

func (c *core) tracked(m presence.Tracked) {
	at := topic{m.Room.Channel, m.Room.Private}
	var key *shown
	s := c.channels[at]
	if s != nil {
		key = s.keys[m.Key]
	}
	if m.Err != nil {
		if key != nil && !key.taken {
			delete(s.keys, m.Key)
		}
		refused := at.refused()
		refused.Ref = m.Ref
		c.refuseErr(m.Err, refused)
		return
	}
	if key != nil {
		key.taken = true
	}
	if m.Ref != "" {
		c.host.reply(PresenceTracked{Channel: at.name, Private: at.private, Ref: m.Ref})
	}
}

func (c *core) untrack(m Untrack) {
	at := topic{m.Channel, m.Private}
	switch {
	case m.Channel == "":
		c.refuse(fault.MissingRequiredField, "channel is required for presence", Refused{})
		return
	case m.Key == "":
		c.refuse(fault.MissingRequiredField, "key is required for presence untrack", at.refused())
		return
	}
	s := c.channels[at]
	if s == nil {
		return
	}
	if at.private && s.gate.attempt != 0 {
		c.wait(at, s, message.Presence, m, at.refused()) // behind what it takes back
		return
	}
	if s.keys[m.Key] != nil {
		delete(s.keys, m.Key)
		c.host.untrack(c.roomKey(at), m.Key)
	}
}

// roomEnded watches and tracks again in a room whose actor failed.
func (c *core) roomEnded(at topic) {
	s := c.channels[at]
	if s == nil {
		return
	}
	if s.watching {
		c.host.watch(c.roomKey(at), s.codec)
	}
	for key, shown := range s.keys {
		c.host.track(c.roomKey(at), Track{Key: key, State: shown.state})
	}
}
