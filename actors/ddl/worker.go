package ddl

import (
	"context"
	"fmt"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/ddl"
)

// Worker answers one message at a time. It keeps no state: one value serves all
// workers of a tenant's pool.
type Worker struct {
	store   *ddl.Store
	catalog *catalog.Catalog
}

// NewWorker makes a worker over a tenant's schema and its catalogue.
func NewWorker(s *ddl.Store, c *catalog.Catalog) *Worker { return &Worker{s, c} }

// Handle answers any message of this package. It blocks on SQL.
func (w *Worker) Handle(ctx context.Context, msg any) (any, error) {
	switch m := msg.(type) {
	case ListSchemas:
		return w.store.Schemas(ctx)
	case CreateSchema:
		return w.done(ctx, w.store.CreateSchema(ctx, m.Name))
	case ListTables:
		return w.store.Tables(ctx, m.Schema)
	case CreateTable:
		return w.done(ctx, w.store.CreateTable(ctx, m.Table, m.Columns))
	case DropTable:
		return w.done(ctx, w.store.DropTable(ctx, m.Table))
	case Refresh:
		if err := w.catalog.Reload(ctx); err != nil {
			return nil, err
		}
		return Refreshed{w.catalog.Current()}, nil
	}
	return nil, fmt.Errorf("ddl worker does not know %T", msg)
}

// done reads what a change has made.
func (w *Worker) done(ctx context.Context, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return Done{}, w.catalog.Reload(ctx)
}
