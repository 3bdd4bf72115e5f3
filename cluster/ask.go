package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/cluster/frame"
	"fluxbase/persistence/fault"
)

// The kinds of refusals. Wire kinds never begin with "!".
const (
	refusedFault = "!fault" // Data is a wireFault
	refusedMoved = "!moved" // ask somebody else, or later
	agreed       = "!agreed"
)

// Each try at a home waits longer: the first ones are for a node that is gone, the
// later ones for one that is busy.
const (
	firstTry   = 500 * time.Millisecond
	longestTry = 4 * time.Second
	firstPause = 10 * time.Millisecond
	maxPause   = 250 * time.Millisecond
)

// Tell implements kernel.Placement.
func (c *Cluster) Tell(node kernel.NodeID, service string, msg kernel.Wire) error {
	if node == c.id {
		if !c.members.valid() {
			return kernel.ErrStopped
		}
		r, ok := c.services.Load(service)
		if !ok {
			return fault.Newf(fault.ServiceUnavailable, "no service %s", service)
		}
		return r.(kernel.Ref).Tell(kernel.FromNode{From: c.id, Msg: msg})
	}
	data, err := msg.AppendWire(nil)
	if err != nil {
		return err
	}
	return c.links.send(node, &frame.Frame{Type: frame.Tell, Name: service, Kind: msg.WireKind(), Data: data})
}

// AskHome implements kernel.Placement.
func (c *Cluster) AskHome(ctx context.Context, kind, key string, msg kernel.Wire) (kernel.Wire, error) {
	c.counters.asked.Add(1)
	try, pause := firstTry, firstPause
	for {
		answer, err := c.tryHome(ctx, try, kind, key, msg)
		if !again(err) {
			return answer, err
		}
		c.counters.retried.Add(1)
		if errors.Is(err, errMoved) {
			c.members.refresh()
		}
		select {
		case <-ctx.Done():
			return nil, timeout(ctx, err)
		case <-c.life.Done():
			return nil, kernel.ErrStopped
		case <-time.After(pause):
		}
		try, pause = min(2*try, longestTry), min(2*pause, maxPause)
	}
}

// again tells whether another try may do better.
func again(err error) bool {
	return errors.Is(err, errMoved) || errors.Is(err, errUnreachable) || errors.Is(err, errNoAnswer)
}

// errNoAnswer: a try took too long.
var errNoAnswer = errors.New("no answer")

func timeout(ctx context.Context, last error) error {
	code, text := fault.Timeout, "The request took too long"
	if errors.Is(ctx.Err(), context.Canceled) {
		code, text = fault.Canceled, "The request was canceled"
	}
	return fault.New(code, text).WithCause(last)
}

// tryHome asks the home where it is by what is known now.
func (c *Cluster) tryHome(ctx context.Context, wait time.Duration, kind, key string, msg kernel.Wire) (kernel.Wire, error) {
	if ctx.Err() != nil {
		return nil, timeout(ctx, ctx.Err())
	}
	switch {
	case c.members.fenced():
		return nil, kernel.ErrStopped
	case !c.members.valid():
		// Not yet a member, or in doubt about it.
		return nil, errMoved
	}
	owner := c.Home(kind, key)
	if owner == c.id {
		return c.askHere(ctx, kind, key, kernel.FromNode{From: c.id, Msg: msg})
	}
	data, err := msg.AppendWire(nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.askNode(ctx, wait, owner, frame.Frame{Type: frame.Ask, Name: kind, Key: key, Kind: msg.WireKind(), Data: data})
	if err != nil {
		return nil, err
	}
	if err := asError(&answer); err != nil {
		return nil, err
	}
	return kernel.DecodeWire(answer.Kind, answer.Data)
}

// askHere asks a home of this node.
func (c *Cluster) askHere(ctx context.Context, kind, key string, msg kernel.FromNode) (kernel.Wire, error) {
	if c.holds.closed() || c.Home(kind, key) != c.id {
		return nil, errMoved
	}
	answer, err := c.homes.Ask(ctx, kind, key, msg)
	if err == nil && answer == nil {
		err = fault.New(fault.InternalError, "Internal server error").WithCause(fmt.Errorf("home %s:%s gave no answer", kind, key))
	}
	if !c.members.valid() {
		// It may have been made while others had taken over.
		return nil, kernel.ErrStopped
	}
	return answer, err
}

// serve answers an Ask of a peer.
func (c *Cluster) serve(ctx context.Context, from kernel.NodeID, f *frame.Frame) frame.Frame {
	c.counters.served.Add(1)
	msg, err := kernel.DecodeWire(f.Kind, f.Data)
	if err != nil {
		c.unreadable(f, from, err)
		return refusal(fault.New(fault.ServiceUnavailable, "The service is not available").WithCause(err))
	}
	answer, err := c.askHere(ctx, f.Name, f.Key, kernel.FromNode{From: from, Msg: msg})
	if err == kernel.ErrStopped {
		// It is this node that stops; the home will be elsewhere.
		err = errMoved
	}
	if err != nil {
		return refusal(err)
	}
	data, err := answer.AppendWire(nil)
	if err != nil {
		return refusal(err)
	}
	return frame.Frame{Kind: answer.WireKind(), Data: data}
}

// askNode sends a question to a peer and waits for the answer.
func (c *Cluster) askNode(ctx context.Context, wait time.Duration, node kernel.NodeID, f frame.Frame) (frame.Frame, error) {
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end))
	}
	q := c.pending.add(node)
	defer c.pending.remove(q)
	f.ID, f.Budget = q.id, uint64(max(1, wait.Milliseconds()))
	if err := c.links.send(node, &f); err != nil {
		if errors.Is(err, errUnreachable) {
			return frame.Frame{}, errUnreachable
		}
		return frame.Frame{}, err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-q.answer:
		return a.frame, a.err
	case <-timer.C:
		if ctx.Err() != nil {
			return frame.Frame{}, timeout(ctx, errNoAnswer)
		}
		return frame.Frame{}, errNoAnswer
	case <-ctx.Done():
		return frame.Frame{}, timeout(ctx, errNoAnswer)
	case <-c.life.Done():
		return frame.Frame{}, kernel.ErrStopped
	}
}

// pending are the questions that this node waits for.
type pending struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*question
}

type question struct {
	id     uint64
	node   kernel.NodeID
	answer chan answered
}

type answered struct {
	frame frame.Frame
	err   error
}

func (p *pending) init() { p.open = map[uint64]*question{} }

func (p *pending) add(node kernel.NodeID) *question {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	q := &question{id: p.last, node: node, answer: make(chan answered, 1)}
	p.open[q.id] = q
	return q
}

func (p *pending) remove(q *question) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, q.id)
}

func (p *pending) answer(f *frame.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A late answer finds nobody; only the node that was asked may answer.
	if q := p.open[f.ID]; q != nil && string(q.node) == f.From {
		delete(p.open, f.ID)
		q.answer <- answered{frame: *f}
	}
}

// fail ends all questions to a node.
func (p *pending) fail(node kernel.NodeID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, q := range p.open {
		if q.node == node {
			delete(p.open, id)
			q.answer <- answered{err: err}
		}
	}
}

// wireFault is a fault on its way to another node. Causes stay where they are.
type wireFault struct {
	Code       fault.Code      `json:"code"`
	Message    string          `json:"message"`
	Hint       string          `json:"hint,omitempty"`
	Details    json.RawMessage `json:"details,omitempty"`
	RetryAfter time.Duration   `json:"retry_after,omitempty"`
}

// refusal is the answer that says err.
func refusal(err error) frame.Frame {
	if again(err) {
		return frame.Frame{Kind: refusedMoved}
	}
	f := fault.From(err)
	w := wireFault{Code: f.Code, Message: f.Message, Hint: f.Hint, RetryAfter: f.RetryAfter}
	if f.Details != nil {
		// Details that are no JSON are left out; the code is what counts.
		w.Details, _ = json.Marshal(f.Details)
	}
	data, err := json.Marshal(w)
	if err != nil {
		data = []byte(`{"code":"INTERNAL_ERROR","message":"Internal server error"}`)
	}
	return frame.Frame{Kind: refusedFault, Data: data}
}

// asError gives the error that an answer says, if it says one.
func asError(f *frame.Frame) error {
	switch f.Kind {
	case refusedMoved:
		return errMoved
	case refusedFault:
		var w wireFault
		if err := json.Unmarshal(f.Data, &w); err != nil {
			return fault.New(fault.InternalError, "Internal server error").WithCause(err)
		}
		told := &fault.Fault{Code: w.Code, Message: w.Message, Hint: w.Hint, RetryAfter: w.RetryAfter}
		if w.Details != nil {
			told.Details = w.Details
		}
		return told
	}
	return nil
}
