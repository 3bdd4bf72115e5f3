package changelog

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
)

// Status is what the registry says about a table.
type Status struct {
	ID       int32
	Schema   string
	Table    string
	Enabled  bool
	Events   []string
	Excluded []string
	// CreatedAt and UpdatedAt are zero for a table that was never enabled.
	CreatedAt, UpdatedAt time.Time
	// TriggerName is what the names of the table's triggers begin with.
	TriggerName string
}

// AllEvents are the events that a table can be enabled for.
var AllEvents = []string{"INSERT", "UPDATE", "DELETE"}

// systemSchemas cannot be followed: they hold secrets, or the log itself.
var systemSchemas = []string{"pg_catalog", "information_schema", "pg_toast", "auth", "realtime", "realtime_log", "platform"}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// lookup is a table as the catalogue has it.
type lookup struct {
	oid       uint32
	kind      string
	partition bool
	columns   []string
}

// Enable starts logging a table's changes, or changes what is logged of one that
// is enabled. Without events all are logged. Partitions follow their table.
func (l *Log) Enable(ctx context.Context, schema, table string, events, exclude []string) (Status, error) {
	if slices.Contains(systemSchemas, schema) {
		return Status{}, fault.Newf(fault.ValidationFailed, "Tables of the system schema '%s' cannot be enabled for realtime", schema)
	}
	if len(events) == 0 {
		events = AllEvents
	}
	var s Status
	err := l.change(ctx, func(tx pgx.Tx) error {
		found, err := find(ctx, tx, schema, table)
		if err != nil {
			return err
		}
		if err := found.check(schema, table, events, exclude); err != nil {
			return err
		}
		var id int32
		err = tx.QueryRow(ctx, `
			INSERT INTO realtime.schema_registry (schema_name, table_name, events, excluded_columns, relation) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (schema_name, table_name, tenant_id) DO UPDATE
			SET realtime_enabled = true, events = excluded.events, excluded_columns = excluded.excluded_columns, relation = excluded.relation, updated_at = now()
			RETURNING id`, schema, table, ordered(events), notNil(exclude), found.oid).Scan(&id)
		if err != nil {
			return err
		}
		if err := apply(ctx, tx, id, "enable"); err != nil {
			return err
		}
		s, err = status(ctx, tx, schema, table)
		return err
	})
	return s, err
}

// Alter changes the events or the excluded columns of an enabled table; nil
// leaves them as they are, an empty exclude clears it.
func (l *Log) Alter(ctx context.Context, schema, table string, events, exclude []string) error {
	if events == nil && exclude == nil {
		return fault.New(fault.ValidationFailed, "No updates provided")
	}
	return l.change(ctx, func(tx pgx.Tx) error {
		s, err := status(ctx, tx, schema, table)
		if err != nil {
			return err
		}
		if !s.Enabled {
			return notEnabled(schema, table)
		}
		if events == nil {
			events = s.Events
		}
		if exclude == nil {
			exclude = s.Excluded
		}
		found, err := find(ctx, tx, schema, table)
		if err != nil {
			return err
		}
		if err := found.check(schema, table, events, exclude); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE realtime.schema_registry SET events = $2, excluded_columns = $3, updated_at = now() WHERE id = $1",
			s.ID, ordered(events), notNil(exclude)); err != nil {
			return err
		}
		return apply(ctx, tx, s.ID, "alter")
	})
}

// Disable stops logging a table. Its registry entry stays.
func (l *Log) Disable(ctx context.Context, schema, table string) error {
	return l.change(ctx, func(tx pgx.Tx) error {
		s, err := status(ctx, tx, schema, table)
		if err != nil {
			return err
		}
		if !s.Enabled {
			return notEnabled(schema, table)
		}
		if _, err := tx.Exec(ctx, "UPDATE realtime.schema_registry SET realtime_enabled = false, updated_at = now() WHERE id = $1", s.ID); err != nil {
			return err
		}
		return apply(ctx, tx, s.ID, "disable")
	})
}

// Get tells about a table, enabled or not. A table that does not exist is
// TABLE_NOT_FOUND.
func (l *Log) Get(ctx context.Context, schema, table string) (Status, error) {
	var s Status
	err := l.change(ctx, func(tx pgx.Tx) error {
		if _, err := find(ctx, tx, schema, table); err != nil {
			return err
		}
		var err error
		s, err = status(ctx, tx, schema, table)
		return err
	})
	return s, err
}

// List tells about the registered tables; disabled adds those that are not
// enabled any more.
func (l *Log) List(ctx context.Context, disabled bool) ([]Status, error) {
	list := []Status{}
	err := l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, statusSQL+" WHERE realtime_enabled OR $1 ORDER BY schema_name, table_name", disabled)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scanStatus)
		return err
	})
	if err != nil {
		return nil, db.Fault(err)
	}
	return list, nil
}

// change runs f in a transaction of the owner and turns its errors into faults.
func (l *Log) change(ctx context.Context, f func(pgx.Tx) error) error {
	err := l.transaction(ctx, f)
	if err == nil {
		return nil
	}
	var f0 *fault.Fault
	if errors.As(err, &f0) {
		return err
	}
	switch sqlState(err) {
	case "55P03": // lock_not_available
		return fault.New(fault.Conflict, "The table is in use").WithHint("A transaction has held the table for more than 5 seconds. Try again when it has ended.").WithCause(err)
	case "42501": // insufficient_privilege
		return fault.New(fault.AccessDenied, "The server may not put triggers on this table").
			WithHint("Grant TRIGGER on the table to fluxbase_owner, or make fluxbase_owner a member of the table's owner.").WithCause(err)
	}
	return db.Fault(err)
}

func find(ctx context.Context, tx pgx.Tx, schema, table string) (lookup, error) {
	for _, name := range []string{schema, table} {
		if !identifier.MatchString(name) {
			return lookup{}, fault.Newf(fault.InvalidInput, "Invalid identifier: %q", name).
				WithHint("A letter or an underscore first, then letters, digits and underscores, at most 63.")
		}
	}
	var found lookup
	err := tx.QueryRow(ctx, `
		SELECT c.oid, c.relkind::text, c.relispartition,
		       (SELECT array_agg(a.attname::text) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
		  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		 WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`, schema, table).
		Scan(&found.oid, &found.kind, &found.partition, &found.columns)
	if errors.Is(err, pgx.ErrNoRows) {
		return lookup{}, fault.Newf(fault.TableNotFound, "Table '%s.%s' not found", schema, table)
	}
	return found, err
}

// check refuses what cannot be logged.
func (f lookup) check(schema, table string, events, exclude []string) error {
	switch {
	case f.kind == "v" || f.kind == "m":
		return fault.Newf(fault.ValidationFailed, "'%s.%s' is a view: enable the tables beneath it", schema, table)
	case f.kind == "f":
		return fault.Newf(fault.ValidationFailed, "'%s.%s' is a foreign table: its changes happen elsewhere", schema, table)
	case f.partition:
		return fault.Newf(fault.ValidationFailed, "'%s.%s' is a partition: enable its table", schema, table)
	}
	for _, e := range events {
		if !slices.Contains(AllEvents, e) {
			return fault.Newf(fault.ValidationFailed, "Invalid event: %q", e).WithHint("Events are INSERT, UPDATE and DELETE.")
		}
	}
	if events != nil && len(events) == 0 {
		return fault.New(fault.ValidationFailed, "At least one event is needed")
	}
	for _, c := range exclude {
		if !slices.Contains(f.columns, c) {
			return fault.Newf(fault.ValidationFailed, "'%s.%s' has no column '%s' to exclude", schema, table, c)
		}
	}
	return nil
}

// apply brings the triggers in line with the registry and tells the readers.
func apply(ctx context.Context, tx pgx.Tx, id int32, what string) error {
	_, err := tx.Exec(ctx, "SELECT realtime.sync_triggers($1), realtime.log_marker($2, ARRAY[$1::integer])", id, what)
	return err
}

const statusSQL = `SELECT id, schema_name, table_name, realtime_enabled, events, excluded_columns, created_at, updated_at, realtime.trigger_name(table_name)
	FROM realtime.schema_registry`

func scanStatus(row pgx.CollectableRow) (Status, error) {
	var s Status
	err := row.Scan(&s.ID, &s.Schema, &s.Table, &s.Enabled, &s.Events, &s.Excluded, &s.CreatedAt, &s.UpdatedAt, &s.TriggerName)
	return s, err
}

func status(ctx context.Context, tx pgx.Tx, schema, table string) (Status, error) {
	rows, err := tx.Query(ctx, statusSQL+" WHERE schema_name = $1 AND table_name = $2 AND tenant_id IS NULL", schema, table)
	if err != nil {
		return Status{}, err
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanStatus)
	if errors.Is(err, pgx.ErrNoRows) {
		return Status{Schema: schema, Table: table, Events: []string{}, Excluded: []string{}}, nil
	}
	return s, err
}

func notEnabled(schema, table string) error {
	return fault.Newf(fault.NotFound, "Table '%s.%s' is not enabled for realtime", schema, table)
}

// ordered are the events once each, in their usual order.
func ordered(events []string) []string {
	kept := []string{}
	for _, e := range AllEvents {
		if slices.Contains(events, e) {
			kept = append(kept, e)
		}
	}
	return kept
}

func notNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
