package kernel

import (
	"context"
	"log/slog"
)

// Context is how an actor acts while it handles a message. It is valid only
// during Receive and on its goroutine; a task gets nothing of it.
type Context struct {
	cell *cell
	req  *Request
}

// Self is the actor's own address.
func (c *Context) Self() Ref { return Ref{c.cell} }

// System is what the actor lives in.
func (c *Context) System() *System { return c.cell.sys }

// Logger names the actor.
func (c *Context) Logger() *slog.Logger { return c.cell.log() }

// Spawn makes a child: it stops when this actor stops or restarts. The errors
// are ErrNameTaken, and ErrStopped in an actor that is stopping.
func (c *Context) Spawn(p Props) (Ref, error) {
	child, err := c.cell.spawn(p, nil, nil)
	return Ref{child}, err
}

// Watch asks for Terminated{r} when r stops. Watching twice is watching once.
func (c *Context) Watch(r Ref) {
	if r.cell == nil || c.cell.leaving {
		return
	}
	if _, ok := c.cell.watching[r.cell.pid.Id]; ok {
		return
	}
	if c.cell.watching == nil {
		c.cell.watching = map[string]*cell{}
	}
	c.cell.watching[r.cell.pid.Id] = r.cell
	c.cell.proto.Watch(r.cell.pid)
}

// Unwatch takes Watch back.
func (c *Context) Unwatch(r Ref) {
	if r.cell == nil {
		return
	}
	if _, ok := c.cell.watching[r.cell.pid.Id]; ok {
		delete(c.cell.watching, r.cell.pid.Id)
		c.cell.proto.Unwatch(r.cell.pid)
	}
}

// Stop ends the actor after this message; see Ref.Stop.
func (c *Context) Stop() { c.cell.stop() }

// StopChild is r.Stop().
func (c *Context) StopChild(r Ref) { r.Stop() }

// Reply answers the Ask that is being handled; v that is an error is the asker's
// error. It does nothing for a Tell. A second answer is ignored and logged.
func (c *Context) Reply(v any) {
	if err, ok := v.(error); ok {
		c.answer(nil, err)
		return
	}
	c.answer(v, nil)
}

// Fail answers the Ask that is being handled with err.
func (c *Context) Fail(err error) { c.answer(nil, err) }

func (c *Context) answer(v any, err error) {
	if c.req == nil {
		return
	}
	if !c.req.answer(v, err) && !c.req.isAbandoned() {
		c.Logger().Error("a request was answered twice")
	}
}

// Request takes the Ask that is being handled to answer it later, nil for a Tell.
// An actor that neither answers nor takes a request, and has no task whose
// continuation could, is held to have forgotten it: the asker gets INTERNAL_ERROR.
func (c *Context) Request() *Request {
	if c.req == nil {
		return nil
	}
	c.req.explicit = true
	c.req.keep(c.cell)
	return c.req
}

// Forward hands msg to another actor, which answers the Ask that is being handled
// in this one's place. For a Tell it is to.Tell(msg). When it gives an error the
// request is still this actor's to answer.
func (c *Context) Forward(to Ref, msg any) error {
	if c.req == nil {
		return to.Tell(msg)
	}
	if to.cell == nil {
		return ErrStopped
	}
	req := c.req
	req.forget()
	req.owner.Store(nil)
	if err := to.cell.post(entry{msg: msg, req: req}); err != nil {
		return err
	}
	c.req = nil
	return nil
}

// RequestContext is the asker's context, or Background for a Tell.
func (c *Context) RequestContext() context.Context {
	if c.req == nil {
		return context.Background()
	}
	return c.req.ctx
}
