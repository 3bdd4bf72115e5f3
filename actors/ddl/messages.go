// Package ddl answers what administrators ask to be done to a tenant's schema: by a
// small pool of workers that each take one message. What was made is in the
// catalogue when the reply comes.
package ddl

import (
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/ddl"
)

// ListSchemas asks for the schemas: []ddl.Schema.
type ListSchemas struct{}

// CreateSchema makes a schema: Done, or the faults of ddl.Store.CreateSchema.
type CreateSchema struct{ Name string }

// ListTables asks for the tables of a schema, or of all when it is empty:
// []ddl.Table.
type ListTables struct{ Schema string }

// CreateTable makes a table: Done, or the faults of ddl.Store.CreateTable.
type CreateTable struct {
	Table   ddl.Table
	Columns []ddl.Column
}

// DropTable drops a table: Done, or the faults of ddl.Store.DropTable.
type DropTable struct{ Table ddl.Table }

// Refresh reads the catalogue anew: Refreshed.
type Refresh struct{}

// Refreshed is what the catalogue has now.
type Refreshed struct{ Snapshot *catalog.Snapshot }

// Done is the reply to what has nothing to tell.
type Done struct{}
