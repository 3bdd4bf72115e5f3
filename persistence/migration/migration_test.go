package migration_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/migration"
	"fluxbase/persistence/postgres"
)

func connect(t testing.TB, address, user, password string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), as(t, address, user, password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// as replaces the credentials of an address; no user keeps them.
func as(t testing.TB, address, user, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}

func owner(t testing.TB, address string) *pgx.ConnConfig {
	t.Helper()
	c, err := pgx.ParseConfig(as(t, address, db.OwnerLogin, dbtest.Key.Password(db.OwnerLogin)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bootstrap(t testing.TB, address string) migration.Report {
	t.Helper()
	r, err := migration.Bootstrap{AdminURL: address, ControlURL: shared(t, address), Password: dbtest.Key.Password}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shared is the database of an address's server in which all test processes take
// the lock for the roles, which belong to the whole server.
func shared(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/postgres"
	return u.String()
}

func exec(t testing.TB, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func get[T any](t testing.TB, c *pgx.Conn, sql string) (v T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func TestFreshAndExistingDatabase(t *testing.T) {
	address := dbtest.Empty(t)
	for start := range 3 {
		r := bootstrap(t, address)
		if !r.EventTrigger || len(r.Missing) > 0 {
			t.Errorf("start %d: %+v", start, r)
		}
		applied, err := migration.Up(t.Context(), owner(t, address), migration.Control, migration.Tenant)
		if err != nil {
			t.Fatal(err)
		}
		if start == 0 && len(applied) < 4 || start > 0 && len(applied) != 0 {
			t.Errorf("start %d applied %+v", start, applied)
		}
	}
	c := connect(t, address, "", "")
	if n := get[int](t, c, `SELECT count(*) FROM platform.tenants WHERE slug = 'default' AND is_default AND status = 'active'`); n != 1 {
		t.Errorf("%d default tenants", n)
	}
	if n := get[int](t, c, `SELECT count(*) FROM pg_namespace WHERE nspname IN ('auth', 'realtime', 'app', 'platform') AND nspowner <> 'fluxbase_owner'::regrole`); n != 0 {
		t.Errorf("%d of our schemas belong to somebody else", n)
	}
}

func TestTenantDatabaseIsCompleteInItself(t *testing.T) {
	address := dbtest.Empty(t)
	bootstrap(t, address)
	if _, err := migration.Up(t.Context(), owner(t, address), migration.Tenant); err != nil {
		t.Fatal(err)
	}
	c := connect(t, address, "", "")
	if get[bool](t, c, `SELECT to_regnamespace('platform') IS NOT NULL`) {
		t.Error("a tenant's database has schema platform")
	}
}

func TestManyNodesStartAtOnce(t *testing.T) {
	addresses := []string{dbtest.Empty(t), dbtest.Empty(t)}
	var group sync.WaitGroup
	control := shared(t, addresses[0])
	for n := range 6 {
		group.Go(func() {
			address := addresses[n%2]
			b := migration.Bootstrap{AdminURL: address, ControlURL: control, Password: dbtest.Key.Password}
			if _, err := b.Run(t.Context()); err != nil {
				t.Errorf("bootstrap: %v", err)
				return
			}
			if _, err := migration.Up(t.Context(), owner(t, address), migration.Control, migration.Tenant); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	group.Wait()
}

func TestRolesHaveNoMoreThanTheyNeed(t *testing.T) {
	d := dbtest.New(t)
	d.Admin(func(ctx context.Context, c *pgx.Conn) error {
		if bad := get[string](t, c, `SELECT coalesce(string_agg(rolname, ', '), '') FROM pg_roles
			WHERE rolname IN ('anon', 'authenticated', 'service_role', 'tenant_service', 'fluxbase_owner', 'fluxbase_user', 'fluxbase_service', 'fluxbase_ddl')
			AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication
				OR rolinherit AND rolcanlogin OR rolbypassrls <> (rolname = 'service_role') OR rolcanlogin <> (rolname IN ('fluxbase_owner', 'fluxbase_user', 'fluxbase_service')))`); bad != "" {
			t.Errorf("roles with wrong attributes: %s", bad)
		}
		got := get[string](t, c, `SELECT string_agg(m.member::regrole || ' in ' || m.roleid::regrole, ', ' ORDER BY m.member::regrole::text, m.roleid::regrole::text)
			FROM pg_auth_members m
			WHERE m.member::regrole::text IN ('anon', 'authenticated', 'service_role', 'tenant_service', 'fluxbase_owner', 'fluxbase_user', 'fluxbase_service', 'fluxbase_ddl')`)
		want := "fluxbase_service in service_role, fluxbase_service in tenant_service, fluxbase_user in anon, fluxbase_user in authenticated"
		if got != want {
			t.Errorf("memberships: %s", got)
		}
		return nil
	})
}

// The superuser's DDL runs the event triggers: nothing that the owner login may
// replace must run as the superuser.
func TestEventTriggersAreOutOfTheOwnersReach(t *testing.T) {
	d := dbtest.New(t)
	exec(t, connect(t, d.AdminURL, "", ""), `
		DROP FUNCTION IF EXISTS realtime.schema_changed(text, text);
		CREATE TABLE public.ran_as (who text);
		GRANT INSERT ON public.ran_as TO PUBLIC`)
	c := connect(t, d.AdminURL, db.OwnerLogin, dbtest.Key.Password(db.OwnerLogin))
	for _, sql := range []string{
		`CREATE OR REPLACE FUNCTION fluxbase.announce_schema() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'`,
		`CREATE OR REPLACE FUNCTION fluxbase.grant_created() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'`,
		`CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION fluxbase.announce_schema()`,
		`SET ROLE postgres`, `SET ROLE service_role`, `SET ROLE anon`, `SET ROLE fluxbase_ddl`, `SET SESSION AUTHORIZATION postgres`,
	} {
		if _, err := c.Exec(t.Context(), sql); err == nil {
			t.Errorf("the owner login may run %s", sql)
		}
	}
	exec(t, c, `
		CREATE FUNCTION realtime.schema_changed(event text, tag text) RETURNS void LANGUAGE sql AS 'INSERT INTO public.ran_as VALUES (current_user)';
		GRANT EXECUTE ON FUNCTION realtime.schema_changed(text, text) TO fluxbase_ddl`)
	admin := connect(t, d.AdminURL, "", "")
	exec(t, admin, `CREATE TABLE public.another (id int)`)
	if who := get[string](t, admin, `SELECT string_agg(DISTINCT who, ', ') FROM public.ran_as`); who != "fluxbase_ddl" {
		t.Errorf("the hook ran as %s", who)
	}
}

func TestTablesInPublicAreServed(t *testing.T) {
	d := dbtest.New(t)
	other := "fluxbase_test_" + strings.ToLower(rand.Text()[:8])
	d.Exec(`CREATE ROLE ` + other + `; GRANT CREATE ON SCHEMA public TO ` + other)
	t.Cleanup(func() { d.Exec(`DROP OWNED BY ` + other + `; DROP ROLE ` + other) })
	for creator, name := range map[string]string{"postgres": "by_admin", db.OwnerLogin: "by_owner", other: "by_other"} {
		d.Exec(`SET ROLE ` + creator + `;
			CREATE TABLE ` + name + ` (id serial);
			CREATE VIEW ` + name + `_view AS SELECT * FROM ` + name + `;
			CREATE VIEW ` + name + `_own WITH (security_invoker) AS SELECT * FROM ` + name + `;
			CREATE MATERIALIZED VIEW ` + name + `_kept AS SELECT * FROM ` + name)
		for _, relation := range []string{name, name + "_own", name + "_kept", name + "_view"} {
			var got string
			d.QueryRow(`SELECT string_agg(r || ':' || (SELECT string_agg(p, '' ORDER BY p) FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p
				WHERE has_table_privilege(r, $1, p)), ' ' ORDER BY r) FROM unnest(ARRAY['anon', 'authenticated', 'service_role', 'tenant_service']) r`, &got, relation)
			want := "anon:DELETEINSERTSELECTUPDATE authenticated:DELETEINSERTSELECTUPDATE service_role:DELETEINSERTSELECTTRUNCATEUPDATE tenant_service:DELETEINSERTSELECTUPDATE"
			if strings.HasSuffix(relation, "_view") { // it runs with its owner's rights
				want = "anon:SELECT authenticated:SELECT service_role:DELETEINSERTSELECTTRUNCATEUPDATE tenant_service:SELECT"
			}
			if got != want {
				t.Errorf("%s: %s", relation, got)
			}
		}
		var usable, trigger bool
		d.QueryRow(`SELECT has_sequence_privilege('anon', $1, 'USAGE')`, &usable, name+"_id_seq")
		d.QueryRow(`SELECT has_table_privilege('fluxbase_owner', $1, 'TRIGGER')`, &trigger, name)
		if !usable || !trigger {
			t.Errorf("%s: sequence usable %v, owner may log changes %v", name, usable, trigger)
		}
	}
}

// writers are the roles that may write to a relation in some way.
func writers(t *testing.T, c *pgx.Conn, relation string) string {
	return get[string](t, c, `SELECT coalesce(string_agg(r, ' ' ORDER BY r), '') FROM unnest(ARRAY['anon', 'authenticated', 'tenant_service']) r
		WHERE has_table_privilege(r, '`+relation+`', 'INSERT, UPDATE, DELETE')`)
}

// TestViewsOfTheirOwner: nobody writes through a view with its owner's rights whom
// nobody let, and whoever was let keeps it.
func TestViewsOfTheirOwner(t *testing.T) {
	d := dbtest.New(t)
	c := connect(t, d.AdminURL, "", "")
	exec(t, c, `CREATE TABLE t (id int); CREATE VIEW v AS SELECT * FROM t`)
	if got := writers(t, c, "v"); got != "" {
		t.Errorf("a new view can be written by %s", got)
	}
	exec(t, c, `GRANT UPDATE ON v TO authenticated; CREATE OR REPLACE VIEW v AS SELECT id FROM t`)
	if got := writers(t, c, "v"); got != "authenticated" {
		t.Errorf("a view that was replaced can be written by %q", got)
	}
	exec(t, c, `DO $$ BEGIN CREATE VIEW nested AS SELECT * FROM t; EXCEPTION WHEN others THEN RAISE; END $$`)
	if got := writers(t, c, "nested"); got != "" {
		t.Errorf("a view made in a subtransaction can be written by %s", got)
	}
	exec(t, c, `BEGIN; CREATE VIEW again AS SELECT * FROM t; GRANT INSERT ON again TO anon; COMMIT; ALTER VIEW again RENAME TO other`)
	if got := writers(t, c, "other"); got != "anon" {
		t.Errorf("what was granted in the same transaction: %q", got)
	}

	// A database of a version that refused all writes to views.
	exec(t, c, `
		CREATE VIEW own WITH (security_invoker = on) AS SELECT * FROM t;
		GRANT INSERT, UPDATE, DELETE ON v, own TO anon, authenticated, tenant_service;
		CREATE OR REPLACE FUNCTION fluxbase.grant_created() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
		COMMENT ON SCHEMA fluxbase IS 'older'`)
	bootstrap(t, d.AdminURL)
	if got := writers(t, c, "v"); got != "" {
		t.Errorf("an old view can be written by %s", got)
	}
	if got := writers(t, c, "own"); got != "anon authenticated tenant_service" {
		t.Errorf("an old view that runs as its caller can be written by %q", got)
	}
	exec(t, c, `GRANT UPDATE ON v TO authenticated; COMMENT ON SCHEMA fluxbase IS 'to be prepared again'`)
	bootstrap(t, d.AdminURL)
	if got := writers(t, c, "v"); got != "authenticated" {
		t.Errorf("after another bootstrap it can be written by %q", got)
	}
}

func TestExistingTablesStayClosed(t *testing.T) {
	address := dbtest.Empty(t)
	c := connect(t, address, "", "")
	exec(t, c, `CREATE TABLE public.old (id int)`)
	bootstrap(t, address)
	if get[bool](t, c, `SELECT has_table_privilege('anon', 'public.old', 'SELECT') OR has_table_privilege('authenticated', 'public.old', 'SELECT')`) {
		t.Error("a table that was there before is open")
	}
	if !get[bool](t, c, `SELECT has_table_privilege('fluxbase_owner', 'public.old', 'TRIGGER')`) {
		t.Error("its changes cannot be logged")
	}
}

func TestWithoutSuperuser(t *testing.T) {
	address := dbtest.Empty(t)
	super := connect(t, address, "", "")
	admin := "fluxbase_test_admin_" + strings.ToLower(rand.Text()[:8])
	exec(t, super, `CREATE ROLE `+admin+` LOGIN PASSWORD 'secret'`)
	database := get[string](t, super, `SELECT current_database()::text`)
	exec(t, super, `ALTER DATABASE `+database+` OWNER TO `+admin)
	t.Cleanup(func() {
		server, err := dbtest.Server()
		if err != nil {
			t.Error(err)
			return
		}
		c, err := pgx.Connect(context.Background(), server)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close(context.Background())
		for _, sql := range []string{`DROP DATABASE IF EXISTS ` + database + ` WITH (FORCE)`, `DROP ROLE ` + admin} {
			if _, err := c.Exec(context.Background(), sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
	// The roles are there; the rights of a database's owner do for the rest.
	for range 2 {
		r := bootstrap(t, as(t, address, admin, "secret"))
		if r.EventTrigger || len(r.Missing) != 1 || !strings.Contains(r.Missing[0], "superuser") {
			t.Errorf("report %+v", r)
		}
		if _, err := migration.Up(t.Context(), owner(t, address), migration.Control, migration.Tenant); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, connect(t, address, admin, "secret"), `CREATE TABLE public.mine (id int)`)
	if !get[bool](t, super, `SELECT has_table_privilege('anon', 'public.mine', 'SELECT')`) {
		t.Error("what the administrator creates is not served")
	}
	// Once a superuser comes, what was missing is made.
	if r := bootstrap(t, address); !r.EventTrigger || len(r.Missing) > 0 {
		t.Errorf("report %+v", r)
	}
}

func TestHelperFunctions(t *testing.T) {
	d := dbtest.New(t)
	const user = "a0000000-0000-4000-8000-000000000001"
	const tenant = "7e000000-0000-4000-8000-000000000001"
	all := `SELECT concat_ws(' ', auth.uid(), auth.current_user_id(), auth.role(), auth.current_user_role(), auth.jwt(),
		auth.is_authenticated(), auth.is_admin(), auth.has_tenant_access('` + tenant + `'), auth.has_tenant_access(NULL))`
	for _, test := range []struct{ settings, want string }{
		{``, `anon anon {} f f f t`},
		{`SET app.user_id = ''; SET app.role = ''; SET request.jwt.claims = ''; SET app.current_tenant_id = ''`, `anon anon {} f f f t`},
		{`SET app.user_id = '` + user + `'; SET app.role = 'admin'; SET app.current_tenant_id = '` + tenant + `'`,
			user + ` ` + user + ` admin admin {} t t t f`},
		{`SET request.jwt.claims = '{"sub": "` + user + `", "role": "authenticated"}'`,
			user + ` ` + user + ` authenticated authenticated {"sub": "` + user + `", "role": "authenticated"} t f f t`},
		{`SET request.jwt.claims = '{"sub": "auth0|17", "role": ""}'`, `anon anon {"sub": "auth0|17", "role": ""} f f f t`},
	} {
		c := connect(t, d.AdminURL, "", "")
		exec(t, c, test.settings)
		// What stands before pg_catalog in the path must not matter.
		exec(t, c, `CREATE SCHEMA IF NOT EXISTS evil;
			CREATE OR REPLACE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$;
			SET search_path = evil, pg_catalog`)
		if got := get[string](t, c, all); got != test.want {
			t.Errorf("%s: got %s, want %s", test.settings, got, test.want)
		}
	}
}

func TestInstanceAdmins(t *testing.T) {
	d := dbtest.New(t)
	const admin = "a0000000-0000-4000-8000-000000000001"
	d.Exec(`INSERT INTO platform.users (id, email, full_name, role) VALUES ('` + admin + `', 'a@example.com', 'A', 'instance_admin')`)
	ask := db.Statement{SQL: `SELECT platform.is_instance_admin($1) AND NOT platform.is_instance_admin(gen_random_uuid())`, Args: []any{admin}}
	var yes bool
	ask.Read = func(rows pgx.Rows) error {
		rows.Next()
		return rows.Scan(&yes)
	}
	if err := d.DB.Run(t.Context(), d.User(admin), ask); err != nil || !yes {
		t.Errorf("%v, %v", yes, err)
	}
	d.Exec(`UPDATE platform.users SET is_active = false`)
	if err := d.DB.Run(t.Context(), d.User(admin), ask); err != nil || yes {
		t.Errorf("inactive: %v, %v", yes, err)
	}
	if err := d.DB.Run(t.Context(), d.Anonymous(), ask); err == nil {
		t.Error("anybody may ask who the administrators are")
	}
}

func TestRowSecurityHelpers(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE "odd name" (id int); SELECT auth.enable_rls('odd name')`)
	state := func() (s string) {
		d.QueryRow(`SELECT relrowsecurity || ' ' || relforcerowsecurity FROM pg_class WHERE relname = 'odd name'`, &s)
		return s
	}
	if got := state(); got != "true true" {
		t.Errorf("enabled: %s", got)
	}
	d.Exec(`SELECT auth.disable_rls('odd name', 'public')`)
	if got := state(); got != "false false" {
		t.Errorf("disabled: %s", got)
	}
	err := d.DB.Run(t.Context(), d.User("a0000000-0000-4000-8000-000000000001"), db.Statement{SQL: `SELECT auth.disable_rls('odd name')`})
	if err == nil {
		t.Error("a user may switch row-level security off")
	}
}

// A login that cannot sign in gets its password set; one that can is left alone.
// The server is the test's own: logins belong to the whole server.
func TestPasswordsAreRepaired(t *testing.T) {
	server, err := postgres.Start(t.Context(), postgres.Options{Dir: t.TempDir(), Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	bootstrap(t, server.URL())
	c := connect(t, server.URL(), "", "")
	const hash = `SELECT rolpassword FROM pg_authid WHERE rolname = 'fluxbase_user'`
	before := get[string](t, c, hash)
	bootstrap(t, server.URL())
	if get[string](t, c, hash) != before {
		t.Error("a good password was set again")
	}
	exec(t, c, `ALTER ROLE fluxbase_user PASSWORD 'other'`)
	bootstrap(t, server.URL())
	connect(t, server.URL(), db.UserLogin, dbtest.Key.Password(db.UserLogin))
}

// A migration whose number was left out when later ones were applied is applied when it
// comes.
func TestMigrationsMayLandInAnotherOrder(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`DROP FUNCTION app.roll_back(), app.check_affected(bigint, bigint, bigint);
		DELETE FROM fluxbase.tenant_version WHERE version_id = 9`)
	applied, err := migration.Up(t.Context(), d.DB.OwnerConfig(), migration.Tenant)
	if err != nil || len(applied) != 1 || applied[0].Version != 9 {
		t.Fatalf("applied %+v, %v", applied, err)
	}
	if again, err := migration.Up(t.Context(), d.DB.OwnerConfig(), migration.Tenant); err != nil || len(again) != 0 {
		t.Errorf("applied again %+v, %v", again, err)
	}
}
