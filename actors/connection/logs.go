package connection

import (
	"context"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
)

// Logs are the logs of a tenant's executions.
type Logs interface {
	// Readable is nil when the caller may read the log of an execution, of the type if
	// one is given; otherwise NOT_FOUND.
	Readable(ctx context.Context, c caller.Caller, id, kind string) error
	// Lines gives the first lines behind a number.
	Lines(ctx context.Context, id string, after, limit int) ([]execution.Line, error)
	// Watch calls f, which must not block, whenever the log may have grown.
	Watch(id string, f func()) (cancel func())
}

// logState is a log that the connection follows or wants to.
type logState struct {
	kind    string
	attempt int
	live    bool
	judging bool
}

// logID names the subscription to an execution's log.
func logID(execution string) string { return "logs:" + execution }

// logChannel is what clients call the log of an execution.
func logChannel(execution string) string { return "execution:" + execution }

var errNoExecution = fault.New(fault.NotFound, "execution not found")

func (c *core) subscribeLogs(m SubscribeLogs) {
	s := c.logs[m.ExecutionID]
	switch {
	case m.ExecutionID == "":
		c.refuse(fault.MissingRequiredField, "execution_id is required for subscribe_logs", Refused{})
		return
	case c.caller.Source == caller.SourceNone:
		c.refuse(fault.AuthenticationRequired, "authentication required", Refused{})
		return
	case s == nil && len(c.tables)+len(c.logs) >= c.limits.Subscriptions:
		c.refuse(fault.SubscriptionLimitReached, "too many subscriptions on this connection", Refused{})
		return
	}
	if s == nil {
		s = &logState{}
		if c.logs == nil {
			c.logs = map[string]*logState{}
		}
		c.logs[m.ExecutionID] = s
	}
	s.kind = m.ExecutionType
	c.askLog(m.ExecutionID, s)
}

func (c *core) askLog(id string, s *logState) {
	c.attempts++
	s.attempt = c.attempts
	c.host.judgeLog(id, s.kind, s.attempt)
}

// logJudged takes the answer to whether the caller may follow a log.
func (c *core) logJudged(id string, attempt int, err error) {
	s := c.logs[id]
	if s == nil || s.attempt != attempt {
		return
	}
	judged := s.judging
	s.judging = false
	switch {
	case err != nil:
		c.dropLog(id)
		c.refuseErr(err, Refused{SubscriptionID: logID(id)})
	case !judged:
		c.host.reply(LogSubscribed{SubscriptionID: logID(id), ExecutionID: id, ExecutionType: s.kind})
	}
	if err == nil && !s.live {
		s.live = true
		c.host.followLog(id)
	}
	c.settle()
}

// dropLog tells whether there was one.
func (c *core) dropLog(id string) bool {
	s := c.logs[id]
	if s == nil {
		return false
	}
	delete(c.logs, id)
	if s.live {
		c.host.unfollowLog(id)
	}
	c.settle()
	return true
}

// Times and sizes of a follower.
const (
	// logPoll is how often a log is read without a bell, which may be lost with its
	// connection.
	logPoll = 5 * time.Second
	// logBatch is the number of lines that are read and sent at a time; the next
	// ones wait until the socket has taken them.
	logBatch = 32
)

// follower is the actor that brings an execution's log to a connection, line by line
// in order, from the first one on.
type follower struct {
	logs       Logs
	id         string
	dialect    Dialect
	connection kernel.Ref

	after          int
	window         *delivery.Window
	reading, again bool
	unwatch        func()
}

type (
	logGrown struct{}
	logPolls struct{}
)

// Receive implements kernel.Actor.
func (f *follower) Receive(c *kernel.Context, msg any) {
	switch msg.(type) {
	case kernel.Started:
		self := c.Self()
		// A full mailbox has the same message in it.
		grown := func() { _ = self.Tell(logGrown{}) }
		f.window = delivery.NewWindow(1, grown)
		f.unwatch = f.logs.Watch(f.id, grown)
		c.After(logPoll, logPolls{})
		f.read(c)
	case kernel.Stopping:
		if f.unwatch != nil {
			f.unwatch()
		}
	case logGrown:
		f.read(c)
	case logPolls:
		f.read(c)
		c.After(logPoll, logPolls{})
	}
}

func (f *follower) read(c *kernel.Context) {
	if f.reading || f.window.Full() {
		f.again = true
		return
	}
	f.reading, f.again = true, false
	id, after := f.id, f.after
	c.Go(authorizeTimeout, func(ctx context.Context) (any, error) { return f.logs.Lines(ctx, id, after, logBatch) },
		func(c *kernel.Context, res any, err error) {
			f.reading = false
			if err != nil {
				c.Logger().Warn("the log of an execution cannot be read, trying again", "execution", id, "error", err)
				return
			}
			lines := res.([]execution.Line)
			f.send(lines)
			if f.again || len(lines) == logBatch {
				f.read(c)
			}
		})
}

func (f *follower) send(lines []execution.Line) {
	var bytes []byte
	for _, l := range lines {
		bytes = f.dialect.AppendReply(bytes, ExecutionLogged{ExecutionID: f.id, Line: l})
		f.after = l.Number
	}
	if len(bytes) == 0 {
		return
	}
	frame := &delivery.Frame{Bytes: bytes, Messages: len(lines), Reliable: true}
	frame.Track(f.window, 1)
	if err := f.connection.Tell(frame); err != nil {
		frame.Done() // the connection ends, and this actor with it
	}
}
