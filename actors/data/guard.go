package data

import (
	"context"
	"slices"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// Guard makes the worker call a function of the database without arguments before
// the statements of each message, in their transaction and as the caller: what it
// raises refuses the message. It must be set before the worker is used.
func (w *Worker) Guard(function query.Relation) *Worker {
	guard := sql.Perform(function)
	w.guard = &guard
	return w
}

// Guarded is a database where such a function is called in every transaction, for
// workers other than those of this package.
func Guarded(d Database, function query.Relation) Database {
	return &guarded{database: d, guard: sql.Perform(function)}
}

type guarded struct {
	database Database
	guard    db.Statement
}

// Run implements Database.
func (g *guarded) Run(ctx context.Context, c caller.Caller, statements ...db.Statement) error {
	return g.database.Run(ctx, c, slices.Concat([]db.Statement{g.guard}, statements)...)
}

// RunRead implements Database.
func (g *guarded) RunRead(ctx context.Context, c caller.Caller, statements ...db.Statement) error {
	return g.database.RunRead(ctx, c, slices.Concat([]db.Statement{g.guard}, statements)...)
}
