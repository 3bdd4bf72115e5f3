package operation

import (
	"fluxbase/actors/graphql/schema"
	"fluxbase/persistence/query"
)

// Read is what a field of a query wants of the database.
type Read struct {
	// Field is the field of the answer.
	Field *Selection
	// Root is what is read. It is nil for a field that needs no database: Static is its
	// JSON then, or the field is answered from the schema.
	Root   *query.Root
	Static []byte
}

// Reads turns the fields of a query into what they read. page gives the window that a
// list gets for the one that was asked for.
func (o *Operation) Reads(page func(query.Page) query.Page) ([]Read, error) {
	out := make([]Read, len(o.Fields))
	for i, f := range o.Fields {
		out[i].Field = f
		if f.Field == nil {
			if f.Node.Name == "__typename" {
				out[i].Static = quoted(f.Object)
			}
			continue
		}
		if f.Field.Kind == schema.HealthRoot {
			out[i].Static = quoted("ok")
			continue
		}
		root, err := o.root(f, page)
		if err != nil {
			return nil, Refusal{At(err, f)}
		}
		out[i].Root = root
	}
	return out, nil
}

// At gives an error the place of a field, if it has none.
func At(err error, f *Selection) *Error {
	e := Failed(err, nil)
	if e.Locations == nil {
		e.Locations = located(f.Node.Position)
	}
	return e
}

// root is what a field of Query reads.
func (o *Operation) root(f *Selection, page func(query.Page) query.Page) (*query.Root, error) {
	if f.Field.Kind == schema.CallRoot {
		return o.call(f, page)
	}
	t := f.Field.Table
	root := &query.Root{Select: query.Select{
		From: query.Relation{Schema: t.Relation.Schema, Name: t.Relation.Name}, Page: query.Page{Limit: query.NoLimit},
	}}
	var err error
	switch f.Field.Kind {
	case schema.SingleRoot:
		root.Shape = query.ShapeObject
		if root.Where, err = o.key(f, t); err != nil {
			return nil, err
		}
		root.Fields, err = o.projection(f.Fields)
	case schema.AggregateRoot:
		root.Shape = query.ShapeWhole
		if root.Where, err = o.where(f, t); err != nil {
			return nil, err
		}
		root.Fields = aggregates(f.Fields)
	default:
		if root.Where, root.Order, root.Page, err = o.list(f, t); err != nil {
			return nil, err
		}
		root.Page = page(root.Page)
		root.Fields, err = o.projection(f.Fields)
	}
	return root, err
}

// list reads the arguments of a list of rows of a table.
func (o *Operation) list(f *Selection, t *schema.Table) (where query.Condition, order []query.Order, page query.Page, err error) {
	page = query.Page{Limit: query.NoLimit}
	if where, err = o.where(f, t); err != nil {
		return nil, nil, page, err
	}
	if order, err = o.order(f, t); err != nil {
		return nil, nil, page, err
	}
	page, err = o.page(f)
	return where, order, page, err
}

// page reads which part of many is wanted.
func (o *Operation) page(f *Selection) (query.Page, error) {
	page := query.Page{Limit: query.NoLimit}
	for name, into := range map[string]*int64{"limit": &page.Limit, "offset": &page.Offset} {
		arg := f.Node.Arguments.ForName(name)
		if arg == nil {
			continue
		}
		n, absent, err := o.whole(arg, name)
		if err != nil {
			return page, err
		}
		if !absent {
			*into = n
		}
	}
	return page, nil
}

// projection is what is selected from rows of a table.
func (o *Operation) projection(fields []*Selection) (query.Projection, error) {
	p := make(query.Projection, 0, max(1, len(fields)))
	for _, f := range fields {
		if f.Field == nil {
			p = append(p, &query.Constant{Text: f.Object, Alias: f.Key})
			continue
		}
		switch f.Field.Kind {
		case schema.ColumnField:
			p = append(p, &query.Field{Path: query.Column(f.Field.Column), Alias: f.Key, Cast: f.Field.Leaf.Cast})
		case schema.RelatedAggregate:
			where, err := o.where(f, f.Field.Table)
			if err != nil {
				return nil, At(err, f)
			}
			p = append(p, &query.Embed{Name: f.Key, Via: f.Field.Via, Whole: true, Fields: aggregates(f.Fields), Where: where, Page: query.Page{Limit: query.NoLimit}})
		case schema.RelatedField:
			e := &query.Embed{Name: f.Key, Via: f.Field.Via, Page: query.Page{Limit: query.NoLimit}}
			var err error
			if f.Field.Many {
				if e.Where, e.Order, e.Page, err = o.list(f, f.Field.Table); err != nil {
					return nil, At(err, f)
				}
			}
			if e.Fields, err = o.projection(f.Fields); err != nil {
				return nil, err
			}
			p = append(p, e)
		}
	}
	if len(p) == 0 {
		p = append(p, query.Nothing{}) // @skip and @include left nothing
	}
	return p, nil
}

// aggregates is what is selected from what rows are together.
func aggregates(fields []*Selection) query.Projection {
	p := query.Projection{query.Nothing{}}
	for _, f := range fields {
		switch {
		case f.Field == nil:
			p = append(p, &query.Constant{Text: f.Object, Alias: f.Key})
		case f.Field.Kind == schema.CountField:
			p = append(p, &query.Aggregate{Function: "count", Alias: f.Key})
		default:
			object := &query.Object{Alias: f.Key}
			for _, of := range f.Fields {
				if of.Field == nil {
					object.Fields = append(object.Fields, &query.Constant{Text: of.Object, Alias: of.Key})
					continue
				}
				object.Fields = append(object.Fields, &query.Aggregate{
					Function: of.Field.Function, Of: &query.Field{Path: query.Column(of.Field.Column)}, Alias: of.Key, Cast: of.Field.Leaf.Cast,
				})
			}
			p = append(p, object)
		}
	}
	return p
}
