package data

import (
	"iter"
	"slices"
	"strings"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
	"fluxbase/persistence/spelling"
)

// How much of a name must be the same to be suggested. Among the few names that a
// request has narrowed it down to, less is enough.
const (
	likely   = 0.75
	possible = 0.33
)

// hinted adds to the fault of a name that is not known the one that may have been
// meant. Nothing is suggested that the caller's role could not use.
func hinted(err error, s *catalog.Snapshot, c caller.Caller) error {
	f := fault.From(err)
	role := string(c.DatabaseRole())
	hint := ""
	switch d := f.Details.(type) {
	case query.Relation:
		if name := spelling.Nearest(d.Name, likely, relations(s, d.Schema, role)); name != "" {
			hint = "Perhaps you meant the table '" + query.Relation{Schema: d.Schema, Name: name}.String() + "'"
		}
	case sql.MissingFunction:
		if call := similarCall(s, d, role); call != "" {
			hint = "Perhaps you meant to call the function " + d.Function.Schema + "." + call
		}
	case sql.MissingRelationship:
		if from, ok := s.Relation(d.From.Schema, d.From.Name); ok {
			if name := spelling.Nearest(d.Name, possible, related(s, from, role)); name != "" && !slices.Contains(slices.Collect(related(s, from, role)), d.Name) {
				hint = "Perhaps you meant '" + name + "' instead of '" + d.Name + "'."
			}
		}
	}
	if hint == "" {
		return err
	}
	return f.WithHint(hint)
}

// asked is a message with the caller on whose behalf it is.
type asked interface{ by() caller.Caller }

func (m *List) by() caller.Caller       { return m.Caller }
func (m *Get) by() caller.Caller        { return m.Caller }
func (m *Export) by() caller.Caller     { return m.Caller }
func (m *Call) by() caller.Caller       { return m.Caller }
func (m *Create) by() caller.Caller     { return m.Caller }
func (m *Update) by() caller.Caller     { return m.Caller }
func (m *UpdateEach) by() caller.Caller { return m.Caller }
func (m *Delete) by() caller.Caller     { return m.Caller }
func (m *UpdateOne) by() caller.Caller  { return m.Caller }
func (m *DeleteOne) by() caller.Caller  { return m.Caller }

// usable tells whether the role may do anything with a relation.
func usable(r *catalog.Relation, role string) bool {
	return slices.ContainsFunc([]catalog.Privilege{catalog.Select, catalog.Insert, catalog.Update, catalog.Delete}, func(p catalog.Privilege) bool {
		return r.Granted(role, p)
	})
}

// relations are the names of a schema's relations that the role can use.
func relations(s *catalog.Snapshot, schema, role string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, r := range s.Relations() {
			if r.Schema == schema && usable(r, role) && !yield(r.Name) {
				return
			}
		}
	}
}

// related are the names of what a relation can embed.
func related(s *catalog.Snapshot, from *catalog.Relation, role string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range from.Relationships {
			r := &from.Relationships[i]
			to, ok := s.Relation(r.Schema, r.Name)
			if !ok || !usable(to, role) || !r.Executable(role) {
				continue
			}
			name := r.Name
			if r.Function != nil {
				name = r.Function.Name
			}
			if !yield(name) {
				return
			}
		}
	}
}

// similarCall is a function that was perhaps meant: with its parameters when the
// name was right.
func similarCall(s *catalog.Snapshot, m sql.MissingFunction, role string) string {
	if m.Whole {
		return ""
	}
	overloads := s.Routines(m.Function.Schema, m.Function.Name)
	if len(overloads) == 0 {
		return spelling.Nearest(m.Function.Name, likely, func(yield func(string) bool) {
			for _, r := range s.AllRoutines() {
				if r.Schema == m.Function.Schema && r.Executable(role) && !yield(r.Name) {
					return
				}
			}
		})
	}
	list := func(names []string) string {
		return "(" + strings.Join(slices.Sorted(slices.Values(names)), ", ") + ")"
	}
	parameters := spelling.Nearest(list(m.Arguments), possible, func(yield func(string) bool) {
		for _, r := range overloads {
			names := make([]string, len(r.Parameters))
			for i, p := range r.Parameters {
				names[i] = p.Name
			}
			if r.Executable(role) && !yield(list(names)) {
				return
			}
		}
	})
	if parameters == "" {
		return ""
	}
	return m.Function.Name + parameters
}
