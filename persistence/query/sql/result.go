package sql

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
)

// NoTotal is the Total of a result that has none.
const NoTotal = -1

// Result is what the statements of a plan found.
type Result struct {
	// JSON is the rows as PostgreSQL printed them: an array, or for a single row
	// the object alone. Nil when the plan returns no rows, or a single row was
	// wanted and there was none.
	JSON []byte
	// Rows is the number of rows in JSON.
	Rows int64
	// Affected is the number of rows that a write changed. It is more than Rows
	// when the answer leaves rows out.
	Affected int64
	// Total is the number of all rows that match, exact or estimated as asked;
	// NoTotal when nobody asked.
	Total int64
}

// Statements are what db must run, in one transaction, to fill r. With single
// set the first row becomes the whole JSON.
func (p *Plan) Statements(r *Result, single bool) []db.Statement {
	*r = Result{Total: NoTotal}
	if p.Empty {
		if p.Rows {
			r.JSON = []byte("[]")
		}
		return nil
	}
	first := db.Statement{SQL: p.SQL, Args: p.Args}
	switch {
	case p.Kept:
		first.Read = func(rows pgx.Rows) error { return r.kept(rows, p.Rows, single) }
	case !p.Rows:
		first.Read = r.affected
	case p.Counted:
		first.Read = r.counted
	case single:
		first.Read = r.single
	default:
		first.Read = r.rows
	}
	if p.Explain == "" {
		return []db.Statement{first}
	}
	explain := db.Statement{SQL: p.Explain, Args: p.Args[:p.ExplainArgs], Read: func(rows pgx.Rows) error { return r.estimate(rows, p.Threshold) }}
	return []db.Statement{first, explain}
}

// Stream is what db must run to have every row of a plan given to row as it comes,
// as JSON or as the text of a record. row must not keep it.
func (p *Plan) Stream(row func(text []byte) error) []db.Statement {
	return []db.Statement{{SQL: p.SQL, Args: p.Args, Read: func(rows pgx.Rows) error {
		for rows.Next() {
			if err := row(rows.RawValues()[0]); err != nil {
				return err
			}
		}
		return rows.Err()
	}}}
}

// affected reads the number of rows that a write changed.
func (r *Result) affected(rows pgx.Rows) error {
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	r.Affected = rows.CommandTag().RowsAffected()
	return nil
}

// rows joins rows of one JSON column into an array, without those that have none.
func (r *Result) rows(rows pgx.Rows) error {
	out := make([]byte, 1, 512)
	out[0] = '['
	for rows.Next() {
		r.Affected++
		item := rows.RawValues()[0]
		if item == nil {
			continue
		}
		if r.Rows > 0 {
			out = append(out, ',')
		}
		out = append(out, item...)
		r.Rows++
	}
	r.JSON = append(out, ']')
	return rows.Err()
}

// single reads the first row and only counts the others.
func (r *Result) single(rows pgx.Rows) error {
	for rows.Next() {
		r.Affected++
		item := rows.RawValues()[0]
		if item == nil {
			continue
		}
		if r.Rows == 0 {
			r.JSON = append([]byte(nil), item...)
		}
		r.Rows++
	}
	return rows.Err()
}

// kept reads the rows of a write that keeps its answer.
func (r *Result) kept(rows pgx.Rows, wanted, single bool) error {
	out := make([]byte, 1, 512)
	out[0] = '['
	for rows.Next() {
		values := rows.RawValues()
		switch {
		case values[1] != nil:
			var none []byte
			if err := rows.Scan(&none, &r.Affected); err != nil {
				return err
			}
		case values[0] != nil:
			if r.Rows > 0 {
				out = append(out, ',')
			}
			out = append(out, values[0]...)
			r.Rows++
		}
	}
	r.JSON = Answer(append(out, ']'), wanted, single)
	return rows.Err()
}

// Answer gives an array of a write's rows the form of its answer: nothing when no
// rows are wanted; for a single row the object, nil when there is none.
func Answer(array []byte, wanted, single bool) []byte {
	switch {
	case !wanted || single && len(array) == len("[]"):
		return nil
	case single:
		return array[1 : len(array)-1]
	}
	return array
}

// counted joins rows of a total and a JSON column; the row that has the total
// has no JSON.
func (r *Result) counted(rows pgx.Rows) error {
	out := make([]byte, 1, 512)
	out[0] = '['
	for rows.Next() {
		values := rows.RawValues()
		if values[0] != nil {
			var total *int64
			var none []byte
			if err := rows.Scan(&total, &none); err != nil {
				return err
			}
			r.Total = *total
			continue
		}
		if r.Rows > 0 {
			out = append(out, ',')
		}
		out = append(out, values[1]...)
		r.Rows++
	}
	r.JSON = append(out, ']')
	return rows.Err()
}

// estimate reads the planner's number of rows. An exact count up to the
// threshold is kept.
func (r *Result) estimate(rows pgx.Rows, threshold int64) error {
	var text []byte
	for rows.Next() {
		text = append(text, rows.RawValues()[0]...)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var plans []struct {
		Plan struct {
			Rows json.Number `json:"Plan Rows"`
		}
	}
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		return fmt.Errorf("read the plan of a count: %w", err)
	}
	planned, err := strconv.ParseFloat(plans[0].Plan.Rows.String(), 64)
	if err != nil {
		return fmt.Errorf("read the plan of a count: %w", err)
	}
	if threshold == 0 || r.Total > threshold {
		r.Total = max(r.Total, int64(planned))
	}
	return nil
}
