package db_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
)

const getByID = `SELECT id, body FROM items WHERE id = $1`

func items(b *testing.B) *dbtest.Database {
	d := dbtest.New(b)
	d.Exec(`
		CREATE TABLE items (id int PRIMARY KEY, owner uuid, body text);
		INSERT INTO items SELECT i, '` + alice + `', 'item ' || i FROM generate_series(1, 10000) i;
		ALTER TABLE items ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON items USING (owner = auth.uid());
		ANALYZE items`)
	b.ReportAllocs()
	b.ResetTimer()
	return d
}

// BenchmarkRun is one row by its key under a policy.
func BenchmarkRun(b *testing.B) {
	d := items(b)
	c := d.User(alice)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range b.N {
		var id int
		var body string
		if err := d.DB.Run(ctx, c, db.Statement{SQL: getByID, Args: []any{i%10000 + 1}, Read: scan(&id, &body)}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBare is the same row by pgx without role, claims and policy.
func BenchmarkBare(b *testing.B) {
	d := items(b)
	pool, err := pgxpool.New(context.Background(), d.AdminURL)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ResetTimer()
	for i := range b.N {
		var id int
		var body string
		if err := pool.QueryRow(ctx, getByID, i%10000+1).Scan(&id, &body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTx is the same work as BenchmarkRun in an explicit transaction.
func BenchmarkTx(b *testing.B) {
	d := items(b)
	c := d.User(alice)
	ctx := context.Background()
	for i := range b.N {
		var id int
		var body string
		err := d.DB.Tx(ctx, c, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, getByID, i%10000+1).Scan(&id, &body)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRunEach is 500 callers in one pipeline; the figure is for all.
func BenchmarkRunEach(b *testing.B) {
	d := items(b)
	runs := make([]db.Run, 500)
	for i := range runs {
		var id int
		var body string
		runs[i] = db.Run{Caller: d.User(alice), Statements: []db.Statement{{SQL: getByID, Args: []any{i + 1}, Read: scan(&id, &body)}}}
	}
	for range b.N {
		for _, err := range d.DB.RunEach(context.Background(), runs) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
