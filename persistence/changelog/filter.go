package changelog

import (
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// CheckColumns tells whether role may have each of the columns.
func (t *Table) CheckColumns(role caller.DatabaseRole, columns []string) error {
	v := t.View(role)
	for _, column := range columns {
		if !v.Reads(column) {
			return fault.Newf(fault.UnknownColumn, "invalid select: no column %s that you may read", column)
		}
	}
	return nil
}

// CheckFilter tells whether role may filter the table's rows by a condition: it
// may only ask for columns that it can read. A nil condition is no filter. The
// values are checked by the first Judge.
func (t *Table) CheckFilter(role caller.DatabaseRole, filter query.Condition) error {
	v := t.View(role)
	for _, column := range columnsOf(filter, nil) {
		if _, known := t.column(column); !known || !v.Reads(column) {
			// The same words for both, so that nobody learns which columns exist.
			return fault.Newf(fault.UnknownColumn, "invalid filter: no column %s that you may read", column)
		}
	}
	if _, _, err := sql.Predicate(t.relation, filter, nil); err != nil {
		f := *fault.From(err)
		f.Message = "invalid filter: " + f.Message
		return &f
	}
	return nil
}

func columnsOf(c query.Condition, columns []string) []string {
	switch c := c.(type) {
	case query.And:
		for _, one := range c {
			columns = columnsOf(one, columns)
		}
	case query.Or:
		for _, one := range c {
			columns = columnsOf(one, columns)
		}
	case query.Not:
		columns = columnsOf(c.Condition, columns)
	case *query.Compare:
		columns = append(columns, c.Path.Column)
	}
	return columns
}
