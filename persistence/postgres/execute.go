package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Result is what one statement gave: rows as text, or only a tag.
type Result struct {
	Columns []string
	// Rows hold PostgreSQL's text of each value; nil is NULL.
	Rows [][]*string
	// Tag is PostgreSQL's own word, such as "INSERT 0 1".
	Tag string
}

// Execute runs the statements of a script, as a person would with psql, and
// hands over each one's result. Errors name the line.
func Execute(ctx context.Context, address, script string, each func(Result) error) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	results := conn.PgConn().Exec(ctx, script)
	var refused error // of each; the protocol still has to be read to its end
	for results.NextResult() {
		reader := results.ResultReader()
		var r Result
		for _, f := range reader.FieldDescriptions() {
			r.Columns = append(r.Columns, f.Name)
		}
		for reader.NextRow() {
			row := make([]*string, len(r.Columns))
			for i, v := range reader.Values() {
				if v != nil {
					text := string(v)
					row[i] = &text
				}
			}
			r.Rows = append(r.Rows, row)
		}
		tag, err := reader.Close()
		if err != nil {
			continue // results.Close reports it
		}
		r.Tag = tag.String()
		if refused == nil {
			refused = each(r)
		}
	}
	return errors.Join(refused, located(results.Close(), script))
}

// located adds the line that a PostgreSQL error points at.
func located(err error, script string) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Position == 0 {
		return err
	}
	before := []rune(script)
	before = before[:min(len(before), int(pg.Position)-1)]
	return fmt.Errorf("line %d: %w", strings.Count(string(before), "\n")+1, err)
}
