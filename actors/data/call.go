package data

import (
	"context"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query/sql"
)

func (w *Worker) call(ctx context.Context, m *Call) (*Called, error) {
	q := *m.Query
	q.Page = w.limits.cap(q.Page)
	routine, whole, err := sql.Choose(w.catalog.Current().Routines(q.Function.Schema, q.Function.Name), &q)
	if err != nil {
		return nil, err
	}
	plan, err := sql.Call(w.schema.Current(), routine, whole, &q, w.terms(w.options(), m.Terms))
	if err != nil {
		return nil, err
	}
	if err := w.admit(ctx, m.Caller, plan.Plan, m.Terms); err != nil {
		return nil, err
	}
	var r sql.Result
	var said Response
	run := w.database.Run
	if m.ReadOnly {
		run = w.database.RunRead
	}
	err = run(ctx, m.Caller, w.around(m.Terms, plan.Statements(&r, false), &said)...)
	if err != nil && !(m.Terms != nil && m.Terms.Rollback && fault.CodeOf(err) == fault.RolledBack) {
		return nil, err
	}
	page := Page{JSON: r.JSON, Rows: r.Rows, Offset: q.Page.Offset, Total: r.Total, Labels: plan.Labels, Response: said}
	return &Called{Page: page, Void: plan.Void, Scalar: plan.Scalar, Set: plan.Set}, nil
}
