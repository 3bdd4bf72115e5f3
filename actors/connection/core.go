package connection

import (
	"encoding/json"
	"strings"
	"time"

	"fluxbase/actors/channel"
	"fluxbase/actors/presence"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// maxQueued is the number of messages that may wait for a channel to be joined. What
// answers the join waits behind the messages of the client that came before it.
const maxQueued = 4 * clientBacklog

// host is what the core makes happen. The actor does it for real, tests record.
type host interface {
	reply(r Reply)
	tableID(t SubscribeTable, ordinal int) string
	subscribeTable(id string, attempt int, t SubscribeTable)
	unsubscribeTable(id string)
	join(k channel.Key)
	leave(k channel.Key)
	publish(p channel.Publish)
	watch(k presence.Key)
	track(k presence.Key, key string, state json.RawMessage)
	untrack(k presence.Key, key string)
	unwatch(k presence.Key)
	// identified says that the caller is another one now.
	identified(c caller.Caller)
	// expireAt asks for expire at a time; zero for never.
	expireAt(t time.Time)
	end(e End)
}

// core is a connection's state: whom it acts for and what it is subscribed to.
type core struct {
	id       string
	caller   caller.Caller
	limits   Limits
	host     host
	tables   map[string]*tableState
	attempts int
	updates  int // new callers whose table subscriptions are being judged again
	channels map[string]*channelState
	ended    bool
}

type tableState struct {
	request SubscribeTable
	// attempt tells the answer to this subscription from the answer to one of the
	// same id that was ended before it came.
	attempt int
	live    bool // acknowledged
	// asking: an answer is on its way. One question is asked at a time, so that
	// the last one to take effect is that of the last caller.
	asking bool
	// judging: to be answered for a new caller before its token is acknowledged;
	// stale: the question that is on its way was asked for the caller before.
	judging, stale bool
}

// channelState is a channel that the connection joined or is joining.
type channelState struct {
	joined bool
	// asked: the client waits for the answer to a subscribe.
	asked bool
	// queued messages wait until the channel is joined, so that the sender gets
	// its own copies.
	queued []channel.Publish
	// watching presences of the channel, and the keys tracked there.
	watching bool
	keys     map[string]json.RawMessage
}

func newCore(id string, c caller.Caller, limits Limits, h host) *core {
	return &core{id: id, caller: c, limits: limits.orDefault(), host: h}
}

// start arms the expiry of the first caller.
func (c *core) start() { c.host.expireAt(c.caller.ExpiresAt) }

func (c *core) refuse(code fault.Code, message string, r Refused) {
	r.Code, r.Message = code, message
	c.host.reply(r)
}

// refuseErr refuses for a coded fault: its message is shown, its cause is not.
func (c *core) refuseErr(err error, r Refused) {
	f := fault.From(err)
	c.refuse(f.Code, f.Message, r)
}

func (c *core) subscribeTable(m SubscribeTable) {
	switch {
	case m.Table == "":
		c.refuse(fault.MissingRequiredField, "table is required for subscribe", Refused{Channel: m.Channel, SubscriptionID: m.ID})
		return
	case c.caller.Source == caller.SourceNone:
		c.refuse(fault.AuthenticationRequired, "authentication required for subscriptions", Refused{Channel: m.Channel, SubscriptionID: m.ID})
		return
	case len(c.tables) >= c.limits.Subscriptions:
		c.refuse(fault.SubscriptionLimitReached, "too many subscriptions on this connection", Refused{Channel: m.Channel, SubscriptionID: m.ID})
		return
	}
	id := m.ID
	if id == "" {
		id = c.freeID(m)
	} else if c.tables[id] != nil {
		c.refuse(fault.AlreadyExists, "the subscription id is in use", Refused{Channel: m.Channel, SubscriptionID: id})
		return
	}
	if c.tables == nil {
		c.tables = map[string]*tableState{}
	}
	c.attempts++
	t := &tableState{request: m, attempt: c.attempts}
	c.tables[id] = t
	c.ask(id, t)
}

// freeID makes the id of a subscription whose dialect chose none.
func (c *core) freeID(m SubscribeTable) string {
	id := c.host.tableID(m, 0)
	for n := 1; c.tables[id] != nil; n++ {
		id = c.host.tableID(m, n)
	}
	return id
}

func (c *core) ask(id string, t *tableState) {
	t.asking, t.stale = true, false
	c.host.subscribeTable(id, t.attempt, t.request)
}

// tableAnswered takes the feed's answer: to the first request, or to the one
// that was repeated for a new caller.
func (c *core) tableAnswered(id string, attempt int, err error) {
	t := c.tables[id]
	if t != nil && t.attempt != attempt {
		return // the later one has an answer of its own
	}
	if t == nil {
		if err == nil {
			c.host.unsubscribeTable(id) // unsubscribed while it was on its way
		}
		return
	}
	if t.stale {
		c.ask(id, t)
		return
	}
	t.asking, t.judging = false, false
	switch {
	case err != nil:
		// What was refused to the new caller still runs for the one before.
		delete(c.tables, id)
		c.host.unsubscribeTable(id)
		c.refuseErr(err, Refused{Channel: t.request.Channel, SubscriptionID: id})
	case !t.live:
		t.live = true
		c.host.reply(TableSubscribed{
			Channel: t.request.Channel, SubscriptionID: id, Schema: t.request.Schema,
			Table: t.request.Table, Event: t.request.Event, Filter: t.request.Filter,
		})
	}
	c.settle()
}

// tableEnded forgets a subscription that the feed ended; the client has been told.
func (c *core) tableEnded(id string) {
	if t := c.tables[id]; t != nil && !t.asking {
		delete(c.tables, id)
	}
}

func (c *core) subscribeChannel(m SubscribeChannel) {
	if m.Channel == "" {
		c.refuse(fault.MissingRequiredField, "table is required for subscribe", Refused{})
		return
	}
	if err := c.authorize(m.Channel, false); err != nil {
		c.refuseErr(err, Refused{Channel: m.Channel})
		return
	}
	s, err := c.enter(m.Channel)
	switch {
	case err != nil:
		c.refuseErr(err, Refused{Channel: m.Channel})
	case s.joined:
		c.subscribed(m.Channel, s)
	default:
		s.asked = true
	}
}

// subscribed acknowledges first and sends the presences after.
func (c *core) subscribed(name string, s *channelState) {
	c.host.reply(ChannelSubscribed{Channel: name})
	if followsPresence(name) {
		c.watchPresence(name, s)
	}
}

// authorize decides who may enter a channel and publish there. Ordinary channels
// are open to everybody who got a connection.
func (c *core) authorize(name string, publish bool) error {
	privileged := c.caller.HasRole(caller.Admin, caller.InstanceAdmin, caller.Service, caller.TenantService)
	switch {
	case strings.HasPrefix(name, "realtime:admin:") && !privileged:
		return fault.New(fault.AdminRequired, "admin access required to subscribe to admin channels")
	case strings.HasPrefix(name, "fluxbase:") && !privileged:
		if publish {
			return fault.New(fault.AdminRequired, "admin access required to publish to server channels")
		}
		return fault.New(fault.AdminRequired, "admin access required to subscribe to server channels")
	}
	return nil
}

// followsPresence tells whether subscribing to a channel also brings the
// presences of it: everywhere but where the name says what the channel is for.
func followsPresence(name string) bool {
	for _, prefix := range []string{"broadcast:", "realtime:", "fluxbase:", "table:", "execution:"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

func (c *core) channelKey(name string) channel.Key {
	return channel.Key{Tenant: c.caller.Tenant, Name: name}
}

func (c *core) roomKey(name string) presence.Key {
	return presence.Key{Tenant: c.caller.Tenant, Channel: name}
}

// enter makes sure that the channel is joined or being joined.
func (c *core) enter(name string) (*channelState, error) {
	if s := c.channels[name]; s != nil {
		return s, nil
	}
	if len(c.channels) >= c.limits.Channels {
		return nil, fault.New(fault.ChannelLimitReached, "too many channels on this connection")
	}
	if c.channels == nil {
		c.channels = map[string]*channelState{}
	}
	s := &channelState{}
	c.channels[name] = s
	c.host.join(c.channelKey(name))
	return s, nil
}

func (c *core) joined(name string, err error) {
	s := c.channels[name]
	if s == nil {
		c.host.leave(c.channelKey(name)) // left while joining was on its way
		return
	}
	if err != nil {
		c.notJoined(name, s, err)
		return
	}
	s.joined = true
	if s.asked {
		s.asked = false
		c.subscribed(name, s)
	}
	for _, p := range s.queued {
		c.host.publish(p)
	}
	s.queued = nil
}

func (c *core) notJoined(name string, s *channelState, err error) {
	delete(c.channels, name)
	// An earlier join of the same channel may have come through.
	c.host.leave(c.channelKey(name))
	if s.watching {
		c.host.unwatch(c.roomKey(name))
	}
	if s.asked || len(s.queued) == 0 {
		c.refuseErr(err, Refused{Channel: name})
	}
	for _, p := range s.queued {
		c.refuseErr(err, Refused{Channel: name, MessageID: p.MessageID})
	}
}

// channelEnded joins again a channel whose actor failed. What was published
// meanwhile is gone, and the client is told.
func (c *core) channelEnded(name string) {
	s := c.channels[name]
	if s == nil {
		return
	}
	s.joined = false
	c.refuse(fault.MessagesLost, "messages of this channel may have been missed", Refused{Channel: name})
	c.host.join(c.channelKey(name))
}

func (c *core) unsubscribe(m Unsubscribe) {
	switch {
	case m.SubscriptionID != "":
		c.dropTable(m.SubscriptionID)
	case m.Channel != "":
		for id, t := range c.tables {
			if t.request.Channel == m.Channel {
				c.dropTable(id)
			}
		}
		c.dropChannel(m.Channel)
	default:
		for id := range c.tables {
			c.dropTable(id)
		}
	}
	c.host.reply(Unsubscribed(m))
}

func (c *core) dropTable(id string) {
	if _, ok := c.tables[id]; ok {
		delete(c.tables, id)
		c.host.unsubscribeTable(id)
		c.settle()
	}
}

func (c *core) dropChannel(name string) {
	s := c.channels[name]
	if s == nil {
		return
	}
	delete(c.channels, name)
	if s.joined {
		c.host.leave(c.channelKey(name))
	}
	if s.watching {
		c.host.unwatch(c.roomKey(name))
	}
}

func (c *core) broadcast(m Broadcast) {
	if m.Channel == "" {
		c.refuse(fault.MissingRequiredField, "channel is required for broadcast", Refused{MessageID: m.MessageID})
		return
	}
	if err := c.authorize(m.Channel, true); err != nil {
		c.refuseErr(err, Refused{Channel: m.Channel, MessageID: m.MessageID})
		return
	}
	if strings.HasPrefix(m.Channel, "realtime:admin:") {
		c.subscribeChannel(SubscribeChannel{Channel: m.Channel}) // receive-only
		return
	}
	s, err := c.enter(m.Channel)
	if err != nil {
		c.refuseErr(err, Refused{Channel: m.Channel, MessageID: m.MessageID})
		return
	}
	p := channel.Publish{
		Key: c.channelKey(m.Channel), Event: m.Event, Payload: m.Payload,
		MessageID: m.MessageID, Sender: c.id,
	}
	switch {
	case s.joined:
		c.host.publish(p)
	case len(s.queued) < maxQueued:
		s.queued = append(s.queued, p)
	default:
		c.refuse(fault.Overloaded, "too many messages wait for this channel", Refused{Channel: m.Channel, MessageID: m.MessageID})
	}
}

// published takes the channel's answer. Successes are told only to clients that
// gave an id to recognise them by; failures always.
func (c *core) published(p channel.Published) {
	switch {
	case p.Err != nil:
		c.refuseErr(p.Err, Refused{Channel: p.Key.Name, MessageID: p.MessageID})
	case p.MessageID != "":
		c.host.reply(BroadcastAccepted{Channel: p.Key.Name, MessageID: p.MessageID, Epoch: p.Epoch, Offset: p.Offset})
	}
}

func (c *core) track(m Track) {
	switch {
	case m.Channel == "":
		c.refuse(fault.MissingRequiredField, "channel is required for presence", Refused{})
		return
	case m.Key == "":
		c.refuse(fault.MissingRequiredField, "key is required for presence track", Refused{Channel: m.Channel})
		return
	}
	if len(m.State) > c.limits.PresenceBytes {
		c.refuse(fault.PayloadTooLarge, "presence state is too large", Refused{Channel: m.Channel})
		return
	}
	if err := c.authorize(m.Channel, true); err != nil {
		c.refuseErr(err, Refused{Channel: m.Channel})
		return
	}
	if s := c.channels[m.Channel]; (s == nil || len(s.keys) == 0) && c.tracking() >= c.limits.Presences {
		c.refuse(fault.PresenceLimitReached, "too many presence channels on this connection", Refused{Channel: m.Channel})
		return
	}
	s, err := c.enter(m.Channel)
	if err != nil {
		c.refuseErr(err, Refused{Channel: m.Channel})
		return
	}
	c.watchPresence(m.Channel, s)
	if s.keys == nil {
		s.keys = map[string]json.RawMessage{}
	}
	s.keys[m.Key] = m.State
	c.host.track(c.roomKey(m.Channel), m.Key, m.State)
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

func (c *core) watchPresence(name string, s *channelState) {
	if !s.watching {
		s.watching = true
		c.host.watch(c.roomKey(name))
	}
}

func (c *core) tracked(m presence.Tracked) {
	if m.Err == nil {
		return
	}
	if s := c.channels[m.Room.Channel]; s != nil {
		delete(s.keys, m.Key)
	}
	c.refuseErr(m.Err, Refused{Channel: m.Room.Channel})
}

func (c *core) untrack(m Untrack) {
	switch {
	case m.Channel == "":
		c.refuse(fault.MissingRequiredField, "channel is required for presence", Refused{})
		return
	case m.Key == "":
		c.refuse(fault.MissingRequiredField, "key is required for presence untrack", Refused{Channel: m.Channel})
		return
	}
	s := c.channels[m.Channel]
	if s == nil {
		return
	}
	if _, ours := s.keys[m.Key]; ours {
		delete(s.keys, m.Key)
		c.host.untrack(c.roomKey(m.Channel), m.Key)
	}
}

// roomEnded watches and tracks again in a room whose actor failed.
func (c *core) roomEnded(name string) {
	s := c.channels[name]
	if s == nil || !s.watching {
		return
	}
	c.host.watch(c.roomKey(name))
	for key, state := range s.keys {
		c.host.track(c.roomKey(name), key, state)
	}
}

func (c *core) refreshToken(m RefreshToken) {
	if m.Err == nil && m.Caller.Tenant != c.caller.Tenant {
		m.Err = fault.New(fault.InvalidToken, "the token is for another tenant")
	}
	if m.Err != nil {
		c.refuse(fault.InvalidToken, "invalid token", Refused{})
		return
	}
	changed := m.Caller.Identity() != c.caller.Identity()
	c.caller = m.Caller
	c.host.expireAt(c.caller.ExpiresAt)
	c.host.identified(c.caller)
	if changed {
		c.reconsider()
	}
	c.updates++
	c.settle()
}

// reconsider judges everything again for the new caller.
func (c *core) reconsider() {
	for name := range c.channels {
		if err := c.authorize(name, false); err != nil {
			c.dropChannel(name)
			c.refuseErr(err, Refused{Channel: name})
		}
	}
	for id, t := range c.tables {
		t.judging = true
		if t.asking {
			t.stale = true
		} else {
			c.ask(id, t)
		}
	}
}

// settle acknowledges new tokens when nothing runs for the caller before any
// more.
func (c *core) settle() {
	if c.updates == 0 || c.ended {
		return
	}
	for _, t := range c.tables {
		if t.judging {
			return
		}
	}
	for ; c.updates > 0; c.updates-- {
		c.host.reply(TokenUpdated{})
	}
}

// expire ends the connection when the token's time is over.
func (c *core) expire() {
	c.end(End{Code: CloseTokenExpired, Reason: "token expired", Fault: fault.New(fault.ExpiredToken, "token expired")})
}

func (c *core) subscribeLogs(m SubscribeLogs) {
	switch {
	case m.ExecutionID == "":
		c.refuse(fault.MissingRequiredField, "execution_id is required for subscribe_logs", Refused{})
	case c.caller.Source == caller.SourceNone:
		c.refuse(fault.AuthenticationRequired, "authentication required", Refused{})
	default:
		// No kind of execution is known to this server, so none has this id.
		c.refuse(fault.NotFound, "execution not found", Refused{})
	}
}

func (c *core) subscribeAllLogs() {
	if !c.caller.HasRole(caller.Admin, caller.InstanceAdmin, caller.Service) {
		c.refuse(fault.AdminRequired, "admin role required for all-logs subscription", Refused{})
		return
	}
	c.refuse(fault.FeatureDisabled, "this server does not stream its log", Refused{})
}

func (c *core) end(e End) {
	if c.ended {
		return
	}
	c.ended = true
	if e.Fault != nil {
		c.refuseErr(e.Fault, Refused{})
	}
	c.host.end(e)
}

// stop gives up everything when the connection is gone.
func (c *core) stop() {
	c.ended = true
	for id := range c.tables {
		c.dropTable(id)
	}
	for name := range c.channels {
		c.dropChannel(name)
	}
}
