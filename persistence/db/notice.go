package db

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
)

// Notice is what a function said to its client by RAISE NOTICE or WARNING.
type Notice struct {
	// Severity is DEBUG, LOG, INFO, NOTICE or WARNING.
	Severity, Message, Detail, Hint string
}

type noticeKey struct{}

// WithNotices gives a context under which Tx hands notices to hear, on the caller's
// goroutine.
func WithNotices(ctx context.Context, hear func(Notice)) context.Context {
	return context.WithValue(ctx, noticeKey{}, hear)
}

const listenerKey = "fluxbase notices"

// listen has the notices of a connection heard until the function that it gives is
// called.
func listen(ctx context.Context, c *pgconn.PgConn) (stop func()) {
	hear, ok := ctx.Value(noticeKey{}).(func(Notice))
	if !ok {
		return func() {}
	}
	c.CustomData()[listenerKey] = hear
	return func() { delete(c.CustomData(), listenerKey) }
}

// notice is called when a connection has read one.
func notice(c *pgconn.PgConn, n *pgconn.Notice) {
	if hear, ok := c.CustomData()[listenerKey].(func(Notice)); ok {
		hear(Notice{Severity: n.SeverityUnlocalized, Message: n.Message, Detail: n.Detail, Hint: n.Hint})
	}
}
