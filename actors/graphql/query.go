package graphql

import (
	"context"

	"fluxbase/actors/graphql/introspection"
	"fluxbase/actors/graphql/operation"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// query answers all fields of a query by one statement. When it fails on account of
// one of them, each is read alone, so that the others are answered all the same and
// the error says which field it is of.
func (w *Worker) query(ctx context.Context, m *Execute, r *role, op *operation.Operation) (*Response, error) {
	reads, err := op.Reads(func(asked query.Page) query.Page { return w.options.Limits.Page(asked, m.Caller) })
	if err != nil {
		return nil, err
	}
	a := newAnswer(op.Fields)
	var roots []query.Root
	var places []int
	for i, read := range reads {
		switch {
		case read.Root != nil:
			roots, places = append(roots, *read.Root), append(places, i)
		case read.Static != nil:
			a.values[i] = read.Static
		default:
			if a.values[i], err = introspection.Answer(r.schema.AST, read.Field, op.JSON); err != nil {
				return nil, operation.Refuse(err)
			}
		}
		if err := w.fits(a); err != nil {
			return nil, operation.Refuse(err)
		}
	}
	if len(roots) == 0 {
		return a.response()
	}
	var size query.Size
	for i := range roots {
		size = size.And(roots[i].Size())
	}
	if err := w.options.Limits.Size(size); err != nil {
		return nil, operation.Refuse(err)
	}
	values, err := w.read(ctx, m, r, roots)
	if fault.CodeOf(err) == fault.AnswerTooLarge {
		return nil, operation.Refuse(err)
	}
	if err != nil && !ofField(err) {
		return nil, err
	}
	for n, i := range places {
		if err != nil {
			if len(roots) == 1 {
				a.fail(err, op.Fields[i])
				continue
			}
			alone, failed := w.read(ctx, m, r, roots[n:n+1])
			if failed != nil {
				if !ofField(failed) {
					return nil, failed
				}
				a.fail(failed, op.Fields[i])
				continue
			}
			a.values[i] = alone[0]
		} else {
			a.values[i] = values[n]
		}
		if err := w.fits(a); err != nil {
			return nil, operation.Refuse(err)
		}
	}
	return a.response()
}

// fits refuses an answer that is longer than answers may be.
func (w *Worker) fits(a *answer) error {
	if most := w.options.Limits.MaxAnswerBytes; most > 0 && a.bytes() > most {
		return fault.Newf(fault.AnswerTooLarge, "The answer is larger than %d bytes", most).
			WithHint("Ask for fewer rows, columns or related rows.")
	}
	return nil
}

func (w *Worker) read(ctx context.Context, m *Execute, r *role, roots []query.Root) ([][]byte, error) {
	plan, err := sql.Read(r.relations, roots, w.sqlOptions())
	if err != nil {
		return nil, err
	}
	var values [][]byte
	if err := w.judge.Admit(ctx, m.Caller, db.Statement{SQL: plan.SQL, Args: plan.Args}); err != nil {
		return nil, err
	}
	if err := w.options.Database.RunRead(ctx, m.Caller, plan.Values(&values)...); err != nil {
		return nil, err
	}
	return values, nil
}
