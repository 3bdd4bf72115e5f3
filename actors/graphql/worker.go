package graphql

import (
	"context"
	"errors"
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/actors/data"
	"fluxbase/actors/graphql/operation"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query/sql"
)

// Options are what a tenant's workers share.
type Options struct {
	Database data.Database
	Catalog  *catalog.Catalog
	// Limits bound pages and batches, as in all dialects.
	Limits data.Limits
	// Rules bound documents.
	Rules operation.Rules
}

// Worker answers one request at a time. One value serves all workers of a tenant's
// pool.
type Worker struct {
	options Options
	judge   *data.Judge
	schemas schemas
}

// NewWorker makes a worker.
func NewWorker(o Options) *Worker {
	o.Rules.DefaultPage, o.Rules.MaxPage = o.Limits.DefaultPageSize, o.Limits.MaxPageSize
	return &Worker{options: o, judge: data.NewJudge(o.Database, o.Limits.MaxCost)}
}

// Handle answers an *Execute. It blocks on SQL. A name that is not known is looked for
// once more when the schema has changed since it was read.
func (w *Worker) Handle(ctx context.Context, msg any) (any, error) {
	m, ok := msg.(*Execute)
	if !ok {
		return nil, fmt.Errorf("graphql worker does not know %T", msg)
	}
	seen := w.options.Catalog.Current()
	reply, err := w.execute(ctx, m, seen)
	var refused operation.Refusal
	if errors.As(err, &refused) && refused.Unknown() {
		if changed, failed := w.options.Catalog.Refresh(ctx, seen); failed == nil && changed {
			reply, err = w.execute(ctx, m, w.options.Catalog.Current())
		}
	}
	if errors.As(err, &refused) {
		return refuse(refused)
	}
	if err != nil {
		return nil, err
	}
	return reply, nil
}

func (w *Worker) execute(ctx context.Context, m *Execute, seen *catalog.Snapshot) (*Response, error) {
	role, err := w.schemas.of(seen, string(m.Caller.DatabaseRole()))
	if err != nil {
		return nil, err
	}
	doc, err := role.document(m.Query, w.options.Rules)
	if err != nil {
		return nil, err
	}
	named, err := doc.Find(m.Operation)
	if err != nil {
		return nil, err
	}
	if m.ReadOnly && named.Operation != ast.Query {
		return nil, fault.New(fault.MethodNotAllowed, "Only queries are allowed here; send a mutation by POST")
	}
	if scope := scopes[named.Operation]; !m.Caller.Allows(scope) {
		return nil, fault.New(fault.InsufficientPermissions, "Insufficient permissions").WithField("required_scope", scope)
	}
	op, err := doc.Prepare(named, m.Variables, w.options.Rules)
	if err != nil {
		return nil, err
	}
	if op.Kind == ast.Mutation {
		return w.mutate(ctx, m, role, op)
	}
	return w.query(ctx, m, role, op)
}

// scopes are what a key must be good for: the same as for the tables beneath.
var scopes = map[ast.Operation]string{ast.Query: "tables:read", ast.Mutation: "tables:write"}

// sqlOptions are the limits of the statements.
func (w *Worker) sqlOptions() sql.Options {
	return sql.Options{MaxEmbedded: w.options.Limits.MaxPageSize, MaxBytes: w.options.Limits.MaxAnswerBytes}
}

// ofField tells whether an error says something about the field that it came from, and
// not about the server as a whole.
func ofField(err error) bool {
	switch fault.CodeOf(err) {
	case fault.Overloaded, fault.ServiceUnavailable, fault.Draining, fault.Timeout, fault.Canceled, fault.InternalError, fault.OperationFailed, fault.DatabaseError:
		return false
	}
	return true
}

var _ data.Database = (*db.Database)(nil)
