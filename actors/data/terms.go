package data

import (
	"fluxbase/persistence/db"
	"fluxbase/persistence/query/sql"
)

// terms puts a message's terms into the limits of its statements.
func (w *Worker) terms(o sql.Options, t *Terms) sql.Options {
	if t != nil {
		o.Form, o.Bound = t.Form, t.Bound
	}
	return o
}

// around puts the statements of a message between those that its terms ask for.
func (t *Terms) around(statements []db.Statement, said *Response) []db.Statement {
	if t == nil {
		return statements
	}
	out := make([]db.Statement, 0, len(statements)+3)
	out = append(out, t.settings()...)
	out = append(out, statements...)
	out = append(out, sql.Said(&said.Status, &said.Headers))
	if t.Rollback {
		out = append(out, sql.RollBack())
	}
	return out
}

// settings are the statements that set what a message's terms ask for.
func (t *Terms) settings() []db.Statement {
	if t == nil || len(t.Settings) == 0 {
		return nil
	}
	names, values := make([]string, len(t.Settings)), make([]string, len(t.Settings))
	for i, s := range t.Settings {
		names[i], values[i] = s.Name, s.Value
	}
	return []db.Statement{sql.Settings(names, values)}
}
