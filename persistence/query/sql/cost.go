package sql

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
)

// Cost is what db must run to learn the planner's cost of a statement with its
// parameters, in cost. The statement itself is not run.
func Cost(s db.Statement, cost *float64) db.Statement {
	return db.Statement{SQL: "EXPLAIN (FORMAT JSON) " + s.SQL, Args: s.Args, Read: func(rows pgx.Rows) error {
		e, err := readEstimate(rows)
		*cost = e.Cost
		return err
	}}
}

// estimate is what the planner expects of a statement.
type estimate struct {
	Rows float64 `json:"Plan Rows"`
	Cost float64 `json:"Total Cost"`
}

// readEstimate reads the answer of EXPLAIN (FORMAT JSON).
func readEstimate(rows pgx.Rows) (estimate, error) {
	var text []byte
	for rows.Next() {
		text = append(text, rows.RawValues()[0]...)
	}
	if err := rows.Err(); err != nil {
		return estimate{}, err
	}
	var plans []struct{ Plan estimate }
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		return estimate{}, fmt.Errorf("read the plan of a statement: %w", err)
	}
	return plans[0].Plan, nil
}
