package db

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Times of a cancellation.
const (
	// timeoutGrace is how long a statement whose deadline has passed may take to
	// stop by itself: statement_timeout is set to the same moment, and an error
	// from it is better than a cancellation.
	timeoutGrace = 100 * time.Millisecond
	// cancelInterval is how long we wait before we ask again.
	cancelInterval = 20 * time.Millisecond
	// abandonDelay is how long we wait for PostgreSQL to answer at all; after it
	// the connection is given up.
	abandonDelay = 5 * time.Second
)

// canceler stops a statement whose context ended: it asks PostgreSQL to cancel
// it, so that the connection survives, and gives the connection up when
// PostgreSQL does not answer.
type canceler struct {
	conn *pgconn.PgConn
	// idle ends when the connection is no longer busy; done when no request to
	// cancel is under way.
	idle chan struct{}
	done chan struct{}
}

// HandleCancel is called when the context ends while the connection is busy.
func (c *canceler) HandleCancel(ended context.Context) {
	deadline := time.Now().Add(abandonDelay)
	// A connection on which no deadline can be set is closed already.
	_ = c.conn.Conn().SetDeadline(deadline)
	c.idle, c.done = make(chan struct{}), make(chan struct{})
	go c.cancel(deadline, errors.Is(ended.Err(), context.DeadlineExceeded))
}

func (c *canceler) cancel(deadline time.Time, wait bool) {
	defer close(c.done)
	delay := time.Duration(0)
	if wait {
		delay = timeoutGrace
	}
	// Not ended by idle: a request that was half sent might arrive while the next
	// statement runs. When it cannot be delivered, the deadline ends the wait.
	ctx, stop := context.WithDeadline(context.Background(), deadline)
	defer stop()
	// A pipeline of many transactions goes on with the next one, so we ask until
	// it has come to its end.
	for ; ; delay = cancelInterval {
		pause := time.NewTimer(delay)
		select {
		case <-c.idle:
			pause.Stop()
			return
		case <-pause.C:
		}
		if err := c.conn.CancelRequest(ctx); err != nil {
			return
		}
	}
}

// HandleUnwatchAfterCancel is called when the connection is no longer busy. It
// waits until a request that was sent has arrived: PostgreSQL closes the
// connection of a request after it has signalled the backend, so that what is
// sent later cannot be hit any more.
func (c *canceler) HandleUnwatchAfterCancel() {
	close(c.idle)
	<-c.done
	_ = c.conn.Conn().SetDeadline(time.Time{})
}
