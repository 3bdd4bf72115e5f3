package connection

import (
	"encoding/json"
	"strings"

	"fluxbase/actors/channel"
	"fluxbase/actors/delivery"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// topic names one of the connection's channels.
type topic struct {
	name    string
	private bool
}

// refused is a refusal of something that was asked of the channel.
func (t topic) refused() Refused { return Refused{Channel: t.name, Private: t.private} }

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
	// queued messages wait until the channel is joined, so that the sender gets
	// its own copies.
	queued []channel.Publish
	// watching presences of the channel, and the keys tracked there.
	watching bool
	keys     map[string]json.RawMessage
}

func (c *core) subscribeChannel(m SubscribeChannel) {
	if m.Channel == "" {
		c.refuse(fault.MissingRequiredField, "table is required for subscribe", Refused{})
		return
	}
	at := topic{m.Channel, m.Private}
	if err := c.authorize(at, false); err != nil {
		c.refuseErr(err, at.refused())
		return
	}
	s, err := c.enter(at, m.Codec)
	if err != nil {
		c.refuseErr(err, at.refused())
		return
	}
	s.presences = m.Presences
	if s.joined {
		c.subscribed(at, s)
	} else {
		s.asked = true
	}
}

// subscribed acknowledges first and sends the presences after.
func (c *core) subscribed(at topic, s *channelState) {
	c.host.reply(ChannelSubscribed{Channel: at.name, Private: at.private})
	if s.presences == PresencesWanted || s.presences == PresencesByName && followsPresence(at.name) {
		c.watchPresence(at, s)
	}
}

// authorize decides who may enter a channel and publish there. Ordinary channels
// are open to everybody who got a connection.
func (c *core) authorize(at topic, publish bool) error {
	privileged := c.caller.HasRole(caller.Admin, caller.InstanceAdmin, caller.Service, caller.TenantService)
	switch {
	case at.private:
		return fault.New(fault.FeatureDisabled, "this server has no private channels")
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

// enter makes sure that the channel is joined or being joined. The codec, nil for
// the connection's, is that of the first to enter.
func (c *core) enter(at topic, codec delivery.Codec) (*channelState, error) {
	if s := c.channels[at]; s != nil {
		return s, nil
	}
	if len(c.channels) >= c.limits.Channels {
		return nil, fault.New(fault.ChannelLimitReached, "too many channels on this connection")
	}
	if c.channels == nil {
		c.channels = map[topic]*channelState{}
	}
	s := &channelState{codec: codec}
	c.channels[at] = s
	c.host.join(c.channelKey(at), codec)
	return s, nil
}

func (c *core) joined(at topic, err error) {
	s := c.channels[at]
	if s == nil {
		c.host.leave(c.channelKey(at)) // left while joining was on its way
		return
	}
	if err != nil {
		c.notJoined(at, s, err)
		return
	}
	s.joined = true
	if s.asked {
		s.asked = false
		c.subscribed(at, s)
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
	if s.watching {
		c.host.unwatch(c.roomKey(at))
	}
	if s.asked || len(s.queued) == 0 {
		c.refuseErr(err, at.refused())
	}
	for _, p := range s.queued {
		c.refuseErr(err, at.refusedMessage(p.MessageID))
	}
}

// channelEnded joins again a channel whose actor failed. What was published
// meanwhile is gone, and the client is told.
func (c *core) channelEnded(at topic) {
	s := c.channels[at]
	if s == nil {
		return
	}
	s.joined = false
	c.refuse(fault.MessagesLost, "messages of this channel may have been missed", at.refused())
	c.host.join(c.channelKey(at), s.codec)
}

func (c *core) dropChannel(at topic) {
	s := c.channels[at]
	if s == nil {
		return
	}
	delete(c.channels, at)
	if s.joined {
		c.host.leave(c.channelKey(at))
	}
	if s.watching {
		c.host.unwatch(c.roomKey(at))
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
	s, err := c.enter(at, nil)
	if err != nil {
		c.refuseErr(err, at.refusedMessage(m.MessageID))
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
