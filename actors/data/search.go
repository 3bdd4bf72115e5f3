package data

import (
	"context"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// Search reads the rows that are nearest to a vector. The limits of a page hold for its
// limit. The reply is a *Found.
type Search struct {
	Caller caller.Caller
	Query  *query.Search
}

// Found is the rows of a search, nearest first.
type Found struct {
	// JSON is the array of the rows.
	JSON []byte
	// Distances are how far each is, never nil.
	Distances []float64
}

func (w *Worker) search(ctx context.Context, m *Search) (*Found, error) {
	q := *m.Query
	q.Limit = w.limits.cap(query.Page{Limit: q.Limit}).Limit
	plan, err := sql.Search(w.schema.Current(), &q, w.options())
	if err != nil {
		return nil, err
	}
	if err := w.admit(ctx, m.Caller, plan.Plan, nil); err != nil {
		return nil, err
	}
	var found sql.Found
	if err := w.read(ctx, m.Caller, w.around(nil, plan.Statements(&found), nil)); err != nil {
		return nil, err
	}
	return &Found{JSON: found.JSON, Distances: found.Distances}, nil
}
