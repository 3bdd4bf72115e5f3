// Package dbtest gives every test a fresh, migrated database.
//
// The databases are cloned from a template that is migrated once per server and
// version of the migrations, whatever number of test processes ask for it. The
// server is the one that FLUXBASE_TEST_DATABASE_URL names (a superuser's URL),
// or one that is started for the process.
package dbtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/migration"
	"fluxbase/persistence/postgres"
	"fluxbase/persistence/seal"
)

// URLVariable names the server that tests use.
const URLVariable = "FLUXBASE_TEST_DATABASE_URL"

// templateLock is the key of the advisory lock under which the template is made.
const templateLock = 0x666c7578_0003

// Key is the encryption key from which the logins' passwords on test servers are
// derived. It is the same in all test processes, because they share the logins.
var Key = func() *seal.Key {
	k, err := seal.NewKey([]byte("fluxbase test encryption key 32b"))
	if err != nil {
		panic(err)
	}
	return k
}()

// Database is a database for one test. It gets both sets of migrations, like the
// control database of an installation.
type Database struct {
	// DB is the way in with the three logins.
	DB *db.Database
	// AdminURL signs in to the database as a superuser.
	AdminURL string
	// Tenant is the id of the default tenant.
	Tenant string
	t      testing.TB
}

// New makes a database and removes it when the test ends.
func New(t testing.TB) *Database {
	t.Helper()
	return Open(t, db.Options{})
}

// Open is New with options for the pools; URL and Password are filled in.
func Open(t testing.TB, o db.Options) *Database {
	t.Helper()
	d := &Database{AdminURL: Create(t), t: t}
	o.URL, o.Password = d.AdminURL, Key.Password
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	opened, err := db.Open(ctx, o)
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(opened.Close)
	d.DB = opened
	d.QueryRow(`SELECT id::text FROM platform.tenants WHERE is_default`, &d.Tenant)
	return d
}

// Create makes a migrated database without opening it, and gives its superuser's
// URL. It is removed when the test ends.
func Create(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for attempt := 0; ; attempt++ {
		template, err := migrated(ctx)
		if err != nil {
			t.Fatalf("prepare the template of test databases: %v", err)
		}
		address, err := clone(ctx, t, template)
		if err == nil {
			return address
		}
		if attempt > 0 {
			t.Fatalf("create the test database: %v", err)
		}
		// Somebody dropped the template.
		prepared.Lock()
		prepared.template = ""
		prepared.Unlock()
	}
}

// nothing is PostgreSQL's own template, in which nothing was prepared.
const nothing = "template0"

// Empty makes a database in which nothing was prepared, and gives its superuser's
// URL. It is removed when the test ends.
func Empty(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	address, err := clone(ctx, t, nothing)
	if err != nil {
		t.Fatalf("create the test database: %v", err)
	}
	return address
}

func clone(ctx context.Context, t testing.TB, template string) (string, error) {
	server, err := Server()
	if err != nil {
		return "", err
	}
	var random [8]byte
	rand.Read(random[:])
	name := "fluxbase_test_" + hex.EncodeToString(random[:])
	if err := execute(ctx, server, `CREATE DATABASE `+name+` TEMPLATE `+template); err != nil {
		return "", err
	}
	if template != nothing { // which has no roles yet, perhaps
		// Grants on a database are not cloned.
		if err := execute(ctx, server, `GRANT CREATE ON DATABASE `+name+` TO fluxbase_owner`); err != nil {
			return "", err
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := execute(ctx, server, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	return withDatabase(server, name), nil
}

// Exec runs SQL as the superuser; several statements may be separated by
// semicolons when there are no arguments. Failure ends the test.
func (d *Database) Exec(sql string, args ...any) {
	d.t.Helper()
	d.Admin(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql, args...)
		return err
	})
}

// QueryRow reads one row of one column as the superuser into target.
func (d *Database) QueryRow(sql string, target any, args ...any) {
	d.t.Helper()
	d.Admin(func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, sql, args...).Scan(target)
	})
}

// Admin runs f with a superuser's connection. An error of f ends the test.
func (d *Database) Admin(f func(context.Context, *pgx.Conn) error) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, d.AdminURL)
	if err != nil {
		d.t.Fatalf("sign in as superuser: %v", err)
	}
	defer c.Close(ctx)
	if err := f(ctx, c); err != nil {
		d.t.Fatal(err)
	}
}

// Anonymous is a caller without credentials in the default tenant.
func (d *Database) Anonymous() caller.Caller { return d.caller(caller.Anon, "") }

// User is a signed-in caller in the default tenant.
func (d *Database) User(id string) caller.Caller { return d.caller(caller.Authenticated, id) }

// Service is the default tenant's service_role.
func (d *Database) Service() caller.Caller { return d.caller(caller.Service, "") }

func (d *Database) caller(role caller.Role, user string) caller.Caller {
	c := caller.Caller{Tenant: d.Tenant, DefaultTenant: true, Role: role, UserID: user}
	c.Claims = []byte(`{"role":"` + string(role) + `"}`)
	if user != "" {
		c.Claims = []byte(`{"sub":"` + user + `","role":"` + string(role) + `"}`)
	}
	return c
}

// migrated gives the name of the template, which is made when no process has
// done it yet.
func migrated(ctx context.Context) (string, error) {
	server, err := Server()
	if err != nil {
		return "", err
	}
	name := "fluxbase_template_" + migration.Hash()
	prepared.Lock()
	defer prepared.Unlock()
	if prepared.template == name {
		return name, nil
	}
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	// Held until the connection is closed.
	if _, err := c.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(templateLock)); err != nil {
		return "", err
	}
	var finished bool
	if err := c.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)`, name).Scan(&finished); err != nil {
		return "", err
	}
	if !finished {
		if err := build(ctx, c, server, name); err != nil {
			return "", err
		}
		if err := prune(ctx, c); err != nil {
			return "", err
		}
	}
	prepared.template = name
	return name, nil
}

func build(ctx context.Context, c *pgx.Conn, server, name string) error {
	for _, sql := range []string{`DROP DATABASE IF EXISTS ` + name + ` WITH (FORCE)`, `CREATE DATABASE ` + name + ` TEMPLATE template0`} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return err
		}
	}
	target := withDatabase(server, name)
	if _, err := (migration.Bootstrap{AdminURL: target, ControlURL: server, Password: Key.Password}).Run(ctx); err != nil {
		return err
	}
	owner, err := pgx.ParseConfig(target)
	if err != nil {
		return err
	}
	owner.User, owner.Password = db.OwnerLogin, Key.Password(db.OwnerLogin)
	if _, err := migration.Up(ctx, owner, migration.Control, migration.Tenant); err != nil {
		return err
	}
	// Marked last: a template that was left half-made is made again.
	_, err = c.Exec(ctx, `ALTER DATABASE `+name+` IS_TEMPLATE true`)
	return err
}

// prune drops all but the newest templates. Who is about to clone one of the
// others makes it again.
func prune(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, `SELECT datname FROM pg_database WHERE datname LIKE 'fluxbase\_template\_%' ORDER BY oid DESC OFFSET 4`)
	if err != nil {
		return err
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range old {
		for _, sql := range []string{`ALTER DATABASE ` + name + ` IS_TEMPLATE false`, `DROP DATABASE ` + name + ` WITH (FORCE)`} {
			if _, err := c.Exec(ctx, sql); err != nil {
				return err
			}
		}
	}
	return nil
}

var prepared struct {
	sync.Mutex
	template string
}

// Server is the superuser's URL of the server that tests use.
var Server = sync.OnceValues(func() (string, error) {
	if given := os.Getenv(URLVariable); given != "" {
		// Advisory locks belong to a database: all processes must use the same one.
		return withDatabase(given, "postgres"), nil
	}
	dir, err := os.MkdirTemp("", "fluxbase-test-")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	own, err = postgres.Start(ctx, postgres.Options{Dir: dir, Ephemeral: true})
	if err != nil {
		return "", fmt.Errorf("start PostgreSQL for the tests (or set %s): %w", URLVariable, err)
	}
	return own.URL(), nil
})

// own is the server of this process, if it has one. It lives, and its folder is
// kept, as long as something refers to it and the process lives.
var own *postgres.Server

func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		panic(fmt.Sprintf("%s is no URL: %v", URLVariable, err))
	}
	u.Path = "/" + name
	return u.String()
}

func execute(ctx context.Context, server, sql string) error {
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}
