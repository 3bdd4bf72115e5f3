package changelog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog/policy"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// verdictTimeout is how long one identity's policies may take for one batch.
const verdictTimeout = time.Second

// maxFilters is how many filters one statement evaluates.
const maxFilters = 50

// Image is a row as it was at one time.
type Image struct {
	JSON json.RawMessage
	// Cut: only the key is there. The row as it is now stands for it.
	Cut bool
}

// Question asks which images a caller may see, and which of them match filters.
type Question struct {
	Caller  caller.Caller
	Filters []query.Condition
}

// Answer is the verdict on each image, in order.
type Answer struct {
	// Visible tells which images the caller may see.
	Visible []bool
	// Matches has, for each filter, which images it matches; an image that is not
	// visible matches nothing.
	Matches [][]bool
	// Live tells which verdicts are about the row as it is now, because there was
	// no image to judge. A row that is gone is not visible.
	Live []bool
	// Err is why there is no verdict for this caller. Nothing is visible then.
	Err error
}

// Judge answers questions about images of one table's rows: in memory what can be
// decided there, all else by PostgreSQL. There each question is a transaction of
// its own, as its caller: one that fails or is slow has an Err and costs the
// others nothing. asked tells whether PostgreSQL was asked anything.
//
// What was decided in memory is true of the snapshot of t's plan; what PostgreSQL
// said holds if that plan was current afterwards.
func (l *Log) Judge(ctx context.Context, t *Table, images []Image, questions []Question) (answers []Answer, asked bool) {
	j := judgement{log: l, table: t, images: images, answers: make([]Answer, len(questions)), live: make([]bool, len(images)), rows: make([]policy.Row, len(images))}
	for i := range images {
		if images[i].Cut {
			j.live[i] = true
			j.cut.indexes = append(j.cut.indexes, i)
			continue
		}
		j.whole.indexes = append(j.whole.indexes, i)
		row, ok := t.Row(images[i].JSON)
		if !ok {
			j.unread.indexes = append(j.unread.indexes, i)
			continue
		}
		j.rows[i] = row
	}
	for i, q := range questions {
		j.open(i, q)
	}
	j.run(ctx, j.steps)
	// What cannot be judged on images, be it that a policy asks for a system
	// column or that an image does not fit its table, is judged on the row itself.
	var again []*step
	for _, s := range j.steps {
		if s.err == nil {
			continue
		}
		if !s.live && t.HasKey() && j.unfit(ctx, s) {
			next := j.step(s.question, s.caller, s.filters, s.numbers, s.on, true)
			next.cause = s.err
			again = append(again, next)
			continue
		}
		j.answers[s.question].Err = s.err
	}
	j.run(ctx, again)
	for _, s := range again {
		if s.err != nil {
			j.answers[s.question].Err = s.cause
			continue
		}
		a := &j.answers[s.question]
		live := make([]bool, len(images))
		copy(live, j.live)
		for _, i := range s.on.indexes {
			live[i] = true
		}
		a.Live = live
	}
	for i := range j.answers {
		if j.answers[i].Err != nil {
			j.answers[i] = Answer{Err: j.answers[i].Err}
		}
	}
	return j.answers, len(j.steps) > 0
}

// unfit tells whether a step failed because of its images, and not because of
// the policy or the server.
func (j *judgement) unfit(ctx context.Context, s *step) bool {
	switch fault.CodeOf(s.err) {
	case fault.Timeout, fault.Canceled, fault.Overloaded, fault.ServiceUnavailable:
		return false
	}
	if sqlState(s.err) == "42703" { // undefined_column: images have no system columns
		return true
	}
	if j.fits == nil {
		err := j.log.db.RunEach(ctx, []db.Run{{Caller: s.caller, Timeout: verdictTimeout, ReadOnly: true, Statements: []db.Statement{{
			SQL:  fmt.Sprintf("SELECT count(*) FROM json_populate_recordset(NULL::%s, $1::text::json)", j.table.from()),
			Args: []any{j.array(s.on)},
		}}}})[0]
		fits := err == nil
		j.fits = &fits
	}
	return !*j.fits
}

type judgement struct {
	log    *Log
	table  *Table
	images []Image
	// rows are the images that were read; nil for the others.
	rows    []policy.Row
	whole   selection // images with all columns
	unread  selection // those of them that were not read
	cut     selection // images with the key only
	live    []bool
	answers []Answer
	steps   []*step
	// fits tells whether the images fit the table, once somebody had to know.
	fits *bool
}

// selection is some of the images, and what they are as a JSON array, once
// somebody needed it.
type selection struct {
	indexes []int
	joined  string
}

// step is one statement: a question's policies and some of its filters over some
// of the images.
type step struct {
	question int
	caller   caller.Caller
	filters  []query.Condition
	numbers  []int // of the filters in the question
	on       *selection
	live     bool
	run      db.Run
	err      error
	cause    error
}

// open answers what is decided in memory and makes the steps of the rest.
func (j *judgement) open(i int, q Question) {
	view := j.table.View(q.Caller.DatabaseRole())
	a := &j.answers[i]
	a.Visible = make([]bool, len(j.images))
	a.Matches = make([][]bool, len(q.Filters))
	a.Live = j.live
	for f := range a.Matches {
		a.Matches[f] = make([]bool, len(j.images))
	}
	if view.Denied || view.Visibility == Never {
		return
	}
	var policies *policy.Predicate
	inMemory := view.Visibility == Always
	if !inMemory {
		policies, inMemory = j.table.Predicate(q.Caller)
	}
	if !inMemory {
		j.log.verdicts.sql.Add(uint64(len(j.images)))
		j.ask(i, q, numbers(len(q.Filters)), &j.whole)
		j.ask(i, q, numbers(len(q.Filters)), &j.cut)
		return
	}
	j.log.verdicts.memory.Add(uint64(len(j.images) - len(j.unread.indexes) - len(j.cut.indexes)))
	every := policy.All(policies)
	var left []int // filters that PostgreSQL evaluates
	filters := make([]*policy.Predicate, len(q.Filters))
	for f := range q.Filters {
		var ok bool
		if filters[f], ok = j.table.Filter(q.Filters[f]); !ok {
			left = append(left, f)
		}
	}
	for n, row := range j.rows {
		if a.Visible[n] = row != nil && every.Holds(row); !a.Visible[n] {
			continue
		}
		for f, filter := range filters {
			a.Matches[f][n] = filter != nil && filter.Holds(row)
		}
	}
	if view.Visibility == Always {
		for n := range a.Visible {
			a.Visible[n] = true
		}
	}
	if len(left) > 0 {
		j.ask(i, q, left, &j.whole)
	}
	if view.Visibility == ByPolicy || len(q.Filters) > 0 {
		if len(left) < len(q.Filters) || len(q.Filters) == 0 {
			j.ask(i, q, without(len(q.Filters), left), &j.unread)
		}
		j.ask(i, q, numbers(len(q.Filters)), &j.cut)
		j.log.verdicts.sql.Add(uint64(len(j.unread.indexes) + len(j.cut.indexes)))
	}
}

// numbers are 0 to n-1; without leaves some of them out.
func numbers(n int) []int { return without(n, nil) }

func without(n int, out []int) (list []int) {
	for i := range n {
		if !slices.Contains(out, i) {
			list = append(list, i)
		}
	}
	return list
}

// ask makes the steps for some of a question's filters over some of the images.
func (j *judgement) ask(question int, q Question, filters []int, on *selection) {
	for first := 0; len(on.indexes) > 0 && (first == 0 || first < len(filters)); first += maxFilters {
		numbers := filters[min(first, len(filters)):min(first+maxFilters, len(filters))]
		var conditions []query.Condition
		for _, f := range numbers {
			conditions = append(conditions, q.Filters[f])
		}
		j.steps = append(j.steps, j.step(question, q.Caller, conditions, numbers, on, on == &j.cut))
	}
}

// step makes the statement for one question.
func (j *judgement) step(question int, c caller.Caller, filters []query.Condition, numbers []int, on *selection, live bool) *step {
	s := &step{question: question, caller: c, filters: filters, numbers: numbers, on: on, live: live}
	view := j.table.View(c.DatabaseRole())
	var text string
	var args []any
	if live {
		text, args, s.err = j.liveStatement(filters, on)
	} else {
		using := "true"
		if view.Visibility == ByPolicy {
			using = view.Policy
		}
		text, args, s.err = j.imageStatement(using, filters, on)
	}
	s.run = db.Run{Caller: c, Timeout: verdictTimeout, ReadOnly: true,
		Statements: []db.Statement{{SQL: text, Args: args, Read: func(rows pgx.Rows) error { return j.read(s, rows) }}}}
	return s
}

// imageStatement puts the images into the place of the table.
func (j *judgement) imageStatement(using string, filters []query.Condition, on *selection) (string, []any, error) {
	var w strings.Builder
	fmt.Fprintf(&w, "SELECT coalesce((%s), false)", using)
	args := []any{j.array(on)}
	for _, f := range filters {
		expression, more, err := sql.Predicate(j.table.relation, f, args)
		if err != nil {
			return "", nil, err
		}
		args = more
		fmt.Fprintf(&w, ", coalesce((%s), false)", expression)
	}
	fmt.Fprintf(&w, " FROM json_populate_recordset(NULL::%s, $1::text::json) AS %s", j.table.from(), j.table.as())
	return w.String(), args, nil
}

// liveStatement asks for the rows themselves by their keys; the policies apply as
// to any SELECT.
func (j *judgement) liveStatement(filters []query.Condition, on *selection) (string, []any, error) {
	keys, err := j.keys(on.indexes)
	if err != nil {
		return "", nil, err
	}
	args := []any{keys}
	var selected, types, names, same []string
	for i, f := range filters {
		expression, more, err := sql.Predicate(j.table.relation, f, args)
		if err != nil {
			return "", nil, err
		}
		args = more
		selected = append(selected, fmt.Sprintf("coalesce((%s), false) AS f%d", expression, i))
	}
	for i, name := range j.table.Key {
		column, ok := j.table.column(name)
		if !ok {
			return "", nil, fmt.Errorf("the key column %s of %s is gone", name, j.table.from())
		}
		types = append(types, quote(name)+" "+column.SQL)
		names = append(names, fmt.Sprintf("k%d", i))
		same = append(same, fmt.Sprintf("%s.%s = fluxbase_key.k%d", j.table.as(), quote(name), i))
	}
	if len(names) == 0 {
		return "", nil, errors.New("a table without a key has no row to look up")
	}
	out := "seen"
	for i := range filters {
		out += fmt.Sprintf(", coalesce(f%d, false)", i)
	}
	return fmt.Sprintf(`SELECT %s FROM ROWS FROM (json_to_recordset($1::text::json) AS (%s)) WITH ORDINALITY AS fluxbase_key (%s, n)
LEFT JOIN LATERAL (SELECT %s FROM %s WHERE %s LIMIT 1) AS live ON true ORDER BY n`,
		strings.Replace(out, "seen", "coalesce(seen, false)", 1), strings.Join(types, ", "), strings.Join(names, ", "),
		strings.Join(append([]string{"true AS seen"}, selected...), ", "), j.table.from(), strings.Join(same, " AND ")), args, nil
}

// array is images as a JSON array, made once for all questions.
func (j *judgement) array(on *selection) string {
	if on.joined == "" {
		on.joined = joinArray(on.indexes, func(i int) []byte { return j.images[i].JSON })
	}
	return on.joined
}

// keys is the keys of images as a JSON array. The rest of an image may be what
// PostgreSQL cannot read.
func (j *judgement) keys(indexes []int) (string, error) {
	var failed error
	text := joinArray(indexes, func(i int) []byte {
		key, err := Project(j.images[i].JSON, func(column string) bool { return slices.Contains(j.table.Key, column) })
		failed = cmp.Or(failed, err)
		return key
	})
	return text, failed
}

func joinArray(indexes []int, element func(int) []byte) string {
	var w strings.Builder
	w.WriteByte('[')
	for n, i := range indexes {
		if n > 0 {
			w.WriteByte(',')
		}
		w.Write(element(i))
	}
	w.WriteByte(']')
	return w.String()
}

func (j *judgement) run(ctx context.Context, steps []*step) {
	var runs []db.Run
	var of []*step
	for _, s := range steps {
		if s.err == nil {
			runs = append(runs, s.run)
			of = append(of, s)
		}
	}
	if len(runs) == 0 {
		return
	}
	for i, err := range j.log.db.RunEach(ctx, runs) {
		of[i].err = err
	}
}

// read takes the rows of a step, one per image.
func (j *judgement) read(s *step, rows pgx.Rows) error {
	a := &j.answers[s.question]
	values := make([]bool, 1+len(s.filters))
	targets := make([]any, len(values))
	for i := range values {
		targets[i] = &values[i]
	}
	n := 0
	for ; rows.Next(); n++ {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if n >= len(s.on.indexes) {
			return errors.New("more verdicts than images")
		}
		i := s.on.indexes[n]
		a.Visible[i] = values[0]
		for n, f := range s.numbers {
			a.Matches[f][i] = values[0] && values[1+n]
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n != len(s.on.indexes) {
		return fmt.Errorf("%d verdicts on %d images", n, len(s.on.indexes))
	}
	return nil
}

// CheckValues asks PostgreSQL whether a filter's values fit the columns that they
// are compared with, on behalf of the caller who filters.
func (l *Log) CheckValues(ctx context.Context, t *Table, c caller.Caller, filter query.Condition) error {
	j := judgement{log: l, table: t, images: []Image{{JSON: json.RawMessage("{}")}}}
	j.answers = []Answer{{Visible: make([]bool, 1), Matches: [][]bool{make([]bool, 1)}}}
	text, args, err := j.imageStatement("true", []query.Condition{filter}, &selection{indexes: []int{0}})
	if err != nil {
		return err
	}
	err = l.db.RunEach(ctx, []db.Run{{Caller: c, Timeout: verdictTimeout, ReadOnly: true, Statements: []db.Statement{{SQL: text, Args: args}}}})[0]
	// Class 22 are values that do not fit, 42 operators that do not exist. What
	// else fails does so on the row without values, not for the filter.
	if class := sqlState(err); len(class) == 5 && (class[:2] == "22" || class[:2] == "42") {
		return fault.Newf(fault.InvalidInput, "invalid filter: %s", fault.From(err).Message).WithCause(err)
	}
	return nil
}
