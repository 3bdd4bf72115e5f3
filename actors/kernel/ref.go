package kernel

import (
	"context"
	"strings"
)

// Ref is an actor's address on this node. It is comparable and serves as a map
// key; it stays the same over restarts. The zero Ref is nobody.
type Ref struct{ cell *cell }

// Tell queues msg and returns at once. ErrOverloaded or ErrStopped say that it
// was not queued; nil says nothing about whether it will be handled.
func (r Ref) Tell(msg any) error {
	if r.cell == nil {
		return ErrStopped
	}
	return r.cell.tell(msg)
}

// Name is the path of names from the top-level actor down.
func (r Ref) Name() string {
	if r.cell == nil || r.cell.pid == nil {
		return ""
	}
	return strings.TrimPrefix(r.cell.pid.Id, rootName+"/")
}

// String is Name, for logs.
func (r Ref) String() string { return r.Name() }

// IsZero tells whether r is nobody.
func (r Ref) IsZero() bool { return r.cell == nil }

// Stop lets the actor finish its current message and ends it: messages that wait
// are thrown away, requests that wait are answered with ErrStopped, children are
// stopped, and then Stopping is sent. It returns at once; see Done.
func (r Ref) Stop() {
	if r.cell != nil {
		r.cell.stop()
	}
}

// Done is closed when the actor has ended.
func (r Ref) Done() <-chan struct{} {
	if r.cell == nil {
		c := make(chan struct{})
		close(c)
		return c
	}
	return r.cell.whenDone()
}

// Waiting is the number of messages in the mailbox.
func (r Ref) Waiting() int {
	if r.cell == nil {
		return 0
	}
	return r.cell.UserMessageCount()
}

func (r Ref) ask(ctx context.Context, msg any) (any, error) {
	if r.cell == nil {
		return nil, ErrStopped
	}
	if r.cell.closed.Load() {
		return nil, ErrStopped
	}
	req := newRequest(ctx)
	if err := r.cell.post(entry{msg: msg, req: req}); err != nil {
		req.drop()
		return nil, err
	}
	return req.wait()
}
