package db_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
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

// value runs one statement that returns one value.
func value[T any](t testing.TB, d *dbtest.Database, c caller.Caller, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := d.DB.Run(t.Context(), c, db.Statement{SQL: sql, Args: args, Read: scan(&v)}); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func wantCode(t testing.TB, err error, want fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestRunSetsRoleAndClaims(t *testing.T) {
	d := dbtest.New(t)
	tenant := caller.Caller{Tenant: d.Tenant, Role: caller.Service, Claims: []byte(`{"role":"service_role"}`)}
	for _, want := range []struct {
		caller      caller.Caller
		role, login string
		user, app   string
	}{
		{d.Anonymous(), "anon", db.UserLogin, "", "anon"},
		{caller.Caller{Tenant: d.Tenant}, "anon", db.UserLogin, "", "anon"},
		{d.User(alice), "authenticated", db.UserLogin, alice, "authenticated"},
		{d.Service(), "service_role", db.ServiceLogin, "", "service_role"},
		{tenant, "tenant_service", db.ServiceLogin, "", "service_role"},
	} {
		for range 2 { // prepared, then cached
			var role, login, user, app, current, claims string
			err := d.DB.Run(t.Context(), want.caller, db.Statement{
				SQL: `SELECT current_user::text, session_user::text, coalesce(auth.uid()::text, ''), auth.role(),
					current_setting('app.current_tenant_id'), current_setting('request.jwt.claims')`,
				Read: scan(&role, &login, &user, &app, &current, &claims),
			})
			if err != nil {
				t.Fatal(err)
			}
			if role != want.role || login != want.login || user != want.user || app != want.app || current != d.Tenant || claims != string(want.caller.Claims) {
				t.Errorf("%+v: ran as %s through %s, user %q, role %s, tenant %s, claims %s", want, role, login, user, app, current, claims)
			}
		}
	}
}

func TestRunRefusesACallerWithoutTenant(t *testing.T) {
	d := dbtest.New(t)
	if err := d.DB.Run(t.Context(), caller.Anonymous(), db.Statement{SQL: `SELECT 1`}); err == nil {
		t.Error("a caller without tenant may run statements")
	}
}

// TestServiceKeysCannotKeepTheServerWaiting holds all connections for service
// identities and wants one for the server's own work.
func TestServiceKeysCannotKeepTheServerWaiting(t *testing.T) {
	d := dbtest.Open(t, db.Options{ServiceConnections: 1})
	ctx, release := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.DB.Run(ctx, d.Service(), db.Statement{SQL: `SELECT pg_sleep(60)`}) }()
	busy := func() bool {
		for _, p := range d.DB.Stats() {
			if p.Login == db.ServiceLogin && p.InUse == 1 {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(5 * time.Second); !busy(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the service identity got no connection")
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := d.DB.Run(soon, caller.System(d.Service().Tenant), db.Statement{SQL: `SELECT 1`}); err != nil {
		t.Errorf("the server's own work: %v", err)
	}
	if err := d.DB.Ping(soon); err != nil {
		t.Errorf("the question whether it is well: %v", err)
	}
	release()
	if err := <-ended; fault.CodeOf(err) != fault.Canceled {
		t.Errorf("the service identity: %v", err)
	}
}

func TestNothingIsLeftForTheNextCaller(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	d.Exec(`CREATE TABLE t (id int)`)
	// Everything that a function could set for the whole session.
	for _, sql := range []string{
		`SELECT set_config('request.jwt.claims', '{"sub":"` + bob + `"}', false)`,
		`SELECT set_config('app.user_id', '` + bob + `', false)`,
		`SELECT set_config('role', 'authenticated', false)`,
		`SELECT set_config('search_path', 'pg_temp', false)`,
		`SELECT set_config('TimeZone', 'Asia/Tokyo', false)`,
		`SELECT set_config('statement_timeout', '1', false)`,
		`SELECT set_config('default_transaction_read_only', 'on', false)`,
		`SELECT set_config('row_security', 'off', false)`,
		`SELECT set_config('my.thing', 'x', false)`,
	} {
		if err := d.DB.Run(t.Context(), d.User(alice), db.Statement{SQL: sql}); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	var role, claims, path, zone, readOnly, security, thing string
	var uid *string
	err := d.DB.Run(t.Context(), d.Anonymous(),
		db.Statement{SQL: `SELECT pg_sleep(0.02)`},
		db.Statement{SQL: `INSERT INTO t VALUES (1)`},
		db.Statement{
			SQL: `SELECT current_user::text, auth.uid()::text, current_setting('request.jwt.claims'), current_setting('search_path'),
				current_setting('TimeZone'), current_setting('transaction_read_only'), current_setting('row_security'), coalesce(current_setting('my.thing', true), '')`,
			Read: scan(&role, &uid, &claims, &path, &zone, &readOnly, &security, &thing)})
	if err != nil {
		t.Fatal(err)
	}
	if role != "anon" || uid != nil || claims != `{"role":"anon"}` || path != "public, extensions, pg_temp" || zone != "UTC" || readOnly != "off" || security != "on" || thing != "" {
		t.Errorf("role %s, user %v, claims %s, path %s, zone %s, read only %s, row security %s, thing %q", role, uid, claims, path, zone, readOnly, security, thing)
	}
}

func TestRunIsOneTransaction(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE t (id int PRIMARY KEY, CONSTRAINT late UNIQUE (id) DEFERRABLE INITIALLY DEFERRED)`)
	c := d.User(alice)
	insert := func(id int) db.Statement { return db.Statement{SQL: `INSERT INTO t VALUES ($1)`, Args: []any{id}} }
	for range 2 {
		wantCode(t, d.DB.Run(t.Context(), c, insert(1), insert(2), db.Statement{SQL: `SELECT 1/0`}, insert(3)), fault.InvalidInput)
		wantCode(t, d.DB.Run(t.Context(), c, insert(1), db.Statement{SQL: `SELECT * FROM missing`}), fault.TableNotFound)
		wantCode(t, d.DB.Run(t.Context(), c, insert(1), insert(1)), fault.DuplicateKey)
		// A parameter that cannot be encoded is found before anything is sent.
		wantCode(t, d.DB.Run(t.Context(), c, insert(1), db.Statement{SQL: `SELECT $1::int`, Args: []any{"no number"}}), fault.InvalidInput)
		if n := value[int](t, d, c, `SELECT count(*) FROM t`); n != 0 {
			t.Errorf("%d rows are left of transactions that failed", n)
		}
	}
	var tags []string
	tag := func(s db.Statement) db.Statement {
		s.Read = func(rows pgx.Rows) error {
			for rows.Next() {
			}
			tags = append(tags, rows.CommandTag().String())
			return rows.Err()
		}
		return s
	}
	if err := d.DB.Run(t.Context(), c, tag(insert(1)), tag(insert(2)), tag(db.Statement{SQL: `DELETE FROM t RETURNING id`})); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(tags, ", "); got != "INSERT 0 1, INSERT 0 1, DELETE 2" {
		t.Errorf("command tags %s", got)
	}
}

func TestDeferredConstraintFailsTheRun(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE t (id int CONSTRAINT late UNIQUE DEFERRABLE INITIALLY DEFERRED)`)
	err := d.DB.Run(t.Context(), d.User(alice), db.Statement{SQL: `INSERT INTO t VALUES (1), (1)`})
	wantCode(t, err, fault.DuplicateKey)
	if n := value[int](t, d, d.User(alice), `SELECT count(*) FROM t`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestRunRead(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE t (id int)`)
	wantCode(t, d.DB.RunRead(t.Context(), d.User(alice), db.Statement{SQL: `INSERT INTO t VALUES (1)`}), fault.ReadOnlyRelation)
	wantCode(t, d.DB.RunRead(t.Context(), d.User(alice),
		db.Statement{SQL: `SELECT set_config('transaction_read_only', 'off', true)`},
		db.Statement{SQL: `INSERT INTO t VALUES (1)`}), fault.DatabaseError)
	var n int
	if err := d.DB.RunRead(t.Context(), d.User(alice), db.Statement{SQL: `SELECT count(*) FROM t`, Read: scan(&n)}); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestPoliciesFollowTheRoleOnOneConnection(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	d.Exec(`
		CREATE TABLE notes (id int, owner uuid);
		INSERT INTO notes SELECT i, CASE WHEN i % 3 = 0 THEN '` + alice + `' ELSE '` + bob + `' END::uuid FROM generate_series(1, 30) i;
		ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON notes TO authenticated USING (owner = auth.uid());
		CREATE POLICY few ON notes TO anon USING (id <= 2)`)
	// Often enough for PostgreSQL to keep a generic plan.
	for range 12 {
		for _, want := range []struct {
			caller caller.Caller
			rows   int
		}{{d.User(alice), 10}, {d.Anonymous(), 2}, {d.User(bob), 20}, {d.Service(), 30}} {
			if n := value[int](t, d, want.caller, `SELECT count(*) FROM notes WHERE id < $1`, 1000); n != want.rows {
				t.Fatalf("%s %s sees %d rows, want %d", want.caller.Role, want.caller.UserID, n, want.rows)
			}
		}
	}
	d.Exec(`DROP POLICY few ON notes; ALTER POLICY own ON notes USING (owner = auth.uid() AND id < 10)`)
	if n := value[int](t, d, d.Anonymous(), `SELECT count(*) FROM notes WHERE id < $1`, 1000); n != 0 {
		t.Errorf("without a policy anon sees %d rows", n)
	}
	if n := value[int](t, d, d.User(alice), `SELECT count(*) FROM notes WHERE id < $1`, 1000); n != 3 {
		t.Errorf("after ALTER POLICY alice sees %d rows", n)
	}
}

func TestStatementsFollowTheSchema(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	c := d.User(alice)
	d.Exec(`CREATE TABLE t (id int, body text); INSERT INTO t VALUES (1, 'one')`)
	all := func() (n int) {
		t.Helper()
		err := d.DB.Run(t.Context(), c, db.Statement{SQL: `SELECT * FROM t`, Read: func(rows pgx.Rows) error {
			n = len(rows.FieldDescriptions())
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	find := func(id any) string {
		t.Helper()
		return value[string](t, d, c, `SELECT body FROM t WHERE id = $1`, id)
	}
	if n := all(); n != 2 {
		t.Fatalf("%d columns", n)
	}
	find(1)
	d.Exec(`ALTER TABLE t ADD COLUMN more int`)
	if n := all(); n != 3 {
		t.Errorf("%d columns after ADD COLUMN", n)
	}
	find(1)
	// The parameter was an int when the statement was prepared.
	d.Exec(`ALTER TABLE t ALTER id TYPE text`)
	find("1")
	d.Exec(`DROP TABLE t`)
	wantCode(t, d.DB.Run(t.Context(), c, db.Statement{SQL: `SELECT body FROM t WHERE id = $1`, Args: []any{"1"}}), fault.TableNotFound)
	d.Exec(`CREATE TABLE t (id uuid, body text); INSERT INTO t VALUES ('` + alice + `', 'new')`)
	if got := find(alice); got != "new" {
		t.Errorf("found %q", got)
	}
	d.DB.ForgetStatements()
	if got := find(alice); got != "new" {
		t.Errorf("found %q after ForgetStatements", got)
	}
	if n := value[int](t, d, c, `SELECT count(*) FROM pg_prepared_statements`); n > 8 {
		t.Errorf("%d statements are prepared", n)
	}
	// A function may throw them all away.
	wantCode(t, d.DB.Run(t.Context(), c, db.Statement{SQL: `DEALLOCATE ALL`}), "")
	if got := find(alice); got != "new" {
		t.Errorf("found %q after DEALLOCATE ALL", got)
	}
}

func TestStatementsAreEvicted(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	c := d.User(alice)
	for i := range 600 {
		if got := value[int](t, d, c, fmt.Sprintf(`SELECT %d`, i)); got != i {
			t.Fatalf("SELECT %d gave %d", i, got)
		}
	}
	if n := value[int](t, d, c, `SELECT count(*) FROM pg_prepared_statements`); n > 270 {
		t.Errorf("%d statements are prepared", n)
	}
	// One run with more statements than are kept.
	var many []db.Statement
	var sum int
	for i := range 400 {
		many = append(many, db.Statement{SQL: fmt.Sprintf(`SELECT %d`, i), Read: func(rows pgx.Rows) error {
			var n int
			rows.Next()
			err := rows.Scan(&n)
			sum += n
			return err
		}})
	}
	if err := d.DB.Run(t.Context(), c, many...); err != nil || sum != 400*399/2 {
		t.Errorf("sum %d, %v", sum, err)
	}
}

func TestConflictsAreRepeatedOnce(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE SEQUENCE tries;
		CREATE TABLE t (n int);
		CREATE FUNCTION fail(times int) RETURNS int LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO t VALUES (1);
			IF nextval('tries') <= times THEN RAISE SQLSTATE '40001'; END IF;
			RETURN currval('tries');
		END $$`)
	c := d.User(alice)
	if n := value[int](t, d, c, `SELECT fail(1)`); n != 2 {
		t.Errorf("succeeded at try %d", n)
	}
	d.Exec(`SELECT setval('tries', 1, false)`)
	wantCode(t, d.DB.Run(t.Context(), c, db.Statement{SQL: `SELECT fail(10)`}), fault.Conflict)
	// What has been read cannot be unread.
	var one int
	wantCode(t, d.DB.Run(t.Context(), c, db.Statement{SQL: `SELECT 1`, Read: scan(&one)}, db.Statement{SQL: `SELECT fail(10)`}), fault.Conflict)
	var tries, rows int
	d.QueryRow(`SELECT last_value FROM tries`, &tries)
	d.QueryRow(`SELECT count(*) FROM t`, &rows)
	if tries != 3 || rows != 1 {
		t.Errorf("%d tries and %d rows, want 3 and 1", tries, rows)
	}
}

func TestDeadlockIsRepeated(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE TABLE t (id int PRIMARY KEY, n int);
		INSERT INTO t VALUES (1, 0), (2, 0);
		CREATE FUNCTION touch(a int, b int) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			UPDATE t SET n = n + 1 WHERE id = a;
			PERFORM pg_sleep(0.3);
			UPDATE t SET n = n + 1 WHERE id = b;
		END $$`)
	var group sync.WaitGroup
	for _, order := range [][]any{{1, 2}, {2, 1}} {
		group.Go(func() {
			if err := d.DB.Run(t.Context(), d.User(alice), db.Statement{SQL: `SELECT touch($1, $2)`, Args: order}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := value[int](t, d, d.User(alice), `SELECT sum(n) FROM t`); n != 4 {
		t.Errorf("sum %d, want 4", n)
	}
}

func TestCancelAndTimeout(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	c := d.User(alice)
	before := value[int](t, d, c, `SELECT pg_backend_pid()`)
	slow := db.Statement{SQL: `SELECT pg_sleep(20)`}

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	start := time.Now()
	wantCode(t, d.DB.Run(ctx, c, slow), fault.Canceled)
	wantCode(t, d.DB.Run(ctx, c, slow), fault.Canceled)

	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantCode(t, d.DB.Run(ctx, c, slow), fault.Timeout)
	wantCode(t, d.DB.Run(ctx, c, slow), fault.Timeout)
	// Each statement is within the time, not so their sum.
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	part := db.Statement{SQL: `SELECT pg_sleep(0.2)`}
	wantCode(t, d.DB.Run(ctx, c, part, part, part, part, part, part, part, part), fault.Timeout)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if after := value[int](t, d, c, `SELECT pg_backend_pid()`); after != before {
		t.Error("the connection was replaced")
	}
}

func TestDefaultTimeout(t *testing.T) {
	d := dbtest.Open(t, db.Options{StatementTimeout: 50 * time.Millisecond})
	wantCode(t, d.DB.Run(context.Background(), d.User(alice), db.Statement{SQL: `SELECT pg_sleep(20)`}), fault.Timeout)
}

// A request to cancel must hit the statement that it was meant for or none.
func TestCancelNeverHitsTheNextStatement(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	c := d.User(alice)
	cancelled := 0
	for range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
		err := d.DB.Run(ctx, c, db.Statement{SQL: `SELECT pg_sleep(0.001)`})
		if err != nil {
			wantCode(t, err, fault.Canceled)
			cancelled++
		}
		timer.Stop()
		cancel()
		if err := d.DB.Run(t.Context(), c, db.Statement{SQL: `SELECT pg_sleep(0.0005)`}); err != nil {
			t.Fatalf("after a cancellation: %v", err)
		}
	}
	if cancelled == 0 {
		t.Error("nothing was cancelled")
	}
}

func TestLostConnection(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	c := d.User(alice)
	kill := func() {
		pid := value[int](t, d, c, `SELECT pg_backend_pid()`)
		d.Exec(`SELECT pg_terminate_backend($1, 5000)`, pid)
	}
	kill()
	var one int
	if err := d.DB.RunRead(t.Context(), c, db.Statement{SQL: `SELECT 1`, Read: scan(&one)}); err != nil {
		t.Errorf("a read is not repeated: %v", err)
	}
	kill()
	wantCode(t, d.DB.Run(t.Context(), c, db.Statement{SQL: `SELECT 1`}), fault.ServiceUnavailable)
	if err := d.DB.Run(t.Context(), c, db.Statement{SQL: `SELECT 1`}); err != nil {
		t.Errorf("the connection is not replaced: %v", err)
	}
}

func TestReadErrorsAreReturned(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE t (id int)`)
	mine := errors.New("mine")
	err := d.DB.Run(t.Context(), d.User(alice),
		db.Statement{SQL: `INSERT INTO t VALUES (1), (2), (3) RETURNING id`, Read: func(pgx.Rows) error { return mine }},
		db.Statement{SQL: `SELECT 1`})
	if !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	if n := value[int](t, d, d.User(alice), `SELECT count(*) FROM t`); n != 3 {
		t.Errorf("%d rows, want 3: the transaction commits whatever Read says", n)
	}
}

func TestLargeStatementsBothWays(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 1})
	big := strings.Repeat("x", 4<<20)
	var statements []db.Statement
	for range 8 {
		var back string
		statements = append(statements, db.Statement{SQL: `SELECT $1::text || repeat('y', 4 << 20)`, Args: []any{big}, Read: func(rows pgx.Rows) error {
			rows.Next()
			if err := rows.Scan(&back); err != nil {
				return err
			}
			if len(back) != 8<<20 {
				return fmt.Errorf("%d bytes came back", len(back))
			}
			return nil
		}})
	}
	if err := d.DB.Run(t.Context(), d.User(alice), statements...); err != nil {
		t.Fatal(err)
	}
}

func TestRunFromManyGoroutines(t *testing.T) {
	d := dbtest.Open(t, db.Options{UserConnections: 3, ServiceConnections: 2})
	var group sync.WaitGroup
	for g := range 16 {
		group.Go(func() {
			c := []caller.Caller{d.User(alice), d.User(bob), d.Anonymous(), d.Service()}[g%4]
			for i := range 50 {
				var n int
				var user string
				err := d.DB.Run(context.Background(), c, db.Statement{SQL: `SELECT $1::int, coalesce(auth.uid()::text, '')`, Args: []any{i}, Read: scan(&n, &user)})
				if err != nil || n != i || user != c.UserID {
					t.Errorf("got %d for %q, %v; want %d for %q", n, user, err, i, c.UserID)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestAnonymousIsAskedToSignIn(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE TABLE closed (id int);
		REVOKE ALL ON closed FROM anon, authenticated;
		CREATE TABLE guarded (id int);
		ALTER TABLE guarded ENABLE ROW LEVEL SECURITY`)
	for sql, code := range map[string]fault.Code{
		`SELECT * FROM closed`:           fault.InsufficientPermissions,
		`INSERT INTO guarded VALUES (1)`: fault.RLSPolicyViolation,
		`SELECT * FROM platform.tenants`: fault.InsufficientPermissions,
	} {
		wantCode(t, d.DB.Run(t.Context(), d.User(alice), db.Statement{SQL: sql}), code)
		wantCode(t, d.DB.Run(t.Context(), d.Anonymous(), db.Statement{SQL: sql}), fault.AuthenticationRequired)
	}
}
