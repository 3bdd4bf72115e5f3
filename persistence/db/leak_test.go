package db_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
)

func TestNothingRunsAfterClose(t *testing.T) {
	address := dbtest.Create(t)
	before := goleak.IgnoreCurrent()
	d, err := db.Open(t.Context(), db.Options{URL: address, Password: dbtest.Key.Password})
	if err != nil {
		t.Fatal(err)
	}
	c := (&dbtest.Database{Tenant: "7e000000-0000-4000-8000-000000000001"}).User(alice)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		_ = d.Run(ctx, c, db.Statement{SQL: `SELECT pg_sleep(5)`})
		_ = d.RunEach(ctx, []db.Run{{Caller: c, Statements: []db.Statement{{SQL: `SELECT 1`}}}})
		cancel()
	}
	if err := d.Run(t.Context(), c, db.Statement{SQL: `SELECT 1`}); err != nil {
		t.Fatal(err)
	}
	d.Close()
	goleak.VerifyNone(t, before)
}
