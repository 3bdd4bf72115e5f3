package sql

import (
	"slices"
	"strings"

	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// writable looks the relation of a write up and refuses what PostgreSQL cannot
// write: a view that is more than a selection of rows of one table and has no
// trigger or rule for it. Who may write is for grants and policies to say; a view
// that does not run as its caller (security_invoker) is written with its owner's
// rights.
func writable(relations Relations, r query.Relation, verb Verb) (*Relation, error) {
	rel, err := relationOf(relations, r)
	if err != nil {
		return nil, err
	}
	switch {
	case rel.Locked&verb == 0:
		return rel, nil
	case rel.Locked == Inserting|Updating|Deleting:
		return nil, fault.Newf(fault.ReadOnlyRelation, "Table '%s' is read-only (view or materialized view)", rel.query())
	}
	what := map[Verb]string{Inserting: "inserted into", Updating: "updated", Deleting: "deleted from"}[verb]
	return nil, fault.Newf(fault.ReadOnlyRelation, "View '%s' cannot be %s", rel.query(), what).
		WithHint("PostgreSQL can with an INSTEAD OF trigger.")
}

// targets checks the keys of a body against the relation and gives the columns
// to write, in the body's order.
func (c *compiler) targets(body query.Body, only, ignore []string) ([]*Column, error) {
	var columns []*Column
	for _, name := range only {
		if _, err := c.findWritten(name); err != nil {
			return nil, err
		}
	}
	for _, key := range body.Keys {
		if slices.Contains(ignore, key) || only != nil && !slices.Contains(only, key) {
			continue
		}
		col, err := c.findWritten(key)
		if err != nil {
			return nil, err
		}
		if col.Generated {
			return nil, fault.Newf(fault.InvalidInput, "Column %s is generated and cannot be written", key).
				WithDetails(&db.Report{SQLState: "428C9", Message: "cannot insert a non-DEFAULT value into column \"" + key + "\""})
		}
		columns = append(columns, col)
	}
	return columns, nil
}

// record writes the body as a relation with the given columns: one row of
// json_to_record, or the rows of json_to_recordset.
func (c *compiler) record(w *strings.Builder, function string, argument func(), alias string, columns []*Column) {
	w.WriteString(function)
	w.WriteByte('(')
	argument()
	w.WriteString(") AS ")
	quote(w, alias)
	w.WriteByte('(')
	for i, col := range columns {
		if i > 0 {
			w.WriteString(", ")
		}
		quote(w, col.Name)
		w.WriteByte(' ')
		if isGeography(col.Type) {
			w.WriteString("json")
		} else {
			col.Type.write(w)
		}
	}
	w.WriteByte(')')
}

// fromBody writes the value of a column of a body that record has made a relation.
func fromBody(w *strings.Builder, alias string, col *Column) {
	if isGeography(col.Type) {
		fromGeoJSON(w, alias, col)
	} else {
		qualified(w, alias, col.Name)
	}
}

// bodyAlias is a name for the body that is not the relation's.
func (c *compiler) bodyAlias() string {
	if c.relation.Name == "body" {
		return "body_1"
	}
	return "body"
}

func writeNames(w *strings.Builder, names []string) {
	for i, name := range names {
		if i > 0 {
			w.WriteString(", ")
		}
		quote(w, name)
	}
}

func names(columns []*Column) []string {
	out := make([]string, len(columns))
	for i, col := range columns {
		out[i] = col.Name
	}
	return out
}

// Insert compiles an insert or an upsert.
func Insert(relations Relations, q *query.Insert, o Options) (*Plan, error) {
	rel, err := writable(relations, q.Into, Inserting)
	if err != nil {
		return nil, err
	}
	c := newCompiler(relations, rel, o)
	if err := c.resolve(q.Returning.Fields); err != nil {
		return nil, err
	}
	plan := &Plan{Rows: q.Returning.Rows}
	columns, err := c.targets(q.Body, q.Columns, nil)
	if err != nil {
		return nil, err
	}
	if q.Body.Rows == 0 {
		plan.Empty = true
		return plan, nil
	}
	var w strings.Builder
	w.Grow(512)
	w.WriteString("INSERT INTO ")
	c.from(&w)
	switch {
	case len(columns) == 0:
		err = c.defaults(&w, q.Body)
	case q.Body.Uniform || q.Missing == query.MissingNull:
		c.rows(&w, q.Body, columns)
	default:
		if q.Conflict == query.ConflictMerge && q.Missing != query.MissingDefaultMerge {
			return nil, fault.New(fault.InvalidRequestBody, "All objects of a merge must have the same keys").
				WithHint("A key that one object leaves out would be overwritten. Give all objects equal keys, or say Prefer: missing=default.")
		}
		c.rowsWithDefaults(&w, q.Body, columns)
	}
	if err != nil {
		return nil, err
	}
	if err := c.conflict(&w, q, columns); err != nil {
		return nil, err
	}
	return c.answered(plan, &w, q.Returning, nil)
}

// defaults inserts rows that name no column.
func (c *compiler) defaults(w *strings.Builder, body query.Body) error {
	if body.Rows == 1 {
		w.WriteString(" DEFAULT VALUES")
		return nil
	}
	if len(c.relation.Columns) == 0 {
		return invalid("the relation has no column")
	}
	// VALUES takes DEFAULT for any column, generated ones included.
	w.WriteString(" (")
	quote(w, c.relation.Columns[0].Name)
	w.WriteString(") VALUES ")
	for i := range body.Rows {
		if i > 0 {
			w.WriteString(", ")
		}
		w.WriteString("(DEFAULT)")
	}
	return nil
}

// rows inserts objects that all have the same keys.
func (c *compiler) rows(w *strings.Builder, body query.Body, columns []*Column) {
	alias := c.bodyAlias()
	w.WriteString(" (")
	writeNames(w, names(columns))
	w.WriteString(") SELECT ")
	for i, col := range columns {
		if i > 0 {
			w.WriteString(", ")
		}
		fromBody(w, alias, col)
	}
	w.WriteString(" FROM ")
	function := "json_to_record"
	if body.Array {
		function = "json_to_recordset"
	}
	c.record(w, function, func() { c.json(w, body) }, alias, columns)
}

// json adds the body as a parameter.
func (c *compiler) json(w *strings.Builder, body query.Body) {
	c.arg(w, db.Text(body.JSON))
	w.WriteString("::json")
}

// rowsWithDefaults inserts objects with unequal keys: an absent key takes the
// column's default.
func (c *compiler) rowsWithDefaults(w *strings.Builder, body query.Body, columns []*Column) {
	w.WriteString(" (")
	writeNames(w, names(columns))
	w.WriteString(") SELECT ")
	for i, col := range columns {
		if i > 0 {
			w.WriteString(", ")
		}
		if col.Default == "" {
			fromBody(w, "field", col)
			continue
		}
		w.WriteString("CASE WHEN (element.value -> ")
		c.typed(w, col.Name, textual)
		w.WriteString(") IS NULL THEN ")
		w.WriteString(col.Default)
		w.WriteString(" ELSE ")
		fromBody(w, "field", col)
		w.WriteString(" END")
	}
	w.WriteString(" FROM json_array_elements(")
	c.json(w, body)
	w.WriteString(") WITH ORDINALITY AS element(value, position) CROSS JOIN LATERAL ")
	c.record(w, "json_to_record", func() { w.WriteString("element.value") }, "field", columns)
	w.WriteString(" ORDER BY element.position")
}

// conflict writes the ON CONFLICT clause.
func (c *compiler) conflict(w *strings.Builder, q *query.Insert, columns []*Column) error {
	if q.Conflict == query.ConflictFail {
		if len(q.ConflictTarget) > 0 {
			return invalid("on_conflict needs Prefer: resolution=merge-duplicates or ignore-duplicates")
		}
		return nil
	}
	target := q.ConflictTarget
	for _, name := range target {
		if _, err := c.find(name); err != nil {
			return err
		}
	}
	if len(target) == 0 {
		if target = c.relation.conflictTarget(); target == nil {
			return fault.New(fault.InvalidQuery, "Cannot perform upsert: table has no primary key or unique constraint")
		}
	}
	w.WriteString(" ON CONFLICT (")
	writeNames(w, target)
	w.WriteString(") DO ")
	var set []string
	if q.Conflict == query.ConflictMerge {
		for _, col := range columns {
			if !slices.Contains(target, col.Name) {
				set = append(set, col.Name)
			}
		}
	}
	if len(set) == 0 {
		w.WriteString("NOTHING")
		return nil
	}
	w.WriteString("UPDATE SET ")
	for i, name := range set {
		if i > 0 {
			w.WriteString(", ")
		}
		quote(w, name)
		w.WriteString(" = EXCLUDED.")
		quote(w, name)
	}
	if c.options.Bound != nil && c.options.Bound.Fresh && c.options.Explain == nil {
		// Views and partitioned tables do not tell by xmax which rows were there.
		w.WriteString(" WHERE set_config('" + mergedSetting + "', (" + mergedRows + " + 1)::text, true) IS NOT NULL")
	}
	return nil
}

// mergedSetting counts, within a statement, the rows that an upsert has merged into
// ones that were there; mergedRows reads it.
const (
	mergedSetting = "fluxbase.merged"
	mergedRows    = "coalesce(nullif(current_setting('" + mergedSetting + "', true), ''), '0')::int8"
)

// Update compiles an update of the rows that match.
func Update(relations Relations, q *query.Update, o Options) (*Plan, error) {
	rel, err := writable(relations, q.Relation, Updating)
	if err != nil {
		return nil, err
	}
	if q.Where == nil {
		return nil, fault.New(fault.UnfilteredWrite, "Batch update requires at least one filter").
			WithHint("Without a filter every row would be changed. Add one, for example id=eq.1.")
	}
	if q.Body.Array {
		return nil, fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint("An update takes one JSON object.")
	}
	c := newCompiler(relations, rel, o)
	if err := c.resolve(q.Returning.Fields); err != nil {
		return nil, err
	}
	columns, err := c.targets(q.Body, q.Columns, q.Ignore)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		return nil, fault.New(fault.InvalidInput, "No fields to update")
	}
	var w strings.Builder
	w.Grow(512)
	w.WriteString("UPDATE ")
	c.from(&w)
	w.WriteString(" SET ")
	alias := c.bodyAlias()
	for i, col := range columns {
		if i > 0 {
			w.WriteString(", ")
		}
		quote(&w, col.Name)
		w.WriteString(" = ")
		fromBody(&w, alias, col)
	}
	w.WriteString(" FROM ")
	c.record(&w, "json_to_record", func() { c.json(&w, q.Body) }, alias, columns)
	return c.change(&w, q.Where, q.Order, q.Page, q.Returning)
}

// Delete compiles a deletion of the rows that match.
func Delete(relations Relations, q *query.Delete, o Options) (*Plan, error) {
	rel, err := writable(relations, q.From, Deleting)
	if err != nil {
		return nil, err
	}
	if q.Where == nil {
		return nil, fault.New(fault.UnfilteredWrite, "Batch delete requires at least one filter").
			WithHint("Without a filter every row would be deleted. Add one, for example id=eq.1.")
	}
	c := newCompiler(relations, rel, o)
	if err := c.resolve(q.Returning.Fields); err != nil {
		return nil, err
	}
	var w strings.Builder
	w.Grow(256)
	w.WriteString("DELETE FROM ")
	c.from(&w)
	return c.change(&w, q.Where, q.Order, q.Page, q.Returning)
}

// change completes an update or a deletion, whose head stands in w.
func (c *compiler) change(w *strings.Builder, cond query.Condition, order []query.Order, page query.Page, r query.Returning) (*Plan, error) {
	plan := &Plan{Rows: r.Rows}
	var where strings.Builder
	if err := c.condition(&where, cond); err != nil {
		return nil, err
	}
	w.WriteString(" WHERE ")
	w.WriteString(where.String())
	if page.Limit != query.NoLimit || page.Offset > 0 {
		if err := c.window(w, where.String(), order, page); err != nil {
			return nil, err
		}
	}
	if !r.Rows && len(order) > 0 {
		// Nobody sees the order, but its names are still checked.
		check := *c
		check.statement = &statement{relations: c.relations, options: c.options}
		if err := check.order(&strings.Builder{}, order, nil); err != nil {
			return nil, err
		}
	}
	if !r.Rows {
		order = nil
	}
	return c.answered(plan, w, r, order)
}

// window narrows a write to a page of the rows that match. The condition stays
// outside as well: a row that was changed meanwhile is judged again.
func (c *compiler) window(w *strings.Builder, where string, order []query.Order, page query.Page) error {
	if c.relation.View && len(c.relation.Key) == 0 {
		return invalid("limit and offset do not work on a write to %s, which has no key", c.relation.query())
	}
	if len(order) == 0 {
		for _, name := range c.relation.Key {
			order = append(order, query.Order{Path: query.Column(name)})
		}
	}
	address := func() {
		if len(c.relation.Key) == 0 {
			quote(w, c.relation.Name)
			w.WriteString(".tableoid, ")
			quote(w, c.relation.Name)
			w.WriteString(".ctid")
			return
		}
		for i, name := range c.relation.Key {
			if i > 0 {
				w.WriteString(", ")
			}
			c.column(w, name)
		}
	}
	w.WriteString(" AND (")
	address()
	w.WriteString(") IN (SELECT ")
	address()
	w.WriteString(" FROM ")
	c.from(w)
	w.WriteString(" WHERE ")
	w.WriteString(where)
	if err := c.order(w, order, nil); err != nil {
		return err
	}
	if err := c.page(w, page); err != nil {
		return err
	}
	w.WriteByte(')')
	return nil
}
