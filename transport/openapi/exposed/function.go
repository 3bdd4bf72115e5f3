package exposed

import (
	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/transport/openapi/schema"
)

// Function is the functions of one name that a role may call.
type Function struct {
	Schema, Name string
	// Default tells that it is in the schema that is meant when none is named.
	Default   bool
	Overloads []*catalog.Routine

	snapshot   *catalog.Snapshot
	role       caller.DatabaseRole
	everything bool
}

// Functions are all functions that the role may call.
func Functions(s *catalog.Snapshot, role caller.DatabaseRole, everything bool) []Function {
	var out []Function
	for _, r := range s.AllRoutines() {
		if !everything && !r.Executable(string(role)) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Schema == r.Schema && out[n-1].Name == r.Name {
			out[n-1].Overloads = append(out[n-1].Overloads, r)
			continue
		}
		out = append(out, Function{Schema: r.Schema, Name: r.Name, Default: r.Schema == s.DefaultSchema(), Overloads: []*catalog.Routine{r},
			snapshot: s, role: role, everything: everything})
	}
	return out
}

// Title names the function for people.
func (f Function) Title() string {
	if f.Default {
		return f.Name
	}
	return f.Schema + "." + f.Name
}

// Comment is the first comment that one of them has.
func (f Function) Comment() string {
	for _, r := range f.Overloads {
		if r.Comment != "" {
			return r.Comment
		}
	}
	return ""
}

// ReadOnly tells whether one of them writes nothing, and can be called by GET.
func (f Function) ReadOnly() bool {
	for _, r := range f.Overloads {
		if r.Volatility != catalog.Volatile {
			return true
		}
	}
	return false
}

// Arguments are the arguments as an object: one of the forms when there are
// several.
func (f Function) Arguments() *schema.Schema {
	var forms []*schema.Schema
	for _, r := range f.Overloads {
		forms = append(forms, arguments(r))
	}
	if len(forms) == 1 {
		return forms[0].Named(schema.Name(f.Schema, f.Name, "arguments"))
	}
	return schema.AnyOf(forms...).Named(schema.Name(f.Schema, f.Name, "arguments"))
}

func arguments(r *catalog.Routine) *schema.Schema {
	if len(r.Parameters) == 1 && r.Parameters[0].Name == "" {
		return schema.Any() // the body as it is
	}
	s := &schema.Schema{Type: "object"}
	for _, p := range r.Parameters {
		if p.Name == "" {
			continue // cannot be given by a name
		}
		s.Properties = append(s.Properties, schema.Property{Name: p.Name, Schema: value(p.Type, p.TypeName).OrNull().Described(p.TypeName)})
		if !p.Optional {
			s.Required = append(s.Required, p.Name)
		}
	}
	return s
}

// Result is what comes out, and whether it may be nothing at all.
func (f Function) Result() (result *schema.Schema, void bool) {
	var forms []*schema.Schema
	for _, r := range f.Overloads {
		if r.Type != nil && r.Type.Name == "void" {
			void = true
			continue
		}
		forms = append(forms, f.result(r))
	}
	switch len(forms) {
	case 0:
		return nil, void
	case 1:
		return forms[0], void
	}
	return schema.AnyOf(forms...), void
}

func (f Function) result(r *catalog.Routine) *schema.Schema {
	var one *schema.Schema
	switch {
	case r.Relation != nil && Of(f.snapshot, r.Relation, f.role, f.everything).May(catalog.Select):
		// A function may give values that a table would not take.
		one = schema.Open()
		for _, c := range r.Relation.Columns {
			one.Properties = append(one.Properties, schema.Property{Name: c.Name, Schema: value(c.Type, c.TypeName).OrNull()})
		}
	case r.Columns != nil:
		one = &schema.Schema{Type: "object"}
		for _, c := range r.Columns {
			one.Properties = append(one.Properties, schema.Property{Name: c.Name, Schema: value(c.Type, c.TypeName).OrNull()})
		}
	default:
		one = value(r.Type, "").OrNull()
	}
	if r.Set {
		return schema.Array(one)
	}
	return one.OrNull()
}
