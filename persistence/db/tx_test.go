package db_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

func TestTx(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	d.Exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	c := d.User(alice)
	insert := func(tx pgx.Tx, id int) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO t VALUES ($1)`, id)
		return err
	}
	rows := func() int { return value[int](t, d, c, `SELECT count(*) FROM t`) }

	var user, role string
	err := d.DB.Tx(t.Context(), c, func(tx pgx.Tx) error {
		if err := tx.QueryRow(t.Context(), `SELECT auth.uid()::text, current_user::text`).Scan(&user, &role); err != nil {
			return err
		}
		return insert(tx, 1)
	})
	if err != nil || user != alice || role != "authenticated" || rows() != 1 {
		t.Errorf("user %s, role %s, %d rows, %v", user, role, rows(), err)
	}

	mine := errors.New("mine")
	err = d.DB.Tx(t.Context(), c, func(tx pgx.Tx) error { return errors.Join(insert(tx, 2), mine) })
	if !errors.Is(err, mine) || rows() != 1 {
		t.Errorf("%v, %d rows", err, rows())
	}
	wantCode(t, d.DB.Tx(t.Context(), c, func(tx pgx.Tx) error { return insert(tx, 1) }), fault.DuplicateKey)
	wantCode(t, d.DB.Tx(t.Context(), c, func(tx pgx.Tx) error { _ = insert(tx, 1); return nil }), fault.DatabaseError)

	func() {
		defer func() { _ = recover() }()
		_ = d.DB.Tx(t.Context(), c, func(tx pgx.Tx) error { _ = insert(tx, 3); panic("no") })
	}()
	if rows() != 1 {
		t.Error("a panic commits")
	}

	before := value[int](t, d, c, `SELECT pg_backend_pid()`)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	wantCode(t, d.DB.Tx(ctx, c, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT pg_sleep(20)`)
		return err
	}), fault.Canceled)
	wantCode(t, d.DB.Tx(ctx, c, func(tx pgx.Tx) error { return nil }), fault.Canceled)
	if value[int](t, d, c, `SELECT pg_backend_pid()`) != before {
		t.Error("the connection was replaced")
	}
	if role := value[string](t, d, d.Anonymous(), `SELECT current_user::text`); role != "anon" {
		t.Errorf("after a transaction anon runs as %s", role)
	}
}
