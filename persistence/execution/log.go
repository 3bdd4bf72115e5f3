package execution

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// LogChannel is where the database notifies, with an execution's id, when lines were
// added to its log.
const LogChannel = "fluxbase_execution_logs"

// Line is a line of an execution's log.
type Line struct {
	// Number counts from 1; Append gives it.
	Number int
	// Kind is the execution's type: rpc, function or job. Append gives it, too.
	Kind    string
	Level   string
	Message string
	// Fields is a JSON object, nil for none.
	Fields json.RawMessage
	At     time.Time
}

// Logs are the logs of the executions in one database, of procedures and of whatever
// else runs.
type Logs struct{ db *db.Database }

// NewLogs gives the logs of a database.
func NewLogs(d *db.Database) *Logs { return &Logs{d} }

// Append adds lines to the log of an execution, numbered on from those that are there.
func (l *Logs) Append(ctx context.Context, id, kind string, lines []Line) error {
	levels, messages, fields, at := make([]string, len(lines)), make([]string, len(lines)), make([]*string, len(lines)), make([]time.Time, len(lines))
	for i, line := range lines {
		levels[i], messages[i], at[i] = line.Level, line.Message, line.At
		if line.Fields != nil {
			text := string(line.Fields)
			fields[i] = &text
		}
	}
	return l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		batch := &pgx.Batch{}
		// No line is worth waiting for the disk: a crash of PostgreSQL may take the last
		// ones.
		batch.Queue(`SELECT set_config('synchronous_commit', 'off', true)`)
		// Whoever wrote before, a node that is thought dead perhaps, has committed or
		// comes later: numbers are given one after the other.
		batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended('execution_logs:' || $1, 0))`, id)
		batch.Queue(`
			INSERT INTO app.execution_logs (execution_id, execution_type, line_number, level, message, fields, created_at)
			SELECT $1::uuid, $2, last.n + w.ord, w.level, w.message, w.fields::jsonb, w.at
			  FROM (SELECT coalesce(max(line_number), 0) AS n FROM app.execution_logs WHERE execution_id = $1::uuid) last,
			       unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[]) WITH ORDINALITY AS w (level, message, fields, at, ord)`,
			id, kind, levels, messages, fields, at)
		batch.Queue(`SELECT pg_notify($1, $2)`, LogChannel, id)
		return db.Fault(c.SendBatch(ctx, batch).Close())
	})
}

// Read gives the lines behind a number, the first of them, limit at most.
func (l *Logs) Read(ctx context.Context, id string, after, limit int) (lines []Line, err error) {
	err = l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT line_number, execution_type, level, message, fields, created_at FROM app.execution_logs
			 WHERE execution_id = $1::uuid AND line_number > $2 ORDER BY line_number LIMIT $3`, id, after, limit)
		if err != nil {
			return db.Fault(err)
		}
		lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (line Line, err error) {
			err = row.Scan(&line.Number, &line.Kind, &line.Level, &line.Message, (*[]byte)(&line.Fields), &line.At)
			return line, err
		})
		return db.Fault(err)
	})
	return lines, err
}
