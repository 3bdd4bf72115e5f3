package sql

import (
	"strings"

	"fluxbase/persistence/query"
)

// maxMembers is how many members json_build_object takes: a function has at most 100
// arguments.
const maxMembers = 50

// addConstant adds a column that is the same text in every row.
func (c *compiler) addConstant(p *projection, k *query.Constant) error {
	var w strings.Builder
	if err := c.constant(&w, k); err != nil {
		return err
	}
	return p.add(output{label: k.Alias, text: w.String(), apart: true})
}

func (c *compiler) constant(w *strings.Builder, k *query.Constant) error {
	if err := text(k.Text); err != nil {
		return err
	}
	c.typed(w, k.Text, textual)
	return nil
}

// addObject adds an object of several columns as one.
func (c *compiler) addObject(p *projection, o *query.Object) error {
	if len(o.Fields) > maxMembers {
		return invalid("%s has more than %d members", o.Alias, maxMembers)
	}
	var w strings.Builder
	w.WriteString("json_build_object(")
	for i, item := range o.Fields {
		if i > 0 {
			w.WriteString(", ")
		}
		if err := c.member(&w, p, item); err != nil {
			return err
		}
	}
	w.WriteByte(')')
	return p.add(output{label: o.Alias, text: w.String(), apart: true})
}

// member writes the key and the value of a member of an object.
func (c *compiler) member(w *strings.Builder, p *projection, item query.Item) error {
	key := func(name string) error {
		if err := text(name); err != nil {
			return err
		}
		c.typed(w, name, textual)
		w.WriteString(", ")
		return nil
	}
	switch item := item.(type) {
	case *query.Constant:
		if err := key(item.Alias); err != nil {
			return err
		}
		return c.constant(w, item)
	case *query.Field:
		if p.grouped {
			return invalid("%s stands beside aggregates", item.Path)
		}
		label := item.Alias
		if label == "" {
			label = item.Path.Label()
		}
		if err := key(label); err != nil {
			return err
		}
		_, err := c.field(w, item, 0)
		return err
	case *query.Aggregate:
		o, err := c.aggregate(item)
		if err != nil {
			return err
		}
		if err := key(o.label); err != nil {
			return err
		}
		o.write(w)
		return nil
	}
	return invalid("an object cannot hold %T", item)
}
