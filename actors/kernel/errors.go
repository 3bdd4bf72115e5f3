package kernel

import (
	"context"
	"errors"
	"time"

	"fluxbase/persistence/fault"
)

// The faults that the kernel itself answers with. Compare with errors.Is only
// where the code is meant; the kernel returns these very values, so == asks
// whether it was the kernel that said so.
var (
	// ErrStopped: the receiver has stopped or is about to.
	ErrStopped = fault.New(fault.ServiceUnavailable, "The service is not available")
	// ErrOverloaded: the receiver's queue is full.
	ErrOverloaded = fault.New(fault.Overloaded, "Too many requests are waiting").WithRetryAfter(time.Second)
	// ErrNameTaken: a sibling of that name lives.
	ErrNameTaken = errors.New("an actor of this name exists")
)

// ended turns the end of an asker's context into a fault.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.New(fault.Timeout, "The request took too long").WithCause(context.Cause(ctx))
	}
	return fault.New(fault.Canceled, "The request was canceled").WithCause(context.Cause(ctx))
}
