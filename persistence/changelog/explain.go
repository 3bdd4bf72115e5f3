package changelog

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog/policy"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// Inquiry asks what a caller would see of a change, and why.
type Inquiry struct {
	Schema, Table string
	Caller        caller.Caller
	// Filter is the subscription's; nil for none.
	Filter query.Condition
	// New and Old are the rows as JSON objects, nil where there is none. Columns
	// that they leave out are NULL.
	New, Old json.RawMessage
}

// Findings are the answer to an Inquiry. Table is nil when it is not enabled; then
// nothing else is there.
type Findings struct {
	Table *Table
	// View is the table as the caller's role sees it.
	View *View
	// New and Old are what is known of the two images; nil where there is none, or
	// where nothing had to be asked.
	New, Old *Sight
	// InMemory and FilterInMemory tell whether the verdicts on all policies
	// together and on the filter need PostgreSQL.
	InMemory, FilterInMemory bool
	// Policies are the opinions of the table's policies, one by one.
	Policies []Opinion
	// Refused is why the subscription would be refused for its filter.
	Refused error
	// Err is why there is no verdict.
	Err error
}

// Sight is the verdict on one image.
type Sight struct {
	// Visible is the policies' verdict, Matches that of policies and filter.
	Visible, Matches bool
	// Live tells that the row as it is now was judged, because the image cannot be.
	Live bool
}

// Opinion is what one policy says.
type Opinion struct {
	Policy Policy
	// Applies tells whether the policy is for the caller's role, and whether
	// policies bind it at all; if not, the policy was not asked.
	Applies bool
	// InMemory tells who was asked.
	InMemory bool
	// New and Old are what it says of the images; nil for unknown, and where there
	// is no image.
	New, Old *bool
	// Err is what PostgreSQL said instead.
	Err error
}

// Examine takes the verdict on a change as it would be taken on delivery, under
// the plan of now, and asks every policy apart. Rows that do not fit the table are
// INVALID_INPUT.
func (l *Log) Examine(ctx context.Context, q Inquiry) (*Findings, error) {
	_, plan, err := l.Now(ctx)
	if err != nil {
		return nil, db.Fault(err)
	}
	t, enabled := plan.Named(q.Schema, q.Table)
	if !enabled {
		return &Findings{}, nil
	}
	role := q.Caller.DatabaseRole()
	f := &Findings{Table: t, View: t.View(role)}
	if f.View.Denied {
		return f, nil
	}
	e := examination{log: l, table: t, caller: q.Caller}
	if err := e.read(ctx, q.New, q.Old); err != nil {
		return nil, err
	}
	if f.Refused = t.CheckFilter(role, q.Filter); q.Filter != nil && f.Refused == nil {
		f.Refused = l.CheckValues(ctx, t, q.Caller, q.Filter)
	}
	f.InMemory = f.View.Visibility != ByPolicy
	if !f.InMemory {
		_, f.InMemory = t.Predicate(q.Caller)
	}
	question := Question{Caller: q.Caller}
	if q.Filter != nil && f.Refused == nil {
		question.Filters = []query.Condition{q.Filter}
		_, f.FilterInMemory = t.Filter(q.Filter)
	}
	answers, _ := l.Judge(ctx, t, e.images, []Question{question})
	if f.Err = answers[0].Err; f.Err == nil {
		f.New, f.Old = e.sight(answers[0], e.new), e.sight(answers[0], e.old)
	}
	f.Policies = e.opinions(ctx, role)
	return f, nil
}

// examination is the work of Examine.
type examination struct {
	log      *Log
	table    *Table
	caller   caller.Caller
	images   []Image
	new, old int // in images, -1 for none
}

// read prints the rows as the log would. It does so as the caller: a domain's check
// may be anybody's code.
func (e *examination) read(ctx context.Context, rows ...json.RawMessage) error {
	at := []int{-1, -1}
	e.images = make([]Image, 0, len(rows)) // which stays where it is
	var runs []db.Run
	for i, row := range rows {
		if row == nil {
			continue
		}
		at[i] = len(runs)
		e.images = append(e.images, Image{})
		image := &e.images[at[i]]
		runs = append(runs, db.Run{Caller: e.caller, Timeout: verdictTimeout, ReadOnly: true, Statements: []db.Statement{{
			SQL:  fmt.Sprintf("SELECT row_to_json(r)::text FROM json_populate_record(NULL::%s, $1::text::json) AS r", e.table.from()),
			Args: []any{string(row)},
			Read: func(rows pgx.Rows) error {
				text, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
				image.JSON = json.RawMessage(text)
				return err
			},
		}}})
	}
	e.new, e.old = at[0], at[1]
	for _, err := range e.log.db.RunEach(ctx, runs) {
		if class := sqlState(err); len(class) == 5 && (class[:2] == "22" || class[:2] == "23") {
			return fault.Newf(fault.InvalidInput, "a record does not fit the table: %s", fault.From(err).Message).WithCause(err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *examination) sight(a Answer, image int) *Sight {
	if image < 0 {
		return nil
	}
	s := &Sight{Visible: a.Visible[image], Matches: a.Visible[image], Live: a.Live[image]}
	if len(a.Matches) > 0 {
		s.Matches = a.Matches[0][image]
	}
	return s
}

// opinions asks every policy apart.
func (e *examination) opinions(ctx context.Context, role caller.DatabaseRole) []Opinion {
	opinions := make([]Opinion, len(e.table.Policies))
	var runs []db.Run
	var of []*Opinion
	for i, p := range e.table.Policies {
		o := &opinions[i]
		o.Policy = p
		if o.Applies = p.binds(role) && e.table.View(role).Visibility != Always; !o.Applies {
			continue
		}
		if o.InMemory = e.remember(o, role); o.InMemory || len(e.images) == 0 {
			continue
		}
		runs, of = append(runs, e.ask(o)), append(of, o)
	}
	for i, err := range e.log.db.RunEach(ctx, runs) {
		of[i].Err = err
	}
	return opinions
}

// remember decides a policy in memory; false when it cannot.
func (e *examination) remember(o *Opinion, role caller.DatabaseRole) bool {
	rule := e.table.rule(role, nil, []string{o.Policy.Using})
	if rule == nil {
		return false
	}
	predicate, ok := rule.Bind(settings(e.caller))
	if !ok {
		return false
	}
	rows := make([]policy.Row, len(e.images))
	for i := range e.images {
		if rows[i], ok = e.table.Row(e.images[i].JSON); !ok {
			return false
		}
	}
	truth := func(image int) *bool {
		if image < 0 {
			return nil
		}
		if holds, known := predicate.Truth(rows[image]); known {
			return &holds
		}
		return nil
	}
	o.New, o.Old = truth(e.new), truth(e.old)
	return true
}

// ask has PostgreSQL decide a policy.
func (e *examination) ask(o *Opinion) db.Run {
	return db.Run{Caller: e.caller, Timeout: verdictTimeout, ReadOnly: true, Statements: []db.Statement{{
		SQL:  fmt.Sprintf("SELECT (%s) FROM json_populate_recordset(NULL::%s, $1::text::json) AS %s", o.Policy.Using, e.table.from(), e.table.as()),
		Args: []any{joinArray(numbers(len(e.images)), func(i int) []byte { return e.images[i].JSON })},
		Read: func(rows pgx.Rows) error {
			said, err := pgx.CollectRows(rows, pgx.RowTo[*bool])
			if err != nil {
				return err
			}
			if e.new >= 0 {
				o.New = said[e.new]
			}
			if e.old >= 0 {
				o.Old = said[e.old]
			}
			return nil
		},
	}}}
}
