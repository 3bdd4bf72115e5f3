package data

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query/sql"
)

// How many statements that were found cheap are remembered, and for how long: the
// estimate follows the tables' sizes.
const (
	cheapStatements = 4096
	cheapFor        = time.Minute
)

// Judge refuses statements whose plan costs too much, before they run. It asks the
// planner with the very values and as the very caller: an estimate for other values
// would let a caller in with a cheap one and go on with a dear one. That costs a
// round trip for each statement that was not asked for with the same values in the
// last minute, which is why judging is off by default.
type Judge struct {
	database Database
	most     float64

	mu    sync.Mutex
	cheap map[[sha256.Size]byte]time.Time
}

// NewJudge makes a judge of a database's statements: most is the largest cost, 0 for
// any.
func NewJudge(d Database, most float64) *Judge {
	return &Judge{database: d, most: most, cheap: make(map[[sha256.Size]byte]time.Time)}
}

// Admit is nil when the caller may run the statement behind others, which set what it
// looks at.
func (j *Judge) Admit(ctx context.Context, c caller.Caller, statement db.Statement, settings ...db.Statement) error {
	if j.most <= 0 || statement.SQL == "" || looksAfterData(c) {
		return nil
	}
	key := fingerprint(c, statement)
	if j.known(key, time.Now()) {
		return nil
	}
	var cost float64
	if err := j.database.RunRead(ctx, c, append(settings, sql.Cost(statement, &cost))...); err != nil {
		return err
	}
	if cost > j.most {
		return fault.New(fault.StatementTooCostly, "The statement would cost too much").
			WithHint("Filter by a column that has an index, or ask for fewer rows or embedded resources.").
			WithDetails(map[string]float64{"max_statement_cost": j.most})
	}
	j.remember(key, time.Now())
	return nil
}

func (j *Judge) known(key [sha256.Size]byte, now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	judged, ok := j.cheap[key]
	return ok && now.Sub(judged) < cheapFor
}

func (j *Judge) remember(key [sha256.Size]byte, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.cheap) >= cheapStatements {
		clear(j.cheap)
	}
	j.cheap[key] = now
}

// fingerprint is equal for equal statements with equal values of one identity.
func fingerprint(c caller.Caller, statement db.Statement) (sum [sha256.Size]byte) {
	h := sha256.New()
	add := func(text string) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		h.Write(length[:])
		h.Write([]byte(text))
	}
	identity := c.Identity()
	add(string(identity[:]))
	add(statement.SQL)
	for _, arg := range statement.Args {
		add(fmt.Sprintf("%T %v", arg, arg))
	}
	h.Sum(sum[:0])
	return sum
}
