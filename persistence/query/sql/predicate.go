package sql

import (
	"strings"

	"fluxbase/persistence/query"
)

// Predicate compiles a condition over a row of rel into a boolean expression,
// for statements that are not made here. Columns are written as relation.column:
// the row must stand under the relation's name. args are the parameters that the
// statement has so far; the expression's own follow them. A nil condition is
// true.
func Predicate(rel *Relation, cond query.Condition, args []any) (string, []any, error) {
	if cond == nil {
		return "true", args, nil
	}
	c := newCompiler(nil, rel, Options{})
	c.args = args
	var w strings.Builder
	if err := c.condition(&w, cond); err != nil {
		return "", nil, err
	}
	return w.String(), c.args, nil
}
