// Package data answers the reads and writes of a tenant's tables.
//
// It is a pool of workers (Worker) that each take one message, compile its query
// against the tenant's catalogue and run it on the caller's behalf, in one round
// trip to PostgreSQL. A worker keeps no state between messages.
package data

import (
	"io"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/idempotency"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// List reads a page of rows. The reply is a *Page.
type List struct {
	Caller caller.Caller
	Query  *query.Select
	Terms  *Terms
}

// Get reads the one row that ID addresses. Query holds what is wanted of it and
// further conditions. The reply is a *Record; a row that does not exist for this
// caller is NOT_FOUND.
type Get struct {
	Caller caller.Caller
	ID     string
	Query  *query.Select
}

// Export writes rows to Out as they come, in constant memory. The reply is an
// *Exported, after the last row. Nothing is written before the first row is there,
// so that a refused query has not written anything.
type Export struct {
	Caller caller.Caller
	// IDs, when not nil, are the ids of the rows that are meant.
	IDs    []string
	Query  *query.Select
	Format Format
	// Out is on this node. A write that fails ends the export.
	Out io.Writer
}

// Format is the form of an export.
type Format uint8

// The formats.
const (
	// CSV has a line of names first (RFC 4180). NULL is an empty field, an empty
	// text is two quotes; values are PostgreSQL's texts.
	CSV Format = iota
	// JSON is an array of objects.
	JSON
)

// Exported tells how many rows an export has.
type Exported struct{ Rows int64 }

// The messages that write have a Key: when it is not nil, what they write is
// written once; see persistence/idempotency.

// Create inserts rows. The reply is a *Written.
type Create struct {
	Caller caller.Caller
	Query  *query.Insert
	Key    *idempotency.Key
	Terms  *Terms
}

// Update changes the rows that match. The reply is a *Written.
type Update struct {
	Caller caller.Caller
	Query  *query.Update
	Key    *idempotency.Key
	Terms  *Terms
}

// UpdateEach changes many rows, each by an object of its own. The reply is a
// *Written.
type UpdateEach struct {
	Caller caller.Caller
	Query  *query.UpdateEach
	Key    *idempotency.Key
}

// Delete removes the rows that match. The reply is a *Written.
type Delete struct {
	Caller caller.Caller
	// IDs, when not nil, are the ids of the rows that are meant, in the form that
	// a path has them. The query's condition holds beside them.
	IDs   []string
	Query *query.Delete
	Key   *idempotency.Key
	Terms *Terms
}

// UpdateOne changes the row that ID addresses; the key's own columns in the body
// are left as they are. The reply is a *Written with one row. When there is no
// row that the caller may change, the fault is NOT_FOUND where the caller cannot
// see one either, and RLS_POLICY_VIOLATION (AUTHENTICATION_REQUIRED for anonymous
// callers) where it can.
type UpdateOne struct {
	Caller caller.Caller
	ID     string
	Query  *query.Update
	Key    *idempotency.Key
}

// DeleteOne removes the row that ID addresses, with the faults of UpdateOne.
type DeleteOne struct {
	Caller caller.Caller
	ID     string
	Query  *query.Delete
	Key    *idempotency.Key
}

// Terms are what the PostgREST dialect demands of the transaction that a message
// runs in. Nil Terms are none.
type Terms struct {
	// Form is how rows are given.
	Form sql.Form
	// Settings are set for the transaction, so that functions and policies can read
	// them.
	Settings []Setting
	// Bound is how many rows a write may change, or a function return; nil for any
	// number.
	Bound *sql.Bound
	// Explain asks for the plan of the statement in place of its answer: the reply's
	// JSON is PostgreSQL's text.
	Explain *sql.Explain
	// Rollback undoes what was written once it is answered.
	Rollback bool
}

// Setting is a setting of PostgreSQL with its value.
type Setting struct{ Name, Value string }

// Response is what functions, policies or triggers want to say over HTTP: the
// settings response.status and response.headers as they were at the end of the
// transaction; empty where nobody set them. Only messages with Terms learn it.
type Response struct{ Status, Headers string }

// Call calls a function. The reply is a *Called.
type Call struct {
	Caller caller.Caller
	Query  *query.Call
	// ReadOnly runs it where nothing can be written.
	ReadOnly bool
	Terms    *Terms
}

// Called is what a function gave.
type Called struct {
	Page
	// Void is a function that gives nothing, Scalar one that gives values and not
	// rows, Set one that gives any number.
	Void, Scalar, Set bool
}

// Page is a list of rows.
type Page struct {
	Response
	// Labels are the names of the columns, where there are Terms.
	Labels []string
	// JSON is the array.
	JSON []byte
	Rows int64
	// Offset is how many matching rows come before the page.
	Offset int64
	// Total is the number of all matching rows, or -1 when it was not asked for.
	Total int64
}

// Record is one row.
type Record struct {
	// JSON is the object.
	JSON []byte
}

// Written is what a write did.
type Written struct {
	Response
	// Labels are the names of the columns, where there are Terms; Fresh is how many
	// rows are new, where a bound asked.
	Labels []string
	Fresh  int64
	// Replayed tells that it did so earlier, when it was asked for under the same
	// idempotency key: nothing was written now.
	Replayed bool
	// JSON is the array of the rows written; for a body of one object, and for
	// the messages that address one row, the object. Nil when no rows were wanted,
	// and for an object that was left out as a duplicate.
	JSON []byte
	// Affected is the number of rows written.
	Affected int64
}
