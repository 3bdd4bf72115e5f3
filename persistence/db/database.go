// Package db is the only place that opens transactions.
//
// A Database is one PostgreSQL database with a pool per login, and one more of the
// service login for what the server does itself. The
// login decides what a statement can become at most: fluxbase_user is a member
// of anon and authenticated, fluxbase_service of service_role and
// tenant_service, fluxbase_owner owns our own schemas and runs nothing that a
// caller or a model wrote. Run chooses the pool by the caller's database role.
//
// # What a login can and cannot hold back
//
// PostgreSQL lets whoever runs SQL in a session switch to any role that the
// session's login is a member of, and set any setting of ours. A function that
// a statement calls can therefore, inside its own transaction, turn an anonymous
// caller of fluxbase_user into authenticated, or put other claims in place of
// the caller's; in fluxbase_service it can turn tenant_service into service_role.
// Nothing but not running foreign SQL prevents it. What cannot happen through
// fluxbase_user is becoming service_role, tenant_service, the owner or a
// superuser, and through fluxbase_service the owner or a superuser. So: SQL written by callers or models is never passed to
// Run as text unless its parsed tree was checked for SET and set_config; and
// functions in exposed schemas are code of whoever may create them there, as in
// any PostgreSQL. What a function sets for the whole session is undone before
// the next caller's statement: every transaction begins with RESET ALL.
package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/caller"
)

// The logins, made by bootstrap (see persistence/migration).
const (
	OwnerLogin   = "fluxbase_owner"
	UserLogin    = "fluxbase_user"
	ServiceLogin = "fluxbase_service"
)

// Options say which database to open and how many connections it may have.
type Options struct {
	// URL names server, port, database and TLS settings. Its user and password
	// are not used: the pools sign in with the three logins.
	URL string
	// Password gives the password of a login; see seal.Key.Password.
	Password func(login string) string
	// UserConnections, ServiceConnections, SelfConnections and OwnerConnections
	// bound the pools; zero means 16, 8, 4 and 6. Self is for what the server does
	// itself as service_role (see caller.System): whatever service keys ask for,
	// signing in finds a connection.
	UserConnections, ServiceConnections, SelfConnections, OwnerConnections int32
	// IdleTime is after how long an unused connection is closed; zero means 5
	// minutes.
	IdleTime time.Duration
	// StatementTimeout bounds each statement of a context without a deadline;
	// zero means 60 seconds.
	StatementTimeout time.Duration
	// Timeouts bound the statements of callers by their roles; nil bounds none.
	Timeouts Timeouts
	// MaxRowBytes bounds one row of an answer to a caller: a larger one fails with
	// ANSWER_TOO_LARGE. 0 is the driver's own bound, a gigabyte.
	MaxRowBytes int
	// Logger hears what cannot be returned. Nil means slog.Default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *int32
		value int32
	}{{&o.UserConnections, 16}, {&o.ServiceConnections, 8}, {&o.SelfConnections, 4}, {&o.OwnerConnections, 6}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.IdleTime == 0 {
		o.IdleTime = 5 * time.Minute
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Database is the way into one PostgreSQL database. It is safe for use by many
// goroutines.
type Database struct {
	options                    Options
	owner, user, service, self *pgxpool.Pool
	// schema counts the schema changes that ForgetStatements was told of.
	schema atomic.Uint64
}

// Open makes the pools and checks that all three logins can sign in. ctx bounds
// the opening only.
func Open(ctx context.Context, o Options) (*Database, error) {
	o = o.withDefaults()
	d := &Database{options: o}
	for _, p := range []struct {
		pool  **pgxpool.Pool
		login string
		size  int32
	}{
		{&d.owner, OwnerLogin, o.OwnerConnections},
		{&d.user, UserLogin, o.UserConnections},
		{&d.service, ServiceLogin, o.ServiceConnections},
		{&d.self, ServiceLogin, o.SelfConnections},
	} {
		pool, err := d.open(ctx, p.login, p.size)
		if err != nil {
			d.Close()
			return nil, err
		}
		*p.pool = pool
	}
	return d, nil
}

func (d *Database) open(ctx context.Context, login string, size int32) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(d.options.URL)
	if err != nil {
		return nil, fmt.Errorf("database address: %w", err)
	}
	c.MaxConns = size
	c.MinConns = 0
	c.MaxConnIdleTime = d.options.IdleTime
	c.MaxConnLifetime = time.Hour
	c.MaxConnLifetimeJitter = 10 * time.Minute
	c.ConnConfig.User = login
	c.ConnConfig.Password = d.options.Password(login)
	c.ConnConfig.OnNotice = notice
	c.ConnConfig.BuildContextWatcherHandler = func(pc *pgconn.PgConn) ctxwatch.Handler { return &canceler{conn: pc} }
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = login
	}
	for name, value := range sessionSettings {
		c.ConnConfig.RuntimeParams[name] = value
	}
	if login != OwnerLogin {
		c.AfterConnect = startSession
		if most := d.options.MaxRowBytes; most > 0 {
			c.ConnConfig.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
				f := pgproto3.NewFrontend(r, w)
				f.SetMaxBodyLen(most)
				return f
			}
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("pool of %s: %w", login, err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("sign in as %s: %w", login, err)
	}
	return pool, nil
}

// sessionSettings are what every session starts with, and what RESET ALL brings
// it back to: JSON printed by PostgreSQL must look the same whoever asks.
// pg_temp stands last so that a temporary table never hides a real one.
var sessionSettings = map[string]string{
	"search_path":   "public, extensions, pg_temp",
	"TimeZone":      "UTC",
	"DateStyle":     "ISO, MDY",
	"IntervalStyle": "postgres",
	"bytea_output":  "hex",
	// One statement's compiled code is used once here: compiling costs more than
	// it saves.
	"jit":                                 "off",
	"idle_in_transaction_session_timeout": "60000",
}

// Close closes all connections and waits for those in use to come back.
func (d *Database) Close() {
	for _, p := range []*pgxpool.Pool{d.user, d.service, d.self, d.owner} {
		if p != nil {
			p.Close()
		}
	}
}

// Ping tells whether the database answers. It has a connection of our own for
// that: that callers keep theirs busy does not make the database unhealthy.
func (d *Database) Ping(ctx context.Context) error {
	if err := d.self.Ping(ctx); err != nil {
		return faultOf(ctx, err)
	}
	return nil
}

// Owner runs f with a connection of the owner login: for migrations, the log
// reader, the catalogue and our own schemas. Never give it SQL that was written
// by a caller. The connection goes back to the pool when f returns. Errors of f
// are returned as they are.
func (d *Database) Owner(ctx context.Context, f func(*pgxpool.Conn) error) error {
	c, err := d.owner.Acquire(ctx)
	if err != nil {
		return faultOf(ctx, err)
	}
	defer c.Release()
	return f(c)
}

// OwnerConfig is the address and the credentials of the owner login, for
// connections outside the pool such as listeners.
func (d *Database) OwnerConfig() *pgx.ConnConfig { return d.owner.Config().ConnConfig }

// ForgetStatements makes every connection drop its prepared statements before
// it is used next. It is called when the schema changed: a statement that was
// prepared against the old one would keep its old parameter types.
func (d *Database) ForgetStatements() { d.schema.Add(1) }

// PoolStats are the figures of one pool; the service login has two.
type PoolStats struct {
	Login                    string
	Max, Open, InUse, Making int32
	Acquired, Waited, Failed int64
	// Made counts connections opened; Aged and Rested those closed for their age
	// and for having been idle.
	Made, Aged, Rested int64
	// WaitTime is the time spent waiting for connections, all together.
	WaitTime time.Duration
}

// Stats gives the figures of the pools, for metrics.
func (d *Database) Stats() []PoolStats {
	stats := make([]PoolStats, 0, 4)
	for _, p := range []struct {
		login string
		pool  *pgxpool.Pool
	}{{UserLogin, d.user}, {ServiceLogin, d.service}, {ServiceLogin, d.self}, {OwnerLogin, d.owner}} {
		s := p.pool.Stat()
		stats = append(stats, PoolStats{
			Login: p.login, Max: s.MaxConns(), Open: s.TotalConns(), InUse: s.AcquiredConns(),
			Acquired: s.AcquireCount(), Waited: s.EmptyAcquireCount(), Failed: s.CanceledAcquireCount(),
			Making: s.ConstructingConns(), Made: s.NewConnsCount(), Aged: s.MaxLifetimeDestroyCount(),
			Rested: s.MaxIdleDestroyCount(), WaitTime: s.AcquireDuration(),
		})
	}
	return stats
}

// errNoTenant is a defect of the program: tenant resolution comes before SQL.
var errNoTenant = errors.New("caller has no tenant")

func (d *Database) pool(c caller.Caller) (*pgxpool.Pool, error) {
	if c.Tenant == "" {
		return nil, errNoTenant
	}
	if c.Source == caller.SourceSelf {
		return d.self, nil
	}
	switch c.DatabaseRole() {
	case caller.DatabaseService, caller.DatabaseTenantService:
		return d.service, nil
	default:
		return d.user, nil
	}
}
