package db_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

func TestRunEachKeepsCallersApart(t *testing.T) {
	d := dbtest.New(t)
	callers := []caller.Caller{d.User(alice), d.Anonymous(), d.User(bob), d.Service()}
	users := make([]string, 700)
	numbers := make([]int, len(users))
	runs := make([]db.Run, len(users))
	for i := range runs {
		runs[i] = db.Run{Caller: callers[i%len(callers)], Statements: []db.Statement{
			{SQL: `SELECT coalesce(auth.uid()::text, current_user::text)`, Read: scan(&users[i])},
			{SQL: `SELECT $1::int`, Args: []any{i}, Read: scan(&numbers[i])},
		}}
	}
	for i, err := range d.DB.RunEach(t.Context(), runs) {
		want := []string{alice, "anon", bob, "service_role"}[i%len(callers)]
		if err != nil || users[i] != want || numbers[i] != i {
			t.Fatalf("run %d: %s, %d, %v; want %s", i, users[i], numbers[i], err, want)
		}
	}
}

func TestRunEachKeepsErrorsApart(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	c := d.User(alice)
	one := func(sql string, args ...any) db.Run {
		return db.Run{Caller: c, Statements: []db.Statement{{SQL: `INSERT INTO t VALUES (nextval('n'))`}, {SQL: sql, Args: args}, {SQL: `SELECT 1`}}}
	}
	d.Exec(`CREATE SEQUENCE n`)
	slow := one(`SELECT pg_sleep(20)`)
	slow.Timeout = 50 * time.Millisecond
	reads := one(`SELECT 1`)
	reads.ReadOnly = true
	for range 2 {
		d.Exec(`TRUNCATE t`)
		runs := []db.Run{
			one(`SELECT 1`), one(`SELECT 1/0`), one(`SELECT * FROM missing`), one(`SELECT $1::int`, "x"), slow,
			reads, {Statements: []db.Statement{{SQL: `SELECT 1`}}}, one(`INSERT INTO t VALUES (1), (1)`), one(`SELECT 2`),
		}
		want := []fault.Code{"", fault.InvalidInput, fault.TableNotFound, fault.InvalidInput, fault.Timeout,
			fault.ReadOnlyRelation, fault.InternalError, fault.DuplicateKey, ""}
		for i, err := range d.DB.RunEach(t.Context(), runs) {
			if fault.CodeOf(err) != want[i] {
				t.Errorf("run %d: got %v, want %q", i, err, want[i])
			}
		}
		if n := value[int](t, d, c, `SELECT count(*) FROM t`); n != 2 {
			t.Errorf("%d rows, want those of the two runs that succeeded", n)
		}
	}
}

func TestRunEachRecoversFromASchemaChange(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	d.Exec(`CREATE TABLE t (id int)`)
	runs := []db.Run{{Caller: d.User(alice), Statements: []db.Statement{{SQL: `SELECT * FROM t`}}}}
	if err := errors.Join(d.DB.RunEach(t.Context(), runs)...); err != nil {
		t.Fatal(err)
	}
	d.Exec(`ALTER TABLE t ADD COLUMN more int`)
	// Nothing is repeated, but the next time it works.
	first := errors.Join(d.DB.RunEach(t.Context(), runs)...)
	if err := errors.Join(d.DB.RunEach(t.Context(), runs)...); err != nil {
		t.Errorf("after a schema change: %v, then %v", first, err)
	}
}

func TestRunEachOnALostConnection(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	c := d.User(alice)
	var runs []db.Run
	for i := range 300 {
		sql := fmt.Sprintf(`SELECT %d`, i)
		if i == 140 {
			sql = `SELECT die()`
		}
		runs = append(runs, db.Run{Caller: c, Statements: []db.Statement{{SQL: sql}}})
	}
	d.Exec(`CREATE FUNCTION die() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS 'SELECT pg_terminate_backend(pg_backend_pid())'`)
	errs := d.DB.RunEach(t.Context(), runs)
	for i, err := range errs {
		want := fault.Code("")
		if i >= 140 {
			want = fault.ServiceUnavailable
		}
		if fault.CodeOf(err) != want {
			t.Fatalf("run %d: got %v, want %q", i, err, want)
		}
	}
}

func TestRunEachIsCancelled(t *testing.T) {
	d := dbtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	slow := db.Run{Caller: d.User(alice), Statements: []db.Statement{{SQL: `SELECT pg_sleep(1)`}}}
	start := time.Now()
	errs := d.DB.RunEach(ctx, []db.Run{slow, slow, slow, slow, slow, slow, slow, slow, slow, slow})
	for i, err := range errs {
		// One may have been just between two runs.
		if err != nil || i == 0 {
			wantCode(t, err, fault.Canceled)
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
}
