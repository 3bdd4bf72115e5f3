package connection

import (
	"context"
	"time"

	"fluxbase/actors/channel"
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/presence"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/message"
)

// subscribeTimeout bounds how long a table subscription may take to become live.
const subscribeTimeout = time.Minute

// authorizeTimeout bounds a question to the policies of a private channel.
const authorizeTimeout = 10 * time.Second

// clientBacklog is the number of messages beyond which Accepts tells the transport
// to stop reading from the client. The mailbox has room for much more: the answers
// of channels and rooms must not be refused because a client is fast.
const (
	clientBacklog = 256
	mailboxLimit  = 64 * clientBacklog
)

// Accepts tells whether a connection should be given more messages of its client.
func Accepts(ref kernel.Ref) bool { return ref.Waiting() < clientBacklog }

// actor is the thin shell around a core: it knows its mailbox and its socket.
type actor struct {
	core      *core
	dialect   Dialect
	session   Session // nil when the dialect has none
	later     []any   // what the session asked for meanwhile
	outbox    Outbox
	services  Services
	directory kernel.Ref
	seat      *registered // the directory's, but for follows
	strict    bool        // what is refused ends the connection

	self       kernel.Ref
	context    *kernel.Context // of the message being handled
	rooms      map[channel.Key]kernel.Ref
	followers  map[string]kernel.Ref // of logs, by execution
	timer      *kernel.Timer
	generation int
}

// props describes the actor of one connection.
func props(o Open, directory kernel.Ref, limits Limits, seat *registered) kernel.Props {
	return kernel.Props{
		New: func() kernel.Actor {
			a := &actor{dialect: o.Dialect, outbox: o.Outbox, services: o.Services, directory: directory, seat: seat, strict: o.Strict}
			a.core = newCore(o.ID, o.Caller, limits, a)
			if d, ok := o.Dialect.(SessionDialect); ok {
				a.session, a.core.door = d.NewSession(o.Caller), &o.Caller
			}
			return a
		},
		Limit: mailboxLimit,
		Intercept: func(msg any) bool {
			switch m := msg.(type) {
			case *delivery.Frame:
				o.Outbox.Push(m)
			case *delivery.Link:
				o.Outbox.Follow(m)
			case delivery.Evict:
				o.Outbox.Evict(m)
			default:
				return false
			}
			return true
		},
		// The client can start over with a fresh state; the actor cannot know
		// what the client believes.
		OnCrash: kernel.Stop,
	}
}

// Receive handles the client's messages and the answers of what it uses.
func (a *actor) Receive(c *kernel.Context, msg any) {
	a.context = c
	switch m := msg.(type) {
	case kernel.Started:
		a.self = c.Self()
		a.core.start()
	case kernel.Stopping:
		a.core.stop()
		a.outbox.Close(CloseInternal, "internal error") // unless it was closed before
	case Disconnected:
		a.core.left = a.core.left || m.Left
		if m.Slow != "" {
			// For operators; a directory that is flooded has more to do.
			_ = a.directory.Tell(cutSlow{seat: a.seat, reason: m.Slow})
		}
		c.Stop()
	case End:
		a.core.end(m)
	case expired:
		if m.generation == a.generation {
			a.core.expire(time.Now())
		}
	default:
		if !a.core.ended {
			a.handle(msg)
		}
	}
	a.settle()
	a.seat.follows.Store(int32(len(a.core.tables) + len(a.core.channels) + len(a.core.logs)))
	a.context = nil
}

func (a *actor) handle(msg any) {
	switch m := msg.(type) {
	case SubscribeTable:
		a.core.subscribeTable(m)
	case delivery.SubscriptionEnded:
		a.core.tableEnded(m.ID)
	case SubscribeChannel:
		a.core.subscribeChannel(m)
	case channel.Joined:
		if m.Err == nil {
			if a.rooms == nil {
				a.rooms = map[channel.Key]kernel.Ref{}
			}
			a.rooms[m.Key] = m.Channel
		}
		a.core.joined(topic{m.Key.Name, m.Key.Private}, m)
	case channel.Ended:
		delete(a.rooms, m.Key)
		a.core.channelEnded(topic{m.Key.Name, m.Key.Private})
	case Unsubscribe:
		a.core.unsubscribe(m)
	case Broadcast:
		a.core.broadcast(m)
	case channel.Published:
		a.core.published(m)
	case Track:
		a.core.track(m)
	case presence.Tracked:
		a.core.tracked(m)
	case Untrack:
		a.core.untrack(m)
	case presence.Ended:
		a.core.roomEnded(topic{m.Room.Channel, m.Room.Private})
	case RefreshToken:
		a.core.refreshToken(m)
	case SubscribeLogs:
		a.core.subscribeLogs(m)
	case SubscribeAllLogs:
		a.core.subscribeAllLogs()
	case Refuse:
		a.reply(m.Refused)
	default:
		if a.session != nil {
			a.turn(a.session.Hear(msg))
		}
	}
}

// turn does what the session wants: frames at once, messages when what is being
// handled is done.
func (a *actor) turn(t Turn) {
	if len(t.Frames) > 0 {
		a.outbox.Push(&delivery.Frame{Bytes: t.Frames, Messages: t.Count})
	}
	a.later = append(a.later, t.Messages...)
}

// settle handles what the session asked for, and what it asks for because of that.
func (a *actor) settle() {
	for len(a.later) > 0 && !a.core.ended {
		next := a.later[0]
		a.later = a.later[1:]
		a.handle(next)
	}
	a.later = nil
}

func (a *actor) reply(r Reply) {
	if a.session != nil {
		a.turn(a.session.Answer(r))
		return
	}
	if b := a.dialect.AppendReply(nil, r); len(b) > 0 {
		a.outbox.Push(&delivery.Frame{Bytes: b, Messages: 1})
	}
	if a.strict {
		switch r.(type) {
		case Refused, ResumeFailed:
			a.core.end(End{Code: ClosePolicy, Reason: "refused"})
		}
	}
}

func (a *actor) tableID(t SubscribeTable, ordinal int) string {
	return a.services.Tables.ID(a.tableSubscription("", t), ordinal)
}

// subscriber is this connection with a codec, nil for its dialect's own.
func (a *actor) subscriber(codec delivery.Codec) delivery.Subscriber {
	return delivery.Subscriber{Ref: a.self, Caller: a.core.caller, Codec: a.codec(codec)}
}

func (a *actor) tableSubscription(id string, t SubscribeTable) TableSubscription {
	return TableSubscription{
		ID: id, Subscriber: a.subscriber(nil), Schema: t.Schema, Table: t.Table,
		Event: t.Event, Filter: t.Filter, Condition: t.Condition, Columns: t.Columns, Cursor: t.Cursor, Snapshot: t.Snapshot,
	}
}

func (a *actor) subscribeTable(id string, attempt int, t SubscribeTable, again bool) {
	s := a.tableSubscription(id, t)
	s.Again = again
	tables := a.services.Tables
	a.context.Go(subscribeTimeout, func(ctx context.Context) (any, error) {
		return tables.Subscribe(ctx, s)
	}, func(c *kernel.Context, res any, err error) {
		a.context = c
		if !a.core.ended {
			begun, _ := res.(Beginning) // none when err is set
			a.core.tableAnswered(id, attempt, begun, err)
			a.settle()
		}
		a.context = nil
	})
}

func (a *actor) beginTable(id string) { a.services.Tables.Begin(a.self, id) }

func (a *actor) unsubscribeTable(id string) { a.services.Tables.Unsubscribe(a.self, id) }

func (a *actor) join(j channel.Join, codec delivery.Codec) {
	j.Member = channel.Member{Subscriber: a.subscriber(codec), ID: a.core.id}
	if err := a.services.Channels.Tell(j); err != nil {
		a.core.joined(topic{j.Key.Name, j.Key.Private}, channel.Joined{Key: j.Key, Err: err})
	}
}

func (a *actor) follow(k channel.Key, skip []string) {
	// A channel that does not hear it lets the member hear after a while.
	_ = a.rooms[k].Tell(channel.Follow{Key: k, Member: a.self, Skip: skip})
}

func (a *actor) replay(name string, attempt int, r Replay) {
	messages := a.services.Messages
	a.context.Go(authorizeTimeout, func(ctx context.Context) (any, error) {
		return messages.Since(ctx, name, r.Since, r.Limit)
	}, func(c *kernel.Context, res any, err error) {
		a.context = c
		if !a.core.ended {
			found, _ := res.([]message.Message)
			a.core.replayed(name, attempt, found, err)
			a.settle()
		}
		a.context = nil
	})
}

func (a *actor) push(f *delivery.Frame) { a.outbox.Push(f) }

func (a *actor) repeat(codec delivery.Codec, b delivery.Broadcast) {
	if frame := a.codec(codec).AppendBroadcast(nil, &b, false); len(frame) > 0 {
		// It is bounded by what the client asked for.
		a.outbox.Push(&delivery.Frame{Bytes: frame, Messages: 1, Reliable: true})
	}
}

func (a *actor) notice(codec delivery.Codec, n *delivery.Notice) {
	if frame := a.codec(codec).AppendNotice(nil, n); len(frame) > 0 {
		a.outbox.Push(&delivery.Frame{Bytes: frame, Messages: 1})
	}
}

// codec is the one that is given, or the connection's own.
func (a *actor) codec(given delivery.Codec) delivery.Codec {
	if given == nil {
		return a.dialect
	}
	return given
}

func (a *actor) leave(k channel.Key) {
	ref := a.rooms[k]
	delete(a.rooms, k)
	if ref.IsZero() {
		ref = a.services.Channels
	}
	// When it cannot be told, the channel finds out by its next message.
	_ = ref.Tell(channel.Leave{Key: k, Member: a.self})
}

func (a *actor) publish(p channel.Publish) {
	p.ReplyTo = a.self
	ref := a.rooms[p.Key]
	if ref.IsZero() {
		ref = a.services.Channels // of a private channel that it may write and not hear
	}
	if err := ref.Tell(p); err != nil {
		a.core.published(channel.Published{Key: p.Key, MessageID: p.MessageID, Err: fault.From(err)})
	}
}

func (a *actor) authorize(name string, attempt int, e message.Extension) {
	policies, c := a.services.Messages, a.core.caller
	a.context.Go(authorizeTimeout, func(ctx context.Context) (any, error) {
		if policies == nil {
			return nil, fault.New(fault.FeatureDisabled, "this server has no private channels")
		}
		if e == "" {
			return policies.Readable(ctx, c, name)
		}
		may, err := policies.Writable(ctx, c, name, e)
		return message.Access{Broadcast: may, Presence: may}, err
	}, func(c *kernel.Context, res any, err error) {
		a.context = c
		if !a.core.ended {
			access, _ := res.(message.Access)
			a.core.authorized(name, attempt, access, err)
			a.settle()
		}
		a.context = nil
	})
}

func (a *actor) judgeLog(id, kind string, attempt int) {
	logs, c := a.services.Logs, a.core.caller
	a.context.Go(authorizeTimeout, func(ctx context.Context) (any, error) {
		if logs == nil {
			return nil, errNoExecution
		}
		return nil, logs.Readable(ctx, c, id, kind)
	}, func(c *kernel.Context, _ any, err error) {
		a.context = c
		if !a.core.ended {
			a.core.logJudged(id, attempt, err)
			a.settle()
		}
		a.context = nil
	})
}

func (a *actor) followLog(id string) {
	f := &follower{logs: a.services.Logs, id: id, dialect: a.dialect, connection: a.self}
	ref, err := a.context.Spawn(kernel.Props{New: func() kernel.Actor { return f }, Limit: 8, OnCrash: kernel.Stop})
	if err != nil {
		return // only while this actor stops
	}
	if a.followers == nil {
		a.followers = map[string]kernel.Ref{}
	}
	a.followers[id] = ref
}

func (a *actor) unfollowLog(id string) {
	a.followers[id].Stop()
	delete(a.followers, id)
}

func (a *actor) watch(k presence.Key, codec delivery.Codec) {
	if err := a.services.Presence.Tell(presence.Watch{Room: k, Subscriber: a.subscriber(codec)}); err != nil {
		a.core.refuseErr(err, topic{k.Channel, k.Private}.refused())
	}
}

func (a *actor) track(k presence.Key, t Track) {
	err := a.services.Presence.Tell(presence.Track{
		Room: k, Owner: a.self, Conn: a.core.id, Key: t.Key, State: t.State, Ref: t.Ref})
	if err != nil {
		a.core.tracked(presence.Tracked{Room: k, Key: t.Key, Ref: t.Ref, Err: fault.From(err)})
	}
}

func (a *actor) untrack(k presence.Key, key string) {
	if err := a.services.Presence.Tell(presence.Untrack{Room: k, Owner: a.self, Key: key}); err != nil {
		a.core.refuseErr(err, topic{k.Channel, k.Private}.refused())
	}
}

func (a *actor) unwatch(k presence.Key, cut bool) {
	// When it cannot be told, the room watches this actor and finds out.
	_ = a.services.Presence.Tell(presence.Leave{Room: k, Owner: a.self, Cut: cut})
}

func (a *actor) identified(c caller.Caller) {
	if err := a.directory.Tell(identified{ref: a.self, caller: c}); err != nil {
		// The directory must know whom to end when a token is revoked.
		a.core.end(End{Code: CloseInternal, Reason: "overloaded", Fault: fault.From(err)})
	}
}

func (a *actor) expireAt(t time.Time) {
	a.generation++
	if a.timer != nil {
		a.timer.Cancel()
		a.timer = nil
	}
	if !t.IsZero() {
		a.timer = a.context.After(max(time.Until(t), 0), expired{generation: a.generation})
	}
}

func (a *actor) end(e End) {
	a.outbox.Close(e.Code, e.Reason)
}
