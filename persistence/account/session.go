package account

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
)

// Session is a row of auth.sessions: one sign-in.
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

// NewSession is what a sign-in stores. The database's clock sets its times.
type NewSession struct {
	ID        string
	TTL       time.Duration
	IP        string
	UserAgent string
}

// Outcome is what became of a rotation.
type Outcome int

// The outcomes of Rotate.
const (
	// Gone: no such session, or it has ended.
	Gone Outcome = iota
	// Rotated: the session has a new generation.
	Rotated
	// Repeated: somebody rotated this generation moments ago; the session is given
	// as that rotation left it.
	Repeated
	// Reused: the generation was replaced long ago. Whoever shows it may have
	// stolen it.
	Reused
)

// Rotate moves a session from the generation that a refresh token names to the
// next one and lets it live for ttl from now. Of several at once exactly one gets
// Rotated; the others, and whoever repeats the request within grace, get Repeated.
func (s *Store) Rotate(ctx context.Context, id string, generation int, ttl, grace time.Duration) (Outcome, User, Session, error) {
	var (
		u                 User
		now               Session
		rotated, there    bool
		recent, unexpired bool
		current           User
		session           Session
	)
	err := s.run(ctx,
		db.Statement{
			SQL: `UPDATE auth.sessions s SET generation = s.generation + 1, rotated_at = now(), updated_at = now(),
					expires_at = now() + make_interval(secs => $3)
				FROM auth.users u
				WHERE s.id = $1::uuid AND s.generation = $2 AND s.expires_at > now() AND u.id = s.user_id
				RETURNING ` + userColumns + `, ` + sessionColumns,
			Args: []any{id, generation, ttl.Seconds()},
			Read: one(&rotated, append(u.targets(), now.targets()...)...),
		},
		// Who lost the race waited for the winner's commit above; this statement has
		// a snapshot of its own and sees what the winner left.
		db.Statement{
			SQL: `SELECT s.rotated_at > clock_timestamp() - make_interval(secs => $2), s.expires_at > now(), ` + userColumns + `, ` + sessionColumns + `
				FROM auth.sessions s JOIN auth.users u ON u.id = s.user_id WHERE s.id = $1::uuid`,
			Args: []any{id, grace.Seconds()},
			Read: one(&there, append([]any{&recent, &unexpired}, append(current.targets(), session.targets()...)...)...),
		})
	switch {
	case err != nil:
		return Gone, User{}, Session{}, err
	case rotated:
		return Rotated, u, now, nil
	case !there || !unexpired:
		return Gone, User{}, Session{}, nil
	case session.Generation == generation+1 && recent:
		return Repeated, current, session, nil
	default:
		return Reused, current, session, nil
	}
}

// EndSession deletes one session of a user. It is no error when there is none.
func (s *Store) EndSession(ctx context.Context, user, id string) error {
	return s.run(ctx, db.Statement{
		SQL:  `DELETE FROM auth.sessions WHERE id = $2::uuid AND user_id = $1::uuid`,
		Args: []any{user, id},
	})
}

// EndAllSessions deletes every session of a user and gives their ids.
func (s *Store) EndAllSessions(ctx context.Context, user string) ([]string, error) {
	return s.EndOtherSessions(ctx, user, "")
}

// EndOtherSessions deletes every session of a user but keep, and gives their ids.
func (s *Store) EndOtherSessions(ctx context.Context, user, keep string) ([]string, error) {
	var ended []string
	err := s.run(ctx, s.endOthers(user, keep, &ended))
	return ended, err
}

func (s *Store) endOthers(user, keep string, ended *[]string) db.Statement {
	var kept *string
	if keep != "" {
		kept = &keep
	}
	return db.Statement{
		SQL:  `DELETE FROM auth.sessions WHERE user_id = $1::uuid AND id IS DISTINCT FROM $2::uuid RETURNING id::text`,
		Args: []any{user, kept},
		Read: func(rows pgx.Rows) (err error) {
			*ended, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		},
	}
}

// Revoke writes subjects of a kind (see persistence/revocation) into the tenant's
// own deny-list, where they stay for ttl, and forgets the entries that have ended.
func (s *Store) Revoke(ctx context.Context, kind string, subjects []string, ttl time.Duration) error {
	if len(subjects) == 0 {
		return nil
	}
	return s.run(ctx,
		db.Statement{
			SQL: `INSERT INTO auth.revocations (kind, subject, expires_at)
				SELECT $1, subject, now() + make_interval(secs => $3) FROM unnest($2::text[]) AS subject`,
			Args: []any{kind, subjects, ttl.Seconds()},
		},
		db.Statement{SQL: `DELETE FROM auth.revocations WHERE expires_at < now()`})
}
