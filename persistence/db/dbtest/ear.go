package dbtest

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Ear is what an Ear's owner is told, one call at a time. All must be set.
type Ear struct {
	// Up: what rings from now on is heard. Down: the connection is lost.
	Up, Down func()
	// Bell: the channel rang.
	Bell func()
}

// Listen hears a channel until the test ends, as the server's listener does:
// again and again when its connection is lost.
func (d *Database) Listen(channel string, e Ear) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() {
		for ctx.Err() == nil {
			d.hear(ctx, channel, e)
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	d.t.Cleanup(func() {
		cancel()
		listening.Wait()
	})
}

// hear listens on one connection as long as it lasts.
func (d *Database) hear(ctx context.Context, channel string, e Ear) {
	c, err := pgx.Connect(ctx, d.AdminURL)
	if err != nil {
		return // a server that restarts: the next attempt may find it
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }() // it is lost, or nobody needs it any more
	if _, err := c.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return
	}
	e.Up()
	for {
		if _, err := c.WaitForNotification(ctx); err != nil {
			if ctx.Err() == nil {
				e.Down()
			}
			return
		}
		e.Bell()
	}
}
