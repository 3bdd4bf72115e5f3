package execution

import (
	"context"
	"errors"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
)

// flushDelay is how long a line of a log may wait for others before it is written.
const flushDelay = 100 * time.Millisecond

// run is the actor of one execution: of a call that somebody waits for (ready and
// request) or of one from the queue (claimed).
type run struct {
	o       *Options
	parent  kernel.Ref
	ready   *ready
	request *kernel.Request
	claimed *store.Claimed

	journal journal
	abort   context.CancelCauseFunc
	// over: the procedure has ended.
	over     bool
	flushing bool
	unwatch  func() bool
}

// Receive implements kernel.Actor.
func (x *run) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		x.start(c)
	case stop:
		x.abort(m.cause)
	case spoken:
		c.After(flushDelay, flushNow{})
	case flushNow:
		x.flush(c)
	case kernel.Stopping:
		x.abort(errDraining)
		if x.unwatch != nil {
			x.unwatch()
		}
	}
}

func (x *run) start(c *kernel.Context) {
	if x.claimed != nil {
		x.journal.belong(x.claimed.Task.ID)
	}
	aborted, abort := context.WithCancelCause(context.Background())
	x.abort = abort
	if x.request != nil {
		x.unwatch = context.AfterFunc(x.request.Context(), func() { abort(errHungUp) })
	}
	self := c.Self()
	// When it does not hear it, the lines wait for the end.
	x.journal.wake = func() { _ = self.Tell(spoken{}) }
	work := attempt{o: x.o, journal: &x.journal, claimed: x.claimed, ready: x.ready, aborted: aborted,
		begun: func(claim *store.Claimed) error { return x.parent.Tell(begun{self, claim}) }}
	c.Go(0, func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(aborted, func() { cancel(context.Cause(aborted)) })()
		return work.do(db.WithNotices(ctx, x.journal.hear))
	}, x.ended)
}

// ended answers, gives the place back and writes the rest of the log.
func (x *run) ended(c *kernel.Context, res any, err error) {
	x.over = true
	x.abort(nil)
	if x.request != nil {
		if err != nil {
			x.request.Fail(err)
		} else {
			x.request.Reply(res)
		}
	} else if err != nil {
		c.Logger().Warn("an execution could not be ended, its claim will run out", "execution", x.claimed.Task.ID, "error", err)
	}
	if err := x.parent.Tell(finished{c.Self()}); err != nil {
		c.Stop() // its end says so, too
		return
	}
	x.flush(c)
}

// flush writes down what was said, one batch after the other, and ends the actor when
// nothing is left.
func (x *run) flush(c *kernel.Context) {
	if x.flushing {
		return
	}
	id := x.journal.execution()
	lines := x.journal.take()
	if len(lines) == 0 || id == "" {
		if x.over {
			c.Stop()
		}
		return
	}
	x.flushing = true
	c.Go(storeTimeout, func(ctx context.Context) (any, error) { return nil, x.o.Logs.Append(ctx, id, "rpc", lines) },
		func(c *kernel.Context, _ any, err error) {
			x.flushing = false
			if err != nil {
				c.Logger().Warn("lines of an execution's log are lost", "execution", id, "lines", len(lines), "error", err)
			}
			x.flush(c)
		})
}

// attempt is the work of an execution, on a goroutine of its own.
type attempt struct {
	o       *Options
	journal *journal
	claimed *store.Claimed
	ready   *ready
	// aborted ends, with its cause, when the execution is to stop.
	aborted context.Context
	begun   func(*store.Claimed) error
}

// do runs the procedure and gives its *Outcome. An error is for what left the
// execution open: its claim will run out.
func (a *attempt) do(ctx context.Context) (*Outcome, error) {
	started := time.Now()
	if a.claimed == nil {
		claimed, err := a.o.Store.Begin(ctx, a.ready.call, a.o.Node, a.o.Lease)
		if err != nil {
			return nil, err
		}
		a.claimed = claimed
		a.journal.belong(claimed.Task.ID)
		if err := a.begun(claimed); err != nil {
			return a.fail(fault.From(err), store.Failed, started)
		}
	}
	if a.claimed.Exhausted() {
		return a.fail(fault.New(fault.OperationFailed, "The node that ran it stopped before it had ended"), store.Failed, started)
	}
	if a.ready == nil {
		if err := a.prepare(ctx); err != nil {
			return a.failed(ctx, err, started)
		}
	}
	p := a.ready.procedure
	if p.DisableLogs {
		a.journal.silence()
	}
	a.journal.say("info", "Execution started", map[string]any{
		"namespace": p.Namespace, "procedure": p.Name, "version": p.Version, "attempt": a.claimed.Attempt, "async": a.claimed.MaxAttempts > 1})
	result, err := a.statement(ctx, p)
	if err != nil {
		return a.failed(ctx, err, started)
	}
	out := &Outcome{ID: a.claimed.Task.ID, Status: store.Completed, Result: result.JSON, Rows: result.Rows, Truncated: result.Truncated, Took: time.Since(started)}
	a.journal.say("info", "Execution completed", map[string]any{"rows": out.Rows, "truncated": out.Truncated, "duration_ms": out.Took.Milliseconds()})
	return out, nil
}

// prepare finds and judges again what was called a while ago.
func (a *attempt) prepare(ctx context.Context) error {
	call := a.claimed.Call
	if a.o.Revoked != nil && a.o.Revoked(call.Caller) {
		return fault.New(fault.RevokedToken, "The credential that it was called with was revoked")
	}
	p, err := find(ctx, a.o.Procedures, call.Caller, call.Namespace, call.Procedure)
	if err != nil {
		return err
	}
	arguments, err := p.Bind(call.Params, origin(call))
	a.ready = &ready{call: call, procedure: p, arguments: arguments}
	return err
}

// origin is who or what a call comes from.
func origin(c store.Call) procedure.Origin {
	o := procedure.Origin{Caller: c.Caller}
	if !c.ScheduledAt.IsZero() {
		o.Trigger, o.ScheduledAt = "cron", c.ScheduledAt
	}
	return o
}

// find gives a procedure that the caller may run.
func find(ctx context.Context, all Procedures, c caller.Caller, namespace, name string) (*procedure.Procedure, error) {
	p, err := all.Find(ctx, namespace, name)
	switch {
	case errors.Is(err, procedure.ErrNotFound), err == nil && !p.Enabled:
		return nil, errNotFound
	case err != nil:
		return nil, err
	case !p.Permits(c):
		return nil, fault.New(fault.AccessDenied, "You may not run this procedure")
	}
	return p, nil
}

func (a *attempt) statement(ctx context.Context, p *procedure.Procedure) (*store.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, min(p.MaxExecutionTime, a.o.Limits.Time))
	defer cancel()
	plan, err := a.o.Planner.Plan(ctx, a.claimed.Caller, p)
	if err != nil {
		return nil, err
	}
	// One more row tells whether there are more.
	return a.o.Store.Run(ctx, a.claimed, plan.Statement(a.ready.arguments, a.o.Limits.Result.Rows+1), p.Statement.Rows, a.o.Limits.Result)
}

// retryDelay is the time before the second attempt; it doubles.
const retryDelay = time.Second

// failed ends an execution that did not complete, or gives it back.
func (a *attempt) failed(ctx context.Context, err error, started time.Time) (*Outcome, error) {
	f, cause := fault.From(err), context.Cause(a.aborted)
	waitedFor, stopping := a.claimed.MaxAttempts == 1, errors.Is(cause, errDraining) || ctx.Err() != nil
	switch {
	case errors.Is(cause, errTaken):
		return a.look(started)
	case errors.Is(cause, errHungUp):
		return a.fail(fault.New(fault.Canceled, "The caller did not wait for the end"), store.Cancelled, started)
	case stopping && !waitedFor:
		return a.giveBack(f, 0, true)
	case stopping:
		return a.fail(fault.New(fault.ServiceUnavailable, "The node stops").WithCause(err), store.Failed, started)
	case !waitedFor && passing(f) && a.claimed.Attempt < a.claimed.MaxAttempts:
		return a.giveBack(f, retryDelay<<(a.claimed.Attempt-1), false)
	case f.Code == fault.Timeout:
		return a.fail(f, store.TimedOut, started)
	}
	return a.fail(f, store.Failed, started)
}

// passing tells whether the fault may be gone the next time: the connection was lost,
// or another transaction was in the way.
func passing(f *fault.Fault) bool {
	if report, ok := f.Details.(*db.Report); ok {
		return report.SQLState == "40001" || report.SQLState == "40P01" || f.Code == fault.ServiceUnavailable
	}
	return f.Code == fault.ServiceUnavailable
}

// later is a context for what must be written although the execution was stopped.
func later() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), storeTimeout)
}

// fail notes the end. When the execution has ended otherwise by then, that counts.
func (a *attempt) fail(f *fault.Fault, status store.Status, started time.Time) (*Outcome, error) {
	ctx, cancel := later()
	defer cancel()
	level := "error"
	if status == store.Cancelled {
		level = "warn"
	}
	err := a.o.Store.Fail(ctx, a.claimed.Held(), store.End{Status: status, Code: f.Code, Message: cut(f.Message)})
	if fault.CodeOf(err) == fault.ClaimLost {
		return a.look(started)
	}
	a.journal.say(level, f.Message, map[string]any{"status": status, "code": f.Code})
	if err != nil && a.claimed.MaxAttempts > 1 {
		return nil, err
	}
	// Whoever waits is told what happened, even if that could not be noted: the claim
	// runs out, and then it is.
	return &Outcome{ID: a.claimed.Task.ID, Status: status, Err: f, Took: time.Since(started)}, nil
}

// look gives the outcome that is noted.
func (a *attempt) look(started time.Time) (*Outcome, error) {
	ctx, cancel := later()
	defer cancel()
	r, err := a.o.Store.Get(ctx, a.claimed.Task.ID)
	if err != nil {
		return nil, err
	}
	out := &Outcome{ID: r.ID, Status: r.Status, Result: r.Result, Truncated: r.Truncated, Took: time.Since(started)}
	if r.Rows != nil {
		out.Rows = *r.Rows
	}
	if r.Status != store.Completed {
		out.Err = fault.New(fault.Code(r.ErrorCode), r.ErrorMessage)
		a.journal.say("warn", "Execution stopped", map[string]any{"status": r.Status})
	}
	return out, nil
}

// giveBack lets any node begin again.
func (a *attempt) giveBack(f *fault.Fault, delay time.Duration, undone bool) (*Outcome, error) {
	ctx, cancel := later()
	defer cancel()
	a.journal.say("warn", "Execution is begun again: "+f.Message, map[string]any{"attempt": a.claimed.Attempt, "code": f.Code})
	if err := a.o.Store.Return(ctx, a.claimed.Held(), delay, undone); err != nil {
		return nil, err
	}
	return &Outcome{ID: a.claimed.Task.ID, Status: store.Pending}, nil
}
