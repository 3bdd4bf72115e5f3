// Package idempotency makes a write happen once, however often it is asked for
// under one key.
//
// The key is claimed in the transaction of the write, and the write's answer is
// kept in it, too: either the write and its answer are there or neither, whatever
// crashes. Whoever asks again gets the answer that was kept.
package idempotency

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
)

// Lifetime is how long a key is good for.
const Lifetime = 24 * time.Hour

// MaxKey is how long a key may be.
const MaxKey = 256

// Key is an idempotency key with what it stands for. Only hashes are kept.
type Key struct {
	// Scope is who asked, the route, and the key.
	Scope [sha256.Size]byte
	// Request is what was asked, the answer's form included.
	Request [sha256.Size]byte
}

// NewKey makes the key of a request of c. Identities do not see each other's keys,
// and neither do routes; a user keeps their own over all of their sessions.
func NewKey(c caller.Caller, key, method, path string, request ...[]byte) Key {
	return Key{
		Scope:   digest([]byte(c.Role), []byte(c.UserID), []byte(c.KeyID), []byte(method), []byte(path), []byte(key)),
		Request: digest(request...),
	}
}

// digest hashes texts so that no two lists of them give the same bytes.
func digest(texts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, t := range texts {
		sum := sha256.Sum256(t)
		h.Write(sum[:])
	}
	var out [sha256.Size]byte
	h.Sum(out[:0])
	return out
}

// Claim is the statement that must come before the write. It fails with
// IDEMPOTENCY_KEY_IN_USE while another transaction has the key, with
// IDEMPOTENCY_KEY_REUSED when it stands for another request, and with
// ALREADY_ANSWERED when there is an answer to give again.
func (k *Key) Claim() db.Statement {
	return db.Statement{
		SQL:  `SELECT app.claim_idempotency_key($1, $2, make_interval(secs => $3))`,
		Args: []any{k.Scope[:], k.Request[:], Lifetime.Seconds()},
	}
}

// Answer is what a write was answered with.
type Answer struct {
	Affected int64
	// Records is the array of the rows.
	Records []byte
}

// Runner runs statements on behalf of a caller; *db.Database does.
type Runner interface {
	RunRead(ctx context.Context, c caller.Caller, statements ...db.Statement) error
}

// Kept reads the answer that is kept for the key. It is false when there is none.
func (k *Key) Kept(ctx context.Context, d Runner, c caller.Caller) (answer Answer, found bool, err error) {
	err = d.RunRead(ctx, c, db.Statement{
		SQL:  `SELECT affected, records FROM app.kept_answer($1, $2)`,
		Args: []any{k.Scope[:], k.Request[:]},
		Read: func(rows pgx.Rows) error {
			for rows.Next() {
				found = true
				if err := rows.Scan(&answer.Affected, &answer.Records); err != nil {
					return err
				}
			}
			return rows.Err()
		},
	})
	return answer, found, err
}
