// Package operator is the SQL of the people who run an installation
// (platform.users, platform.sessions, platform.setup) in the control database.
//
// Its tables are granted to no role: every statement runs under the owner login,
// which no SQL of a user or of a service key ever reaches.
package operator

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// Errors that callers tell apart.
var (
	// ErrSetupDone means that the first operator has been made before.
	ErrSetupDone = errors.New("setup is completed")
	// ErrEmailTaken means that another operator has the address.
	ErrEmailTaken = errors.New("email address is taken")
	// ErrNotFound means that there is no such operator or session.
	ErrNotFound = errors.New("no such operator")
)

// User is a row of platform.users without its secrets.
type User struct {
	ID            string
	Email         string
	EmailVerified bool
	FullName      string
	AvatarURL     string
	Role          string
	Active        bool
	// LockedUntil is nil unless the account is locked now.
	LockedUntil *time.Time
	LastLoginAt *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

const userColumns = `u.id::text, u.email, u.email_verified, u.full_name, coalesce(u.avatar_url, ''), u.role, u.is_active,
	CASE WHEN u.locked_until > now() THEN u.locked_until END, u.last_login_at, u.created_at, u.updated_at`

func (u *User) targets() []any {
	return []any{&u.ID, &u.Email, &u.EmailVerified, &u.FullName, &u.AvatarURL, &u.Role, &u.Active,
		&u.LockedUntil, &u.LastLoginAt, &u.CreatedAt, &u.UpdatedAt}
}

// Session is a row of platform.sessions.
type Session struct {
	ID         string
	UserID     string
	Generation int
	RotatedAt  time.Time
	ExpiresAt  time.Time
}

const sessionColumns = `s.id::text, s.user_id::text, s.generation, s.rotated_at, s.expires_at`

func (s *Session) targets() []any {
	return []any{&s.ID, &s.UserID, &s.Generation, &s.RotatedAt, &s.ExpiresAt}
}

// NewSession is what a sign-in stores.
type NewSession struct {
	ID        string
	TTL       time.Duration
	IP        string
	UserAgent string
}

// Store is the operators of the installation.
type Store struct{ control *db.Database }

// New gives the store in the control database.
func New(control *db.Database) *Store { return &Store{control} }

// row runs a query that gives at most one row; none is ErrNotFound.
func (s *Store) row(ctx context.Context, sql string, args, targets []any) error {
	return s.control.Owner(ctx, func(c *pgxpool.Conn) error {
		err := c.QueryRow(ctx, sql, args...).Scan(targets...)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		return fault(err)
	})
}

func (s *Store) exec(ctx context.Context, sql string, args ...any) error {
	return s.control.Owner(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, sql, args...)
		return fault(err)
	})
}

func fault(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName == "users_email_key" {
		return ErrEmailTaken
	}
	return db.Fault(err)
}

// Status tells whether set-up is done and whether there is an administrator who
// can sign in.
func (s *Store) Status(ctx context.Context) (setupDone, hasAdmin bool, err error) {
	err = s.row(ctx, `SELECT EXISTS (SELECT FROM platform.setup),
		EXISTS (SELECT FROM platform.users WHERE role = 'instance_admin' AND is_active)`, nil, []any{&setupDone, &hasAdmin})
	return setupDone, hasAdmin, err
}

// Setup makes the first instance administrator and signs him in. Of any number of
// calls, at once or later, one succeeds; the others get ErrSetupDone.
func (s *Store) Setup(ctx context.Context, email, name, passwordHash string, session NewSession) (User, Session, error) {
	var u User
	var made Session
	err := s.row(ctx, `
		WITH fence AS (
			INSERT INTO platform.setup DEFAULT VALUES ON CONFLICT DO NOTHING RETURNING done
		), u AS (
			INSERT INTO platform.users (email, password_hash, full_name, email_verified, role, last_login_at)
			SELECT $1, $2, $3, true, 'instance_admin', now() FROM fence
			RETURNING *
		), s AS (
			INSERT INTO platform.sessions (id, user_id, expires_at, ip_address, user_agent)
			SELECT $4::uuid, u.id, now() + make_interval(secs => $5), $6, $7 FROM u
			RETURNING *
		)
		SELECT `+userColumns+`, `+sessionColumns+` FROM u, s`,
		[]any{email, passwordHash, name, session.ID, session.TTL.Seconds(), session.IP, session.UserAgent},
		append(u.targets(), made.targets()...))
	if errors.Is(err, ErrNotFound) {
		err = ErrSetupDone
	}
	return u, made, err
}

// Find gives an operator, or ErrNotFound.
func (s *Store) Find(ctx context.Context, id string) (User, error) {
	var u User
	err := s.row(ctx, `SELECT `+userColumns+` FROM platform.users u WHERE u.id = $1::uuid`, []any{id}, u.targets())
	return u, err
}

// Login is what a sign-in needs to know. For an address that nobody has only
// Locked may be set: the lock of strangers counts like that of operators.
type Login struct {
	UserID       string
	PasswordHash string
	Locked       bool
}

// Login reads it by address, which must be in the compared form.
func (s *Store) Login(ctx context.Context, email string) (Login, error) {
	var l Login
	err := s.row(ctx, `
		SELECT coalesce(u.id::text, ''), coalesce(u.password_hash, ''),
			coalesce(CASE WHEN u.id IS NULL THEN x.locked_until ELSE u.locked_until END > now(), false)
		FROM (SELECT) t
		LEFT JOIN platform.users u ON lower(u.email) = $1
		LEFT JOIN platform.stray_logins x ON x.email_digest = $2`,
		[]any{email, digest(email)}, []any{&l.UserID, &l.PasswordHash, &l.Locked})
	return l, err
}

// Fail counts a wrong password against the address and locks it for the given
// time when it is the limit-th in a row.
func (s *Store) Fail(ctx context.Context, l Login, email string, limit int, lock time.Duration) error {
	if l.UserID != "" {
		return s.exec(ctx, `
			UPDATE platform.users SET
				failed_login_attempts = CASE WHEN failed_login_attempts + 1 >= $2 THEN 0 ELSE failed_login_attempts + 1 END,
				locked_until = CASE WHEN failed_login_attempts + 1 >= $2 THEN now() + make_interval(secs => $3) ELSE locked_until END
			WHERE id = $1::uuid`, l.UserID, limit, lock.Seconds())
	}
	// Addresses tried at random must not fill the table.
	if err := s.exec(ctx, `DELETE FROM platform.stray_logins WHERE updated_at < now() - interval '1 day'`); err != nil {
		return err
	}
	return s.exec(ctx, `
		INSERT INTO platform.stray_logins AS x (email_digest, failures) VALUES ($1, 1)
		ON CONFLICT (email_digest) DO UPDATE SET
			failures = CASE WHEN x.failures + 1 >= $2 THEN 0 ELSE x.failures + 1 END,
			locked_until = CASE WHEN x.failures + 1 >= $2 THEN now() + make_interval(secs => $3) ELSE x.locked_until END,
			updated_at = now()`, digest(email), limit, lock.Seconds())
}

// Enter stores a good sign-in: the counter starts anew, rehash (when it is not
// empty) replaces the stored hash, sessions that have ended go, and the new one
// is made.
func (s *Store) Enter(ctx context.Context, user, rehash string, session NewSession) (User, Session, error) {
	var u User
	var made Session
	err := s.row(ctx, `
		WITH u AS (
			UPDATE platform.users SET failed_login_attempts = 0, locked_until = NULL, last_login_at = now(),
				password_hash = coalesce(nullif($2, ''), password_hash)
			WHERE id = $1::uuid RETURNING *
		), swept AS (
			DELETE FROM platform.sessions WHERE expires_at < now()
		), s AS (
			INSERT INTO platform.sessions (id, user_id, expires_at, ip_address, user_agent)
			SELECT $3::uuid, u.id, now() + make_interval(secs => $4), $5, $6 FROM u
			RETURNING *
		)
		SELECT `+userColumns+`, `+sessionColumns+` FROM u, s`,
		[]any{user, rehash, session.ID, session.TTL.Seconds(), session.IP, session.UserAgent},
		append(u.targets(), made.targets()...))
	return u, made, err
}

// Outcome is what became of a rotation.
type Outcome int

// The outcomes of Rotate; they mean what they mean for the users of a tenant.
const (
	Gone Outcome = iota
	Rotated
	Repeated
	Reused
)

// Rotate moves a session to its next generation and lets it live for ttl from
// now. Of several at once exactly one gets Rotated; the others, and whoever
// repeats the request within grace, get Repeated.
func (s *Store) Rotate(ctx context.Context, id string, generation int, ttl, grace time.Duration) (Outcome, User, Session, error) {
	var u User
	var now Session
	err := s.row(ctx, `
		UPDATE platform.sessions s SET generation = s.generation + 1, rotated_at = now(), updated_at = now(),
			expires_at = now() + make_interval(secs => $3)
		FROM platform.users u
		WHERE s.id = $1::uuid AND s.generation = $2 AND s.expires_at > now() AND u.id = s.user_id
		RETURNING `+userColumns+`, `+sessionColumns,
		[]any{id, generation, ttl.Seconds()}, append(u.targets(), now.targets()...))
	if err == nil {
		return Rotated, u, now, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return Gone, User{}, Session{}, err
	}
	var recent bool
	err = s.row(ctx, `
		SELECT s.rotated_at > now() - make_interval(secs => $2), `+userColumns+`, `+sessionColumns+`
		FROM platform.sessions s JOIN platform.users u ON u.id = s.user_id
		WHERE s.id = $1::uuid AND s.expires_at > now()`,
		[]any{id, grace.Seconds()}, append([]any{&recent}, append(u.targets(), now.targets()...)...))
	switch {
	case errors.Is(err, ErrNotFound):
		return Gone, User{}, Session{}, nil
	case err != nil:
		return Gone, User{}, Session{}, err
	case now.Generation == generation+1 && recent:
		return Repeated, u, now, nil
	default:
		return Reused, u, now, nil
	}
}

// EndSession deletes a session. It is no error when there is none.
func (s *Store) EndSession(ctx context.Context, id string) error {
	return s.exec(ctx, `DELETE FROM platform.sessions WHERE id = $1::uuid`, id)
}

func digest(email string) []byte {
	d := sha256.Sum256([]byte(email))
	return d[:]
}
