package data

import (
	"context"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// Place is what a path names: a relation, or one row of it.
type Place struct {
	Relation query.Relation
	ID       string
	// ByID tells that the path names a row.
	ByID bool
}

// Public is the relation of that name in the schema public.
func Public(name string) query.Relation { return query.Relation{Schema: "public", Name: name} }

// actions are the last segments of a path that never name a row or a relation.
var actions = map[string]bool{"query": true, "bulk": true, "export": true}

// IsAction tells whether a segment of a path is reserved for an action on a
// table: query, bulk or export.
func IsAction(segment string) bool { return actions[segment] }

// Locate says what two segments of a path name: schema and relation when there
// is such a relation, else a relation of the default schema and an id. With
// neither the fault is TABLE_NOT_FOUND; before it says so, Locate makes sure that
// the schema has not changed since it was read.
func Locate(ctx context.Context, c *catalog.Catalog, first, second string) (Place, error) {
	seen := c.Current()
	place, err := locateIn(seen, first, second)
	if fault.CodeOf(err) != fault.TableNotFound {
		return place, err
	}
	if changed, failed := c.Refresh(ctx, seen); failed != nil || !changed {
		return place, err
	}
	return locateIn(c.Current(), first, second)
}

func locateIn(current *catalog.Snapshot, first, second string) (Place, error) {
	if actions[second] {
		return Place{}, fault.Newf(fault.MethodNotAllowed, "%s of a table does not take this method", second)
	}
	named := query.Relation{Schema: first, Name: second}
	if _, ok := current.Relation(first, second); ok {
		return Place{Relation: named}, nil
	}
	if _, ok := current.Relation("public", first); ok {
		return Place{Relation: Public(first), ID: second, ByID: true}, nil
	}
	return Place{}, sql.NotFound(named)
}
