// Package password is everything about passwords that needs no database: the
// policy they must meet, how they are hashed, and the pool that keeps hashing
// from taking the whole machine.
//
// New hashes are argon2id in the PHC string form, which carries its parameters:
// raising them later needs no migration, because an old hash is recognised at
// the next sign-in and replaced. bcrypt hashes of imported accounts are accepted
// and replaced in the same way.
package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Cost is how expensive a hash is.
type Cost struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

// DefaultCost is the cost of new hashes: 19 MiB in two passes, about 20 ms of
// one core.
var DefaultCost = Cost{MemoryKiB: 19 * 1024, Passes: 2, Lanes: 1}

const (
	saltBytes = 16
	keyBytes  = 32
	// Bounds for hashes that come from the database: a forged or broken row must
	// not be able to ask for all memory.
	maxMemoryKiB = 256 * 1024
	maxPasses    = 16
)

var errMalformed = errors.New("password hash is malformed")

// hash makes a new argon2id hash.
func hash(password string, c Cost) string {
	salt := make([]byte, saltBytes)
	// crypto/rand never fails: it ends the process when the system has no randomness.
	_, _ = rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, c.Passes, c.MemoryKiB, c.Lanes, keyBytes)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, c.MemoryKiB, c.Passes, c.Lanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// verify compares a password with a stored hash. stale tells that the hash was
// made at another cost or by bcrypt and should be replaced now that the password
// is known.
func verify(password, stored string, c Cost) (ok, stale bool, err error) {
	if strings.HasPrefix(stored, "$2") {
		err := bcrypt.CompareHashAndPassword([]byte(stored), []byte(password))
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, false, nil
		}
		if err != nil {
			return false, false, fmt.Errorf("%w: %w", errMalformed, err)
		}
		return true, true, nil
	}
	p, err := parse(stored)
	if err != nil {
		return false, false, err
	}
	key := argon2.IDKey([]byte(password), p.salt, p.cost.Passes, p.cost.MemoryKiB, p.cost.Lanes, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1, p.cost != c, nil
}

type phc struct {
	cost      Cost
	salt, key []byte
}

func parse(stored string) (phc, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return phc{}, errMalformed
	}
	var version int
	if n, err := fmt.Sscanf(parts[2], "v=%d", &version); n != 1 || err != nil || version != argon2.Version {
		return phc{}, errMalformed
	}
	var p phc
	n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.cost.MemoryKiB, &p.cost.Passes, &p.cost.Lanes)
	if n != 3 || err != nil || p.cost.Passes == 0 || p.cost.Lanes == 0 ||
		p.cost.MemoryKiB > maxMemoryKiB || p.cost.Passes > maxPasses {
		return phc{}, errMalformed
	}
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(p.salt) < 8 {
		return phc{}, errMalformed
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(p.key) < 16 || len(p.key) > 64 {
		return phc{}, errMalformed
	}
	return p, nil
}
