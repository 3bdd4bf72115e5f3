package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

// A statement has the time of its role, unless its context has less, is unhurried,
// or the server itself asks.
func TestTimeoutsOfRoles(t *testing.T) {
	d := dbtest.Open(t, db.Options{Timeouts: db.Timeouts{caller.DatabaseAnon: 2 * time.Second, caller.DatabaseService: 3 * time.Second}})
	given := func(ctx context.Context, c caller.Caller) time.Duration {
		t.Helper()
		var text string
		if err := d.DB.Run(ctx, c, db.Statement{SQL: `SELECT extract(epoch FROM current_setting('statement_timeout')::interval)::text || 's'`, Read: scan(&text)}); err != nil {
			t.Fatal(err)
		}
		out, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	long, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, c := range []struct {
		name        string
		ctx         context.Context
		caller      caller.Caller
		least, most time.Duration
	}{
		{"the role's", long, d.Anonymous(), 2 * time.Second, 2 * time.Second},
		{"another role's", long, d.Service(), 3 * time.Second, 3 * time.Second},
		{"a role without one", long, d.User(alice), 15 * time.Second, 20 * time.Second},
		{"the context's, which is shorter", short, d.Anonymous(), 0, time.Second},
		{"without a deadline", context.Background(), d.Anonymous(), 2 * time.Second, 2 * time.Second},
		{"unhurried", db.Unhurried(long), d.Anonymous(), 15 * time.Second, 20 * time.Second},
		{"unhurried beneath another", context.WithValue(db.Unhurried(long), scanKey{}, 1), d.Anonymous(), 15 * time.Second, 20 * time.Second},
		{"the server's own", long, caller.System(d.Tenant), 15 * time.Second, 20 * time.Second},
	} {
		if got := given(c.ctx, c.caller); got < c.least || got > c.most {
			t.Errorf("%s: %v, want %v to %v", c.name, got, c.least, c.most)
		}
	}
	err := d.DB.Tx(long, d.Anonymous(), func(tx pgx.Tx) error {
		_, err := tx.Exec(long, `SELECT pg_sleep(20)`)
		return err
	})
	wantCode(t, err, fault.Timeout)
}

type scanKey struct{}

// A row that is larger than wanted is refused before it is read, and the next
// statement has a connection again.
func TestRowsThatAreTooLarge(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1, MaxRowBytes: 1 << 20})
	c := d.User(alice)
	large := func(bytes int) error {
		var length int
		return d.DB.RunRead(t.Context(), c, db.Statement{SQL: `SELECT repeat('x', $1)`, Args: []any{bytes}, Read: func(rows pgx.Rows) error {
			for rows.Next() {
				length = len(rows.RawValues()[0])
			}
			if rows.Err() == nil && length != bytes {
				t.Errorf("read %d of %d bytes", length, bytes)
			}
			return rows.Err()
		}})
	}
	for range 2 {
		wantCode(t, large(1<<20), fault.AnswerTooLarge)
		if err := large(1<<20 - 100); err != nil {
			t.Error(err)
		}
	}
}
