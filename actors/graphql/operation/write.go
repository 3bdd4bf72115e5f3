package operation

import (
	"bytes"

	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/actors/graphql/schema"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// Write is what a field of a mutation does. One of Insert, Update, Delete and Call is
// set, unless Static is its JSON.
type Write struct {
	Field  *Selection
	Insert *query.Insert
	Update *query.Update
	Delete *query.Delete
	Call   *query.Root
	Static []byte
	// Single tells that the answer is one row or null, Counted that it is a number;
	// otherwise it is a list.
	Single, Counted bool
}

// Writes turns the fields of a mutation into what they do, in their order. page gives
// the window that rows of a function get for the one that was asked for.
func (o *Operation) Writes(page func(query.Page) query.Page) ([]Write, error) {
	out := make([]Write, len(o.Fields))
	for i, f := range o.Fields {
		if f.Field == nil {
			out[i] = Write{Field: f, Static: quoted(f.Object)}
			continue
		}
		var w Write
		var err error
		if f.Field.Kind == schema.CallRoot {
			w.Call, err = o.call(f, page)
		} else {
			w, err = o.write(f)
		}
		if err != nil {
			return nil, Refusal{At(err, f)}
		}
		w.Field = f
		out[i] = w
	}
	return out, nil
}

func (o *Operation) write(f *Selection) (Write, error) {
	t := f.Field.Table
	relation := query.Relation{Schema: t.Relation.Schema, Name: t.Relation.Name}
	var returning query.Returning
	var err error
	if f.Field.Kind != schema.DeleteManyRoot {
		returning.Rows = true
		if returning.Fields, err = o.projection(f.Fields); err != nil {
			return Write{}, err
		}
	}
	all := query.Page{Limit: query.NoLimit}
	switch f.Field.Kind {
	case schema.InsertRoot, schema.InsertManyRoot:
		w := Write{Single: f.Field.Kind == schema.InsertRoot, Insert: &query.Insert{Into: relation, Returning: returning}}
		if w.Insert.Body, err = o.body(f); err != nil {
			return w, err
		}
		return w, o.conflict(f, w.Insert)
	case schema.UpdateRoot, schema.UpdateManyRoot:
		w := Write{Single: f.Field.Kind == schema.UpdateRoot, Update: &query.Update{Relation: relation, Page: all, Returning: returning}}
		if w.Update.Body, err = o.body(f); err != nil {
			return w, err
		}
		w.Update.Where, err = o.which(f, t, w.Single)
		return w, err
	}
	w := Write{Single: f.Field.Kind == schema.DeleteRoot, Counted: f.Field.Kind == schema.DeleteManyRoot,
		Delete: &query.Delete{From: relation, Page: all, Returning: returning}}
	w.Delete.Where, err = o.which(f, t, w.Single)
	return w, err
}

// which says which rows a write is about: the one of a key, or those that a filter
// lets through, which must not be all.
func (o *Operation) which(f *Selection, t *schema.Table, byKey bool) (query.Condition, error) {
	if byKey {
		return o.key(f, t)
	}
	strict := *o
	strict.coercion.strict = true
	where, err := strict.where(f, t)
	if err != nil {
		return nil, err
	}
	if unconditional(where) {
		return nil, failure(fault.UnfilteredWrite, f.Node.Position, "%s requires a filter with a condition", f.Node.Name).
			hinted("Without a condition every row would be changed or deleted.")
	}
	return where, nil
}

// key reads the arguments that give a primary key.
func (o *Operation) key(f *Selection, t *schema.Table) (query.Condition, error) {
	var all query.And
	for _, def := range f.Node.Definition.Arguments {
		column, ok := t.Key(def.Name)
		if !ok {
			continue
		}
		v, _, err := o.argument(f, def)
		if err != nil {
			return nil, err
		}
		all = append(all, comparison(&schema.Condition{Column: column.Column, Op: query.Equal, Leaf: column.Leaf}, v))
	}
	return all, nil
}

// argument reads an argument that the rules demand to be there.
func (o *Operation) argument(f *Selection, def *ast.ArgumentDefinition) (value, bool, error) {
	arg := f.Node.Arguments.ForName(def.Name)
	if arg == nil {
		return value{}, true, nil
	}
	return o.coercion.argument(arg.Value, def.Type, def.Name)
}

// JSON is the value of an argument of any field as JSON, its default where it is not
// given; nil when it has no value.
func (o *Operation) JSON(f *Selection, name string) ([]byte, error) {
	def := f.Node.Definition.Arguments.ForName(name)
	v, absent, err := o.argument(f, def)
	if err == nil && absent && def.DefaultValue != nil {
		v, err = o.coercion.literal(def.DefaultValue, def.Type, name)
		absent = false
	}
	if err != nil || absent {
		return nil, err
	}
	return v.json(), nil
}

// body reads the row or the rows to write.
func (o *Operation) body(f *Selection) (query.Body, error) {
	def := f.Node.Definition.Arguments.ForName("data")
	v, _, err := o.argument(f, def)
	if err != nil {
		return query.Body{}, err
	}
	var b bytes.Buffer
	input := def.Type.Name()
	row := func(v value) {
		b.WriteByte('{')
		for i, m := range v.members {
			if i > 0 {
				b.WriteByte(',')
			}
			column, _ := o.schema.Column(input, m.name)
			b.Write(quoted(column))
			b.WriteByte(':')
			m.value.write(&b)
		}
		b.WriteByte('}')
	}
	if def.Type.Elem == nil {
		row(v)
		return query.ReadBody(b.Bytes())
	}
	b.WriteByte('[')
	for i, element := range v.list {
		if i > 0 {
			b.WriteByte(',')
		}
		row(element)
	}
	b.WriteByte(']')
	return query.ReadBody(b.Bytes())
}

// conflict reads what becomes of duplicates.
func (o *Operation) conflict(f *Selection, into *query.Insert) error {
	def := f.Node.Definition.Arguments.ForName("onConflict")
	if def == nil {
		return nil
	}
	v, absent, err := o.argument(f, def)
	if err != nil || absent || v.kind == formNull {
		return err
	}
	into.Conflict = query.ConflictMerge
	if action, ok := v.member("action"); ok && action.leaf() == "IGNORE" {
		into.Conflict = query.ConflictIgnore
	}
	columns, ok := v.member("columns")
	if !ok || columns.kind == formNull {
		return nil
	}
	if len(columns.list) == 0 {
		return badInput("onConflict.columns is empty")
	}
	enum := o.schema.AST.Types[def.Type.Name()].Fields.ForName("columns").Type.Name()
	for _, c := range columns.list {
		name, _ := o.schema.ColumnOf(enum, c.leaf())
		into.ConflictTarget = append(into.ConflictTarget, name)
	}
	return nil
}
