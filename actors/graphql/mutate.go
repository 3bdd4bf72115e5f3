package graphql

import (
	"context"
	"errors"
	"strconv"

	"fluxbase/actors/graphql/operation"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// mutate does the fields of a mutation in their order, one statement each, in one
// transaction: when one fails, none has happened.
func (w *Worker) mutate(ctx context.Context, m *Execute, r *role, op *operation.Operation) (*Response, error) {
	writes, err := op.Writes(func(asked query.Page) query.Page { return w.options.Limits.Page(asked, m.Caller) })
	if err != nil {
		return nil, err
	}
	a := newAnswer(op.Fields)
	results, called := make([]sql.Result, len(writes)), make([][][]byte, len(writes))
	var statements []db.Statement
	var places []int
	for i := range writes {
		if writes[i].Static != nil {
			a.values[i] = writes[i].Static
			continue
		}
		plan, err := w.compile(m, r, &writes[i])
		if err == nil && !plan.Empty {
			err = w.judge.Admit(ctx, m.Caller, db.Statement{SQL: plan.SQL, Args: plan.Args})
		}
		if err != nil && !ofField(err) {
			return nil, err
		}
		if err != nil {
			return nil, operation.Refusal{operation.At(err, op.Fields[i])}
		}
		run := plan.Values(&called[i])
		if writes[i].Call == nil {
			run = plan.Statements(&results[i], writes[i].Single)
		}
		for _, s := range run {
			statements, places = append(statements, s), append(places, i)
		}
	}
	// The first statement whose rows were not read is the one that failed.
	done := 0
	for i := range statements {
		statements[i] = statements[i].Then(func() { done++ })
	}
	if err := w.options.Database.Run(ctx, m.Caller, statements...); err != nil {
		if !ofField(err) {
			return nil, err
		}
		if done < len(places) {
			a.fail(err, op.Fields[places[done]])
		} else { // a constraint that is looked at in the end
			a.fail(err, nil)
		}
		a.undone = true
		return a.response()
	}
	for i := range writes {
		switch {
		case writes[i].Static != nil:
		case writes[i].Call != nil:
			a.values[i] = called[i][0]
		case writes[i].Counted:
			a.values[i] = strconv.AppendInt(nil, results[i].Affected, 10)
		default:
			a.values[i] = results[i].JSON
		}
	}
	if err := w.fits(a); err != nil {
		clear(a.values)
		a.fail(fault.From(err).WithHint("What was asked for has taken effect."), nil)
	}
	return a.response()
}

// compile makes the statement of a write. That its answer is too large must not keep
// an error of a later one from being heard, so that it is looked at in the end.
func (w *Worker) compile(m *Execute, r *role, write *operation.Write) (*sql.Plan, error) {
	o, limits := w.sqlOptions(), w.options.Limits
	o.MaxBytes = 0
	switch {
	case write.Insert != nil:
		if err := errors.Join(limits.Batch(write.Insert.Body.Rows), limits.Size(write.Insert.Size())); err != nil {
			return nil, err
		}
		return sql.Insert(r.relations, write.Insert, o)
	case write.Call != nil:
		if err := limits.Size(write.Call.Size()); err != nil {
			return nil, err
		}
		return sql.Read(r.relations, []query.Root{*write.Call}, o)
	case write.Update != nil:
		if err := limits.Size(write.Update.Size()); err != nil {
			return nil, err
		}
		if !write.Single {
			o.MaxAffected = limits.Changes(m.Caller, write.Update.Page)
		}
		return sql.Update(r.relations, write.Update, o)
	}
	if err := limits.Size(write.Delete.Size()); err != nil {
		return nil, err
	}
	if !write.Single {
		o.MaxAffected = limits.Changes(m.Caller, write.Delete.Page)
	}
	return sql.Delete(r.relations, write.Delete, o)
}
