// Package tenancy keeps the list of tenants in the control database.
package tenancy

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// Channel is where the database notifies of a changed list.
const Channel = "fluxbase_tenants"

// Status says what may be done with a tenant.
type Status string

// The states of a tenant.
const (
	Creating Status = "creating"
	Active   Status = "active"
	Failed   Status = "error"
	Deleting Status = "deleting"
)

// Entry is one tenant of the list.
type Entry struct {
	ID, Slug, Name string
	Default        bool
	Status         Status
	// Database is the name of the tenant's own database; empty when it lives in
	// the control database.
	Database string
}

// List is the list of tenants.
type List struct{ control *db.Database }

// NewList gives the list of an installation, by its control database.
func NewList(control *db.Database) *List { return &List{control} }

// All reads every tenant, deleted ones included while their rows exist.
func (l *List) All(ctx context.Context) ([]Entry, error) {
	var all []Entry
	err := l.control.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT id::text, slug, name, is_default,
			       CASE WHEN deleted_at IS NULL THEN status ELSE 'deleting' END,
			       coalesce(db_name, '')
			  FROM platform.tenants`)
		if err != nil {
			return db.Fault(err)
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
		return db.Fault(err)
	})
	return all, err
}
