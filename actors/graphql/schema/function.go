package schema

import (
	"cmp"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/persistence/catalog"
)

// parameter is an argument of a field that stands for a function's parameter.
type parameter struct {
	argument, name string
	leaf           *Leaf
	required       bool
}

// Parameter finds the parameter of a CallRoot's function that an argument stands for.
func (f *Field) Parameter(argument string) (string, bool) {
	for _, p := range f.parameters {
		if p.argument == argument {
			return p.name, true
		}
	}
	return "", false
}

// functions adds fields for the functions that the role may call: those that change
// nothing to Query, the others to Mutation. One name stands for one function: what is
// overloaded is not offered, nor is what takes rows or values without names, or gives
// nothing that has a type.
func (b *builder) functions(query, mutation *ast.Definition, queries, mutations names) {
	all := b.snapshot.AllRoutines()
	slices.SortStableFunc(all, func(x, y *catalog.Routine) int { return cmp.Compare(b.foreign(x.Schema), b.foreign(y.Schema)) })
	for i, r := range all {
		if slices.ContainsFunc(all, func(o *catalog.Routine) bool { return o != r && o.Schema == r.Schema && o.Name == r.Name }) || !r.Executable(b.role) || !offered(r) {
			continue
		}
		def, taken := query, queries
		if all[i].Volatility == catalog.Volatile {
			def, taken = mutation, mutations
		}
		b.addFunction(def, r, taken)
	}
}

// offered tells whether a function can be a field.
func offered(r *catalog.Routine) bool {
	for _, p := range r.Parameters {
		if p.Name == "" || p.Variadic || p.Type == nil || p.Type.Kind == catalog.Composite || p.Type.Kind == catalog.Pseudo {
			return false
		}
	}
	return r.Type != nil && (r.Columns != nil || r.Type.Kind != catalog.Pseudo)
}

func (b *builder) addFunction(def *ast.Definition, r *catalog.Routine, taken names) {
	name := r.Name
	if r.Schema != b.snapshot.DefaultSchema() {
		name = r.Schema + "_" + r.Name
	}
	f := &Field{Name: taken.take(camel(name)), Kind: CallRoot, Routine: r, Many: r.Set, description: r.Comment}
	arguments := names{}
	var list []*ast.ArgumentDefinition
	if r.Columns == nil {
		f.Leaf = b.leafOf(r.Type)
		if r.Set {
			list = b.pageArguments()
		}
	} else {
		if r.Relation != nil {
			f.Table = b.tables[r.Relation]
		}
		switch {
		case f.Table == nil:
			f.result = b.resultType(name, r)
			if r.Set {
				list = b.pageArguments()
			}
		case r.Set:
			list = b.listArguments(f.Table)
		}
	}
	for _, a := range list {
		if a != nil {
			arguments[a.Name] = true
		}
	}
	var own []*ast.ArgumentDefinition
	for _, p := range r.Parameters {
		leaf := b.leafOf(p.Type)
		wanted := camel(p.Name)
		known := parameter{argument: arguments.take(wanted, wanted+"Argument"), name: p.Name, leaf: leaf, required: !p.Optional}
		f.parameters = append(f.parameters, known)
		typ := *leaf.Type
		typ.NonNull = known.required
		own = append(own, argument(known.argument, &typ, ""))
	}
	typ := ast.NamedType(f.result, nil)
	switch {
	case f.Leaf != nil:
		typ = f.Leaf.Type
	case f.Table != nil:
		typ = ast.NamedType(f.Table.Type, nil)
	}
	if r.Set {
		element := *typ
		element.NonNull = f.Leaf == nil
		typ = ast.ListType(&element, nil)
	}
	b.addField(def, f, typ, append(own, list...)...)
}

// resultType adds the type of rows that are no table's.
func (b *builder) resultType(name string, r *catalog.Routine) string {
	def := &ast.Definition{Kind: ast.Object, Name: b.types.take(pascal(name) + "Result")}
	taken := names{}
	for _, c := range r.Columns {
		f := &Field{Name: taken.take(camel(c.Name)), Kind: ColumnField, Column: c.Name, Leaf: b.leafOf(c.Type)}
		b.addField(def, f, f.Leaf.Type)
	}
	b.add(def)
	return def.Name
}

// foreign is 0 for the default schema, whose names come first, and 1 for others.
func (b *builder) foreign(schema string) int {
	if schema == b.snapshot.DefaultSchema() {
		return 0
	}
	return 1
}
