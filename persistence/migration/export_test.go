package migration

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// UpTo brings a database to a version that is not the newest.
func UpTo(ctx context.Context, owner *pgx.ConnConfig, set Set, version int64) error {
	conn := stdlib.OpenDB(*owner)
	defer conn.Close()
	p, err := provider(conn, set)
	if err != nil {
		return err
	}
	_, err = p.UpTo(ctx, version)
	return err
}
