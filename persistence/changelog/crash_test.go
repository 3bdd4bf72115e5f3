package changelog_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/changelog"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/migration"
	"fluxbase/persistence/postgres"
)

// After a crash PostgreSQL gives the ids of transactions whose end was not on disk
// to others. A position that saw those end must not skip these.
func TestPositionsAreGoodAfterACrash(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// Not t.TempDir: a socket's address is short.
	dir, err := os.MkdirTemp("/tmp", "fluxbase-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	server, err := postgres.Start(ctx, postgres.Options{Dir: filepath.Join(dir, "postgres"), Engine: os.Getenv("FLUXBASE_POSTGRES_ENGINE"), Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := (migration.Bootstrap{AdminURL: server.URL(), Password: dbtest.Key.Password}).Run(ctx); err != nil {
		t.Fatal(err)
	}
	owner, err := pgx.ParseConfig(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	owner.User, owner.Password = db.OwnerLogin, dbtest.Key.Password(db.OwnerLogin)
	if _, err := migration.Up(ctx, owner, migration.Tenant); err != nil {
		t.Fatal(err)
	}
	database, err := db.Open(ctx, db.Options{URL: server.URL(), Password: dbtest.Key.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	log := changelog.New(database)
	admin := func() *pgx.Conn {
		t.Helper()
		for {
			c, err := pgx.Connect(ctx, server.URL())
			if err == nil {
				t.Cleanup(func() { c.Close(context.Background()) })
				return c
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	c := admin()
	exec := func(sql string) {
		t.Helper()
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE a (id int PRIMARY KEY)`)
	// A throw-away server waits for no disk.
	exec(`ALTER SYSTEM SET synchronous_commit = on`)
	exec(`SELECT pg_reload_conf()`)
	if _, err := log.Enable(ctx, "public", "a", nil, nil); err != nil {
		t.Fatal(err)
	}
	exec(`CHECKPOINT`)
	var id int
	for range 3 {
		for range 5 {
			exec(`BEGIN; INSERT INTO a VALUES (-1); ROLLBACK`)
		}
		at, plan, err := log.Now(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			exec(`BEGIN; INSERT INTO a VALUES (-1); ROLLBACK`)
		}
		read, err := log.Read(ctx, at, plan, changelog.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		other := admin()
		if err := syscall.Kill(int(c.PgConn().PID()), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for other.Ping(ctx) == nil { // all others end before it recovers
			time.Sleep(time.Millisecond)
		}
		c = admin()
		id++
		if _, err := c.Exec(ctx, `INSERT INTO a VALUES ($1)`, id); err != nil {
			t.Fatal(err)
		}
		for name, from := range map[string]changelog.Position{"now": at, "a read": read.Next} {
			var b *changelog.Batch
			for b == nil { // pooled connections have died, too
				b, err = log.Read(ctx, from, plan, changelog.Limit{})
				if errors.Is(err, changelog.ErrEpochChanged) || ctx.Err() != nil {
					t.Fatal(err)
				}
			}
			if got := rows(b.Entries); len(got) != 1 {
				t.Errorf("from the position of %s before crash %d: %d entries", name, id, len(got))
			}
		}
	}
}
