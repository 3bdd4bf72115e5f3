package schema

import (
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/persistence/catalog"
)

// Key finds the column of the primary key that an argument of a field stands for.
func (t *Table) Key(argument string) (*Field, bool) {
	for _, k := range t.keys {
		if k.argument == argument {
			return k.field, true
		}
	}
	return nil, false
}

// keyArgument is an argument that gives a column of the primary key.
type keyArgument struct {
	argument string
	field    *Field
}

// findKey finds the primary key of a table, if the role may read all of it.
func (b *builder) findKey(t *Table) {
	taken := names{"data": true}
	for _, column := range t.Relation.PrimaryKey {
		i := slices.IndexFunc(t.fields, func(f *Field) bool { return f.stored && f.Column == column })
		if i < 0 {
			t.keys = nil
			return
		}
		t.keys = append(t.keys, keyArgument{taken.take(t.fields[i].Name, t.fields[i].Name+"Key"), t.fields[i]})
	}
}

func (t *Table) keyArguments() []*ast.ArgumentDefinition {
	out := make([]*ast.ArgumentDefinition, len(t.keys))
	for i, k := range t.keys {
		typ := *k.field.Leaf.Type
		typ.NonNull = true
		out[i] = argument(k.argument, &typ, k.field.description)
	}
	return out
}

// roots adds Query and Mutation. The names by the table come first; those that only
// make one of them are given where they are free.
func (b *builder) roots() {
	query := &ast.Definition{Kind: ast.Object, Name: "Query"}
	taken := names{}
	b.addField(query, &Field{Name: taken.take("_health"), Kind: HealthRoot, description: "\"ok\" from a server that lives."}, ast.NamedType("String", nil))
	lists := make(map[*Table]string, len(b.tableList))
	for _, t := range b.tableList {
		b.findKey(t)
		lists[t] = taken.take(camel(b.qualified(t.Relation)))
		b.addField(query, &Field{Name: lists[t], Kind: ListRoot, Table: t, Many: true, description: t.Relation.Comment},
			ast.ListType(ast.NonNullNamedType(t.Type, nil), nil), b.listArguments(t)...)
	}
	for _, t := range b.tableList {
		b.addField(query, &Field{Name: taken.take(lists[t] + "Aggregate"), Kind: AggregateRoot, Table: t, Many: true},
			ast.NamedType(t.aggregate, nil), b.filterArgument(t))
	}
	for _, t := range b.tableList {
		if len(t.keys) > 0 {
			b.addField(query, &Field{Name: taken.take(singular(lists[t]), lists[t]+"ByKey"), Kind: SingleRoot, Table: t},
				ast.NamedType(t.Type, nil), t.keyArguments()...)
		}
	}
	queries := taken

	mutation := &ast.Definition{Kind: ast.Object, Name: "Mutation"}
	taken = names{}
	for _, t := range b.tableList {
		b.addMutations(mutation, t, func(verb string) string { return taken.take(verb + t.Type) })
	}
	for _, t := range b.tableList {
		one := singular(t.Type)
		b.addMutations(mutation, t, func(verb string) string {
			if strings.HasSuffix(verb, "Many") || taken[verb+one] {
				return ""
			}
			return taken.take(verb + one)
		})
	}
	b.functions(query, mutation, queries, taken)
	b.add(query)
	if len(mutation.Fields) > 0 {
		b.add(mutation)
	}
}

// addMutations adds what can be written into a table, under the names that name gives
// for each verb; a name that is empty adds nothing.
func (b *builder) addMutations(def *ast.Definition, t *Table, name func(verb string) string) {
	if t.input == "" && !t.Relation.Granted(b.role, catalog.Delete) || !writable(t.Relation) {
		return
	}
	may := func(p catalog.Privilege) bool { return t.Relation.Granted(b.role, p) }
	row, rows := ast.NamedType(t.Type, nil), ast.ListType(ast.NonNullNamedType(t.Type, nil), nil)
	add := func(verb string, kind Kind, typ *ast.Type, description string, arguments ...*ast.ArgumentDefinition) {
		if n := name(verb); n != "" {
			b.addField(def, &Field{Name: n, Kind: kind, Table: t, Many: kind == InsertManyRoot || kind == UpdateManyRoot, description: description}, typ, arguments...)
		}
	}
	data := argument("data", ast.NonNullNamedType(t.input, nil), "")
	if t.input != "" && may(catalog.Insert) && t.Relation.Insertable {
		var conflict *ast.ArgumentDefinition
		if t.conflict != "" && may(catalog.Update) {
			conflict = argument("onConflict", ast.NamedType(t.conflict, nil), "Makes it an upsert.")
		}
		add("insert", InsertRoot, row, "Inserts a row; null for one that was left out.", data, conflict)
		add("insertMany", InsertManyRoot, rows, "Inserts rows, all or none.",
			argument("data", ast.NonNullListType(ast.NonNullNamedType(t.input, nil), nil), ""), conflict)
	}
	filter := argument("filter", ast.NonNullNamedType(t.filter, nil), "Which rows are meant; an empty one is refused.")
	if t.input != "" && may(catalog.Update) && t.Relation.Updatable {
		if len(t.keys) > 0 {
			add("update", UpdateRoot, row, "Changes a row; null when there is none that may be changed.", append(t.keyArguments(), data)...)
		}
		add("updateMany", UpdateManyRoot, rows, "Changes the rows that match, and gives them.", filter, data)
	}
	if may(catalog.Delete) && t.Relation.Deletable {
		if len(t.keys) > 0 {
			add("delete", DeleteRoot, row, "Deletes a row and gives it; null when there is none that may be deleted.", t.keyArguments()...)
		}
		add("deleteMany", DeleteManyRoot, ast.NamedType("Int", nil), "Deletes the rows that match, and tells how many.", filter)
	}
}
