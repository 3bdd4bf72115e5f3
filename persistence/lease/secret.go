package lease

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// DifferentError says that a node was configured with other secrets than the
// installation it wants to be part of.
type DifferentError struct {
	// Names are the settings whose values differ.
	Names []string
}

func (e *DifferentError) Error() string {
	return fmt.Sprintf("%s: the value differs from what this installation uses; all nodes that share a database need the same. "+
		"To change it on purpose, stop every node and delete its row from platform.cluster_secrets", strings.Join(e.Names, ", "))
}

// CheckSecrets compares secrets, by the names of their settings, with what was
// noted by the nodes before. It signs in to the control database by itself and is
// to be called before anything is changed there: a node with another encryption
// key would lock the others out. On a database that nobody has used it does
// nothing.
func CheckSecrets(ctx context.Context, adminURL string, secrets map[string][]byte) error {
	c, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return db.Fault(err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	var there bool
	if err := c.QueryRow(ctx, `SELECT to_regclass('platform.cluster_secrets') IS NOT NULL`).Scan(&there); err != nil || !there {
		return db.Fault(err)
	}
	return compare(ctx, c, secrets)
}

// NoteSecrets notes secrets that nobody has noted before, and compares the others
// as CheckSecrets does. The database alone does not help to guess them.
func (s *Store) NoteSecrets(ctx context.Context, secrets map[string][]byte) error {
	return s.control.Owner(ctx, func(c *pgxpool.Conn) error {
		for name, secret := range secrets {
			salt := make([]byte, 16)
			rand.Read(salt)
			if _, err := c.Exec(ctx, `
				INSERT INTO platform.cluster_secrets (name, salt, digest) VALUES ($1, $2, $3)
				ON CONFLICT (name) DO NOTHING`, name, salt, mark(secret, name, salt)); err != nil {
				return db.Fault(err)
			}
		}
		return compare(ctx, c.Conn(), secrets)
	})
}

func compare(ctx context.Context, c *pgx.Conn, secrets map[string][]byte) error {
	rows, err := c.Query(ctx, `SELECT name, salt, digest FROM platform.cluster_secrets`)
	if err != nil {
		return db.Fault(err)
	}
	var different []string
	var name string
	var salt, digest []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &salt, &digest}, func() error {
		if secret, ok := secrets[name]; ok && !hmac.Equal(digest, mark(secret, name, salt)) {
			different = append(different, name)
		}
		return nil
	})
	if err != nil {
		return db.Fault(err)
	}
	if len(different) > 0 {
		slices.Sort(different)
		return &DifferentError{different}
	}
	return nil
}

// mark is what is noted of a secret.
func mark(secret []byte, name string, salt []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("fluxbase secret\x00" + name + "\x00"))
	m.Write(salt)
	return m.Sum(nil)
}

// Authority gives the certificate and the private key of the cluster's authority.
// The first node makes them by calling create, and every node gets the same.
func (s *Store) Authority(ctx context.Context, key Sealer, create func() (certificate, private []byte, err error)) (certificate, private []byte, err error) {
	bound := []byte("platform.cluster_authority")
	err = s.control.Owner(ctx, func(c *pgxpool.Conn) error {
		var sealed []byte
		read := func() error {
			return c.QueryRow(ctx, `SELECT certificate, sealed_key FROM platform.cluster_authority`).Scan(&certificate, &sealed)
		}
		err := read()
		if errors.Is(err, pgx.ErrNoRows) {
			fresh, secret, err := create()
			if err != nil {
				return err
			}
			if sealed, err = key.Seal(secret, bound); err != nil {
				return err
			}
			if _, err := c.Exec(ctx, `
				INSERT INTO platform.cluster_authority (certificate, sealed_key) VALUES ($1, $2)
				ON CONFLICT (single) DO NOTHING`, fresh, sealed); err != nil {
				return db.Fault(err)
			}
			// Another node may have been first.
			return openAuthority(read(), key, &sealed, bound, &private)
		}
		return openAuthority(err, key, &sealed, bound, &private)
	})
	return certificate, private, err
}

// Sealer encrypts what is stored; *seal.Key does.
type Sealer interface {
	Seal(plain, context []byte) ([]byte, error)
	Open(sealed, context []byte) ([]byte, error)
}

func openAuthority(err error, key Sealer, sealed *[]byte, bound []byte, private *[]byte) error {
	if err != nil {
		return db.Fault(err)
	}
	*private, err = key.Open(*sealed, bound)
	if err != nil {
		return fmt.Errorf("the cluster's certificate authority: %w", err)
	}
	return nil
}
