package sql

import (
	"strings"

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

// projection writes the list of result columns, each under its label.
func (c *compiler) projection(w *strings.Builder, p query.Projection, truncate int) error {
	if plain(p, truncate) {
		quote(w, c.relation.Name)
		w.WriteString(".*")
		return nil
	}
	if len(p) == 0 {
		p = query.Projection{query.Star{}}
	}
	labels := make(map[string]bool, len(p))
	first := true
	add := func(f *query.Field) error {
		label := f.Alias
		if label == "" {
			label = f.Path.Label()
		}
		if labels[label] {
			return invalid("select names %s twice", label).WithHint("Give one of the two an alias: other:" + f.Path.String() + ".")
		}
		labels[label] = true
		if !first {
			w.WriteString(", ")
		}
		first = false
		if err := c.field(w, f, truncate); err != nil {
			return err
		}
		w.WriteString(" AS ")
		return c.label(w, label)
	}
	for _, item := range p {
		switch item := item.(type) {
		case query.Star:
			for i := range c.relation.Columns {
				if err := add(&query.Field{Path: query.Column(c.relation.Columns[i].Name)}); err != nil {
					return err
				}
			}
		case *query.Field:
			if err := add(item); err != nil {
				return err
			}
		case *query.Aggregate:
			return invalid("%s in select: aggregates are not supported", item.Function)
		case *query.Embed:
			return invalid("%s(…) in select: embedding is not supported", item.Name)
		default:
			return invalid("select is not understood")
		}
	}
	return nil
}

// field writes one column of the result without its label.
func (c *compiler) field(w *strings.Builder, f *query.Field, truncate int) error {
	var place strings.Builder
	t, err := c.place(&place, f.Path)
	if err != nil {
		return err
	}
	if f.Cast != "" {
		target, err := castType(f.Cast)
		if err != nil {
			return err
		}
		place.WriteString("::")
		target.write(&place)
		t = target
	}
	if truncate <= 0 || t.Kind != KindText || len(f.Path.Steps) > 0 {
		w.WriteString(place.String())
		return nil
	}
	expression := place.String()
	w.WriteString("CASE WHEN char_length(" + expression + ") > ")
	c.arg(w, int32(truncate))
	w.WriteString("::int4 THEN left(" + expression + ", ")
	c.arg(w, int32(truncate))
	w.WriteString("::int4) || '... (' || char_length(" + expression + ") || ' chars)' ELSE " + expression + "::text END")
	return nil
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

// castType finds the type that a client named.
func castType(name string) (Type, error) {
	element, array := strings.CutSuffix(strings.ToLower(strings.Join(strings.Fields(name), " ")), "[]")
	known, ok := castNames[strings.TrimSpace(element)]
	if !ok {
		return Type{}, invalid("%q is no type to convert to", name)
	}
	t := Type{Schema: "pg_catalog", Name: known}
	switch {
	case array:
		t.Kind = KindArray
	case known == "text" || known == "varchar" || known == "bpchar":
		t.Kind = KindText
	}
	return t, nil
}

// order writes the ORDER BY clause, if there are terms.
func (c *compiler) order(w *strings.Builder, terms []query.Order) error {
	for i, term := range terms {
		switch {
		case term.Distance != nil:
			return invalid("order by %s of %s: comparing vectors is not available", term.Distance.Op, term.Path)
		case term.Embed != "":
			return invalid("order by %s(%s): embedding is not supported", term.Embed, term.Path)
		}
		if i == 0 {
			w.WriteString(" ORDER BY ")
		} else {
			w.WriteString(", ")
		}
		if _, err := c.comparable(w, term.Path); err != nil {
			return err
		}
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
	return nil
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
