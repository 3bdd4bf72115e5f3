package procedure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// NotifyChannel is rung, without a payload, when procedures were changed.
const NotifyChannel = "fluxbase_procedures"

// ErrNotFound means that there is no such procedure.
var ErrNotFound = errors.New("no such procedure")

// Store is the procedures of one tenant. Its tables are granted to no role: all
// statements run under the owner login.
type Store struct {
	db     *db.Database
	tenant string
}

// New gives the store of a tenant, by its database and id.
func New(d *db.Database, tenant string) *Store { return &Store{db: d, tenant: tenant} }

const (
	columns = before + `p.original_code, p.sql_query, p.statement, p.edition` + after
	before  = `p.id::text, p.namespace, p.name, p.description, p.input_schema, p.output_schema,
		p.allowed_tables, p.allowed_schemas, p.max_execution_time_seconds, p.require_roles, p.is_public,
		p.disable_execution_logs, coalesce(p.schedule, ''), p.enabled, p.version, p.source, `
	after = `, coalesce(p.created_by, ''), p.created_at, p.updated_at, p.revision`
)

// summary are the columns without what is large.
var summary = before + `'', '', NULL::json, ` + strconv.Itoa(compilerEdition) + after

// read reads the columns. A statement that another edition of the compiler has made
// is compiled anew; a procedure that this edition refuses cannot be run.
func read(row pgx.CollectableRow) (*Procedure, error) {
	p := &Procedure{}
	var input, output, statement []byte
	var seconds float64
	var edition int
	err := row.Scan(&p.ID, &p.Namespace, &p.Name, &p.Description, &input, &output,
		&p.AllowedTables, &p.AllowedSchemas, &seconds, &p.RequireRoles, &p.Public,
		&p.DisableLogs, &p.Schedule, &p.Enabled, &p.Version, &p.Source, &p.Code, &p.Query,
		&statement, &edition, &p.CreatedBy, &p.CreatedAt, &p.UpdatedAt, &p.Revision)
	if err != nil {
		return nil, err
	}
	p.MaxExecutionTime = time.Duration(seconds * float64(time.Second))
	for _, d := range []struct {
		text   []byte
		target any
	}{{input, &p.Input}, {output, &p.Output}, {statement, &p.Statement}} {
		if d.text == nil {
			continue
		}
		if err := json.Unmarshal(d.text, d.target); err != nil {
			return nil, fmt.Errorf("stored procedure %s/%s: %w", p.Namespace, p.Name, err)
		}
	}
	if edition != compilerEdition {
		if p.Statement, err = compileStatement(p.Query, p.rules()); err == nil {
			err = p.declare()
		}
		p.Enabled = p.Enabled && err == nil
	}
	return p, nil
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// list collects procedures of the tenant, which is the statement's first parameter.
func (s *Store) list(ctx context.Context, q querier, rest string, args ...any) ([]*Procedure, error) {
	return s.collect(ctx, q, columns, rest, args...)
}

func (s *Store) collect(ctx context.Context, q querier, columns, rest string, args ...any) ([]*Procedure, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM rpc.procedures p WHERE p.tenant_id = $1::uuid `+rest, append([]any{s.tenant}, args...)...)
	if err != nil {
		return nil, db.Fault(err)
	}
	found, err := pgx.CollectRows(rows, read)
	return found, db.Fault(err)
}

func (s *Store) query(ctx context.Context, rest string, args ...any) (found []*Procedure, err error) {
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		found, err = s.list(ctx, c, rest, args...)
		return err
	})
	return found, err
}

// Find gives a procedure, enabled or not, or ErrNotFound.
func (s *Store) Find(ctx context.Context, namespace, name string) (*Procedure, error) {
	found, err := s.query(ctx, `AND p.namespace = $2 AND p.name = $3`, namespace, name)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// All gives the procedures of a namespace, or of all for "", in the order of their
// names.
func (s *Store) All(ctx context.Context, namespace string) ([]*Procedure, error) {
	return s.query(ctx, `AND ($2 = '' OR p.namespace = $2) ORDER BY p.namespace, p.name`, namespace)
}

// Summaries is All without code, query and statement; with public only the procedures
// that are public and enabled.
func (s *Store) Summaries(ctx context.Context, namespace string, public bool) (found []*Procedure, err error) {
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		found, err = s.collect(ctx, c, summary, `AND ($2 = '' OR p.namespace = $2) AND (NOT $3 OR p.is_public AND p.enabled)
			ORDER BY p.namespace, p.name`, namespace, public)
		return err
	})
	return found, err
}

// Scheduled gives the procedures that are enabled and have a schedule.
func (s *Store) Scheduled(ctx context.Context) ([]*Procedure, error) {
	return s.query(ctx, `AND p.schedule IS NOT NULL AND p.enabled ORDER BY p.namespace, p.name`)
}

// Namespaces gives the names of the namespaces that hold a procedure.
func (s *Store) Namespaces(ctx context.Context) (names []string, err error) {
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `SELECT DISTINCT namespace FROM rpc.procedures WHERE tenant_id = $1::uuid ORDER BY 1`, s.tenant)
		if err != nil {
			return db.Fault(err)
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return db.Fault(err)
	})
	return names, err
}
