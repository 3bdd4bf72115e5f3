// Package migration prepares databases: roles, logins and event triggers by an
// administrator (Bootstrap), then our own schemas by the owner login (Up).
//
// Bootstrap opens schema public to the API: whatever is created there may be read
// and written by anon, authenticated, service_role and tenant_service, and
// row-level security is the guard. TRUNCATE, which no policy holds back, is for
// service_role only. What was there before bootstrap stays closed. Other schemas
// are granted by whoever creates them.
//
// There are two sets of migrations. control is for the control database and
// holds schema platform; tenant is for every tenant's database and makes it
// complete in itself. The default tenant lives in the control database, which
// gets both. A migration that was released is never changed; a new one gets the
// next number of its set.
package migration

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed control/*.sql tenant/*.sql
var files embed.FS

// upLock is the key of the advisory lock, per database, under which migrations
// run.
const upLock = 0x666c7578_0002

// Set is one of the two sets of migrations.
type Set string

// The sets, in the order in which the control database gets them.
const (
	Control Set = "control"
	Tenant  Set = "tenant"
)

// Applied is a migration that Up has applied.
type Applied struct {
	Set     Set
	Version int64
	File    string
}

// Up brings a database to the newest version of the given sets. The connection
// settings are those of the owner login (db.Database.OwnerConfig). Of several
// nodes at once one does it and the others wait. Each migration is a transaction
// of its own: what was applied before a failure stays.
func Up(ctx context.Context, owner *pgx.ConnConfig, sets ...Set) ([]Applied, error) {
	lock, err := pgx.ConnectConfig(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("sign in to migrate: %w", err)
	}
	defer lock.Close(context.WithoutCancel(ctx))
	var applied []Applied
	err = locked(ctx, lock, upLock, func() error {
		for _, set := range sets {
			done, err := up(ctx, owner, set)
			applied = append(applied, done...)
			if err != nil {
				return fmt.Errorf("migrate %s: %w", set, err)
			}
		}
		return nil
	})
	return applied, err
}

func up(ctx context.Context, owner *pgx.ConnConfig, set Set) ([]Applied, error) {
	conn := stdlib.OpenDB(*owner)
	defer conn.Close()
	p, err := provider(conn, set)
	if err != nil {
		return nil, err
	}
	results, err := p.Up(ctx)
	applied := make([]Applied, 0, len(results))
	for _, r := range results {
		applied = append(applied, Applied{Set: set, Version: r.Source.Version, File: r.Source.Path})
	}
	return applied, err
}

func provider(conn *sql.DB, set Set) (*goose.Provider, error) {
	dir, err := fs.Sub(files, string(set))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, conn, dir,
		goose.WithTableName("fluxbase."+string(set)+"_version"),
		goose.WithDisableGlobalRegistry(true),
		// Numbers are given out before the work begins, and land in another order.
		goose.WithAllowOutofOrder(true))
}

// Hash changes whenever a migration or what bootstrap runs changes.
func Hash() string {
	h := sha256.New()
	h.Write([]byte(bootstrapHash()))
	err := fs.WalkDir(files, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		fmt.Fprintf(h, "\x00%s\x00%s", path, content)
		return err
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func bootstrapHash() string {
	h := sha256.New()
	for _, text := range []string{rolesSQL, databaseSQL, grantsSQL, logTriggerSQL, eventTriggerSQL} {
		fmt.Fprintf(h, "%d\x00%s", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
