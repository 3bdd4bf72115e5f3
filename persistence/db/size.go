package db

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Size is the size of the database on disk, in words ("45 MB").
func (d *Database) Size(ctx context.Context) (size string, err error) {
	err = d.Owner(ctx, func(c *pgxpool.Conn) error {
		return Fault(c.QueryRow(ctx, `SELECT pg_size_pretty(pg_database_size(current_database()))`).Scan(&size))
	})
	return size, err
}
