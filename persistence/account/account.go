// Package account is the SQL of a tenant's users and their sessions
// (auth.users, auth.sessions). Nothing in it judges: who may do what, and what a
// password must look like, is decided before.
//
// Its statements run as service_role, the only role that may read password
// hashes and sessions.
package account

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
)

// Errors that callers tell apart.
var (
	// ErrEmailTaken means that another user of the tenant has the address.
	ErrEmailTaken = errors.New("email address is taken")
	// ErrNotFound means that there is no such user or session.
	ErrNotFound = errors.New("no such account")
)

// User is a row of auth.users without its secrets.
type User struct {
	ID            string
	TenantID      string
	Email         string
	EmailVerified bool
	Role          string
	UserMetadata  json.RawMessage
	AppMetadata   json.RawMessage
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Store is the users and sessions of one tenant.
type Store struct {
	db     *db.Database
	tenant string
}

// New gives the store of a tenant, by its database and id.
func New(d *db.Database, tenant string) *Store { return &Store{db: d, tenant: tenant} }

func (s *Store) run(ctx context.Context, statements ...db.Statement) error {
	return s.db.Run(ctx, caller.System(s.tenant), statements...)
}

const userColumns = `u.id::text, coalesce(u.tenant_id::text, ''), u.email, u.email_verified, u.role,
	u.user_metadata, u.app_metadata, u.created_at, u.updated_at`

func (u *User) targets() []any {
	return []any{&u.ID, &u.TenantID, &u.Email, &u.EmailVerified, &u.Role,
		(*[]byte)(&u.UserMetadata), (*[]byte)(&u.AppMetadata), &u.CreatedAt, &u.UpdatedAt}
}

// one reads at most one row into targets and tells through found whether there
// was one.
func one(found *bool, targets ...any) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		if !rows.Next() {
			return rows.Err()
		}
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		*found = true
		return nil
	}
}

// NewUser is what signing up stores.
type NewUser struct {
	Email        string
	PasswordHash string
	UserMetadata json.RawMessage
}

// Create makes a user and the session in which he is signed in at once. It fails
// with ErrEmailTaken.
func (s *Store) Create(ctx context.Context, n NewUser, session NewSession) (User, Session, error) {
	var u User
	var made Session
	var found bool
	err := s.run(ctx, db.Statement{
		SQL: `WITH u AS (
				INSERT INTO auth.users (tenant_id, email, password_hash, user_metadata)
				VALUES ($1::uuid, $2, $3, $4::jsonb)
				RETURNING *
			), s AS (
				INSERT INTO auth.sessions (id, tenant_id, user_id, expires_at, ip_address, user_agent)
				SELECT $5::uuid, $1::uuid, u.id, now() + make_interval(secs => $6), $7, $8 FROM u
				RETURNING *
			)
			SELECT ` + userColumns + `, ` + sessionColumns + ` FROM u, s`,
		Args: []any{s.tenant, n.Email, n.PasswordHash, string(n.UserMetadata),
			session.ID, session.TTL.Seconds(), session.IP, session.UserAgent},
		Read: one(&found, append(u.targets(), made.targets()...)...),
	})
	return u, made, taken(err)
}

// Find gives a user, or ErrNotFound.
func (s *Store) Find(ctx context.Context, id string) (User, error) {
	var u User
	var found bool
	err := s.run(ctx, db.Statement{
		SQL:  `SELECT ` + userColumns + ` FROM auth.users u WHERE u.id = $1::uuid`,
		Args: []any{id},
		Read: one(&found, u.targets()...),
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return u, err
}

// Proof is what tells whether a user who is signed in is really he.
type Proof struct {
	PasswordHash string
	// SignedInAt is when his session began; zero when it has no row any more.
	SignedInAt time.Time
	Email      string
}

// Proof reads it for a user and the session that he shows, or ErrNotFound.
func (s *Store) Proof(ctx context.Context, id, session string) (Proof, error) {
	var p Proof
	var found bool
	var at *time.Time
	var sessionID *string
	if session != "" {
		sessionID = &session
	}
	err := s.run(ctx, db.Statement{
		SQL: `SELECT coalesce(u.password_hash, ''), u.email, s.created_at
			FROM auth.users u LEFT JOIN auth.sessions s ON s.id = $2::uuid AND s.user_id = u.id AND s.expires_at > now()
			WHERE u.id = $1::uuid`,
		Args: []any{id, sessionID},
		Read: one(&found, &p.PasswordHash, &p.Email, &at),
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	if at != nil {
		p.SignedInAt = *at
	}
	return p, err
}

// Change is what a user changes of himself; nil means unchanged.
type Change struct {
	Email        *string
	PasswordHash *string
	// UserMetadata is merged into what is there, member by member; a null member
	// is removed.
	UserMetadata json.RawMessage
}

// Update applies a change. A new address is unverified again; a new password
// clears the lock and deletes every session but keepSession. It gives the ids of
// the sessions that ended, and fails with ErrEmailTaken or ErrNotFound.
func (s *Store) Update(ctx context.Context, id string, c Change, keepSession string) (User, []string, error) {
	var u User
	var found bool
	var metadata *string
	if c.UserMetadata != nil {
		m := string(c.UserMetadata)
		metadata = &m
	}
	statements := []db.Statement{{
		SQL: `UPDATE auth.users u SET
				email = coalesce($2, email),
				email_verified = email_verified AND ($2 IS NULL OR lower($2) = lower(email)),
				password_hash = coalesce($3, password_hash),
				failed_login_attempts = CASE WHEN $3 IS NULL THEN failed_login_attempts ELSE 0 END,
				locked_until = CASE WHEN $3 IS NULL THEN locked_until END,
				user_metadata = (user_metadata || coalesce($4::jsonb, '{}'))
					- ARRAY(SELECT key FROM jsonb_each($4::jsonb) WHERE value = 'null')
			WHERE u.id = $1::uuid RETURNING ` + userColumns,
		Args: []any{id, c.Email, c.PasswordHash, metadata},
		Read: one(&found, u.targets()...),
	}}
	var ended []string
	if c.PasswordHash != nil {
		statements = append(statements, s.endOthers(id, keepSession, &ended))
	}
	err := s.run(ctx, statements...)
	if err == nil && !found {
		err = ErrNotFound
	}
	return u, ended, taken(err)
}

// taken turns a violation of the address's uniqueness into ErrEmailTaken.
func taken(err error) error {
	if fault.CodeOf(err) == fault.DuplicateKey {
		return ErrEmailTaken
	}
	return err
}
