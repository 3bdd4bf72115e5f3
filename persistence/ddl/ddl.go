// Package ddl makes and drops schemas and tables by parameters.
//
// Nothing that a caller wrote becomes SQL as it is: names are checked and quoted,
// types are printed anew by PostgreSQL (see typename.go), defaults cannot end before
// the parenthesis that they stand in (see expression.go). Tables are made and
// dropped by service_role: what that role may not, nobody may here.
package ddl

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
)

// Store works on one tenant's database.
type Store struct {
	db     *db.Database
	system caller.Caller
}

// New makes a store for a tenant.
func New(d *db.Database, tenant string) *Store { return &Store{d, caller.System(tenant)} }

// Schema is a schema and the role that owns it.
type Schema struct{ Name, Owner string }

// Table names a table.
type Table struct{ Schema, Name string }

// Column is a column to be made.
type Column struct {
	Name string
	// Type is as SQL writes it: numeric(10,2), text[], serial.
	Type     string
	Nullable bool
	// PrimaryKey columns together are the primary key, in the order of the columns.
	PrimaryKey bool
	// Default is an SQL expression; empty for none.
	Default string
}

// maxColumns is PostgreSQL's.
const maxColumns = 1600

// Schemas are the schemas of the database, by name; those that belong to PostgreSQL
// or to the server are left out.
func (s *Store) Schemas(ctx context.Context) ([]Schema, error) {
	var all []Schema
	err := s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `SELECT n.nspname, pg_catalog.pg_get_userbyid(n.nspowner)
			FROM pg_catalog.pg_namespace n
			WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ($1::text[])
			ORDER BY n.nspname`, reservedSchemas)
		if err != nil {
			return db.Fault(err)
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Schema])
		return db.Fault(err)
	})
	return all, err
}

// CreateSchema makes a schema that service_role may use and nobody else:
// ALREADY_EXISTS when there is one of the name, INVALID_INPUT for a bad name.
func (s *Store) CreateSchema(ctx context.Context, name string) error {
	if err := checkSchema(name); err != nil {
		return err
	}
	return s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		quoted := pgx.Identifier{name}.Sanitize()
		return db.Fault(pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if err := unreserved(ctx, tx, name); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `CREATE SCHEMA `+quoted, pgx.QueryExecModeExec); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `GRANT USAGE, CREATE ON SCHEMA `+quoted+` TO service_role`, pgx.QueryExecModeExec)
			return err
		}))
	})
}

// Tables are the tables of a schema, or of all that Schemas has when it is empty, by
// schema and name.
func (s *Store) Tables(ctx context.Context, schema string) ([]Table, error) {
	var all []Table
	err := s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `SELECT n.nspname, c.relname
			FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
			  AND n.nspname <> ALL ($1::text[]) AND ($2 = '' OR n.nspname = $2)
			ORDER BY n.nspname, c.relname`, reservedSchemas, schema)
		if err != nil {
			return db.Fault(err)
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Table])
		return db.Fault(err)
	})
	return all, err
}

// CreateTable makes a table that service_role may use and nobody else:
// ALREADY_EXISTS, NOT_FOUND when there is no such schema, INVALID_INPUT for bad
// names, types and defaults, INSUFFICIENT_PERMISSIONS in a schema that is not for
// tables of applications.
func (s *Store) CreateTable(ctx context.Context, t Table, columns []Column) error {
	if err := checkTable(t, columns); err != nil {
		return err
	}
	return s.db.Tx(ctx, s.system, func(tx pgx.Tx) error {
		// Whatever the server's settings are, a backslash in a text is a backslash.
		if _, err := tx.Exec(ctx, `SET LOCAL standard_conforming_strings = on`); err != nil {
			return err
		}
		names := []string{t.Name}
		for _, c := range columns {
			names = append(names, c.Name)
		}
		if err := unreserved(ctx, tx, names...); err != nil {
			return err
		}
		definition, err := define(ctx, tx, t, columns)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, definition, pgx.QueryExecModeExec); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `REVOKE ALL ON `+t.quoted()+` FROM PUBLIC, anon, authenticated, tenant_service`, pgx.QueryExecModeExec)
		return err
	})
}

// DropTable drops a table: TABLE_NOT_FOUND, CONFLICT when something depends on it,
// INSUFFICIENT_PERMISSIONS when service_role does not own it.
func (s *Store) DropTable(ctx context.Context, t Table) error {
	return s.db.Tx(ctx, s.system, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DROP TABLE `+t.quoted(), pgx.QueryExecModeExec)
		return err
	})
}

func (t Table) quoted() string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

// define writes the statement that makes a table.
func define(ctx context.Context, tx pgx.Tx, t Table, columns []Column) (string, error) {
	var b strings.Builder
	var key []string
	b.WriteString(`CREATE TABLE ` + t.quoted() + ` (`)
	for i, c := range columns {
		typeName, err := resolveType(ctx, tx, c.Type)
		if err != nil {
			return "", err
		}
		if i > 0 {
			b.WriteString(", ")
		}
		quoted := pgx.Identifier{c.Name}.Sanitize()
		b.WriteString(quoted + " " + typeName)
		if !c.Nullable {
			b.WriteString(" NOT NULL")
		}
		if c.Default != "" {
			b.WriteString(" DEFAULT (" + c.Default + "\n)")
		}
		if c.PrimaryKey {
			key = append(key, quoted)
		}
	}
	if key != nil {
		b.WriteString(", PRIMARY KEY (" + strings.Join(key, ", ") + ")")
	}
	b.WriteString(")")
	return b.String(), nil
}

func checkTable(t Table, columns []Column) error {
	if err := checkName("schema", t.Schema); err != nil {
		return err
	}
	if err := checkName("table", t.Name); err != nil {
		return err
	}
	if len(columns) == 0 {
		return fault.New(fault.MissingRequiredField, "columns are required")
	}
	if len(columns) > maxColumns {
		return fault.Newf(fault.InvalidInput, "A table has at most %d columns", maxColumns)
	}
	for _, c := range columns {
		if err := checkName("column", c.Name); err != nil {
			return err
		}
		if err := checkExpression(c.Default); err != nil {
			return fault.Newf(fault.InvalidInput, "The default of column %s: %s", c.Name, err)
		}
	}
	return nil
}
