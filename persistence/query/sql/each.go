package sql

import (
	"slices"
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// UpdateEach compiles an update of many rows by an object each.
func UpdateEach(relations Relations, q *query.UpdateEach, o Options) (*Plan, error) {
	rel, err := writable(relations, q.Relation, Updating)
	if err != nil {
		return nil, err
	}
	if len(rel.Key) == 0 {
		return nil, fault.Newf(fault.InvalidQuery, "Table '%s' has no primary key to update rows by", rel.query())
	}
	if !q.Body.Array {
		return nil, fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint("An update by key takes an array of objects.")
	}
	for _, key := range rel.Key {
		if q.Body.Rows > 0 && !slices.Contains(q.Body.Common, key) {
			return nil, fault.Newf(fault.InvalidRequestBody, "Every object must have the key %s", strings.Join(rel.Key, ", "))
		}
	}
	c := newCompiler(relations, rel, o)
	if err := c.resolve(q.Returning.Fields); err != nil {
		return nil, err
	}
	plan := &Plan{Rows: q.Returning.Rows}
	if q.Body.Rows == 0 {
		plan.Empty = true
		return plan, nil
	}
	changed, err := c.targets(q.Body, nil, rel.Key)
	if err != nil {
		return nil, err
	}
	if len(changed) == 0 {
		return nil, fault.New(fault.InvalidInput, "No fields to update")
	}
	columns := slices.Clone(changed)
	for _, key := range rel.Key {
		col, err := c.find(key)
		if err != nil {
			return nil, err
		}
		columns = append(columns, col)
	}
	element, field := c.claim("element"), c.claim("field")
	var w strings.Builder
	w.Grow(512)
	w.WriteString("UPDATE ")
	c.from(&w)
	w.WriteString(" SET ")
	for i, col := range changed {
		if i > 0 {
			w.WriteString(", ")
		}
		quote(&w, col.Name)
		w.WriteString(" = ")
		if slices.Contains(q.Body.Common, col.Name) {
			fromBody(&w, field, col)
			continue
		}
		w.WriteString("CASE WHEN (")
		qualified(&w, element, "value")
		w.WriteString(" -> ")
		c.typed(&w, col.Name, textual)
		w.WriteString(") IS NULL THEN ")
		c.column(&w, col.Name)
		w.WriteString(" ELSE ")
		fromBody(&w, field, col)
		w.WriteString(" END")
	}
	w.WriteString(" FROM json_array_elements(")
	c.json(&w, q.Body)
	w.WriteString(") AS ")
	quote(&w, element)
	w.WriteString(`("value") CROSS JOIN LATERAL `)
	c.record(&w, "json_to_record", func() { qualified(&w, element, "value") }, field, columns)
	w.WriteString(" WHERE ")
	for i, key := range rel.Key {
		if i > 0 {
			w.WriteString(" AND ")
		}
		c.column(&w, key)
		w.WriteString(" = ")
		qualified(&w, field, key)
	}
	if q.Where != nil {
		w.WriteString(" AND ")
		if err := c.condition(&w, q.Where); err != nil {
			return nil, err
		}
	}
	return c.answered(plan, &w, q.Returning, nil)
}
