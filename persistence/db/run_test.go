package db_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
)

const alice, bob = "a0000000-0000-4000-8000-000000000001", "b0000000-0000-4000-8000-000000000002"

// scan reads one row.
func scan(targets ...any) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		if !rows.Next() {
			return pgx.ErrNoRows
		}
		return rows.Scan(targets...)
	}
}

func TestRunSetsRoleAndClaims(t *testing.T) {
	d := dbtest.New(t)
	ctx := context.Background()
	for range 2 { // prepared, then cached
		var role, login, uid, appRole, tenant string
		err := d.DB.Run(ctx, d.User(alice), db.Statement{
			SQL:  `SELECT current_user::text, session_user::text, auth.uid()::text, auth.role(), current_setting('app.current_tenant_id')`,
			Read: scan(&role, &login, &uid, &appRole, &tenant),
		})
		if err != nil {
			t.Fatal(err)
		}
		if role != "authenticated" || login != db.UserLogin || uid != alice || appRole != "authenticated" || tenant != d.Tenant {
			t.Errorf("ran as %s through %s, user %s, role %s, tenant %s", role, login, uid, appRole, tenant)
		}
	}
}
