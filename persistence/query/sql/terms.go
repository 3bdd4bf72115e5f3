package sql

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
	"fluxbase/persistence/query"
)

// Settings is the statement that sets settings for the transaction. Names and
// values are parameters.
func Settings(names, values []string) db.Statement {
	var w strings.Builder
	args := make([]any, 0, 2*len(names))
	w.WriteString("SELECT ")
	for i := range names {
		if i > 0 {
			w.WriteString(", ")
		}
		args = append(args, names[i], values[i])
		w.WriteString("set_config($" + strconv.Itoa(2*i+1) + ", $" + strconv.Itoa(2*i+2) + ", true)")
	}
	return db.Statement{SQL: w.String(), Args: args}
}

// Perform is the statement that calls a function without arguments, whose result
// does not matter.
func Perform(function query.Relation) db.Statement {
	var w strings.Builder
	w.WriteString("SELECT ")
	qualified(&w, function.Schema, function.Name)
	w.WriteString("()")
	return db.Statement{SQL: w.String()}
}

// Said is the statement that reads what the transaction has set for the response.
func Said(status, headers *string) db.Statement {
	return db.Statement{
		SQL: `SELECT coalesce(current_setting('response.status', true), ''), coalesce(current_setting('response.headers', true), '')`,
		Read: func(rows pgx.Rows) error {
			for rows.Next() {
				if err := rows.Scan(status, headers); err != nil {
					return err
				}
			}
			return rows.Err()
		},
	}
}

// RollBack is the statement that ends the transaction without effect: it fails with
// ROLLED_BACK.
func RollBack() db.Statement { return db.Statement{SQL: `SELECT app.roll_back()`} }
