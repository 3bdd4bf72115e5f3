package migration

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fluxbase/persistence/db"
)

// rolesLock is the key of the advisory lock under which roles are made. Roles
// belong to the whole server, and PostgreSQL fails concurrent changes of one
// ("tuple concurrently updated"), so everybody takes the lock in the same
// database: the control database.
const rolesLock = 0x666c7578_0001

// Bootstrap says what to prepare.
type Bootstrap struct {
	// AdminURL signs in to the database that is prepared, as a superuser or at
	// least as its owner.
	AdminURL string
	// ControlURL signs in to the control database, where the lock for the
	// server's roles is taken; empty means AdminURL.
	ControlURL string
	// Password gives the password of a login; see seal.Key.Password.
	Password func(login string) string
	// Logger is told what could not be done. Nil means slog.Default.
	Logger *slog.Logger
}

// Report says what bootstrap could not do with the rights that it had.
type Report struct {
	// EventTrigger tells that schema changes are announced; without it the
	// catalogue looks for them itself.
	EventTrigger bool
	// Missing are the grants that are missing, in words for the operator.
	Missing []string
}

var (
	//go:embed bootstrap/roles.sql
	rolesSQL string
	//go:embed bootstrap/database.sql
	databaseSQL string
	//go:embed bootstrap/grants.sql
	grantsSQL string
	//go:embed bootstrap/event_trigger.sql
	eventTriggerSQL string
	//go:embed bootstrap/log_trigger.sql
	logTriggerSQL string
)

// Run makes the roles and logins of the server, and what only an administrator
// can make in the database: our schema for bookkeeping, the default privileges of
// schema public, the event triggers. It may be run at every start, and by many
// nodes at once.
//
// The logins belong to the whole server, and their passwords follow from the
// encryption key: two installations with different keys cannot share a server
// that asks for passwords.
func (b Bootstrap) Run(ctx context.Context) (Report, error) {
	var r Report
	if b.ControlURL == "" {
		b.ControlURL = b.AdminURL
	}
	if b.Logger == nil {
		b.Logger = slog.Default()
	}
	if err := with(ctx, b.ControlURL, func(c *pgx.Conn) error {
		if err := supported(ctx, c); err != nil {
			return err
		}
		return b.roles(ctx, c, &r)
	}); err != nil {
		return r, fmt.Errorf("prepare the roles: %w", err)
	}
	if err := with(ctx, b.AdminURL, func(c *pgx.Conn) error { return b.database(ctx, c, &r) }); err != nil {
		return r, fmt.Errorf("prepare the database: %w", err)
	}
	for _, m := range r.Missing {
		b.Logger.Warn("the database administrator lacks a right", "missing", m)
	}
	return r, nil
}

// oldestServer is the oldest PostgreSQL that our SQL runs on.
const oldestServer = 15

func supported(ctx context.Context, c *pgx.Conn) error {
	var number int
	var version string
	if err := c.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, version()`).Scan(&number, &version); err != nil {
		return err
	}
	if number/10000 < oldestServer {
		return fmt.Errorf("%s is too old: PostgreSQL %d or newer is needed", version, oldestServer)
	}
	return nil
}

func with(ctx context.Context, url string, f func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	return f(c)
}

// roles makes the roles that are missing and sets the password of a login that
// cannot sign in with the one that it should have.
func (b Bootstrap) roles(ctx context.Context, c *pgx.Conn, r *Report) error {
	return locked(ctx, c, rolesLock, func() error {
		if err := b.missingRoles(ctx, c, r); err != nil {
			return err
		}
		for _, login := range []string{db.OwnerLogin, db.UserLogin, db.ServiceLogin} {
			if err := b.login(ctx, c, login); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b Bootstrap) missingRoles(ctx context.Context, c *pgx.Conn, r *Report) error {
	_, err := c.Exec(ctx, rolesSQL)
	if !refused(err) {
		return err
	}
	// Somebody else may have made them for us.
	var missing []string
	if err := c.QueryRow(ctx, `SELECT array(SELECT n FROM unnest($1::text[]) n WHERE to_regrole(n) IS NULL)`,
		[]string{"anon", "authenticated", "service_role", "tenant_service", db.OwnerLogin, db.UserLogin, db.ServiceLogin}).Scan(&missing); err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w; the roles %s are missing: grant CREATEROLE and BYPASSRLS to the administrator or run once as a superuser", err, strings.Join(missing, ", "))
	}
	r.Missing = append(r.Missing, "the roles cannot be checked or repaired (CREATEROLE): "+err.Error())
	return nil
}

// login sets the password when it is not the one that the nodes derive. It is not
// set at every start: nodes that start together would get into each other's way.
func (b Bootstrap) login(ctx context.Context, c *pgx.Conn, login string) error {
	config := c.Config()
	config.User, config.Password = login, b.Password(login)
	probe := func() error {
		c, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return fmt.Errorf("sign in as %s: %w", login, err)
		}
		return c.Close(ctx)
	}
	err := probe()
	var pg *pgconn.PgError
	if err == nil || !errors.As(err, &pg) || pg.Code != "28P01" && pg.Code != "28000" {
		return err
	}
	// The password is made of letters, digits, "-" and "_" only.
	if _, err := c.Exec(ctx, `ALTER ROLE `+login+` PASSWORD '`+b.Password(login)+`'`); err != nil {
		return fmt.Errorf("set the password of %s: %w", login, err)
	}
	return probe()
}

func (b Bootstrap) database(ctx context.Context, c *pgx.Conn, r *Report) error {
	return locked(ctx, c, rolesLock, func() error {
		mark := "Bookkeeping of fluxbase; prepared by " + bootstrapHash()
		var name string
		var done bool
		err := c.QueryRow(ctx, `SELECT current_database(),
			coalesce(obj_description(to_regnamespace('fluxbase'), 'pg_namespace') = $1, false)
				AND (SELECT count(*) FROM pg_event_trigger WHERE evtenabled = 'O'
					AND evtname IN ('fluxbase_access', 'fluxbase_announce', 'fluxbase_announce_drop')) = 3`, mark).Scan(&name, &done)
		if err != nil {
			return err
		}
		if done {
			// DDL that changes nothing would still be announced as a change.
			r.EventTrigger = true
			return nil
		}
		if _, err := c.Exec(ctx, strings.ReplaceAll(databaseSQL, ":database", pgx.Identifier{name}.Sanitize())); err != nil {
			return err
		}
		if _, err := c.Exec(ctx, grantsSQL); err != nil {
			if !refused(err) {
				return err
			}
			r.Missing = append(r.Missing, "new tables in schema public are not granted to the API roles: "+err.Error())
		}
		if _, err := c.Exec(ctx, logTriggerSQL); err != nil {
			if !refused(err) {
				return err
			}
			r.Missing = append(r.Missing, "tables cannot be enabled for realtime: "+err.Error())
		}
		_, err = c.Exec(ctx, eventTriggerSQL)
		switch {
		case err == nil:
			r.EventTrigger = true
		case refused(err):
			r.Missing = append(r.Missing, "schema changes are noticed late, and new views can be written with their owner's rights "+
				"until that is revoked (event triggers need a superuser): "+err.Error())
		default:
			return err
		}
		_, err = c.Exec(ctx, `COMMENT ON SCHEMA fluxbase IS '`+mark+`'`)
		return err
	})
}

// refused tells whether the administrator lacked a right.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}

func locked(ctx context.Context, c *pgx.Conn, key int64, f func() error) error {
	if _, err := c.Exec(ctx, `SELECT pg_advisory_lock($1)`, key); err != nil {
		return err
	}
	// Closing the connection gives the lock back, too.
	defer c.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, key)
	return f()
}
