package channel

import (
	"cmp"
	"context"
	"crypto/rand"
	"hash/fnv"
	"io"
	"strconv"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// Bounds of what a local actor holds for publishers while its home or its
// members' writers are behind, and of one batch to the home.
const (
	maxOutgoing      = 8192
	maxOutgoingBytes = 8 << 20
	batchMessages    = 256
	batchBytes       = 256 << 10
	windowBytes      = 4 << 20
	idleAfter        = 30 * time.Second
)

// local is a channel on one node: its members, and the messages of its
// publishers on their way to the home. One batch is on its way at a time, so
// that messages of one publisher keep their order.
type local struct {
	key     Key
	router  *routerShared
	members *members
	seq     sequence
	window  *delivery.Window

	holding    map[kernel.Ref]*held
	joining    []Join // waiting for the home to know of this node
	registered bool
	asking     bool // an interest question is on its way
	askAgain   bool

	outgoing      []outgoing
	outgoingBytes int
	sending       bool
	fetching      bool

	handled uint64 // messages forwarded by the router that were handled
	nonce   string // with serial, identities of messages without an id
	serial  uint64
	quiet   time.Time
}

// outgoing is a message that waits for its number.
type outgoing struct {
	message   *message
	messageID string
	replyTo   kernel.Ref
	request   *kernel.Request
}

// forwarded is a message that came through the router.
type forwarded struct {
	msg     any
	request *kernel.Request
}

// Receive handles what members, the router and homes say.
func (l *local) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		l.start(c)
	case kernel.Stopping:
		l.stop()
	case forwarded:
		l.handled++
		l.handle(c, m.msg, m.request)
	case renew:
		l.renew(c)
	case windowOpen:
		l.flush(c)
	default:
		l.handle(c, msg, nil)
	}
}

func (l *local) start(c *kernel.Context) {
	self := c.Self()
	l.window = delivery.NewWindow(windowBytes, func() {
		// A full mailbox has publishes in it, and each of them flushes, too.
		_ = self.Tell(windowOpen{})
	})
	l.quiet = time.Now()
	l.holding = map[kernel.Ref]*held{}
	// The home remembers what a former actor of this channel published, and that
	// one began with the same serials.
	l.nonce = rand.Text() + "."
	c.After(renewEvery, renew{})
}

func (l *local) handle(c *kernel.Context, msg any, request *kernel.Request) {
	l.quiet = time.Now()
	switch m := msg.(type) {
	case Join:
		l.join(c, m)
	case Follow:
		l.follow(m)
	case Leave:
		l.leave(c, m.Member)
	case Publish:
		if request == nil {
			request = c.Request()
		}
		l.publish(c, m, request)
	case *deliver:
		l.deliver(c, m)
	case *closed:
		l.seq.end(m.Epoch, m.Offset)
		l.register(c)
	case membersChanged:
		if l.count() > 0 {
			l.register(c)
		}
	}
}

func (l *local) join(c *kernel.Context, j Join) {
	if l.registered {
		l.admit(c, j)
		return
	}
	l.joining = append(l.joining, j)
	l.register(c)
}

func (l *local) admit(c *kernel.Context, j Join) {
	delete(l.holding, j.Member.Ref)
	if j.Hold || j.Recover != nil {
		l.hold(c, j)
		return
	}
	l.members.add(j.Member)
	if j.Member.Ref.Tell(Joined{Key: j.Key, Channel: c.Self(), Epoch: l.seq.epoch, Offset: l.seq.offset}) != nil {
		l.members.remove(j.Member.Ref)
	}
}

// count is the number of members, those included that hear nothing yet.
func (l *local) count() int { return l.members.len() + len(l.holding) }

func (l *local) leave(c *kernel.Context, ref kernel.Ref) {
	l.members.remove(ref)
	delete(l.holding, ref)
	for i, j := range l.joining {
		if j.Member.Ref == ref {
			l.joining = append(l.joining[:i], l.joining[i+1:]...)
			break
		}
	}
	if l.count() == 0 && len(l.joining) == 0 && l.registered {
		l.registered = false
		l.register(c)
	}
}

// register tells the home how many members this node has. The first members are
// admitted when the home has answered: from then on it sends every message here.
func (l *local) register(c *kernel.Context) {
	if l.asking {
		l.askAgain = true
		return
	}
	l.asking = true
	count := uint64(l.count() + len(l.joining))
	c.Go(askTimeout, func(ctx context.Context) (any, error) {
		return l.router.placement.AskHome(ctx, Kind, l.key.String(), &interest{Members: count})
	}, func(c *kernel.Context, res any, err error) {
		l.asking = false
		answer, ok := res.(*interested)
		if err == nil && !ok {
			err = fault.New(fault.InternalError, "unexpected answer of a channel's home")
		}
		l.onInterest(c, count, answer, err)
	})
}

func (l *local) onInterest(c *kernel.Context, count uint64, answer *interested, err error) {
	if err != nil {
		c.Logger().Warn("channel home not reached", "channel", l.key.String(), "error", err)
		for _, j := range l.joining {
			// A connection that cannot take this is closing.
			_ = j.Member.Ref.Tell(Joined{Key: j.Key, Channel: c.Self(), Err: fault.From(err)})
		}
		l.joining = nil
	} else if count > 0 {
		l.place(c, answer)
		l.registered = true
		for _, j := range l.joining {
			l.admit(c, j)
		}
		l.joining = nil
	}
	if l.askAgain {
		l.askAgain = false
		l.register(c)
	}
}

// place compares the home's newest number with what this node has seen.
func (l *local) place(c *kernel.Context, at *interested) {
	switch {
	case l.count() == 0 || !l.seq.known:
		if !l.seq.known || at.Epoch >= l.seq.epoch {
			l.seq.start(at.Epoch, at.Offset)
			l.seq.waiting = nil
		}
	case at.Epoch > l.seq.epoch:
		// Of the former home's messages some may never have come here, and the
		// new home knows only its own.
		if !l.seq.complete {
			l.lost("epoch_changed")
		}
		l.seq.start(at.Epoch, 0)
		l.seq.waiting = nil
		if at.Offset > 0 {
			l.fetch(c, 1, at.Offset)
		}
	case at.Epoch == l.seq.epoch && at.Offset > l.seq.offset && !l.fetching && len(l.seq.waiting) == 0:
		l.fetch(c, l.seq.offset+1, at.Offset)
	}
}

func (l *local) deliver(c *kernel.Context, shared *deliver) {
	// take trims it, and on the home's node it is also the home's.
	own := *shared
	d := &own
	switch l.seq.take(d) {
	case pass:
		l.handOn(d)
	case newEpoch:
		l.lost("epoch_changed")
		l.handOn(d)
	case following:
		l.handOn(d)
	case hole:
		l.seq.waiting = append(l.seq.waiting, d)
		if len(l.seq.waiting) > maxWaiting {
			l.skip(c)
		} else if from, to, ok := l.seq.missing(); ok {
			l.fetch(c, from, to)
		}
	case drop:
	}
}

// fetch asks the home's history for a hole.
func (l *local) fetch(c *kernel.Context, from, to uint64) {
	if l.fetching {
		return
	}
	l.fetching = true
	question := &fetch{Epoch: l.seq.epoch, From: from, To: to}
	c.Go(askTimeout, func(ctx context.Context) (any, error) {
		return l.router.placement.AskHome(ctx, Kind, l.key.String(), question)
	}, func(c *kernel.Context, res any, err error) {
		l.fetching = false
		answer, ok := res.(*fetched)
		if err != nil || !ok || answer.Epoch != l.seq.epoch || len(answer.Messages) == 0 {
			l.gone(c, to)
			return
		}
		l.deliver(c, &deliver{Epoch: answer.Epoch, Offset: answer.Offset, Messages: answer.Messages})
		l.release(c)
	})
}

// gone gives up the messages up to one and says so.
func (l *local) gone(c *kernel.Context, to uint64) {
	if to > l.seq.offset {
		l.lost("history_gone")
		l.seq.offset = to
	}
	l.release(c)
}

func (l *local) skip(c *kernel.Context) {
	if _, to, ok := l.seq.missing(); ok {
		l.gone(c, to)
	}
}

// release hands on what waited behind a hole that is filled.
func (l *local) release(c *kernel.Context) {
	waiting := l.seq.waiting
	l.seq.waiting = nil
	for _, d := range waiting {
		l.deliver(c, d)
	}
}

func (l *local) lost(reason string) {
	n := lostNotice(l.key, reason)
	l.members.notice(n)
	for _, h := range l.holding {
		h.keep(n)
	}
}

func lostNotice(key Key, reason string) *delivery.Notice {
	return &delivery.Notice{
		Type: "messages_lost", Channel: key.Name, Private: key.Private, Code: string(fault.MessagesLost),
		Message: "messages of this channel may have been missed: " + reason,
	}
}

func (l *local) publish(c *kernel.Context, p Publish, request *kernel.Request) {
	m := &message{Event: p.Event, MessageID: p.MessageID, Sender: p.Sender, ID: p.ID, Payload: p.Payload}
	if p.Raw != nil {
		m.Payload, m.Raw = p.Raw, true
	}
	m.Identity = l.identity(m, cmp.Or(p.Scope, p.Sender))
	o := outgoing{
		message: m, messageID: p.MessageID, replyTo: p.ReplyTo, request: request,
	}
	if len(l.outgoing) >= maxOutgoing || l.outgoingBytes > maxOutgoingBytes {
		l.answer(o, Published{Err: fault.New(fault.Overloaded, "this channel takes no more messages now").WithRetryAfter(time.Second)})
		return
	}
	l.outgoing = append(l.outgoing, o)
	l.outgoingBytes += o.message.size()
	l.flush(c)
}

// identity is by what the home recognises a message that it is asked to number
// again. A client that repeats a message under its id has published it once; the
// same id with other contents is another message. The repetition may come to another
// node, so nothing of this node is part of it.
func (l *local) identity(m *message, scope string) string {
	switch {
	case m.ID != "":
		return "\x00" + m.ID
	case m.MessageID == "" || scope == "":
		l.serial++
		return l.nonce + strconv.FormatUint(l.serial, 36)
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, m.Event) // never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(m.Payload)
	return scope + "\x00" + m.MessageID + "\x00" + strconv.FormatUint(h.Sum64(), 36)
}

func (l *local) answer(o outgoing, p Published) {
	p.Key, p.MessageID = l.key, o.messageID
	switch {
	case o.request != nil && p.Err != nil:
		o.request.Fail(p.Err)
	case o.request != nil:
		o.request.Reply(p)
	case !o.replyTo.IsZero():
		// A publisher that cannot take its ack is closing.
		_ = o.replyTo.Tell(p)
	}
}

// flush sends the next batch, unless one is on its way or this node's writers
// are behind.
func (l *local) flush(c *kernel.Context) {
	if l.sending || len(l.outgoing) == 0 || l.window.Full() {
		return
	}
	n, bytes := 0, 0
	for n < len(l.outgoing) && n < batchMessages && (n == 0 || bytes+l.outgoing[n].message.size() <= batchBytes) {
		bytes += l.outgoing[n].message.size()
		n++
	}
	batch := l.outgoing[:n:n]
	l.outgoing = l.outgoing[n:]
	l.outgoingBytes -= bytes
	if len(l.outgoing) == 0 {
		l.outgoing = nil
	}
	l.sending = true
	l.send(c, batch)
}

func (l *local) send(c *kernel.Context, batch []outgoing) {
	question := &publishBatch{Messages: make([]*message, len(batch))}
	for i, o := range batch {
		question.Messages[i] = o.message
	}
	c.Go(askTimeout, func(ctx context.Context) (any, error) {
		return l.router.placement.AskHome(ctx, Kind, l.key.String(), question)
	}, func(c *kernel.Context, res any, err error) {
		answer, ok := res.(*numbered)
		if err == nil && (!ok || len(answer.Offsets) != len(batch)) {
			err = fault.New(fault.InternalError, "unexpected answer of a channel's home")
		}
		if err == nil && answer.Epoch < l.seq.epoch {
			// A home that was superseded numbered them; nobody accepts its
			// numbers. The new home takes them under the same identities.
			l.send(c, batch)
			return
		}
		for i, o := range batch {
			if err != nil {
				l.answer(o, Published{Err: fault.From(err)})
				continue
			}
			l.answer(o, Published{Epoch: answer.Epoch, Offset: answer.Offsets[i],
				Recipients: l.count() + int(answer.Elsewhere)})
		}
		l.sending = false
		l.flush(c)
	})
}

func (l *local) renew(c *kernel.Context) {
	c.After(renewEvery, renew{})
	l.flush(c) // in case the word that the window is open was lost
	l.patience(time.Now())
	if l.count() > 0 {
		l.register(c)
		return
	}
	busy := l.sending || l.asking || len(l.outgoing) > 0 || len(l.joining) > 0
	if !busy && time.Since(l.quiet) > idleAfter {
		// The router decides: it knows whether something is on its way here.
		_ = l.router.self.Tell(idle{key: l.key, handled: l.handled})
	}
}

// stop tells members that the channel is gone; there are none when it stops
// because it was idle.
func (l *local) stop() {
	for _, o := range l.outgoing {
		l.answer(o, Published{Err: fault.New(fault.ServiceUnavailable, "the channel is stopping")})
	}
	for ref := range l.members.byRef {
		_ = ref.Tell(Ended{Key: l.key})
	}
	for ref := range l.holding {
		_ = ref.Tell(Ended{Key: l.key})
	}
	for _, j := range l.joining {
		_ = j.Member.Ref.Tell(Ended{Key: l.key})
	}
}
