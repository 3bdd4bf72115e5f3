package relay

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"fluxbase/actors/channel"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/message"
)

// Times of a relay.
const (
	readTimeout    = 30 * time.Second
	publishTimeout = 30 * time.Second
	// poll is the time between reads without a bell: one can be lost with its
	// connection.
	poll = time.Second
	// A bell may be rung by one writer for another that commits later: it is looked
	// for again after firstLook, twice that and so on, for lookTime.
	firstLook = 5 * time.Millisecond
	lookTime  = time.Second
	// firstRetry and lastRetry bound the time after a failure.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
	// unattended is after how long a relay ends that nobody attends.
	unattended = 30 * time.Second
)

// topics is the number of channels that are published to at a time.
const topics = 16

// Options are what relays need.
type Options struct {
	// Source gives the messages of a tenant, by its id.
	Source func(ctx context.Context, tenant string) (Source, error)
	// Channels is the node's channel.Router.
	Channels kernel.Ref
}

// RegisterHome lets this node be the home of relays. Call it once, before the node
// takes part in the cluster.
func RegisterHome(p kernel.Placement, o Options) {
	p.RegisterKind(Kind, func(tenant string, _ uint64) kernel.Props {
		return kernel.Props{
			New:   func() kernel.Actor { return &relay{options: o, tenant: tenant} },
			Limit: 1024,
			// The next attendance makes another one, which goes on from what was saved.
			OnCrash: kernel.Stop,
		}
	})
}

// relay is the one actor that relays a tenant's messages.
type relay struct {
	options Options
	tenant  string

	rows     *message.Relay // nil until it is claimed
	at       message.Place
	busy     bool // reading or publishing
	again    bool
	attended time.Time
	look     time.Duration
	lookEnds time.Time
	retry    time.Duration
	pauses   int
}

// goOn ends a pause; number tells which.
type goOn struct{ number int }

// Receive handles attendance.
func (r *relay) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		r.attended, r.retry = time.Now(), firstRetry
	case kernel.FromNode:
		if _, ok := m.Msg.(*attend); !ok {
			c.Fail(fault.New(fault.InternalError, "a relay does not know this message"))
			return
		}
		now := time.Now()
		r.attended, r.look, r.lookEnds = now, firstLook, now.Add(lookTime)
		r.again = true
		c.Reply(&attended{})
		r.step(c)
	case goOn:
		if m.number != r.pauses {
			return
		}
		if time.Since(r.attended) > unattended {
			c.Stop()
			return
		}
		r.step(c)
	}
}

// rest goes on after a while, unless something makes it go on before.
func (r *relay) rest(c *kernel.Context, d time.Duration) {
	r.pauses++
	c.After(d, goOn{r.pauses})
}

// outcome is what one step gave.
type outcome struct {
	rows *message.Relay
	at   message.Place
	more bool
	sent int
}

// step reads once and publishes what it read.
func (r *relay) step(c *kernel.Context) {
	if r.busy {
		return
	}
	r.busy, r.again = true, false
	r.pauses++
	rows, at := r.rows, r.at
	c.Go(readTimeout+publishTimeout, func(ctx context.Context) (any, error) {
		if rows == nil {
			source, err := r.options.Source(ctx, r.tenant)
			if err != nil {
				return nil, err
			}
			if rows, at, err = source.Claim(ctx); err != nil {
				return nil, err
			}
		}
		read, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		batch, err := rows.Read(read, at, message.Limit{})
		if err != nil {
			return outcome{rows: rows, at: at}, err
		}
		if len(batch.Messages) > 0 {
			if err := publish(ctx, r.options.Channels, r.tenant, batch.Messages); err != nil {
				return outcome{rows: rows, at: at}, err
			}
			if err := rows.Save(ctx, batch.Next); err != nil {
				return outcome{rows: rows, at: at}, err
			}
		}
		return outcome{rows: rows, at: batch.Next, more: batch.More, sent: len(batch.Messages)}, nil
	}, r.stepped)
}

func (r *relay) stepped(c *kernel.Context, res any, err error) {
	r.busy = false
	if o, ok := res.(outcome); ok {
		r.rows, r.at = o.rows, o.at
	}
	switch {
	case errors.Is(err, message.ErrSuperseded):
		c.Stop()
		return
	case err != nil:
		c.Logger().Warn("messages of the database cannot be relayed", "tenant", r.tenant, "error", err)
		if r.rows != nil && fault.CodeOf(err) == fault.ServiceUnavailable {
			r.rows = nil // the tenant's pools may be others by then
		}
		r.rest(c, r.retry)
		r.retry = min(2*r.retry, lastRetry)
		return
	}
	r.retry = firstRetry
	o := res.(outcome)
	switch now := time.Now(); {
	case o.more || r.again:
		r.step(c)
	case now.Before(r.lookEnds):
		r.rest(c, r.look)
		r.look = min(2*r.look, poll)
	default:
		r.rest(c, poll)
	}
}

// publish brings messages to their channels: those of one channel one after the
// other, so that a failure leaves no gap behind which something was published.
func publish(ctx context.Context, channels kernel.Ref, tenant string, list []message.Message) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	byKey := map[channel.Key][]message.Message{}
	for _, m := range list {
		k := channel.Key{Tenant: tenant, Name: m.Topic, Private: m.Private}
		byKey[k] = append(byKey[k], m)
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(topics)
	for key, messages := range byKey {
		work.Go(func() error {
			for _, m := range messages {
				_, err := kernel.Ask[channel.Published](ctx, channels, channel.Publish{
					Key: key, Event: m.Event, Payload: m.Payload, Raw: m.Binary, ID: m.ID,
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}
