package account

import (
	"context"
	"crypto/sha256"
	"time"

	"fluxbase/persistence/db"
)

// Login is what a sign-in by password needs to know. For an address that nobody
// has it is not empty: the lock of strangers counts like that of users.
type Login struct {
	// UserID is empty when nobody has the address.
	UserID       string
	PasswordHash string
	// Locked tells that too many wrong passwords were tried.
	Locked bool
}

// Login reads it by address, which must be in the compared form.
func (s *Store) Login(ctx context.Context, email string) (Login, error) {
	var l Login
	var found bool
	err := s.run(ctx, db.Statement{
		SQL: `SELECT coalesce(u.id::text, ''), coalesce(u.password_hash, ''),
				coalesce(CASE WHEN u.id IS NULL THEN x.locked_until ELSE u.locked_until END > now(), false)
			FROM (SELECT $1::uuid AS tenant) t
			LEFT JOIN auth.users u ON u.tenant_id = t.tenant AND lower(u.email) = $2
			LEFT JOIN auth.stray_logins x ON x.tenant_id = t.tenant AND x.email_digest = $3`,
		Args: []any{s.tenant, email, digest(email)},
		Read: one(&found, &l.UserID, &l.PasswordHash, &l.Locked),
	})
	return l, err
}

// Fail counts a wrong password against the address and locks it for the given
// time when it is the limit-th in a row.
func (s *Store) Fail(ctx context.Context, l Login, email string, limit int, lock time.Duration) error {
	if l.UserID != "" {
		return s.run(ctx, db.Statement{
			SQL: `UPDATE auth.users SET
					failed_login_attempts = CASE WHEN failed_login_attempts + 1 >= $2 THEN 0 ELSE failed_login_attempts + 1 END,
					locked_until = CASE WHEN failed_login_attempts + 1 >= $2 THEN now() + make_interval(secs => $3) ELSE locked_until END
				WHERE id = $1::uuid`,
			Args: []any{l.UserID, limit, lock.Seconds()},
		})
	}
	return s.run(ctx,
		db.Statement{
			SQL: `INSERT INTO auth.stray_logins AS x (tenant_id, email_digest, failures) VALUES ($1::uuid, $2, 1)
				ON CONFLICT (tenant_id, email_digest) DO UPDATE SET
					failures = CASE WHEN x.failures + 1 >= $3 THEN 0 ELSE x.failures + 1 END,
					locked_until = CASE WHEN x.failures + 1 >= $3 THEN now() + make_interval(secs => $4) ELSE x.locked_until END,
					updated_at = now()`,
			Args: []any{s.tenant, digest(email), limit, lock.Seconds()},
		},
		// Addresses tried at random must not fill the table.
		db.Statement{SQL: `DELETE FROM auth.stray_logins WHERE updated_at < now() - interval '1 day'`})
}

// Enter stores a good sign-in: the counter starts anew, rehash (when it is not
// empty) replaces the stored hash, and the session is made. Some sessions that
// have ended are deleted on the way, so that nobody has to sweep.
func (s *Store) Enter(ctx context.Context, user, rehash string, session NewSession) (User, Session, error) {
	var u User
	var made Session
	var found bool
	err := s.run(ctx,
		db.Statement{
			SQL: `UPDATE auth.users SET failed_login_attempts = 0, locked_until = NULL,
					password_hash = coalesce(nullif($2, ''), password_hash)
				WHERE id = $1::uuid AND (failed_login_attempts > 0 OR locked_until IS NOT NULL OR $2 <> '')`,
			Args: []any{user, rehash},
		},
		db.Statement{
			SQL: `WITH s AS (
					INSERT INTO auth.sessions (id, tenant_id, user_id, expires_at, ip_address, user_agent)
					SELECT $2::uuid, u.tenant_id, u.id, now() + make_interval(secs => $3), $4, $5
					FROM auth.users u WHERE u.id = $1::uuid
					RETURNING *
				)
				SELECT ` + userColumns + `, ` + sessionColumns + ` FROM s JOIN auth.users u ON u.id = s.user_id`,
			Args: []any{user, session.ID, session.TTL.Seconds(), session.IP, session.UserAgent},
			Read: one(&found, append(u.targets(), made.targets()...)...),
		},
		db.Statement{SQL: `DELETE FROM auth.sessions WHERE id IN (
				SELECT id FROM auth.sessions WHERE expires_at < now() ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED)`})
	if err == nil && !found {
		err = ErrNotFound
	}
	return u, made, err
}

func digest(email string) []byte {
	d := sha256.Sum256([]byte(email))
	return d[:]
}
