package connection

import (
	"errors"
	"strings"
	"time"

	"fluxbase/actors/channel"
	"fluxbase/actors/delivery"
	"fluxbase/actors/presence"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/message"
)

// maxQueued is the number of messages that may wait for a channel to be joined. What
// answers the join waits behind the messages of the client that came before it.
const maxQueued = 4 * clientBacklog

// host is what the core makes happen. The actor does it for real, tests record.
type host interface {
	reply(r Reply)
	tableID(t SubscribeTable, ordinal int) string
	subscribeTable(id string, attempt int, t SubscribeTable, again bool)
	beginTable(id string)
	unsubscribeTable(id string)
	// join makes the connection a member; it fills in the member. joined is called
	// with the answer.
	join(j channel.Join, codec delivery.Codec)
	// follow lets a held member hear what is new.
	follow(k channel.Key, skip []string)
	// replay asks for kept messages of a private channel. replayed is called with
	// the answer, later.
	replay(channel string, attempt int, r Replay)
	// push sends a frame; repeat and notice make one, by a codec or, when it is nil,
	// by the connection's own.
	push(f *delivery.Frame)
	repeat(codec delivery.Codec, b delivery.Broadcast)
	notice(codec delivery.Codec, n *delivery.Notice)
	leave(k channel.Key)
	publish(p channel.Publish)
	watch(k presence.Key, codec delivery.Codec)
	track(k presence.Key, t Track)
	untrack(k presence.Key, key string)
	unwatch(k presence.Key, cut bool)
	// authorize asks what the caller may read in a private channel, or whether it may
	// write to an extension of it. authorized is called with the answer, later.
	authorize(channel string, attempt int, e message.Extension)
	// judgeLog asks whether the caller may follow a log; logJudged is called with the
	// answer, later.
	judgeLog(execution, kind string, attempt int)
	followLog(execution string)
	unfollowLog(execution string)
	// identified says that the caller is another one now.
	identified(c caller.Caller)
	// expireAt asks for expire at a time; zero for never.
	expireAt(t time.Time)
	end(e End)
}

// core is a connection's state: whom it acts for and what it is subscribed to.
type core struct {
	id     string
	caller caller.Caller
	// door is whom the connection falls back to when its token expires; nil when it
	// ends then.
	door     *caller.Caller
	limits   Limits
	host     host
	tables   map[string]*tableState
	attempts int
	updates  int // new callers whose table subscriptions are being judged again
	channels map[topic]*channelState
	logs     map[string]*logState // by the execution's id
	ended    bool
	// left: the client said that it goes, or may not come back; cut is set for the
	// last steps of a connection that ended otherwise: the client may return.
	left, cut bool
}

type tableState struct {
	request SubscribeTable
	// attempt tells the answer to this subscription from the answer to one of the
	// same id that was ended before it came.
	attempt int
	live    bool // acknowledged
	// unresumed is why the cursor was no good; a snapshot stands in for it.
	unresumed string
	// asking: an answer is on its way. One question is asked at a time, so that
	// the last one to take effect is that of the last caller.
	asking bool
	// judging: to be answered for a new caller before its token is acknowledged;
	// stale: the question that is on its way was asked for the caller before.
	judging, stale bool
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
	case len(c.tables)+len(c.logs) >= c.limits.Subscriptions:
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
	c.host.subscribeTable(id, t.attempt, t.request, t.live)
}

// tableAnswered takes the feed's answer: to the first request, or to the one
// that was repeated for a new caller.
func (c *core) tableAnswered(id string, attempt int, begun Beginning, err error) {
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
	var gone *delivery.ResumeError
	if errors.As(err, &gone) && t.request.Snapshot != nil {
		t.unresumed, t.request.Cursor = gone.Reason, ""
		c.ask(id, t)
		return
	}
	t.asking, t.judging = false, false
	switch {
	case err != nil:
		// What was refused to the new caller still runs for the one before.
		delete(c.tables, id)
		c.host.unsubscribeTable(id)
		if gone != nil {
			c.host.reply(ResumeFailed{Channel: t.request.Channel, SubscriptionID: id, Reason: gone.Reason, Message: gone.Message})
			break
		}
		c.refuseErr(err, Refused{Channel: t.request.Channel, SubscriptionID: id})
	case !t.live:
		t.live = true
		c.host.reply(TableSubscribed{
			Channel: t.request.Channel, SubscriptionID: id, Schema: t.request.Schema,
			Table: t.request.Table, Event: t.request.Event, Filter: t.request.Filter,
			Cursor: begun.Cursor, Snapshot: begun.Snapshot, Unresumed: t.unresumed,
		})
		// From here on the subscription only ever goes on.
		t.request.Cursor, t.request.Snapshot = "", nil
		if begun.Waits {
			c.host.beginTable(id)
		}
	}
	c.settle()
}

// tableEnded forgets a subscription that the feed ended; the client has been told.
func (c *core) tableEnded(id string) {
	if t := c.tables[id]; t != nil && !t.asking {
		delete(c.tables, id)
	}
}

func (c *core) unsubscribe(m Unsubscribe) {
	switch {
	case m.SubscriptionID != "":
		if !c.dropLog(strings.TrimPrefix(m.SubscriptionID, logID(""))) {
			c.dropTable(m.SubscriptionID)
		}
	case strings.HasPrefix(m.Channel, logChannel("")):
		c.dropLog(strings.TrimPrefix(m.Channel, logChannel("")))
	case m.Channel != "":
		for id, t := range c.tables {
			if t.request.Channel == m.Channel {
				c.dropTable(id)
			}
		}
		c.dropChannel(topic{m.Channel, m.Private})
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
	for at, s := range c.channels {
		switch err := c.authorize(at, false); {
		case err != nil:
			c.dropChannel(at)
			c.refuseErr(err, at.ended())
		case at.private:
			c.reconsiderPrivate(at, s)
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
	for id, s := range c.logs {
		s.judging = s.live
		c.askLog(id, s)
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
	for _, s := range c.channels {
		if s.gate.judging {
			return
		}
	}
	for _, s := range c.logs {
		if s.judging {
			return
		}
	}
	for ; c.updates > 0; c.updates-- {
		c.host.reply(TokenUpdated{})
	}
}

// expire ends the connection when the token's time is over, or what it follows when
// it was opened for somebody whose time is not.
func (c *core) expire(now time.Time) {
	if c.door != nil && (c.door.ExpiresAt.IsZero() || now.Before(c.door.ExpiresAt)) {
		c.drop()
		c.caller = *c.door
		c.host.expireAt(c.caller.ExpiresAt)
		c.host.identified(c.caller)
		c.host.reply(TokenExpired{})
		return
	}
	c.end(End{Code: CloseTokenExpired, Reason: "token expired", Fault: fault.New(fault.ExpiredToken, "token expired")})
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
	c.left = c.left || e.Code == CloseNormal || e.Code == CloseRevoked
	if e.Fault != nil {
		c.refuseErr(e.Fault, Refused{})
	}
	c.host.end(e)
}

// stop gives up everything when the connection is gone.
func (c *core) stop() {
	c.ended, c.cut = true, !c.left
	c.drop()
}

// drop ends everything that the connection follows and shows.
func (c *core) drop() {
	for id := range c.tables {
		c.dropTable(id)
	}
	for at := range c.channels {
		c.dropChannel(at)
	}
	for id := range c.logs {
		c.dropLog(id)
	}
}
