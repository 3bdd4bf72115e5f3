package execution

import (
	"context"
	"errors"
	"fmt"

	"fluxbase/persistence/caller"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
)

// Worker answers Get, List, ReadLog, Cancel and the first half of Desk.Call. It keeps
// no state.
type Worker struct{ o *Options }

// NewWorker makes a worker with the same options as the Runner.
func NewWorker(o Options) *Worker {
	o.Limits = o.Limits.orDefault()
	return &Worker{&o}
}

// Handle answers any message of Records. It blocks on SQL.
func (w *Worker) Handle(ctx context.Context, msg any) (any, error) {
	switch m := msg.(type) {
	case *submit:
		return w.submit(ctx, m)
	case *Get:
		return w.get(ctx, m.Caller, m.ID)
	case *ReadLog:
		if _, err := w.get(ctx, m.Caller, m.ID); err != nil {
			return nil, err
		}
		return w.o.Logs.Read(ctx, m.ID, m.After, m.Limit)
	case *List:
		records, total, err := w.o.Store.List(ctx, m.Filter)
		return &Listed{records, total}, err
	case *Cancel:
		return w.cancel(ctx, m.ID)
	}
	return nil, fmt.Errorf("the records of executions do not know %T", msg)
}

func (w *Worker) submit(ctx context.Context, m *submit) (*submitted, error) {
	p, err := find(ctx, w.o.Procedures, m.Caller, m.Namespace, m.Name)
	if err != nil {
		return nil, err
	}
	call := store.Call{ProcedureID: p.ID, Namespace: p.Namespace, Procedure: p.Name, Params: m.Params, Caller: m.Caller}
	arguments, err := p.Bind(m.Params, origin(call))
	switch {
	case fault.CodeOf(err) == fault.InvalidInput:
		f := fault.From(err)
		id, err := w.o.Store.Reject(ctx, call, m.Async, f)
		return &submitted{outcome: &Outcome{ID: id, Status: store.Failed, Err: f, Rejected: true}}, err
	case err != nil:
		return nil, err
	case m.Async:
		pending := w.o.Limits.Pending
		if m.Caller.HasRole(caller.Service, caller.TenantService, caller.InstanceAdmin) {
			pending = 0
		}
		id, err := w.o.Store.Enqueue(ctx, call, pending)
		return &submitted{outcome: &Outcome{ID: id, Status: store.Pending}}, err
	}
	return &submitted{ready: &ready{call: call, procedure: p, arguments: arguments}}, nil
}

// get gives an execution to whom it may be shown.
func (w *Worker) get(ctx context.Context, c caller.Caller, id string) (*store.Record, error) {
	r, err := w.o.Store.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !mayRead(c, r) {
		return nil, fault.New(fault.NotFound, "Execution not found")
	}
	return r, err
}

// mayRead tells whether an execution is the caller's, or the caller looks after all of
// them.
func mayRead(c caller.Caller, r *store.Record) bool {
	return c.HasRole(caller.Service, caller.InstanceAdmin, caller.TenantService, caller.Admin, caller.TenantAdmin) ||
		c.UserID != "" && c.UserID == r.UserID
}

func (w *Worker) cancel(ctx context.Context, id string) (*store.Record, error) {
	r, err := w.o.Store.Get(ctx, id)
	if err == nil && !r.Status.Ended() {
		if _, err = w.o.Store.Cancel(ctx, id); err == nil {
			var now *store.Record
			if now, err = w.o.Store.Get(ctx, id); err == nil && now.Status == store.Cancelled {
				return now, nil
			}
			r = now
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, fault.New(fault.NotFound, "Execution not found")
	case err != nil:
		return nil, err
	}
	return nil, fault.Newf(fault.InvalidInput, "The execution has ended: it is %s", r.Status).
		WithHint("Only executions that wait or run can be cancelled.")
}
