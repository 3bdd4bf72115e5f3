package channel

import (
	"context"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// hold takes in a member that wants what it missed, before what is new. Nothing is
// sent to it until it says Follow: what it missed comes first.
func (l *local) hold(c *kernel.Context, j Join) {
	l.members.remove(j.Member.Ref)
	h := &held{member: j.Member, recover: j.Recover, since: time.Now()}
	l.holding[j.Member.Ref] = h
	if j.Recover == nil {
		l.joined(c, h, Joined{Epoch: l.seq.epoch, Offset: l.seq.offset})
		return
	}
	h.asking = true
	place := Joined{Epoch: l.seq.epoch, Offset: l.seq.offset} // if it cannot be recovered
	question := &fetch{Epoch: j.Recover.Epoch, From: j.Recover.Offset + 1}
	c.Go(askTimeout, func(ctx context.Context) (any, error) {
		return l.router.placement.AskHome(ctx, Kind, l.key.String(), question)
	}, func(c *kernel.Context, res any, err error) {
		answer, ok := res.(*fetched)
		if err == nil && !ok {
			err = fault.New(fault.InternalError, "unexpected answer of a channel's home")
		}
		if l.holding[j.Member.Ref] == h {
			l.recovered(c, h, place, answer, err)
		}
	})
}

// recovered takes what the home remembers.
func (l *local) recovered(c *kernel.Context, h *held, place Joined, answer *fetched, err error) {
	h.asking = false
	if err != nil {
		delete(l.holding, h.member.Ref)
		// A connection that cannot take this is closing.
		_ = h.member.Ref.Tell(Joined{Key: l.key, Channel: c.Self(), Err: fault.From(err)})
		return
	}
	switch {
	case answer.Epoch != h.recover.Epoch || answer.Newest < h.recover.Offset:
		// An offset that the order does not have yet is none of this order.
		place.Reason = delivery.EpochChanged
	case answer.Newest > h.recover.Offset && len(answer.Messages) == 0:
		place.Reason = delivery.TooOld
	default:
		h.upTo = answer.Newest
		h.trim()
		place = Joined{Epoch: answer.Epoch, Offset: answer.Newest, Recovered: true}
		if len(answer.Messages) > 0 {
			place.Missed = recoveredFrame(h.member, l.key, &deliver{Offset: answer.Offset, Epoch: answer.Epoch, Messages: answer.Messages}, nil)
		}
		l.joined(c, h, place)
		return
	}
	// It goes on from where this node was when it came.
	h.recover = nil
	l.joined(c, h, place)
}

func (l *local) joined(c *kernel.Context, h *held, j Joined) {
	j.Key, j.Channel, j.Held = l.key, c.Self(), true
	if h.member.Ref.Tell(j) != nil {
		delete(l.holding, h.member.Ref)
	}
}

// follow lets a member that has what it missed hear what is new.
func (l *local) follow(f Follow) {
	h := l.holding[f.Member]
	if h == nil || h.asking {
		return
	}
	h.ready, h.skip = true, f.Skip
	l.admitReady(h)
}

// admitReady makes a held member one like the others, unless this node has still to
// get what the member has already.
func (l *local) admitReady(h *held) {
	if !h.ready || h.recover != nil && h.recover.Epoch == l.seq.epoch && l.seq.offset < h.upTo {
		return
	}
	delete(l.holding, h.member.Ref)
	for _, frame := range h.frames(l.key) {
		if len(frame.Bytes) > 0 && h.member.Ref.Tell(frame) != nil {
			return
		}
	}
	l.members.add(h.member)
	l.members.skip(h.member.Ref, h.skip)
}

// handOn gives numbered messages to the members, those that are held included.
func (l *local) handOn(d *deliver) {
	l.members.broadcast(l.key, d.Epoch, d.Offset, d.Messages, l.window)
	for _, h := range l.holding {
		h.add(d)
		l.admitReady(h)
	}
}

// patience ends the waiting of members that never said Follow.
func (l *local) patience(now time.Time) {
	for _, h := range l.holding {
		if !h.asking && now.Sub(h.since) > maxHeldTime {
			h.ready = true
			l.admitReady(h)
		}
	}
}
