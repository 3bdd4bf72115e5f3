package data

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query/sql"
)

// How many statements that were found cheap are remembered, and for how long: the
// estimate follows the tables' sizes.
const (
	cheapStatements = 4096
	cheapFor        = time.Minute
)

// judge refuses statements whose plan costs too much, before they run. It asks the
// planner with the very values and as the very caller: an estimate for other values
// would let a caller in with a cheap one and go on with a dear one. That costs a
// round trip for each statement that was not asked for with the same values in the
// last minute, which is why judging is off by default.
type judge struct {
	database Database
	most     float64

	mu    sync.Mutex
	cheap map[[sha256.Size]byte]time.Time
}

func newJudge(d Database, most float64) *judge {
	return &judge{database: d, most: most, cheap: make(map[[sha256.Size]byte]time.Time)}
}

// admit is nil when the caller may run the plan.
func (j *judge) admit(ctx context.Context, c caller.Caller, plan *sql.Plan, t *Terms) error {
	if j.most <= 0 || plan.Empty || looksAfterData(c) {
		return nil
	}
	key := fingerprint(c, plan)
	if j.known(key, time.Now()) {
		return nil
	}
	var cost float64
	if err := j.database.RunRead(ctx, c, append(t.settings(), plan.Cost(&cost))...); err != nil {
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

func (j *judge) known(key [sha256.Size]byte, now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	judged, ok := j.cheap[key]
	return ok && now.Sub(judged) < cheapFor
}

func (j *judge) remember(key [sha256.Size]byte, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.cheap) >= cheapStatements {
		clear(j.cheap)
	}
	j.cheap[key] = now
}

// fingerprint is equal for equal statements with equal values of one identity.
func fingerprint(c caller.Caller, plan *sql.Plan) (sum [sha256.Size]byte) {
	h := sha256.New()
	add := func(text string) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		h.Write(length[:])
		h.Write([]byte(text))
	}
	identity := c.Identity()
	add(string(identity[:]))
	add(plan.SQL)
	for _, arg := range plan.Args {
		add(fmt.Sprintf("%T %v", arg, arg))
	}
	h.Sum(sum[:0])
	return sum
}
