package db

import (
	"context"
	"time"

	"fluxbase/persistence/caller"
)

// Timeouts are how long a statement may take by the database role that it runs
// as. A role that has none, or 0, has the time of its context. They do not hold for
// what the server does itself (see caller.System).
type Timeouts map[caller.DatabaseRole]time.Duration

// Unhurried gives a context in which the Timeouts of roles do not hold: its
// statements have all the time that it has. It is for work that has a bound of its
// own, such as an export or a procedure.
func Unhurried(ctx context.Context) context.Context { return unhurried{ctx} }

type unhurried struct{ context.Context }

type unhurriedKey struct{}

func (u unhurried) Value(key any) any {
	if key == (unhurriedKey{}) {
		return true
	}
	return u.Context.Value(key)
}

// timeout is how long a statement of a caller may take.
func (d *Database) timeout(ctx context.Context, c *caller.Caller) time.Duration {
	left := d.options.StatementTimeout
	if deadline, ok := ctx.Deadline(); ok {
		// Zero would mean no limit to PostgreSQL.
		left = max(time.Until(deadline), time.Millisecond)
	}
	if c.Source == caller.SourceSelf {
		return left
	}
	if most := d.options.Timeouts[c.DatabaseRole()]; most > 0 && most < left && ctx.Value(unhurriedKey{}) == nil {
		return most
	}
	return left
}
