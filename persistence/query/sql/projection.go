package sql

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// plain tells whether a projection is all columns as they are.
func plain(p query.Projection, truncate int) bool {
	if truncate > 0 {
		return false
	}
	switch len(p) {
	case 0:
		return true
	case 1:
		_, star := p[0].(query.Star)
		return star
	}
	return false
}

// output is one column of a result.
type output struct {
	label string
	// text is the expression or, with a function, the function's argument.
	text string
	// function is the aggregate, cast the type that its result is converted to.
	function string
	cast     string
	// apart tells that the column is not grouped by, although it has no function of
	// its own: it is constant, or made of aggregates.
	apart bool
	// path is the place of a plain field, by which a grouped result is ordered.
	path *query.Path
	// of is the column's type where it is known.
	of Type
}

// write writes the column without its label.
func (o *output) write(w *strings.Builder) {
	if o.function == "" {
		w.WriteString(o.text)
		return
	}
	w.WriteString(o.function)
	w.WriteByte('(')
	w.WriteString(o.text)
	w.WriteByte(')')
	w.WriteString(o.cast)
}

// projection is the columns of one SELECT.
type projection struct {
	// star is all columns as they are; there are no outputs then.
	star    string
	outputs []output
	// joins are the laterals that the outputs come from.
	joins strings.Builder
	// grouped tells that rows are aggregated: by all outputs that are no
	// aggregates.
	grouped bool
	// whole tells that there is one group, also of no rows.
	whole bool
}

// columns writes the columns, each under its label.
func (p *projection) columns(w *strings.Builder) {
	w.WriteString(p.star)
	for i := range p.outputs {
		if i > 0 {
			w.WriteString(", ")
		}
		p.outputs[i].write(w)
		w.WriteString(" AS ")
		quote(w, p.outputs[i].label)
	}
}

// labels are the names of the columns.
func (p *projection) labels(c *compiler) []string {
	if p.star != "" {
		out := make([]string, len(c.relation.Columns))
		for i := range c.relation.Columns {
			out[i] = c.relation.Columns[i].Name
		}
		return out
	}
	out := make([]string, len(p.outputs))
	for i := range p.outputs {
		out[i] = p.outputs[i].label
	}
	return out
}

// group writes the GROUP BY clause, if there is one. It names columns by their
// numbers: an expression with parameters would not be known again.
func (p *projection) group(w *strings.Builder) {
	if !p.grouped {
		return
	}
	joint := " GROUP BY "
	for i := range p.outputs {
		if p.outputs[i].function == "" && !p.outputs[i].apart {
			w.WriteString(joint)
			w.WriteString(strconv.Itoa(i + 1))
			joint = ", "
		}
	}
	if p.whole {
		w.WriteString(" HAVING true") // one row, although nothing may be aggregated
	}
}

// position finds the column of a grouped result that an order means; 0 for none.
func (p *projection) position(path query.Path) int {
	if p == nil || !p.grouped {
		return 0
	}
	for i := range p.outputs {
		o := &p.outputs[i]
		if len(path.Steps) == 0 && o.label == path.Column || o.path != nil && o.path.String() == path.String() {
			return i + 1
		}
	}
	return 0
}

// add adds a column after a check of its label.
func (p *projection) add(o output) error {
	if o.label == "" || len(o.label) > maxName || !utf8.ValidString(o.label) || strings.IndexByte(o.label, 0) >= 0 {
		return invalid("%q cannot name a column of the result", o.label).WithHint("A name has 1 to 63 bytes; give the column an alias.")
	}
	for i := range p.outputs {
		if p.outputs[i].label == o.label {
			return invalid("select names %s twice", o.label).WithHint("Give one of the two an alias: other:column.")
		}
	}
	p.outputs = append(p.outputs, o)
	return nil
}

// project compiles a projection. group are the columns that a client named to
// group by; without any, aggregates are grouped by what is selected beside them.
func (c *compiler) project(fields query.Projection, group []query.Path, truncate int) (*projection, error) {
	p := &projection{}
	if len(group) == 0 && !c.whole && plain(fields, truncate) && !c.hasGeography() {
		var star strings.Builder
		c.row(&star)
		p.star = star.String()
		return p, nil
	}
	p.whole = c.whole
	p.grouped = c.whole || len(group) > 0 || c.aggregates(fields)
	if err := c.groupColumns(p, fields, group); err != nil {
		return nil, err
	}
	if len(fields) == 0 && len(group) == 0 {
		fields = query.Projection{query.Star{}}
	}
	return p, c.items(p, fields, group, truncate)
}

// groupColumns adds the columns to group by that are not selected: the groups
// would be anonymous without them.
func (c *compiler) groupColumns(p *projection, fields query.Projection, group []query.Path) error {
	for _, path := range group {
		if slices.ContainsFunc(fields, func(item query.Item) bool {
			f, ok := item.(*query.Field)
			return ok && f.Path.String() == path.String()
		}) {
			continue
		}
		if err := c.addField(p, &query.Field{Path: path}, 0); err != nil {
			return err
		}
	}
	return nil
}

// items adds the columns of a projection.
func (c *compiler) items(p *projection, fields query.Projection, group []query.Path, truncate int) error {
	for _, item := range fields {
		var err error
		switch item := item.(type) {
		case query.Star:
			if len(group) > 0 {
				return invalid("select has * beside group_by").WithHint("Select the columns to group by, and aggregates.")
			}
			for i := range c.relation.Columns {
				if err := c.addField(p, &query.Field{Path: query.Column(c.relation.Columns[i].Name)}, truncate); err != nil {
					return err
				}
			}
		case *query.Field:
			if len(group) > 0 && !slices.ContainsFunc(group, func(path query.Path) bool { return path.String() == item.Path.String() }) {
				return invalid("%s is selected, but neither in group_by nor aggregated", item.Path)
			}
			err = c.addField(p, item, truncate)
		case *query.Aggregate:
			err = c.addAggregate(p, item)
		case *query.Embed:
			if len(group) > 0 {
				return invalid("%s(…) is embedded beside group_by", item.Name)
			}
			err = c.addEmbed(p, c.embedded(item.Label()), truncate)
		case *query.Constant:
			err = c.addConstant(p, item)
		case *query.Object:
			err = c.addObject(p, item)
		case query.Nothing:
		default:
			return invalid("select is not understood")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) addField(p *projection, f *query.Field, truncate int) error {
	o := output{label: f.Alias}
	if o.label == "" {
		o.label = f.Path.Label()
	}
	if f.Cast == "" {
		o.path = &f.Path
	}
	var w strings.Builder
	var err error
	if o.of, err = c.field(&w, f, truncate); err != nil {
		return err
	}
	o.text = w.String()
	if !p.grouped { // JSON cannot be grouped by
		w.Reset()
		o.of = c.asGeoJSON(&w, o.text, o.of)
		o.text = w.String()
	}
	return p.add(o)
}

// field writes one column of the result without its label and gives its type.
func (c *compiler) field(w *strings.Builder, f *query.Field, truncate int) (Type, error) {
	var place strings.Builder
	t, err := c.place(&place, f.Path)
	if err != nil {
		return t, err
	}
	if f.Cast != "" {
		target, err := castType(f.Cast)
		if err != nil {
			return t, err
		}
		place.WriteString("::")
		target.write(&place)
		t = target
	}
	if truncate <= 0 || t.Kind != KindText || len(f.Path.Steps) > 0 {
		w.WriteString(place.String())
		return t, nil
	}
	expression := place.String()
	w.WriteString("CASE WHEN char_length(" + expression + ") > ")
	c.arg(w, int32(truncate))
	w.WriteString("::int4 THEN left(" + expression + ", ")
	c.arg(w, int32(truncate))
	w.WriteString("::int4) || '... (' || char_length(" + expression + ") || ' chars)' ELSE " + expression + "::text END")
	return textual, nil
}

// castNames are the types that a client may convert to, under the names that
// SQL gives them.
var castNames = map[string]string{
	"text": "text", "varchar": "varchar", "character varying": "varchar", "char": "bpchar", "character": "bpchar", "bpchar": "bpchar",
	"name": "name", "citext": "text",
	"int": "int4", "integer": "int4", "int4": "int4", "bigint": "int8", "int8": "int8", "smallint": "int2", "int2": "int2",
	"numeric": "numeric", "decimal": "numeric", "real": "float4", "float4": "float4",
	"double precision": "float8", "float": "float8", "float8": "float8", "money": "money", "oid": "oid",
	"boolean": "bool", "bool": "bool", "uuid": "uuid", "json": "json", "jsonb": "jsonb", "xml": "xml", "bytea": "bytea",
	"date": "date", "time": "time", "timetz": "timetz", "time with time zone": "timetz", "time without time zone": "time",
	"timestamp": "timestamp", "timestamptz": "timestamptz", "timestamp with time zone": "timestamptz",
	"timestamp without time zone": "timestamp", "interval": "interval",
	"inet": "inet", "cidr": "cidr", "macaddr": "macaddr", "macaddr8": "macaddr8", "bit": "bit", "varbit": "varbit", "bit varying": "varbit",
	"tsvector": "tsvector", "tsquery": "tsquery", "regclass": "regclass", "regtype": "regtype",
	"int4range": "int4range", "int8range": "int8range", "numrange": "numrange", "daterange": "daterange",
	"tsrange": "tsrange", "tstzrange": "tstzrange",
	"point": "point", "line": "line", "lseg": "lseg", "box": "box", "path": "path", "polygon": "polygon", "circle": "circle",
}

// castType finds the type that a client named: one with a name of SQL's, or one that
// is found along the search path.
func castType(name string) (Type, error) {
	element, array := strings.CutSuffix(strings.ToLower(strings.Join(strings.Fields(name), " ")), "[]")
	element = strings.TrimSpace(element)
	known, ok := castNames[element]
	if element == "" || len(element) > maxName || strings.ContainsFunc(element, noTypeName) {
		return Type{}, invalid("%q is no type to convert to", name)
	}
	t := Type{Schema: "pg_catalog", Name: known}
	if !ok { // a type of the database's own, or none: PostgreSQL knows
		t = Type{Name: element}
	}
	switch {
	case array:
		t.Kind = KindArray
	case known == "text" || known == "varchar" || known == "bpchar":
		t.Kind = KindText
	}
	return t, nil
}

// noTypeName tells a character that no name of a type is written with.
func noTypeName(r rune) bool {
	return r != '_' && r != ' ' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// order writes the ORDER BY clause, if there are terms. p is the projection of the
// SELECT, where it may be grouped.
func (c *compiler) order(w *strings.Builder, terms []query.Order, p *projection) error {
	for i, term := range terms {
		if i == 0 {
			w.WriteString(" ORDER BY ")
		} else {
			w.WriteString(", ")
		}
		if position := p.position(term.Path); position > 0 && term.Embed == "" && len(term.Related) == 0 && term.Distance == nil {
			w.WriteString(strconv.Itoa(position))
		} else if err := c.orderKey(w, term); err != nil {
			return err
		}
		direction(w, term)
	}
	return nil
}

// orderKey writes what a term orders by.
func (c *compiler) orderKey(w *strings.Builder, term query.Order) error {
	if len(term.Related) > 0 {
		return c.orderRelated(w, term.Related, term)
	}
	if term.Embed == "" {
		return c.sortKey(w, term)
	}
	e := c.embedded(term.Embed)
	if e == nil {
		return fault.Newf(fault.NotEmbedded, "Invalid query parameters: '%s' is not an embedded resource in this request", term.Embed).
			WithHint("Verify that '" + term.Embed + "' is included in the 'select' query parameter.")
	}
	if !e.one() {
		return fault.Newf(fault.UnrelatedOrder, "Invalid query parameters: a related order on '%s' is not possible", term.Embed).
			WithDetails(Reason{"'" + c.relation.Name + "' and '" + e.Name + "' do not form a many-to-one or one-to-one relationship"})
	}
	w.WriteByte('(')
	err := e.selection(w, &projection{}, func() error { return e.inner.sortKey(w, term) })
	w.WriteByte(')')
	return err
}

// sortKey writes what a term means in the scope of its rows.
func (c *compiler) sortKey(w *strings.Builder, term query.Order) error {
	if term.Distance != nil {
		return c.distance(w, term.Path, term.Distance)
	}
	_, err := c.comparable(w, term.Path)
	return err
}

func direction(w *strings.Builder, term query.Order) {
	if term.Desc {
		w.WriteString(" DESC")
	}
	switch term.Nulls {
	case query.NullsFirst:
		w.WriteString(" NULLS FIRST")
	case query.NullsLast:
		w.WriteString(" NULLS LAST")
	}
}

// page writes LIMIT and OFFSET.
func (c *compiler) page(w *strings.Builder, p query.Page) error {
	if p.Limit < query.NoLimit || p.Offset < 0 {
		return invalid("limit and offset cannot be negative")
	}
	if p.Limit != query.NoLimit {
		w.WriteString(" LIMIT ")
		c.arg(w, p.Limit)
	}
	if p.Offset > 0 {
		w.WriteString(" OFFSET ")
		c.arg(w, p.Offset)
	}
	return nil
}
