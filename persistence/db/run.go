package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fluxbase/persistence/caller"
)

// Statement is one SQL statement with its parameters.
type Statement struct {
	SQL  string
	Args []any
	// Columns, when not nil, are what the statement must return: with others it is not
	// run, nor is any of the transaction, and the error is ErrColumns. Their values come
	// as the texts of their types' output functions, those of a type uuid as its 16 bytes.
	Columns []Column
	// Read takes the rows; nil means that they do not matter. It is called when
	// the statement succeeded so far, on the goroutine of the caller, and must
	// neither keep rows nor use the Database. rows.CommandTag is known once Next
	// has returned false. What Read returns is returned by Run, but by then it is
	// too late to undo the statement: the transaction commits whatever Read says.
	Read func(pgx.Rows) error
}

// Run executes statements on behalf of a caller, in one transaction and one
// round trip: role, claims and settings, the statements, commit. Either all of
// them take effect or none.
//
// The time that ctx has left, and that the caller's role has (see Timeouts),
// bounds every statement; when ctx is cancelled, the statement that runs is
// cancelled. Errors are coded faults, see Fault; a caller
// who is anonymous gets AUTHENTICATION_REQUIRED where another would be refused.
//
// A transaction that PostgreSQL rolled back on a deadlock or a serialization
// conflict is repeated once, and so is one whose prepared statement turned out to
// be older than the schema, provided that no Read was called yet.
func (d *Database) Run(ctx context.Context, c caller.Caller, statements ...Statement) error {
	return d.run(ctx, c, false, statements)
}

// RunRead is Run in a read-only transaction. As nothing can have happened, it is
// also repeated once when the connection was lost before a Read was called.
func (d *Database) RunRead(ctx context.Context, c caller.Caller, statements ...Statement) error {
	return d.run(ctx, c, true, statements)
}

func (d *Database) run(ctx context.Context, c caller.Caller, readOnly bool, statements []Statement) error {
	if len(statements) == 0 {
		return nil
	}
	pool, err := d.pool(c)
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return faultOf(ctx, err)
		}
		t := transaction{caller: c, readOnly: readOnly, statements: statements, timeout: d.timeout(ctx, &c)}
		err = t.run(ctx, sessionOf(conn.Conn()), d.schema.Load())
		conn.Release()
		if err == nil {
			return nil
		}
		if attempt == 0 && !t.read && ctx.Err() == nil && t.repeatable(err) {
			continue
		}
		return refusal(c, faultOf(ctx, err))
	}
}

// transaction is one implicit transaction on its way.
type transaction struct {
	caller     caller.Caller
	readOnly   bool
	statements []Statement
	timeout    time.Duration

	prepared []*prepared // of the statements, by index
	read     bool        // a Read was called
	stale    bool        // a statement prepared in an earlier run was used
}

func (t *transaction) run(ctx context.Context, s *session, generation uint64) error {
	if err := s.begin(ctx, generation); err != nil {
		return err
	}
	var refused map[statementKey]error
	if missing := t.missing(s, nil); len(missing) > 0 {
		var err error
		if refused, err = s.prepare(ctx, missing); err != nil {
			return err
		}
	}
	if err := t.encode(s, refused); err != nil {
		if t.stale && unfit(err) {
			return errors.Join(err, s.forget(ctx))
		}
		return err
	}
	err := t.exchange(ctx, s)
	if err == nil || s.conn.IsClosed() {
		return err
	}
	switch {
	case deallocated(err):
		// Somebody's function ran DEALLOCATE: start over with a new connection.
		return errors.Join(err, s.conn.Close(ctx))
	case t.stale && outdated(err):
		// At once, so that the repetition does not meet it again.
		return errors.Join(err, s.forget(ctx))
	}
	return err
}

// missing appends the statements that are not prepared yet, and marks the others
// as used by this run.
func (t *transaction) missing(s *session, missing []statementKey) []statementKey {
	role := t.caller.DatabaseRole()
	t.prepared = make([]*prepared, len(t.statements))
	for i := range t.statements {
		if p := s.find(role, t.statements[i].SQL); p != nil {
			t.prepared[i] = p
			t.stale = t.stale || !p.fresh
			continue
		}
		if key := (statementKey{role, t.statements[i].SQL}); !slices.Contains(missing, key) {
			missing = append(missing, key)
		}
	}
	return missing
}

// encode builds the parameters of all statements, before anything is sent: half
// a transaction could not be taken back.
func (t *transaction) encode(s *session, refused map[statementKey]error) error {
	for len(s.bound) < len(t.statements) {
		s.bound = append(s.bound, bound{})
	}
	for i := range t.statements {
		if t.prepared[i] == nil {
			key := statementKey{t.caller.DatabaseRole(), t.statements[i].SQL}
			if t.prepared[i] = s.find(key.role, key.sql); t.prepared[i] == nil {
				return refused[key]
			}
		}
		if err := s.bound[i].bind(s.conn.TypeMap(), t.prepared[i].description, &t.statements[i]); err != nil {
			return err
		}
	}
	return nil
}

// exchange sends everything and reads the answers.
func (t *transaction) exchange(ctx context.Context, s *session) error {
	pipeline := s.conn.PgConn().StartPipeline(ctx)
	t.send(s, pipeline, false)
	err := pipeline.Sync()
	if err == nil {
		err = t.receive(s, pipeline)
	}
	if closeErr := pipeline.Close(); err == nil {
		err = closeErr
	}
	return err
}

// send queues what encode has built, without the end of the transaction.
// described tells that the server must describe the results: pgconn loses count
// of its own descriptions when a pipeline goes on after an error.
func (t *transaction) send(s *session, pipeline *pgconn.Pipeline, described bool) {
	query := func(d *pgconn.StatementDescription, values [][]byte, formats, results []int16) {
		if described {
			pipeline.SendQueryPrepared(d.Name, values, formats, results)
		} else {
			pipeline.SendQueryStatement(d, values, formats, results)
		}
	}
	settings := s.preamble[settingsName]
	if t.readOnly {
		settings = s.preamble[readingName]
	}
	c, b := &t.caller, &s.settings
	b.reset()
	b.text(string(c.DatabaseRole()))
	b.text(string(c.Claims))
	b.text(c.Tenant)
	b.text(c.UserID)
	b.text(string(c.Role))
	b.number(max(t.timeout.Milliseconds(), 1))
	query(s.preamble[resetName], nil, nil, nil)
	query(settings, b.values, nil, nil)
	for i := range t.statements {
		b := &s.bound[i]
		query(t.prepared[i].description, b.values, b.formats, b.results)
	}
}

// receive reads the answers up to the end of the transaction.
func (t *transaction) receive(s *session, pipeline *pgconn.Pipeline) error {
	var failed error
	for i := -preambleLength; ; i++ {
		results, err := pipeline.GetResults()
		if err != nil {
			if !isServerError(err) {
				return err
			}
			if failed == nil {
				failed = err
			}
			continue // what follows is skipped up to the end
		}
		switch results := results.(type) {
		case *pgconn.ResultReader:
			if i < 0 || t.statements[i].Read == nil {
				if _, err := results.Close(); err != nil && failed == nil {
					failed = err
				}
				continue
			}
			t.read = true
			rows := pgx.RowsFromResultReader(s.conn.TypeMap(), results)
			err := t.statements[i].Read(rows)
			rows.Close()
			if rows.Err() != nil {
				err = rows.Err()
			}
			if err != nil && failed == nil {
				failed = err
			}
		case *pgconn.PipelineSync:
			return failed
		default:
			return fmt.Errorf("unexpected %T from the server", results)
		}
	}
}

// repeatable tells whether the transaction was rolled back for a reason that may
// be gone the next time.
func (t *transaction) repeatable(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return t.stale && unfit(err) || t.readOnly && lostConnection(err)
	}
	switch pg.Code {
	case "40001", "40P01":
		return true
	case "57P01", "57P02": // the server ended the session
		return t.readOnly
	}
	return deallocated(err) || t.stale && outdated(err)
}

// unfit tells whether a statement's description does not fit what it is used for.
func unfit(err error) bool { return errors.Is(err, errEncoding) || errors.Is(err, ErrColumns) }

// deallocated tells whether a statement was not found that we had prepared.
func deallocated(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "26000"
}

// outdated tells whether the error may come from a statement that was prepared
// before the schema changed. It may also be the statement's own fault: then it
// comes again.
func outdated(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "0A000": // the result would have another type
		return true
	case "42501": // refused, which is frequent and has nothing to do with it
		return false
	}
	return strings.HasPrefix(pg.Code, "42")
}
