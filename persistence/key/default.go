package key

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// Names of the two keys that every installation has from the start.
const (
	defaultAnon    = "default anon key"
	defaultService = "default service key"
)

// Defaults are the keys that a new installation prints.
type Defaults struct {
	Anon    string
	Service string
}

// Sealer encrypts what is stored with the installation's key; context binds the
// result to its place.
type Sealer interface {
	Seal(plain, context []byte) ([]byte, error)
	Open(sealed, context []byte) ([]byte, error)
}

// EnsureDefaults gives the default keys and makes them when they are missing.
// Nodes that start at the same time all get the same ones: the first to write
// wins, and what is stored is read back. configured overrides: a key that is set
// there replaces the stored one.
func EnsureDefaults(ctx context.Context, control *db.Database, s Sealer, pepper []byte, configured Defaults) (Defaults, error) {
	var d Defaults
	for _, k := range []struct {
		name, prefix, configured string
		kind                     Type
		into                     *string
	}{
		{defaultAnon, "fb_anon_", configured.Anon, Anon, &d.Anon},
		{defaultService, "fb_gsk_", configured.Service, Service, &d.Service},
	} {
		text, err := ensure(ctx, control, s, pepper, k.name, k.prefix, k.configured, k.kind)
		if err != nil {
			return Defaults{}, fmt.Errorf("%s: %w", k.name, err)
		}
		*k.into = text
	}
	return d, nil
}

func ensure(ctx context.Context, control *db.Database, s Sealer, pepper []byte, name, prefix, configured string, kind Type) (string, error) {
	text := configured
	if text == "" {
		text = random(prefix)
	}
	sealed, err := s.Seal([]byte(text), []byte(name))
	if err != nil {
		return "", err
	}
	digest := DigestOf(pepper, text)
	var stored, storedDigest []byte
	err = control.Owner(ctx, func(c *pgxpool.Conn) error {
		// The update changes a row only when the configuration names another key; it
		// is there so that the row comes back in either case.
		return db.Fault(c.QueryRow(ctx, `
			INSERT INTO platform.service_keys AS k (name, description, key_type, digest, key_prefix, sealed)
			VALUES ($1, 'Made at the first start', $2, $3, $4, $5)
			ON CONFLICT (tenant_id, name) DO UPDATE SET
				digest = CASE WHEN $6 THEN excluded.digest ELSE k.digest END,
				key_prefix = CASE WHEN $6 THEN excluded.key_prefix ELSE k.key_prefix END,
				sealed = CASE WHEN $6 THEN excluded.sealed ELSE k.sealed END
			RETURNING sealed, digest`,
			name, kind, digest[:], text[:min(len(text), len(prefix)+8)], sealed, configured != "").Scan(&stored, &storedDigest))
	})
	if err != nil {
		return "", err
	}
	plain, err := s.Open(stored, []byte(name))
	if err != nil {
		return "", fmt.Errorf("the stored key cannot be decrypted; is the encryption key the one it was made with? %w", err)
	}
	if d := DigestOf(pepper, string(plain)); string(d[:]) != string(storedDigest) {
		// The encryption key was replaced, and the pepper with it: the key stays what
		// it is and is found by its new digest from now on.
		if sealed, err = s.Seal(plain, []byte(name)); err != nil {
			return "", err
		}
		err = control.Owner(ctx, func(c *pgxpool.Conn) error {
			_, err := c.Exec(ctx, `UPDATE platform.service_keys SET digest = $3, sealed = $4 WHERE name = $1 AND digest = $2`,
				name, storedDigest, d[:], sealed)
			return db.Fault(err)
		})
		if err != nil {
			return "", err
		}
	}
	return string(plain), nil
}
