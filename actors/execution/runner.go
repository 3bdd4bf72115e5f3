package execution

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/procedure"
)

// Procedures are the procedures of a tenant.
type Procedures interface {
	// Find gives a procedure, enabled or not, or procedure.ErrNotFound.
	Find(ctx context.Context, namespace, name string) (*procedure.Procedure, error)
}

// Planner makes the statement of a procedure for a caller's role.
type Planner interface {
	Plan(ctx context.Context, c caller.Caller, p *procedure.Procedure) (*procedure.Plan, error)
}

// Options are what a Runner needs.
type Options struct {
	Store      *store.Store
	Logs       *store.Logs
	Procedures Procedures
	Planner    Planner
	// Revoked tells whether a credential was revoked after its caller had asked.
	Revoked func(caller.Caller) bool
	// Node is for people who look at the queue; Kind that of the tenant's tasks.
	Node, Kind string
	Limits     Limits
	// Lease is how long an execution is held unless that is renewed: after a node's
	// death others wait for so long. Zero means 15 s.
	Lease time.Duration
	// Look is how often the queue is looked at when nothing rings. Zero means 5 s.
	Look time.Duration
}

// Times of a Runner.
const (
	storeTimeout = 10 * time.Second
	// renewals is how often a lease is renewed in its time.
	renewals = 3
)

// RunnerProps describe the Runner of a tenant. It takes calls by Desk, and Rung and
// Drain. A crash leaves its executions to their leases.
func RunnerProps(name string, o Options) kernel.Props {
	o.Limits = o.Limits.orDefault()
	if o.Lease == 0 {
		o.Lease = 15 * time.Second
	}
	if o.Look == 0 {
		o.Look = 5 * time.Second
	}
	return kernel.Props{Name: name, New: func() kernel.Actor { return &runner{o: &o, core: newCore(o.Limits)} }, Limit: 4096}
}

// runner owns what runs on this node.
type runner struct {
	o    *Options
	core *core
	// looking: the queue is being asked; again: it is to be asked once more. The same
	// for the claims that are being renewed.
	looking, again       bool
	renewing, renewAgain bool
	lane                 string
	// alive are the executions that have not ended, those that only write their log
	// included; drained waits for that.
	alive   int
	drained []*kernel.Request
}

// Receive implements kernel.Actor.
func (r *runner) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		c.After(r.o.Lease/renewals, renewNow{})
		c.After(rand.N(r.o.Look)+1, lookNow{})
	case *ready:
		r.run(c, m)
	case begun:
		r.core.hold(m.run, m.claim.Held())
	case finished:
		r.ended(c, m.run)
	case kernel.Terminated:
		r.alive--
		r.ended(c, m.Ref)
		r.settleDrain()
	case Rung:
		r.rung(c, m.Payload)
	case lookNow:
		r.look(c)
		c.After(r.o.Look*3/4+rand.N(r.o.Look/2+1), lookNow{})
	case renewNow:
		r.renew(c)
		c.After(r.o.Lease/renewals, renewNow{})
	case Drain:
		r.drain(c)
	}
}

// run begins a call that somebody waits for, or has it wait for a place.
func (r *runner) run(c *kernel.Context, m *ready) {
	lane := m.call.Lane()
	now, err := r.core.admit(lane, m.call.Caller.UserID != "")
	switch {
	case err != nil:
		c.Fail(err)
	case now:
		r.begin(c, m, lane, c.Request())
	default:
		r.core.wait(waiter{lane: lane, ready: m, request: c.Request()})
	}
}

func (r *runner) begin(c *kernel.Context, m *ready, lane string, request *kernel.Request) {
	r.spawn(c, &run{o: r.o, parent: c.Self(), ready: m, request: request}, &place{lane: lane, request: request})
}

// spawn makes the actor of an execution.
func (r *runner) spawn(c *kernel.Context, x *run, p *place) {
	child, err := c.Spawn(kernel.Props{New: func() kernel.Actor { return x }, Limit: 64, OnCrash: kernel.Stop})
	if err != nil { // only when this actor is stopping
		if p.request != nil {
			p.request.Fail(err)
		}
		return
	}
	c.Watch(child)
	r.alive++
	r.core.begin(child, p)
}

// ended gives an execution's place to the next one.
func (r *runner) ended(c *kernel.Context, run kernel.Ref) {
	p := r.core.end(run)
	if p == nil {
		return
	}
	if p.request != nil {
		p.request.Fail(kernel.ErrStopped) // unless it was answered
	}
	if p.async {
		r.look(c)
	}
	for {
		w, ok := r.core.next()
		if !ok {
			return
		}
		r.begin(c, w.ready, w.lane, w.request)
	}
}

// rung looks for work, or whether what runs here was taken back: anybody who may run
// SQL can ring.
func (r *runner) rung(c *kernel.Context, payload string) {
	if id, ok := strings.CutPrefix(payload, "-"); ok {
		if _, here := r.core.byID[id]; here {
			r.renew(c)
		}
		return
	}
	if payload == r.o.Kind || payload == "" {
		r.look(c)
	}
}

// look takes executions from the queue while there are places.
func (r *runner) look(c *kernel.Context) {
	free := r.core.free()
	if free == 0 {
		return
	}
	if r.looking {
		r.again = true
		return
	}
	r.looking, r.again = true, false
	want := store.Want{Node: r.o.Node, Count: free, Lease: r.o.Lease, PerCaller: r.o.Limits.PerCaller, After: r.lane}
	c.Go(storeTimeout, func(ctx context.Context) (any, error) { return r.o.Store.Claim(ctx, want) },
		func(c *kernel.Context, res any, err error) {
			r.looking = false
			if err != nil {
				c.Logger().Warn("executions cannot be taken from the queue, trying again later", "error", err)
				return
			}
			claimed := res.([]*store.Claimed)
			for _, x := range claimed {
				r.lane = x.Task.Lane
				h := x.Held()
				r.spawn(c, &run{o: r.o, parent: c.Self(), claimed: x}, &place{lane: x.Task.Lane, async: true, claim: &h})
			}
			if r.again || len(claimed) > 0 {
				r.look(c)
			}
		})
}

// renew makes the claims last, and stops what was lost.
func (r *runner) renew(c *kernel.Context) {
	held := r.core.held()
	if len(held) == 0 {
		return
	}
	if r.renewing {
		r.renewAgain = true
		return
	}
	r.renewing, r.renewAgain = true, false
	c.Go(storeTimeout, func(ctx context.Context) (any, error) { return r.o.Store.Renew(ctx, held, r.o.Lease) },
		func(c *kernel.Context, res any, err error) {
			r.renewing = false
			if err != nil {
				c.Logger().Warn("claims of executions cannot be renewed, trying again", "error", err)
				return
			}
			for _, id := range res.([]string) {
				if run, here := r.core.byID[id]; here {
					// One that does not hear it finds that it has lost its claim.
					_ = run.Tell(stop{errTaken})
				}
			}
			if r.renewAgain {
				r.renew(c)
			}
		})
}

func (r *runner) drain(c *kernel.Context) {
	r.drained = append(r.drained, c.Request())
	if !r.core.draining {
		r.core.draining = true
		for _, w := range r.core.waiting {
			w.request.Fail(kernel.ErrStopped)
		}
		r.core.waiting = nil
		for run := range r.core.running {
			_ = run.Tell(stop{errDraining})
		}
	}
	r.settleDrain()
}

func (r *runner) settleDrain() {
	if r.alive > 0 {
		return
	}
	for _, req := range r.drained {
		if req != nil {
			req.Reply(nil)
		}
	}
	r.drained = nil
}
