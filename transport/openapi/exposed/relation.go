package exposed

import (
	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

// Relation is a relation as a role may use it.
type Relation struct {
	*catalog.Relation
	// Default tells that the relation is in the schema that is meant when none is
	// named.
	Default bool

	snapshot   *catalog.Snapshot
	role       string
	everything bool
}

// Of is the relation as the role may use it; with everything, as anybody may.
func Of(s *catalog.Snapshot, r *catalog.Relation, role caller.DatabaseRole, everything bool) Relation {
	return Relation{Relation: r, Default: r.Schema == s.DefaultSchema(), snapshot: s, role: string(role), everything: everything}
}

// Visible tells whether there is anything that the role may do.
func (v Relation) Visible() bool {
	return v.May(catalog.Select) || v.May(catalog.Insert) || v.May(catalog.Update) || v.May(catalog.Delete)
}

// May tells whether the role may do something with the relation or a column of it,
// and the relation can be used like that.
func (v Relation) May(p catalog.Privilege) bool {
	switch p {
	case catalog.Insert:
		if !v.Insertable {
			return false
		}
	case catalog.Update:
		if !v.Updatable {
			return false
		}
	case catalog.Delete:
		if !v.Deletable {
			return false
		}
	}
	return v.everything || v.Granted(v.role, p)
}

// Identified tells whether rows have an id, and the role may read what it is made of:
// the primary key, or a column id.
func (v Relation) Identified() bool {
	id := v.PrimaryKey
	if _, ok := v.Column("id"); ok && len(id) == 0 {
		id = []string{"id"}
	}
	for _, name := range id {
		if !v.everything && !v.GrantedColumn(v.role, catalog.Select, name) {
			return false
		}
	}
	return len(id) > 0
}

// columns are those with which the role may do something.
func (v Relation) columns(p catalog.Privilege) []*catalog.Column {
	var out []*catalog.Column
	for i := range v.Columns {
		if c := &v.Columns[i]; v.everything || v.GrantedColumn(v.role, p, c.Name) {
			out = append(out, c)
		}
	}
	return out
}

// Title names the relation for people: posts, or blog.posts outside of the default
// schema.
func (v Relation) Title() string {
	if v.Default {
		return v.Name
	}
	return v.Schema + "." + v.Name
}

// Row is a row as it is answered when nothing else is selected.
func (v Relation) Row() *schema.Schema {
	s := &schema.Schema{Type: "object", Description: v.Comment}
	for _, c := range v.columns(catalog.Select) {
		s.Properties = append(s.Properties, schema.Property{Name: c.Name, Schema: read(c, v.Relation)})
		s.Required = append(s.Required, c.Name)
	}
	return s.Named(schema.Name(v.Schema, v.Name))
}

// Insert is a row as it is given to be inserted.
func (v Relation) Insert() *schema.Schema {
	s := &schema.Schema{Type: "object", Description: v.Comment}
	for _, c := range v.columns(catalog.Insert) {
		if !c.Writable() {
			continue
		}
		s.Properties = append(s.Properties, schema.Property{Name: c.Name, Schema: written(c, v.Relation)})
		if !c.Optional() && v.Kind != catalog.View {
			s.Required = append(s.Required, c.Name)
		}
	}
	return s.Named(schema.Name(v.Schema, v.Name, "insert"))
}

// Update is what is given to change rows.
func (v Relation) Update() *schema.Schema {
	s := &schema.Schema{Type: "object", Description: v.Comment}
	for _, c := range v.columns(catalog.Update) {
		if c.Writable() {
			w := written(c, v.Relation)
			w.Default = nil
			s.Properties = append(s.Properties, schema.Property{Name: c.Name, Schema: w})
		}
	}
	return s.Named(schema.Name(v.Schema, v.Name, "update"))
}

// Filters are the conditions on the columns. They belong behind the parameters of
// another meaning, which a column of the same name does not take away.
func (v Relation) Filters() []route.Parameter {
	var out []route.Parameter
	for _, c := range v.columns(catalog.Select) {
		out = append(out, route.Parameter{Name: c.Name, In: route.InQuery, Description: "A condition on " + c.Name + " (" + c.TypeName + "): eq." + example(c.Type)})
	}
	return out
}

// example is a value to show in a condition.
func example(t *catalog.Type) string {
	if t == nil {
		return "a"
	}
	t = t.Underlying()
	switch {
	case t.Kind == catalog.Enum && len(t.Labels) > 0:
		return t.Labels[0]
	case t.Kind == catalog.Array:
		return "{}"
	case t.Category == 'N':
		return "1"
	case t.Category == 'B':
		return "true"
	case t.Name == "uuid":
		return "00000000-0000-0000-0000-000000000000"
	case t.Category == 'D':
		return "2030-01-01"
	}
	return "a"
}
