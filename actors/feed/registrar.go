package feed

import (
	"context"
	"fmt"

	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
)

// The messages about the registry of tables, beside table.Explain, which asks for a
// table.Explanation. Tables are of the schema and name
// given; the answers are faults where they say no.
type (
	// EnableTable begins to log a table, or changes what is logged of it; without
	// events everything is. The answer is changelog.Status.
	EnableTable struct {
		Schema, Table   string
		Events, Exclude []string
	}
	// AlterTable changes the events or the excluded columns of an enabled table;
	// nil leaves them, an empty Exclude clears it.
	AlterTable struct {
		Schema, Table   string
		Events, Exclude []string
	}
	// DisableTable stops logging a table.
	DisableTable struct{ Schema, Table string }
	// GetTable asks for the changelog.Status of a table, enabled or not.
	GetTable struct{ Schema, Table string }
	// ListTables asks for []changelog.Status of the tables that are enabled, with
	// Disabled also of those that were.
	ListTables struct{ Disabled bool }
)

// Registry is the registry of tables; *changelog.Log does.
type Registry interface {
	Enable(ctx context.Context, schema, table string, events, exclude []string) (changelog.Status, error)
	Alter(ctx context.Context, schema, table string, events, exclude []string) error
	Disable(ctx context.Context, schema, table string) error
	Get(ctx context.Context, schema, table string) (changelog.Status, error)
	List(ctx context.Context, disabled bool) ([]changelog.Status, error)
	table.Examiner
}

// Registrar is the worker that keeps the registry. It has no state: one value
// serves a whole pool. The feed needs no word from it: it meets each change in
// the log.
type Registrar struct{ Registry Registry }

var _ kernel.Worker = Registrar{}

// Handle implements kernel.Worker. It blocks on SQL, and on locks of the table
// for some seconds.
func (r Registrar) Handle(ctx context.Context, msg any) (any, error) {
	switch m := msg.(type) {
	case EnableTable:
		return r.Registry.Enable(ctx, m.Schema, m.Table, m.Events, m.Exclude)
	case AlterTable:
		return nil, r.Registry.Alter(ctx, m.Schema, m.Table, m.Events, m.Exclude)
	case DisableTable:
		return nil, r.Registry.Disable(ctx, m.Schema, m.Table)
	case GetTable:
		return r.Registry.Get(ctx, m.Schema, m.Table)
	case table.Explain:
		return m.Find(ctx, r.Registry)
	case ListTables:
		return r.Registry.List(ctx, m.Disabled)
	}
	return nil, fmt.Errorf("the registrar does not know %T", msg)
}
