package db_test

import (
	"fmt"
	"testing"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

// escapes are the ways in which SQL may try to become somebody else.
var escapes = []string{
	`SELECT set_config('role', '%s', true)`,
	`SELECT set_config('role', '%s', false)`,
	`SET ROLE %s`,
	`SET LOCAL ROLE %s`,
	`SET SESSION AUTHORIZATION %s`,
	`SELECT set_config('session_authorization', '%s', false)`,
	`DO $$ BEGIN EXECUTE 'SET ROLE %s'; END $$`,
}

// beyond are the roles that no statement of a caller may become, by the login
// that runs it.
func beyond(c caller.Caller) []string {
	roles := []string{"postgres", db.OwnerLogin, "fluxbase_ddl", "pg_read_all_data", "pg_execute_server_program"}
	switch c.DatabaseRole() {
	case caller.DatabaseService, caller.DatabaseTenantService:
		return append(roles, db.UserLogin, "anon", "authenticated")
	default:
		return append(roles, db.ServiceLogin, "service_role", "tenant_service")
	}
}

func callers(d *dbtest.Database) []caller.Caller {
	return []caller.Caller{
		d.Anonymous(), d.User(alice), d.Service(),
		{Tenant: d.Tenant, Role: caller.TenantService, Claims: []byte(`{"role":"tenant_service"}`)},
	}
}

func TestStatementsCannotBecomeMore(t *testing.T) {
	d := dbtest.New(t)
	for _, c := range callers(d) {
		for _, role := range beyond(c) {
			for _, escape := range escapes {
				sql := fmt.Sprintf(escape, role)
				err := d.DB.Run(t.Context(), c, db.Statement{SQL: sql})
				if code := fault.CodeOf(err); code != fault.InsufficientPermissions && code != fault.AuthenticationRequired {
					t.Errorf("%s: %s gives %v", c.Role, sql, err)
				}
			}
		}
	}
}

// RESET leads back to the login, which has no rights of its own.
func TestLoginsAloneCanDoNothing(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE TABLE t (id int, owner uuid);
		INSERT INTO t VALUES (1, '` + bob + `');
		ALTER TABLE t ENABLE ROW LEVEL SECURITY`)
	for _, reset := range []string{`RESET ROLE`, `SET ROLE NONE`, `SELECT set_config('role', 'none', true)`, `RESET SESSION AUTHORIZATION`, `DISCARD PLANS`, `RESET ALL`} {
		for _, c := range callers(d)[:2] {
			for _, sql := range []string{`DELETE FROM t`, `TRUNCATE t`, `SELECT * FROM auth.users`, `SELECT * FROM platform.tenants`, `CREATE TABLE mine (id int)`, `ALTER TABLE t DISABLE ROW LEVEL SECURITY`} {
				err := d.DB.Run(t.Context(), c, db.Statement{SQL: reset}, db.Statement{SQL: sql})
				var n int
				d.QueryRow(`SELECT count(*) FROM t`, &n)
				if n != 1 {
					t.Fatalf("%s, then %s deleted the row", reset, sql)
				}
				// RESET ALL leaves the role as it is: a DELETE that finds nothing, a
				// SELECT that sees nothing.
				if err == nil && sql != `DELETE FROM t` && sql != `SELECT * FROM auth.users` {
					t.Errorf("%s: %s, then %s succeeds", c.Role, reset, sql)
				}
			}
		}
	}
}

// The doors through which SQL of other people runs inside a caller's statement.
func TestForeignCodeCannotBecomeMore(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE FUNCTION public.become(role text) RETURNS boolean LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM set_config('role', role, true);
			RETURN true;
		END $$;
		CREATE FUNCTION public.become_sql(role text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('role', role, true) $$;
		-- A function that runs as its owner cannot change the role at all.
		CREATE FUNCTION public.become_definer(role text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
			RETURN set_config('role', role, true);
		END $$;
		CREATE PROCEDURE public.become_procedure(role text) LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM set_config('role', role, true);
		END $$;

		CREATE TABLE target (role text);
		INSERT INTO target VALUES (NULL);
		CREATE TABLE policed (id int);
		INSERT INTO policed VALUES (1);
		ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON policed USING (public.become((SELECT role FROM target)));
		CREATE TABLE triggered (role text);
		CREATE FUNCTION public.become_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM set_config('role', new.role, true);
			RETURN new;
		END $$;
		CREATE TRIGGER t BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION public.become_trigger();
		CREATE VIEW viewed AS SELECT public.become(role) FROM target;
		CREATE TABLE defaulted (id int, ok boolean DEFAULT public.become(current_setting('my.role')));
		CREATE TABLE checked (role text CHECK (public.become(role)));
		GRANT ALL ON policed, triggered, viewed, defaulted, checked, target TO anon, authenticated, service_role, tenant_service`)
	for _, c := range callers(d) {
		for _, role := range beyond(c) {
			d.Exec(`UPDATE target SET role = $1`, role)
			doors := []string{
				`SELECT public.become('%s')`, `SELECT public.become_sql('%s')`, `SELECT public.become_definer('%s')`,
				`CALL public.become_procedure('%s')`,
				`INSERT INTO triggered VALUES ('%s')`, `INSERT INTO checked VALUES ('%s')`,
				`SELECT * FROM viewed /* %s */`,
			}
			if c.DatabaseRole() != caller.DatabaseService { // whom no policy stops
				doors = append(doors, `SELECT * FROM policed /* %s */`)
			}
			for _, door := range doors {
				sql := fmt.Sprintf(door, role)
				err := d.DB.Run(t.Context(), c, db.Statement{SQL: sql})
				if code := fault.CodeOf(err); code != fault.InsufficientPermissions && code != fault.AuthenticationRequired {
					t.Errorf("%s: %s gives %v", c.Role, sql, err)
				}
			}
			err := d.DB.Run(t.Context(), c,
				db.Statement{SQL: `SELECT set_config('my.role', $1, true)`, Args: []any{role}},
				db.Statement{SQL: `INSERT INTO defaulted (id) VALUES (1)`})
			if code := fault.CodeOf(err); code != fault.InsufficientPermissions && code != fault.AuthenticationRequired {
				t.Errorf("%s: a default that becomes %s gives %v", c.Role, role, err)
			}
		}
	}
}

// Inside one login a function can change who is asking, and nothing can prevent
// it; the package documentation says so. What matters is that it ends with the
// transaction and does not reach beyond the login.
func TestWhatAFunctionInsideALoginCanDo(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	d.Exec(`
		CREATE TABLE notes (owner uuid);
		INSERT INTO notes VALUES ('` + bob + `');
		ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON notes TO authenticated USING (owner = auth.uid());
		CREATE FUNCTION impersonate() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM set_config('role', 'authenticated', false);
			PERFORM set_config('app.user_id', '` + bob + `', false);
		END $$`)
	count := func(first string) int {
		t.Helper()
		var n int
		err := d.DB.Run(t.Context(), d.Anonymous(), db.Statement{SQL: first}, db.Statement{SQL: `SELECT count(*) FROM notes`, Read: scan(&n)})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(`SELECT impersonate()`); n != 1 {
		t.Errorf("the function sees %d rows; if it is held back now, say so in the documentation", n)
	}
	if n := count(`SELECT 1`); n != 0 {
		t.Errorf("the next caller sees %d rows", n)
	}
}
