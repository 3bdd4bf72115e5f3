package sql

import (
	"strings"

	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
)

// noGeometry is what PostGIS says of rows that cannot be features.
var noGeometry = fault.New(fault.InvalidInput, "geometry column is missing").
	WithHint("Select a column of the type geometry.").
	WithDetails(&db.Report{SQLState: "22023", Message: "geometry column is missing"})

// item writes a row in the form that is asked for. p is what the row has.
func (c *compiler) item(w *strings.Builder, p *projection, row string) error {
	if c.options.Form != GeoJSON {
		c.options.Form.write(w, row)
		return nil
	}
	schema, ok := c.geometry(p)
	if !ok {
		return noGeometry
	}
	// The extension lives where its type does.
	qualified(w, schema, "st_asgeojson")
	w.WriteString("(" + row + ")::json")
	return nil
}

// geometry finds the schema of PostGIS by a geometry among the columns of a
// projection.
func (c *compiler) geometry(p *projection) (schema string, ok bool) {
	is := func(t Type) bool { return t.Kind == KindSpatial && t.Name == "geometry" }
	if p.star != "" {
		for i := range c.relation.Columns {
			if t := c.relation.Columns[i].Type; is(t) {
				return t.Schema, true
			}
		}
		return "", false
	}
	for i := range p.outputs {
		if t := p.outputs[i].of; is(t) {
			return t.Schema, true
		}
	}
	return "", false
}

func isGeography(t Type) bool { return t.Kind == KindSpatial && t.Name == "geography" }

// fromGeoJSON writes the value of a geography that comes as JSON: an object is
// GeoJSON, which the type itself, other than geometry, does not read.
func fromGeoJSON(w *strings.Builder, alias string, col *Column) {
	value := func() { qualified(w, alias, col.Name) }
	w.WriteString("CASE json_typeof(")
	value()
	w.WriteString(") WHEN 'object' THEN ")
	qualified(w, col.Type.Schema, "st_geomfromgeojson")
	w.WriteByte('(')
	value()
	w.WriteString(")::")
	col.Type.write(w)
	w.WriteString(" ELSE (")
	value()
	w.WriteString(" #>> '{}')::")
	col.Type.write(w)
	w.WriteString(" END")
}

// asGeoJSON writes a geography, of which PostgreSQL itself would only print the
// bytes, as JSON where that is the form.
func (c *compiler) asGeoJSON(w *strings.Builder, place string, t Type) Type {
	if !c.printsGeography() || !isGeography(t) {
		w.WriteString(place)
		return t
	}
	qualified(w, t.Schema, "st_asgeojson")
	w.WriteString("(" + place + ")::json")
	return Type{Schema: "pg_catalog", Name: "json", Kind: KindJSON}
}

func (c *compiler) printsGeography() bool { return c.options.Form != Records }

// hasGeography tells whether a relation has a geography, so that its columns cannot
// be given as they are.
func (c *compiler) hasGeography() bool {
	for i := range c.relation.Columns {
		if isGeography(c.relation.Columns[i].Type) {
			return c.printsGeography()
		}
	}
	return false
}
