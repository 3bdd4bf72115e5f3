package connection

import (
	"strings"

	"fluxbase/actors/channel"
	"fluxbase/actors/delivery"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/message"
)

// topic names one of the connection's channels.
type topic struct {
	name    string
	private bool
}

// refused is a refusal of something that was asked of the channel.
func (t topic) refused() Refused { return Refused{Channel: t.name, Private: t.private} }

// ended says that the channel is no more.
func (t topic) ended() Refused { return Refused{Channel: t.name, Private: t.private, Ended: true} }

// refusedMessage is a refusal of a message to the channel.
func (t topic) refusedMessage(id string) Refused {
	return Refused{Channel: t.name, Private: t.private, MessageID: id}
}

// channelState is a channel that the connection joined or is joining.
type channelState struct {
	// codec is the one that the channel was joined with, nil for the connection's.
	codec  delivery.Codec
	joined bool
	// asked: the client waits for the answer to a subscribe; presences is what it
	// asked for.
	asked     bool
	presences Presences
	// told: the client has that answer.
	told bool
	// recover and replay are what it asked for and has not got yet; replaying numbers
	// the question.
	recover   *channel.Recover
	replay    *Replay
	replaying int
	// queued messages wait until the channel is joined, so that the sender gets
	// its own copies.
	queued []channel.Publish
	// watching presences of the channel, and the keys tracked there.
	watching bool
	keys     map[string]*shown
	// gate is used for private channels only.
	gate gate
}

// wantsPresences tells whether the client is to get the presences of the channel
// without showing any.
func (s *channelState) wantsPresences(at topic) bool {
	return s.presences == PresencesWanted || s.presences == PresencesByName && followsPresence(at.name)
}

// listens tells whether the connection is a member of the channel: those who may
// only see the presences of a private one are not.
func (s *channelState) listens(at topic) bool { return !at.private || s.gate.read.Broadcast }

func (c *core) subscribeChannel(m SubscribeChannel) {
	if m.Channel == "" {
		c.refuse(fault.MissingRequiredField, "table is required for subscribe", Refused{})
		return
	}
	at := topic{m.Channel, m.Private}
	if m.Replay != nil && !m.Private {
		c.refuse(fault.InvalidInput, "only private channels replay messages", at.refused())
		return
	}
	if err := c.authorize(at, false); err != nil {
		c.refuseErr(err, at.refused())
		return
	}
	s, err := c.enter(at, m)
	if err != nil {
		c.refuseErr(err, at.refused())
		return
	}
	s.presences = m.Presences
	switch {
	case !s.joined:
		s.asked, s.recover, s.replay = true, m.Recover, m.Replay
	case m.Recover == nil && m.Replay == nil || !s.listens(at):
		c.subscribed(at, s, channel.Joined{})
	default: // it joins again to get what it missed
		s.joined, s.asked, s.recover, s.replay = false, true, m.Recover, m.Replay
		c.join(at, s)
	}
}

// subscribed acknowledges first, then sends what was missed, and the presences.
func (c *core) subscribed(at topic, s *channelState, j channel.Joined) {
	s.told = true
	c.host.reply(ChannelSubscribed{
		Channel: at.name, Private: at.private, Epoch: j.Epoch, Offset: j.Offset,
		Recovering: s.recover != nil, Recovered: j.Recovered,
	})
	s.recover = nil
	if j.Reason != "" {
		c.host.notice(s.codec, &delivery.Notice{
			Type: "resume_failed", Channel: at.name, Private: at.private, Code: j.Reason,
			Message: "messages of this channel are missing: it goes on from here",
		})
	}
	if j.Missed != nil {
		c.host.push(j.Missed)
	}
	switch {
	case j.Held && s.replay != nil:
		c.attempts++
		s.replaying = c.attempts
		c.host.replay(at.name, s.replaying, *s.replay)
	case j.Held:
		c.host.follow(c.channelKey(at), nil)
	}
	s.replay = nil
	if s.wantsPresences(at) {
		c.watchPresence(at, s)
	}
}

// replayed sends kept messages, and lets come what is new: but not the same again.
func (c *core) replayed(name string, attempt int, found []message.Message, err error) {
	at := topic{name, true}
	s := c.channels[at]
	if s == nil || s.replaying != attempt {
		return
	}
	s.replaying = 0
	if err != nil {
		c.refuseErr(err, at.refused())
	}
	ids := make([]string, len(found))
	for i, m := range found {
		ids[i] = m.ID
		c.host.repeat(s.codec, delivery.Broadcast{
			Channel: name, Private: true, Event: m.Event, Payload: m.Payload, Raw: m.Binary, ID: m.ID, Replayed: true,
		})
	}
	c.host.follow(c.channelKey(at), ids)
}

// authorize decides by the name who may enter a channel and publish there. Ordinary
// channels are open to everybody who got a connection; of private ones the policies
// decide then.
func (c *core) authorize(at topic, publish bool) error {
	privileged := c.caller.HasRole(caller.Admin, caller.InstanceAdmin, caller.Service, caller.TenantService)
	switch {
	case c.limits.PrivateOnly && !at.private && !serverChannel(at.name):
		return fault.New(fault.AccessDenied, "this server has private channels only")
	case strings.HasPrefix(at.name, "realtime:admin:") && !privileged:
		return fault.New(fault.AdminRequired, "admin access required to subscribe to admin channels")
	case strings.HasPrefix(at.name, "fluxbase:") && !privileged:
		if publish {
			return fault.New(fault.AdminRequired, "admin access required to publish to server channels")
		}
		return fault.New(fault.AdminRequired, "admin access required to subscribe to server channels")
	}
	return nil
}

// serverChannel tells whether a channel carries the server's own messages.
func serverChannel(name string) bool {
	return strings.HasPrefix(name, "realtime:admin:") || strings.HasPrefix(name, "fluxbase:")
}

// followsPresence tells whether subscribing to a channel also brings the
// presences of it unless the client says what it wants: everywhere but where the
// name says what the channel is for.
func followsPresence(name string) bool {
	for _, prefix := range []string{"broadcast:", "realtime:", "fluxbase:", "table:", "execution:"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

func (c *core) channelKey(at topic) channel.Key {
	return channel.Key{Tenant: c.caller.Tenant, Name: at.name, Private: at.private}
}

// enter makes sure that the channel is joined or being joined, as m asks if it is
// not. The codec stays that of the first to enter.
func (c *core) enter(at topic, m SubscribeChannel) (*channelState, error) {
	if s := c.channels[at]; s != nil {
		return s, nil
	}
	if len(c.channels) >= c.limits.Channels {
		return nil, fault.New(fault.ChannelLimitReached, "too many channels on this connection")
	}
	if c.channels == nil {
		c.channels = map[topic]*channelState{}
	}
	s := &channelState{codec: m.Codec, recover: m.Recover, replay: m.Replay}
	c.channels[at] = s
	if at.private {
		c.askPolicies(at, s, "")
	} else {
		c.join(at, s)
	}
	return s, nil
}

// join joins the channel. What was asked of the subscription comes with the answer
// to this or, when the subscription came later, to another one.
func (c *core) join(at topic, s *channelState) {
	c.host.join(channel.Join{Key: c.channelKey(at), Recover: s.recover, Hold: s.replay != nil}, s.codec)
}

func (c *core) joined(at topic, j channel.Joined) {
	s, err := c.channels[at], j.Err
	if s == nil {
		c.host.leave(c.channelKey(at)) // left while joining was on its way
		return
	}
	if err != nil {
		c.notJoined(at, s, err)
		return
	}
	if s.asked && !j.Held && (s.recover != nil || s.replay != nil) {
		c.join(at, s) // it asked for more than the join that was on its way
		return
	}
	c.entered(at, s, j)
}

// entered does what waited for the channel.
func (c *core) entered(at topic, s *channelState, j channel.Joined) {
	s.joined = true
	if s.asked {
		s.asked = false
		c.subscribed(at, s, j)
	} else if j.Held {
		c.host.follow(c.channelKey(at), nil)
	}
	for _, p := range s.queued {
		c.host.publish(p)
	}
	s.queued = nil
}

func (c *core) notJoined(at topic, s *channelState, err error) {
	delete(c.channels, at)
	// An earlier join of the same channel may have come through.
	c.host.leave(c.channelKey(at))
	if s.watching || len(s.keys) > 0 {
		c.host.unwatch(c.roomKey(at), false)
	}
	if s.asked || s.told || len(s.queued)+len(s.gate.waiting) == 0 {
		refused := at.refused()
		refused.Ended = !s.asked
		c.refuseErr(err, refused)
	}
	for _, p := range s.queued {
		c.refuseErr(err, at.refusedMessage(p.MessageID))
	}
	c.abandon(at, s.gate.waiting, err)
}

// channelEnded joins again a channel whose actor failed. What was published
// meanwhile is gone, and the client is told.
func (c *core) channelEnded(at topic) {
	s := c.channels[at]
	if s == nil || !s.listens(at) {
		return
	}
	s.joined = false
	c.refuse(fault.MessagesLost, "messages of this channel may have been missed", at.refused())
	c.join(at, s)
}

func (c *core) dropChannel(at topic) {
	s := c.channels[at]
	if s == nil {
		return
	}
	delete(c.channels, at)
	if s.joined && s.listens(at) {
		c.host.leave(c.channelKey(at))
	}
	if s.watching || len(s.keys) > 0 {
		c.host.unwatch(c.roomKey(at), c.cut)
	}
	if !c.ended {
		left := fault.New(fault.Canceled, "the channel was left")
		for _, p := range s.queued {
			c.refuseErr(left, at.refusedMessage(p.MessageID))
		}
		c.abandon(at, s.gate.waiting, left)
	}
}

func (c *core) broadcast(m Broadcast) {
	if m.Channel == "" {
		c.refuse(fault.MissingRequiredField, "channel is required for broadcast", Refused{MessageID: m.MessageID})
		return
	}
	at := topic{m.Channel, m.Private}
	if err := c.authorize(at, true); err != nil {
		c.refuseErr(err, at.refusedMessage(m.MessageID))
		return
	}
	if strings.HasPrefix(m.Channel, "realtime:admin:") {
		c.subscribeChannel(SubscribeChannel{Channel: m.Channel}) // receive-only
		return
	}
	s, err := c.enter(at, SubscribeChannel{})
	if err != nil {
		c.refuseErr(err, at.refusedMessage(m.MessageID))
		return
	}
	if !c.passes(at, s, message.Broadcast, m, at.refusedMessage(m.MessageID)) {
		return
	}
	p := channel.Publish{
		Key: c.channelKey(at), Event: m.Event, Payload: m.Payload, Raw: m.Raw,
		MessageID: m.MessageID, Sender: c.id,
	}
	switch {
	case s.joined:
		c.host.publish(p)
	case len(s.queued) < maxQueued:
		s.queued = append(s.queued, p)
	default:
		c.refuse(fault.Overloaded, "too many messages wait for this channel", at.refusedMessage(m.MessageID))
	}
}

// published takes the channel's answer. Successes are told only to clients that
// gave an id to recognise them by; failures always.
func (c *core) published(p channel.Published) {
	at := topic{p.Key.Name, p.Key.Private}
	switch {
	case p.Err != nil:
		c.refuseErr(p.Err, at.refusedMessage(p.MessageID))
	case p.MessageID != "":
		c.host.reply(BroadcastAccepted{Channel: at.name, Private: at.private, MessageID: p.MessageID, Epoch: p.Epoch, Offset: p.Offset})
	}
}
