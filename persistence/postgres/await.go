package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Await waits until the server at address lets us in: containers that start
// together are rarely ready together. It tries attempts times, 1, 2, 4 … seconds
// apart. An answer that waiting does not change, such as a wrong password, is
// returned at once.
func Await(ctx context.Context, address string, attempts int, retry func(error)) error {
	for pause, n := time.Second, 1; ; pause, n = pause*2, n+1 {
		err := knock(ctx, address)
		if err == nil {
			return nil
		}
		if n >= attempts || final(err) || ctx.Err() != nil {
			return fmt.Errorf("connect to the database: %w", err)
		}
		retry(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func knock(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// final tells whether the server gave an answer that will stay the same.
func final(err error) bool {
	var config *pgconn.ParseConfigError
	if errors.As(err, &config) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	// 57P03: the server is starting up; 53300: too many connections.
	return pg.Code != "57P03" && pg.Code != "53300"
}
