package data

import (
	"fluxbase/persistence/db"
	"fluxbase/persistence/query/sql"
)

// terms puts a message's terms into the limits of its statements.
func (w *Worker) terms(o sql.Options, t *Terms) sql.Options {
	if t != nil {
		o.Form, o.Bound, o.Explain = t.Form, t.Bound, t.Explain
	}
	return o
}

// around puts the statements of a message between those that its terms ask for, and
// the guard before them.
func (w *Worker) around(t *Terms, statements []db.Statement, said *Response) []db.Statement {
	if t == nil && w.guard == nil {
		return statements
	}
	out := make([]db.Statement, 0, len(statements)+4)
	out = append(out, t.settings()...)
	if w.guard != nil {
		out = append(out, *w.guard)
	}
	out = append(out, statements...)
	if t == nil {
		return out
	}
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
