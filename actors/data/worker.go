package data

import (
	"context"
	"errors"
	"fmt"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/idempotency"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// Database runs statements on behalf of a caller; *db.Database does.
type Database interface {
	Run(ctx context.Context, c caller.Caller, statements ...db.Statement) error
	RunRead(ctx context.Context, c caller.Caller, statements ...db.Statement) error
}

// Worker answers one message at a time. It keeps no state: one value serves all
// workers of a tenant's pool.
//
// Plans are not kept: reading a query and compiling it takes a few microseconds of
// about a hundred that both sides spend on a list of 20 rows, and finding every plan in
// a cache saved less than 2 % of those. What is kept is the prepared statement, by its
// text, in persistence/db.
type Worker struct {
	database Database
	catalog  *catalog.Catalog
	schema   *sql.Schema
	limits   Limits
	judge    *Judge
	// whole lets PostgreSQL make the JSON of whole rows; see sql.Options.
	whole bool
	// guard runs before the statements of every message; nil for nothing.
	guard *db.Statement
	// exports has a place for each export that may be under way.
	exports chan struct{}
}

// NewWorker makes a worker over a tenant's database and its catalogue.
func NewWorker(d Database, c *catalog.Catalog, l Limits) *Worker {
	return &Worker{database: d, catalog: c, schema: sql.NewSchema(c), limits: l, judge: NewJudge(d, l.MaxCost), exports: make(chan struct{}, max(l.MaxExports, 1))}
}

// Handle answers any message of this package. It blocks on SQL. A name that is not
// known is looked for once more when the schema has changed since it was read:
// what an administrator has just made is there for the next request.
func (w *Worker) Handle(ctx context.Context, msg any) (any, error) {
	seen := w.catalog.Current()
	reply, err := w.handle(ctx, msg)
	if errors.Is(err, db.ErrColumns) {
		// The catalogue does not know the newest schema yet. PostgreSQL does.
		late := *w
		late.whole = true
		reply, err = late.handle(ctx, msg)
	}
	if !unknown(err) {
		return reply, err
	}
	if changed, failed := w.catalog.Refresh(ctx, seen); failed == nil && changed {
		reply, err = w.handle(ctx, msg)
	}
	if m, ok := msg.(asked); ok && unknown(err) {
		err = hinted(err, w.catalog.Current(), m.by())
	}
	return reply, err
}

// unknown tells whether a name was not found.
func unknown(err error) bool {
	switch fault.CodeOf(err) {
	case fault.TableNotFound, fault.UnknownColumn, fault.RelationshipNotFound, fault.FunctionNotFound:
		return true
	}
	return false
}

func (w *Worker) handle(ctx context.Context, msg any) (any, error) {
	if m, ok := msg.(sized); ok {
		if err := w.limits.Size(m.size()); err != nil {
			return nil, err
		}
	}
	switch m := msg.(type) {
	case *List:
		return w.list(ctx, m)
	case *Get:
		return w.get(ctx, m)
	case *Export:
		return w.export(ctx, m)
	case *Search:
		return w.search(ctx, m)
	case *Call:
		return w.call(ctx, m)
	case *Create:
		return w.create(ctx, m)
	case *Update:
		return w.update(ctx, m)
	case *UpdateEach:
		return w.updateEach(ctx, m)
	case *Delete:
		return w.delete(ctx, m)
	case *UpdateOne:
		return w.updateOne(ctx, m)
	case *DeleteOne:
		return w.deleteOne(ctx, m)
	}
	return nil, fmt.Errorf("data worker does not know %T", msg)
}

func (w *Worker) list(ctx context.Context, m *List) (*Page, error) {
	q := *m.Query
	if m.Terms == nil {
		q.Page = w.limits.Page(q.Page, m.Caller)
	} else {
		q.Page = w.limits.cap(q.Page)
	}
	plan, err := sql.Select(w.schema.Current(), &q, w.terms(w.options(), m.Terms))
	if err != nil {
		return nil, err
	}
	if err := w.admit(ctx, m.Caller, plan, m.Terms); err != nil {
		return nil, err
	}
	var r sql.Result
	var said Response
	if err := w.read(ctx, m.Caller, w.around(m.Terms, plan.Statements(&r, false), &said)); err != nil {
		return nil, err
	}
	return &Page{JSON: r.JSON, Rows: r.Rows, Offset: m.Query.Page.Offset, Total: r.Total, Labels: plan.Labels, Response: said}, nil
}

func (w *Worker) get(ctx context.Context, m *Get) (*Record, error) {
	relations := w.schema.Current()
	address, _, err := locate(relations, m.Query.From, m.ID)
	if err != nil {
		return nil, err
	}
	q := *m.Query
	q.Where = query.Conjoin(address, q.Where)
	q.Page = query.Page{Limit: query.NoLimit}
	plan, err := sql.Select(relations, &q, w.options())
	if err != nil {
		return nil, err
	}
	if err := w.admit(ctx, m.Caller, plan, nil); err != nil {
		return nil, err
	}
	var r sql.Result
	if err := w.read(ctx, m.Caller, w.around(nil, plan.Statements(&r, true), nil)); err != nil {
		return nil, err
	}
	if r.Rows == 0 {
		return nil, errMissing
	}
	return &Record{JSON: r.JSON}, nil
}

func (w *Worker) create(ctx context.Context, m *Create) (*Written, error) {
	if err := w.limits.Batch(m.Query.Body.Rows); err != nil {
		return nil, err
	}
	plan, err := sql.Insert(w.schema.Current(), m.Query, w.terms(w.writeOptions(m.Key), m.Terms))
	if err != nil {
		return nil, err
	}
	return w.write(ctx, m.Caller, plan, !m.Query.Body.Array && m.Terms == nil, m.Key, m.Terms)
}

func (w *Worker) update(ctx context.Context, m *Update) (*Written, error) {
	o := w.terms(w.writeOptions(m.Key), m.Terms)
	o.MaxAffected = w.limits.Changes(m.Caller, m.Query.Page)
	plan, err := sql.Update(w.schema.Current(), m.Query, o)
	if err != nil {
		return nil, err
	}
	return w.write(ctx, m.Caller, plan, false, m.Key, m.Terms)
}

func (w *Worker) updateEach(ctx context.Context, m *UpdateEach) (*Written, error) {
	if err := w.limits.Batch(m.Query.Body.Rows); err != nil {
		return nil, err
	}
	plan, err := sql.UpdateEach(w.schema.Current(), m.Query, w.writeOptions(m.Key))
	if err != nil {
		return nil, err
	}
	return w.write(ctx, m.Caller, plan, false, m.Key, nil)
}

func (w *Worker) delete(ctx context.Context, m *Delete) (*Written, error) {
	relations, q := w.schema.Current(), *m.Query
	if m.IDs != nil {
		address, err := w.locateAny(relations, q.From, m.IDs)
		if err != nil {
			return nil, err
		}
		q.Where = query.Conjoin(address, q.Where)
	}
	o := w.terms(w.writeOptions(m.Key), m.Terms)
	if m.IDs == nil {
		o.MaxAffected = w.limits.Changes(m.Caller, q.Page)
	}
	plan, err := sql.Delete(relations, &q, o)
	if err != nil {
		return nil, err
	}
	return w.write(ctx, m.Caller, plan, false, m.Key, m.Terms)
}

func (w *Worker) updateOne(ctx context.Context, m *UpdateOne) (*Written, error) {
	relations := w.schema.Current()
	address, columns, err := locate(relations, m.Query.Relation, m.ID)
	if err != nil {
		return nil, err
	}
	q := *m.Query
	q.Where = query.Conjoin(address, m.Query.Where)
	q.Ignore = columns
	plan, err := sql.Update(relations, &q, w.writeOptions(m.Key))
	if err != nil {
		return nil, err
	}
	return w.writeOne(ctx, m.Caller, plan, q.Relation, q.Where, m.Key)
}

func (w *Worker) deleteOne(ctx context.Context, m *DeleteOne) (*Written, error) {
	relations := w.schema.Current()
	address, _, err := locate(relations, m.Query.From, m.ID)
	if err != nil {
		return nil, err
	}
	q := *m.Query
	q.Where = query.Conjoin(address, m.Query.Where)
	plan, err := sql.Delete(relations, &q, w.writeOptions(m.Key))
	if err != nil {
		return nil, err
	}
	return w.writeOne(ctx, m.Caller, plan, q.From, q.Where, m.Key)
}

// locate makes the condition of one row and names the columns it rests on.
func locate(relations sql.Relations, r query.Relation, id string) (query.Condition, []string, error) {
	rel, ok := relations.Relation(r.Schema, r.Name)
	if !ok {
		return nil, nil, sql.NotFound(r)
	}
	address, err := sql.Identify(rel, id)
	return address, rel.Identity(), err
}

// options are the limits of the statements.
func (w *Worker) options() sql.Options {
	return sql.Options{EstimateAbove: w.limits.MaxPageSize, MaxEmbedded: w.limits.MaxPageSize, MaxBytes: w.limits.MaxAnswerBytes, Columns: !w.whole}
}

// writeOptions are the limits of a write, which keeps its answer if it has a key.
func (w *Worker) writeOptions(key *idempotency.Key) sql.Options {
	o := w.options()
	if key != nil {
		o.Keep = key.Scope[:]
	}
	return o
}

// locateAny makes the condition of several rows; without ids it is nil.
func (w *Worker) locateAny(relations sql.Relations, r query.Relation, ids []string) (query.Condition, error) {
	if ids == nil {
		return nil, nil
	}
	if err := w.limits.Batch(len(ids)); err != nil {
		return nil, err
	}
	rel, ok := relations.Relation(r.Schema, r.Name)
	if !ok {
		return nil, sql.NotFound(r)
	}
	return sql.IdentifyAny(rel, ids)
}

// admit is nil unless a plan costs more than its caller may ask for.
func (w *Worker) admit(ctx context.Context, c caller.Caller, plan *sql.Plan, t *Terms) error {
	if plan.Empty {
		return nil
	}
	return w.judge.Admit(ctx, c, db.Statement{SQL: plan.SQL, Args: plan.Args}, t.settings()...)
}

func (w *Worker) read(ctx context.Context, c caller.Caller, statements []db.Statement) error {
	return w.database.RunRead(ctx, c, statements...)
}

// write runs a write, or finds what it was answered with when it was asked for
// under the same key before.
func (w *Worker) write(ctx context.Context, c caller.Caller, plan *sql.Plan, single bool, key *idempotency.Key, t *Terms) (*Written, error) {
	var r sql.Result
	statements := plan.Statements(&r, single)
	if len(statements) == 0 {
		return &Written{JSON: r.JSON, Affected: r.Affected}, nil
	}
	if err := w.admit(ctx, c, plan, t); err != nil {
		return nil, err
	}
	if key != nil {
		statements = append([]db.Statement{key.Claim()}, statements...)
	}
	var said Response
	err := w.database.Run(ctx, c, w.around(t, statements, &said)...)
	if err == nil || t != nil && t.Rollback && fault.CodeOf(err) == fault.RolledBack {
		return &Written{JSON: r.JSON, Affected: r.Affected, Fresh: r.Fresh, Labels: plan.Labels, Response: said}, nil
	}
	if key == nil || fault.CodeOf(err) != fault.AlreadyAnswered {
		return nil, err
	}
	answer, found, failed := key.Kept(ctx, w.database, c)
	if failed != nil {
		return nil, failed
	}
	if !found { // a function of the application's own raised it, or the key has just expired
		return nil, err
	}
	return &Written{JSON: sql.Answer(answer.Records, plan.Rows, single), Affected: answer.Affected, Replayed: true}, nil
}

// writeOne runs a write of one row and finds out why there was none.
func (w *Worker) writeOne(ctx context.Context, c caller.Caller, plan *sql.Plan, relation query.Relation, where query.Condition, key *idempotency.Key) (*Written, error) {
	written, err := w.write(ctx, c, plan, true, key, nil)
	if err != nil || written.Affected > 0 {
		return written, err
	}
	look, err := sql.Select(w.schema.Current(), &query.Select{From: relation, Where: where, Page: query.Page{Limit: 1},
		Fields: identityFields(where)}, sql.Options{})
	if err != nil {
		return nil, err
	}
	var r sql.Result
	if err := w.read(ctx, c, look.Statements(&r, true)); err != nil {
		return nil, err
	}
	if r.Rows == 0 {
		return nil, errMissing
	}
	if c.DatabaseRole() == caller.DatabaseAnon {
		return nil, fault.New(fault.AuthenticationRequired, "Authentication required").
			WithHint("A row-level security policy keeps anonymous callers from changing this row. Sign in.")
	}
	return nil, fault.New(fault.RLSPolicyViolation, "Insufficient permissions").
		WithHint("A row-level security policy or a trigger keeps you from changing this row.")
}

// identityFields selects a column that the condition names: whoever may filter
// by it may read it.
func identityFields(where query.Condition) query.Projection {
	if all, ok := where.(query.And); ok && len(all) > 0 {
		where = all[0]
	}
	if cmp, ok := where.(*query.Compare); ok {
		return query.Projection{&query.Field{Path: query.Column(cmp.Path.Column)}}
	}
	return nil
}

// errMissing says that there is no such row for this caller, whether it does not
// exist or a policy hides it.
var errMissing = fault.New(fault.NotFound, "Record not found")
