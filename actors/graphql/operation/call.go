package operation

import (
	"bytes"

	"fluxbase/persistence/query"
)

// call is what a field that calls a function reads.
func (o *Operation) call(f *Selection, page func(query.Page) query.Page) (*query.Root, error) {
	routine := f.Field.Routine
	body, err := o.arguments(f)
	if err != nil {
		return nil, err
	}
	root := &query.Root{Shape: query.ShapeObject, Call: &query.Call{
		Function: query.Relation{Schema: routine.Schema, Name: routine.Name}, Body: body,
	}}
	if f.Field.Leaf != nil {
		root.Cast = f.Field.Leaf.Cast
	} else if root.Fields, err = o.projection(f.Fields); err != nil {
		return nil, err
	}
	if !f.Field.Many {
		return root, nil
	}
	root.Shape = query.ShapeList
	if f.Field.Table != nil {
		root.Where, root.Order, root.Page, err = o.list(f, f.Field.Table)
	} else {
		root.Page, err = o.page(f)
	}
	root.Page = page(root.Page)
	return root, err
}

// arguments are those of a function as one JSON object.
func (o *Operation) arguments(f *Selection) (query.Body, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, def := range f.Node.Definition.Arguments {
		name, ok := f.Field.Parameter(def.Name)
		if !ok {
			continue
		}
		v, absent, err := o.argument(f, def)
		if err != nil {
			return query.Body{}, err
		}
		if absent {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.Write(quoted(name))
		b.WriteByte(':')
		v.write(&b)
	}
	b.WriteByte('}')
	return query.ReadBody(b.Bytes())
}
