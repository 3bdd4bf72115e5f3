package sql

import (
	"cmp"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
)

// NoTotal is the Total of a result that has none.
const NoTotal = -1

// Result is what the statements of a plan found.
type Result struct {
	// JSON is the rows as PostgreSQL printed them: an array, or for a single row
	// the object alone; for records, their texts as lines. Nil when the plan returns
	// no rows, or a single row was wanted and there was none.
	JSON []byte
	// Rows is the number of rows in JSON.
	Rows int64
	// Affected is the number of rows that a write changed. It is more than Rows
	// when the answer leaves rows out.
	Affected int64
	// Fresh is how many of them are new; known of a bound write only.
	Fresh int64
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
	if p.explain != nil {
		return p.prepared(p.explained(r))
	}
	first := db.Statement{SQL: p.SQL, Args: p.Args, Columns: p.columns()}
	switch {
	case p.Kept:
		first.Read = func(rows pgx.Rows) error { return r.kept(rows, p, single) }
	case !p.Rows:
		first.Read = r.affected
	case p.Counted:
		first.Read = func(rows pgx.Rows) error { return r.counted(rows, p) }
	case single:
		first.Read = func(rows pgx.Rows) error { return r.single(rows, p) }
	default:
		first.Read = func(rows pgx.Rows) error { return r.rows(rows, p) }
	}
	if p.Explain == "" {
		return p.prepared(first)
	}
	explain := db.Statement{SQL: p.Explain, Args: p.Args[:p.ExplainArgs], Read: func(rows pgx.Rows) error { return r.estimate(rows, p.Threshold) }}
	return p.prepared(first, explain)
}

// Stream is what db must run to have the JSON of every row of a plan given to row as
// it comes. row must not keep it.
func (p *Plan) Stream(row func(text []byte) error) []db.Statement {
	var text []byte
	return p.prepared(db.Statement{SQL: p.SQL, Args: p.Args, Columns: p.columns(), Read: func(rows pgx.Rows) error {
		for rows.Next() {
			values := rows.RawValues()
			if p.row == nil {
				text = values[0]
			} else {
				text = p.row.append(text[:0], values)
			}
			if err := row(text); err != nil {
				return err
			}
		}
		return rows.Err()
	}})
}

// Fields is Stream for records: row gets the texts of each row's columns, nil for
// NULL, and must not keep them.
func (p *Plan) Fields(row func(fields [][]byte) error) []db.Statement {
	var fields [][]byte
	return p.prepared(db.Statement{SQL: p.SQL, Args: p.Args, Columns: p.columns(), Read: func(rows pgx.Rows) (err error) {
		for rows.Next() {
			values := rows.RawValues()
			if p.row == nil {
				if fields, err = readRecord(values[0], fields); err != nil {
					return err
				}
				values = fields
			}
			if err = row(values); err != nil {
				return err
			}
		}
		return rows.Err()
	}})
}

// columns are what the statement must return, where the server writes the rows.
func (p *Plan) columns() []db.Column {
	switch {
	case p.row == nil:
		return nil
	case p.Counted:
		return p.row.counted()
	}
	return p.row.columns
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

// list gathers rows: an array of JSON, or records as lines of text without their
// parentheses.
type list struct {
	out  []byte
	form Form
	row  *rowShape
	rows int64
	// most is how many bytes are kept; 0 for any number. What is beyond is let go.
	most int64
	over bool
}

func newList(p *Plan) *list {
	l := &list{out: make([]byte, 0, 512), form: p.Form, row: p.row, most: p.MaxBytes}
	if p.Form != Records {
		l.out = append(l.out, '[')
	}
	return l
}

// add adds a row: its columns, or one column with the JSON or the text of the row,
// which is NULL for a row that is not shown.
func (l *list) add(values [][]byte) {
	if l.row != nil {
		l.write(values)
	} else if values[0] != nil {
		l.append(values[0])
	}
}

// write adds a row that the server writes.
func (l *list) write(values [][]byte) {
	l.rows++
	if l.over {
		return
	}
	if l.rows > 1 {
		l.out = append(l.out, l.separator())
	}
	l.out = l.row.append(l.out, values)
	if l.most > 0 && int64(len(l.out)) > l.most {
		l.out, l.over = nil, true
	}
}

func (l *list) append(item []byte) {
	if l.form == Records {
		item = item[1 : len(item)-1]
	}
	l.rows++
	if l.over = l.over || l.most > 0 && int64(len(l.out)+len(item)) > l.most; l.over {
		l.out = nil
		return
	}
	if l.rows > 1 {
		l.out = append(l.out, l.separator())
	}
	l.out = append(l.out, item...)
}

func (l *list) separator() byte {
	if l.form == Records {
		return '\n'
	}
	return ','
}

// err is ANSWER_TOO_LARGE when rows were let go.
func (l *list) err() error {
	if l.over {
		return tooLarge(l.most)
	}
	return nil
}

func tooLarge(most int64) error {
	return fault.Newf(fault.AnswerTooLarge, "The answer is larger than %d bytes", most).
		WithHint("Ask for fewer rows, columns or related rows, or export them. A write that is answered with this has taken effect.")
}

func (l *list) end() []byte {
	if l.form != Records {
		l.out = append(l.out, ']')
	}
	return l.out
}

// rows reads rows.
func (r *Result) rows(rows pgx.Rows, p *Plan) error {
	l := newList(p)
	for rows.Next() {
		r.Affected++
		l.add(rows.RawValues())
	}
	r.JSON, r.Rows = l.end(), l.rows
	return cmp.Or(rows.Err(), l.err())
}

// single reads the first row and only counts the others.
func (r *Result) single(rows pgx.Rows, p *Plan) error {
	for rows.Next() {
		r.Affected++
		values := rows.RawValues()
		if p.row == nil && values[0] == nil {
			continue
		}
		if r.Rows++; r.Rows > 1 {
			continue
		}
		if p.row == nil {
			r.JSON = append([]byte(nil), values[0]...)
		} else {
			r.JSON = p.row.append(make([]byte, 0, 256), values)
		}
	}
	return rows.Err()
}

// kept reads the rows of a write that tells its number of rows itself.
func (r *Result) kept(rows pgx.Rows, p *Plan, single bool) error {
	l := newList(p)
	for rows.Next() {
		values := rows.RawValues()
		if values[1] != nil {
			var none []byte
			var fresh *int64
			if err := rows.Scan(&none, &r.Affected, &fresh); err != nil {
				return err
			}
			switch {
			case fresh == nil:
			case p.totals:
				r.Total = *fresh
			default:
				r.Fresh = *fresh
			}
		} else {
			l.add(values[:1])
		}
	}
	if err := cmp.Or(rows.Err(), l.err()); err != nil {
		return err
	}
	r.JSON, r.Rows = Answer(l.end(), p.Rows, single), l.rows
	return nil
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

// counted reads rows behind a total; the row that has the total has nothing else.
func (r *Result) counted(rows pgx.Rows, p *Plan) error {
	l := newList(p)
	for rows.Next() {
		values := rows.RawValues()
		if values[0] == nil {
			l.add(values[1:])
			continue
		}
		into := make([]any, len(values)) // nil passes a column over
		into[0] = &r.Total
		if err := rows.Scan(into...); err != nil {
			return err
		}
	}
	r.JSON, r.Rows = l.end(), l.rows
	return cmp.Or(rows.Err(), l.err())
}

// estimate reads the planner's number of rows. An exact count up to the
// threshold is kept.
func (r *Result) estimate(rows pgx.Rows, threshold int64) error {
	e, err := readEstimate(rows)
	if err != nil {
		return err
	}
	if threshold == 0 || r.Total > threshold {
		r.Total = max(r.Total, int64(e.Rows))
	}
	return nil
}
