package channel

import (
	"context"
	"errors"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// Bounds of what a home does with a history that outlives it.
const (
	historyTimeout = 5 * time.Second
	claimAgain     = 500 * time.Millisecond
	maxQuestions   = 1024
)

// store is what a home knows of the history that outlives it. One thing is done to
// it at a time.
type store struct {
	history kernel.History
	key     string

	claim    string // empty until the history is claimed
	claiming bool
	failed   error // why the last attempt to claim it failed
	tried    time.Time
	working  bool // something is being appended or renewed

	waiting []question // for the history to be claimed
	batches []question // publishBatches that wait to be numbered
}

// question is what a node asked.
type question struct {
	request *kernel.Request
	kernel.FromNode
}

func (s *store) claimed() bool { return s.claim != "" }
func (s *store) busy() bool {
	return s.claiming || s.working || len(s.waiting) > 0 || len(s.batches) > 0
}

// ask answers a question, or keeps it until it can be answered.
func (h *home) ask(c *kernel.Context, q question) {
	s := h.store
	_, publishes := q.Msg.(*publishBatch)
	switch {
	case s.claimed() && !publishes:
		h.answer(q.request, q.FromNode)
	case len(s.waiting)+len(s.batches) >= maxQuestions:
		q.request.Fail(fault.New(fault.Overloaded, "this channel takes no more messages now").WithRetryAfter(time.Second))
	case s.claimed():
		s.batches = append(s.batches, q)
		h.append(c)
	case !s.claiming && time.Since(s.tried) < claimAgain:
		q.request.Fail(s.failed)
	default:
		s.waiting = append(s.waiting, q)
		h.claim(c)
	}
}

// claim takes over what other homes of the channel kept.
func (h *home) claim(c *kernel.Context) {
	s := h.store
	if s.claiming {
		return
	}
	s.claiming = true
	epoch, age := h.order.epoch, h.order.limits.Age
	c.Go(historyTimeout, func(ctx context.Context) (any, error) {
		return s.history.Claim(ctx, s.key, epoch, age)
	}, func(c *kernel.Context, res any, err error) {
		s.claiming, s.tried = false, time.Now()
		if err == nil {
			err = h.restore(res.(kernel.Kept))
		}
		waiting := s.waiting
		s.waiting = nil
		if err != nil {
			c.Logger().Warn("the history of a channel is not reached", "channel", h.key, "error", err)
			s.failed = unavailable(err)
			for _, q := range waiting {
				q.request.Fail(s.failed)
			}
			return
		}
		for _, q := range waiting {
			h.ask(c, q)
		}
	})
}

// restore takes a history as the truth about the order.
func (h *home) restore(k kernel.Kept) error {
	history := make([]kept, len(k.Entries))
	for i, b := range k.Entries {
		var err error
		if history[i], err = readEntry(b); err != nil {
			return err
		}
	}
	watchers := h.order.nodes
	h.order = newOrder(k.Epoch, h.limits)
	h.order.nodes = watchers
	h.order.restore(k.Offset, history)
	h.order.forget(time.Now())
	h.told = k.Offset
	h.store.claim = k.Claim
	return nil
}

func unavailable(err error) error {
	return fault.New(fault.ServiceUnavailable, "the history of this channel is not available").WithRetryAfter(time.Second).WithCause(err)
}

// append numbers the batches that wait and puts them into the history. They are sent
// and acknowledged when they are there.
func (h *home) append(c *kernel.Context) {
	s := h.store
	if s.working || len(s.batches) == 0 {
		return
	}
	s.working = true
	batches := s.batches
	s.batches = nil
	now, behind := time.Now(), h.order.offset
	d := &deliver{Key: h.key, Epoch: h.order.epoch, Offset: behind + 1}
	offsets := make([][]uint64, len(batches))
	for i, q := range batches {
		var fresh []*message
		offsets[i], fresh, _ = h.order.publish(now, q.Msg.(*publishBatch).Messages)
		d.Messages = append(d.Messages, fresh...)
	}
	answer := func() {
		for i, q := range batches {
			q.request.Reply(h.numbered(q.From, offsets[i]))
		}
	}
	if len(d.Messages) == 0 { // repetitions only
		s.working = false
		answer()
		return
	}
	entries := make([][]byte, len(d.Messages))
	for i, m := range d.Messages {
		entries[i] = appendEntry(nil, kept{m, now})
	}
	claim, keep, age := s.claim, len(h.order.history), h.order.limits.Age
	c.Go(historyTimeout, func(ctx context.Context) (any, error) {
		return nil, s.history.Append(ctx, s.key, claim, behind, entries, keep, age)
	}, func(c *kernel.Context, _ any, err error) {
		s.working = false
		if err != nil {
			h.doubt(c, batches, err)
			return
		}
		h.told = d.Offset + uint64(len(d.Messages)) - 1
		h.send(d)
		answer()
		h.append(c)
	})
}

// doubt ends what this home believes of the history. When it is another's the
// questions go to that one; else it is read again before anything else is done. What
// was to be appended may be in it: whoever publishes it again learns that.
func (h *home) doubt(c *kernel.Context, batches []question, err error) {
	if errors.Is(err, kernel.ErrSuperseded) {
		c.Stop() // and the questions are asked again
		return
	}
	c.Logger().Warn("messages could not be put into the history of a channel", "channel", h.key, "error", err)
	s := h.store
	for _, q := range append(batches, s.batches...) {
		q.request.Fail(unavailable(err))
	}
	s.batches, s.claim = nil, ""
	h.claim(c)
}

// renew keeps the history while the channel is in use.
func (h *home) renew(c *kernel.Context) {
	s := h.store
	s.working = true
	claim, age := s.claim, h.order.limits.Age
	c.Go(historyTimeout, func(ctx context.Context) (any, error) {
		return nil, s.history.Renew(ctx, s.key, claim, age)
	}, func(c *kernel.Context, _ any, err error) {
		s.working = false
		switch {
		case errors.Is(err, kernel.ErrSuperseded):
			c.Stop()
		case err != nil:
			c.Logger().Warn("the history of a channel is not reached", "channel", h.key, "error", err)
		}
		h.append(c)
	})
}
