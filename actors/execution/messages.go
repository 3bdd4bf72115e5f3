// Package execution runs the calls of a tenant's stored procedures on this node.
//
// A Runner owns what runs here: each execution is an actor of its own, a child of it.
// A call that somebody waits for (Run) takes one of the node's places or is refused;
// one that nobody waits for is noted in the database first, and whichever node has a
// place takes it from there. What holds then is what persistence/execution promises: a
// procedure's effects are there exactly when its execution is completed, whichever
// nodes die; a call that nobody waits for is begun again after a death, three times at
// most, and one that somebody waited for has failed.
//
// Records is the pool beside it that looks things up and notes calls. A Scheduler
// makes calls by the clock.
package execution

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
)

// Desk is where calls go.
type Desk struct {
	// Records is a pool of Worker, Runner an actor of RunnerProps.
	Records, Runner kernel.Target
}

// Invoke is a call of a procedure. Its caller waits for the outcome unless it is Async.
type Invoke struct {
	Caller          caller.Caller
	Namespace, Name string
	// Params is the JSON object of the parameters; nil for none.
	Params json.RawMessage
	Async  bool
}

// Outcome is what became of a call.
type Outcome struct {
	ID     string
	Status store.Status
	// Result is the array of rows; nil unless it is completed.
	Result    json.RawMessage
	Rows      int64
	Truncated bool
	Took      time.Duration
	// Err says why it did not complete.
	Err *fault.Fault
	// Rejected tells that it did not even begin, for what it was given.
	Rejected bool
}

// Call makes a call. A procedure that does not exist or is not enabled is NOT_FOUND, one
// that the caller may not run is ACCESS_DENIED. RATE_LIMIT_EXCEEDED is too much of this
// caller, OVERLOADED too much of all. When ctx ends before an outcome that is waited for,
// the execution is cancelled.
func (d Desk) Call(ctx context.Context, m Invoke) (*Outcome, error) {
	s, err := kernel.Ask[*submitted](ctx, d.Records, &submit{m})
	if err != nil {
		return nil, err
	}
	if s.outcome != nil {
		return s.outcome, nil
	}
	return kernel.Ask[*Outcome](ctx, d.Runner, s.ready)
}

// submit asks Records to find and judge what is called, and to note it unless it is
// waited for.
type submit struct{ Invoke }

// submitted answers submit: an outcome, or what the Runner is to be asked with.
type submitted struct {
	outcome *Outcome
	ready   *ready
}

// ready is a call that may run. The Runner replies with an *Outcome.
type ready struct {
	call      store.Call
	procedure *procedure.Procedure
	arguments procedure.Arguments
}

// Get asks Records for an execution as its caller may see it: service identities see
// all, users their own; the others are NOT_FOUND. The reply is a *store.Record.
type Get struct {
	Caller caller.Caller
	ID     string
}

// ReadLog asks Records for lines of an execution's log behind a number; whose it is
// matters as for Get. The reply is a []store.Line.
type ReadLog struct {
	Caller       caller.Caller
	ID           string
	After, Limit int
}

// List asks Records for executions of the tenant. The reply is a *Listed.
type List struct{ Filter store.Filter }

// Listed are executions, and how many there are in all.
type Listed struct {
	Records []*store.Record
	Total   int64
}

// Cancel asks Records to end an execution that waits or runs, on any node. The reply
// is its *store.Record; INVALID_INPUT when it had ended before.
type Cancel struct{ ID string }

// Rung tells a Runner that the queue's channel rang, with what.
type Rung struct{ Payload string }

// Drain asks a Runner to end: it takes nothing any more, gives back what nobody waits
// for, and replies when nothing runs.
type Drain struct{}

// Changed tells a Scheduler that procedures may have changed.
type Changed struct{}

// The private messages of a Runner and its executions.
type (
	// begun tells the Runner that an execution holds a claim.
	begun struct {
		run   kernel.Ref
		claim *store.Claimed
	}
	// finished tells it that an execution needs no place any more.
	finished struct{ run kernel.Ref }
	// stop tells an execution to end, and why.
	stop struct{ cause error }
	// spoken tells an execution that its procedure has said something.
	spoken struct{}
	// The ticks.
	renewNow struct{}
	lookNow  struct{}
	flushNow struct{}
)

// Why an execution is stopped.
var (
	errTaken    = errors.New("it was cancelled or belongs to another node")
	errHungUp   = errors.New("its caller has gone")
	errDraining = errors.New("the node stops")
)

var errNotFound = fault.New(fault.NotFound, "Procedure not found")
