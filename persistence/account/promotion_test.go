package account_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/account"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

// as is a signed-in user whose claims say what he likes: claims must not open
// what the role does not.
func as(user, claimedRole string) caller.Caller {
	claims, _ := json.Marshal(map[string]any{"sub": user, "role": claimedRole})
	return caller.Caller{Tenant: tenant, DefaultTenant: true, Role: caller.Authenticated, UserID: user, Claims: claims}
}

// TestNobodyPromotesHimself tries every way in SQL that a signed-in user has, with
// the grants that we make and with the widest ones that an operator could add by
// mistake.
func TestNobodyPromotesHimself(t *testing.T) {
	d := dbtest.New(t).DB
	s := account.New(d, tenant)
	me, _, err := s.Create(t.Context(), account.NewUser{Email: "me@example.com", PasswordHash: "secret", UserMetadata: json.RawMessage(`{}`)}, session())
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := s.Create(t.Context(), account.NewUser{Email: "other@example.com", PasswordHash: "secret", UserMetadata: json.RawMessage(`{}`)}, session())
	if err != nil {
		t.Fatal(err)
	}
	attempts := map[string]string{
		"role":             `UPDATE auth.users SET role = 'admin'`,
		"verified":         `UPDATE auth.users SET email_verified = true`,
		"app_metadata":     `UPDATE auth.users SET app_metadata = '{"admin":true}'`,
		"address":          `UPDATE auth.users SET email = 'root@example.com'`,
		"password":         `UPDATE auth.users SET password_hash = 'mine'`,
		"lock":             `UPDATE auth.users SET failed_login_attempts = 0, locked_until = 'infinity'`,
		"tenant":           `UPDATE auth.users SET tenant_id = gen_random_uuid()`,
		"id":               fmt.Sprintf(`UPDATE auth.users SET id = '%s'`, other.ID),
		"with metadata":    `UPDATE auth.users SET user_metadata = '{"a":1}', role = 'admin'`,
		"insert":           `INSERT INTO auth.users (email, role) VALUES ('new@example.com', 'admin')`,
		"upsert":           fmt.Sprintf(`INSERT INTO auth.users (id, email, role) VALUES ('%s', 'me@example.com', 'admin') ON CONFLICT (id) DO UPDATE SET role = 'admin'`, me.ID),
		"session":          fmt.Sprintf(`INSERT INTO auth.sessions (id, user_id, expires_at) VALUES (gen_random_uuid(), '%s', 'infinity')`, other.ID),
		"unrevoke":         `DELETE FROM auth.revocations`,
		"an operator":      `INSERT INTO platform.users (email, full_name, role) VALUES ('me@example.com', 'Me', 'instance_admin')`,
		"a key":            `UPDATE platform.service_keys SET enabled = true`,
		"read hashes":      `SELECT password_hash FROM auth.users`,
		"read sessions":    `SELECT * FROM auth.sessions`,
		"read operators":   `SELECT * FROM platform.users`,
		"read the keys":    `SELECT * FROM platform.service_keys`,
		"read setup":       `SELECT * FROM platform.setup`,
		"no trigger":       `ALTER TABLE auth.users DISABLE TRIGGER guard_user`,
		"replication role": `SELECT set_config('session_replication_role', 'replica', true)`,
	}
	try := func(t *testing.T, grants string) {
		for name, sql := range attempts {
			for _, claimed := range []string{"authenticated", "service_role", "instance_admin"} {
				err := d.Run(t.Context(), as(me.ID, claimed), db.Statement{SQL: sql})
				if err == nil {
					t.Errorf("%s, claiming %s, %s: allowed", name, claimed, grants)
				} else if code := fault.CodeOf(err); code == fault.InternalError {
					t.Errorf("%s, claiming %s, %s: %v is no coded fault", name, claimed, grants, err)
				}
			}
			if err := d.Run(t.Context(), caller.Caller{Tenant: tenant, DefaultTenant: true, Role: caller.Anon, Claims: json.RawMessage(`{"role":"anon"}`)},
				db.Statement{SQL: sql}); err == nil {
				t.Errorf("%s as anon, %s: allowed", name, grants)
			}
		}
		got, err := s.Find(t.Context(), me.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Role != "authenticated" || got.EmailVerified || string(got.AppMetadata) != "{}" || got.Email != "me@example.com" {
			t.Errorf("%s: the user became %+v", grants, got)
		}
	}
	try(t, "our grants")

	// What belongs to the owner of the row is open.
	if err := d.Run(t.Context(), as(me.ID, "authenticated"), db.Statement{SQL: `UPDATE auth.users SET user_metadata = '{"theme":"dark"}'`}); err != nil {
		t.Fatalf("user_metadata: %v", err)
	}
	for id, want := range map[string]string{me.ID: `{"theme": "dark"}`, other.ID: `{}`} {
		if got, err := s.Find(t.Context(), id); err != nil || string(got.UserMetadata) != want {
			t.Errorf("user_metadata = %s, %v; want %s", got.UserMetadata, err, want)
		}
	}

	// The trigger holds where the grants have been opened; what only grants protect
	// is left out.
	owner(t, d, `GRANT SELECT, INSERT, UPDATE, DELETE ON auth.users TO authenticated, anon;
		CREATE POLICY careless ON auth.users TO authenticated, anon USING (true) WITH CHECK (true)`)
	delete(attempts, "read hashes")
	// Rows of others are reachable now, so that anon meets the trigger as well.
	try(t, "careless grants")
}

func TestOwnRowOnly(t *testing.T) {
	d := dbtest.New(t).DB
	s := account.New(d, tenant)
	var ids []string
	for i := range 3 {
		u, _, err := s.Create(t.Context(), account.NewUser{Email: fmt.Sprintf("u%d@example.com", i), UserMetadata: json.RawMessage(`{}`)}, session())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	var n int
	var found bool
	count := db.Statement{SQL: `SELECT count(*) FROM auth.users`, Read: readOne(&found, &n)}
	if err := d.Run(t.Context(), as(ids[1], "authenticated"), count); err != nil || n != 1 {
		t.Errorf("a user sees %d rows, %v; want his own", n, err)
	}
	if err := d.Run(t.Context(), as("", "authenticated"), count); err == nil && n != 0 {
		t.Errorf("a user without id sees %d rows", n)
	}
}

func owner(t *testing.T, d *db.Database, sql string) {
	t.Helper()
	err := d.Owner(t.Context(), func(c *pgxpool.Conn) error {
		_, err := c.Exec(context.Background(), sql)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
