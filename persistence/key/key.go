// Package key stores the opaque keys of all tenants in the control database.
//
// A key is found by its HMAC-SHA-256 under a secret that the database does not
// have: reading the table lets nobody in, and checking a key costs microseconds,
// unlike a password hash, which random keys do not need.
package key

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
)

// Channel is where the database notifies when a key was made or changed.
const Channel = "fluxbase_keys"

// Type says whom a key makes of its bearer.
type Type string

// The types of keys.
const (
	Anon          Type = "anon"
	Publishable   Type = "publishable"
	TenantService Type = "tenant_service"
	Service       Type = "service"
)

// Role is the application role of a key's bearer.
func (t Type) Role() caller.Role {
	switch t {
	case Publishable:
		return caller.Authenticated
	case TenantService:
		return caller.TenantService
	case Service:
		return caller.Service
	default:
		return caller.Anon
	}
}

// Digest is what a key is found by.
type Digest [sha256.Size]byte

// DigestOf computes it; pepper is the secret that the database does not have.
func DigestOf(pepper []byte, text string) Digest {
	h := hmac.New(sha256.New, pepper)
	h.Write([]byte(text))
	var d Digest
	h.Sum(d[:0])
	return d
}

// Key is a row of platform.service_keys without the key itself.
type Key struct {
	ID string
	// Tenant binds the key to one tenant; empty for none.
	Tenant string
	Name   string
	Type   Type
	Digest Digest
	// Scopes is nil for a key that may do whatever its role may.
	Scopes []string
	// ExpiresAt is zero for a key that never ends.
	ExpiresAt time.Time
}

// Active reads every key that is enabled, not revoked and not over.
func Active(ctx context.Context, control *db.Database) ([]Key, error) {
	var keys []Key
	err := control.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT id::text, coalesce(tenant_id::text, ''), name, key_type, digest, scopes, expires_at
			FROM platform.service_keys
			WHERE enabled AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`)
		if err != nil {
			return db.Fault(err)
		}
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Key, error) {
			var k Key
			var digest []byte
			var expires *time.Time
			if err := row.Scan(&k.ID, &k.Tenant, &k.Name, &k.Type, &digest, &k.Scopes, &expires); err != nil {
				return Key{}, err
			}
			if expires != nil {
				k.ExpiresAt = *expires
			}
			if copy(k.Digest[:], digest) != len(k.Digest) {
				return Key{}, fmt.Errorf("digest of key %s has %d bytes", k.ID, len(digest))
			}
			return k, nil
		})
		return db.Fault(err)
	})
	return keys, err
}

// random gives a prefix and 32 letters and digits: 190 bits.
func random(prefix string) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	text := make([]byte, 0, len(prefix)+32)
	text = append(text, prefix...)
	var b [64]byte
	for {
		// crypto/rand never fails: it ends the process when the system has no randomness.
		_, _ = rand.Read(b[:])
		for _, c := range b {
			// 248 is the greatest multiple of 62 in a byte: beyond it some letters
			// would come more often than others.
			if c >= 248 {
				continue
			}
			if text = append(text, alphabet[c%62]); len(text) == len(prefix)+32 {
				return string(text)
			}
		}
	}
}
