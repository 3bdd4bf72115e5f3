// Package revocation keeps the deny-list of all tenants in the control database.
//
// Every entry has a number. The database hands numbers out so that one never
// becomes visible after a greater one: who has read up to n and asks for what
// came after n misses nothing, ever. Entries are pruned once every credential
// that they could refuse has ended by itself.
package revocation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// Channel is where the database notifies; the payload is the newest number.
const Channel = "fluxbase_revocations"

// Kind says what Subject names.
type Kind string

// The kinds of revocations.
const (
	User    Kind = "user"    // every token of a user issued up to RevokedAt
	Session Kind = "session" // every token of a session
	Token   Kind = "token"   // one token, by jti
	Key     Kind = "key"     // an opaque key, by id
)

// Entry is one revocation.
type Entry struct {
	// Number is given by the database.
	Number int64
	// Tenant is the tenant's id; empty for operators.
	Tenant  string
	Kind    Kind
	Subject string
	// RevokedAt is given by the database.
	RevokedAt time.Time
	// ExpiresAt is when the entry may be forgotten; zero for never.
	ExpiresAt time.Time
}

// Log is the deny-list in the control database.
type Log struct{ control *db.Database }

// NewLog gives the log of an installation, by its control database.
func NewLog(control *db.Database) *Log { return &Log{control} }

// Record writes entries; when it returns nil they are committed and every node
// will read them.
func (l *Log) Record(ctx context.Context, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	tenants := make([]*string, len(entries))
	kinds := make([]string, len(entries))
	subjects := make([]string, len(entries))
	expiries := make([]*time.Time, len(entries))
	for i, e := range entries {
		if e.Tenant != "" {
			tenants[i] = &e.Tenant
		}
		kinds[i], subjects[i] = string(e.Kind), e.Subject
		if !e.ExpiresAt.IsZero() {
			expiries[i] = &e.ExpiresAt
		}
	}
	return l.control.Owner(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `
			INSERT INTO platform.revocations (tenant_id, kind, subject, expires_at)
			SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])`,
			tenants, kinds, subjects, expiries)
		return db.Fault(err)
	})
}

// Since reads the live entries after a number, in order.
func (l *Log) Since(ctx context.Context, number int64) ([]Entry, error) {
	var entries []Entry
	err := l.control.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT id, coalesce(tenant_id::text, ''), kind, subject, revoked_at, coalesce(expires_at, 'epoch')
			FROM platform.revocations
			WHERE id > $1 AND (expires_at IS NULL OR expires_at > now())
			ORDER BY id`, number)
		if err != nil {
			return db.Fault(err)
		}
		entries, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Entry, error) {
			var e Entry
			err := row.Scan(&e.Number, &e.Tenant, &e.Kind, &e.Subject, &e.RevokedAt, &e.ExpiresAt)
			if e.ExpiresAt.Unix() == 0 {
				e.ExpiresAt = time.Time{}
			}
			return e, err
		})
		return db.Fault(err)
	})
	return entries, err
}

// Prune deletes entries that ended a while ago. The hour of grace is longer than
// any node can be behind and still be let in.
func (l *Log) Prune(ctx context.Context) error {
	return l.control.Owner(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM platform.revocations WHERE expires_at < now() - interval '1 hour'`)
		return db.Fault(err)
	})
}
