package sql

import (
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// Identify makes the condition that addresses one row by its id. A key of one
// column takes the whole text; a key of several takes their values in the key's
// order, parted by commas, in double quotes where a value holds a comma itself.
// A relation without a key is addressed by its column id.
func Identify(rel *Relation, id string) (query.Condition, error) {
	columns := rel.Identity()
	if columns == nil {
		return nil, fault.Newf(fault.InvalidID, "Table '%s' has no primary key and no column id", rel.query())
	}
	if len(columns) == 1 {
		return &query.Compare{Path: query.Column(columns[0]), Op: query.Equal, Value: id}, nil
	}
	values, ok := listItems("(" + id + ")")
	if !ok || len(values) != len(columns) {
		return nil, fault.Newf(fault.InvalidID, "The id of '%s' has %d values", rel.query(), len(columns)).
			WithHint("Write the values of " + strings.Join(columns, ", ") + " in this order, parted by commas.")
	}
	all := make(query.And, len(columns))
	for i, name := range columns {
		all[i] = &query.Compare{Path: query.Column(name), Op: query.Equal, Value: values[i]}
	}
	return all, nil
}

// IdentifyAny makes the condition that addresses several rows by their ids.
func IdentifyAny(rel *Relation, ids []string) (query.Condition, error) {
	if columns := rel.Identity(); len(columns) == 1 {
		return &query.Compare{Path: query.Column(columns[0]), Op: query.In, Values: ids}, nil
	}
	if rel.Identity() == nil {
		_, err := Identify(rel, "")
		return nil, err
	}
	all := make(query.Or, len(ids))
	for i, id := range ids {
		one, err := Identify(rel, id)
		if err != nil {
			return nil, err
		}
		all[i] = one
	}
	return all, nil
}
