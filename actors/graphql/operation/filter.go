package operation

import (
	"fluxbase/actors/graphql/schema"
	"fluxbase/persistence/query"
)

// maxFilterDepth is how deep conditions are nested.
const maxFilterDepth = 32

// where reads the filter of a field; nil when there is none, or one without a
// condition.
func (o *Operation) where(f *Selection, t *schema.Table) (query.Condition, error) {
	arg := f.Node.Arguments.ForName("filter")
	if arg == nil {
		return nil, nil
	}
	def := f.Node.Definition.Arguments.ForName("filter")
	v, absent, err := o.coercion.argument(arg.Value, def.Type, "filter")
	if err != nil || absent || v.kind == formNull {
		return nil, err
	}
	return o.conditions(v, def.Type.Name(), "filter", 1)
}

// conditions reads a filter: conditions that must all hold. Without any it is nil.
func (o *Operation) conditions(v value, input, where string, depth int) (query.Condition, error) {
	if depth > maxFilterDepth {
		return nil, badInput("%s is nested deeper than %d levels", where, maxFilterDepth)
	}
	var all []query.Condition
	for _, m := range v.members {
		place := where + "." + m.name
		if m.value.kind == formNull {
			// A condition that is left out in silence would let too much through.
			return nil, badInput("%s is null, which no value is equal to: use _is_null, or leave the condition out", place)
		}
		c, err := o.condition(o.schema.Condition(input, m.name), m.value, place, depth)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return query.Conjoin(all...), nil
}

func (o *Operation) condition(c *schema.Condition, v value, where string, depth int) (query.Condition, error) {
	switch c.Kind {
	case schema.Comparison:
		return comparison(c, v), nil
	case schema.IsNull:
		state := "null"
		if v.leaf() != "true" {
			state = "not_null"
		}
		return &query.Compare{Path: query.Column(c.Column), Op: query.Is, Value: state}, nil
	case schema.All, schema.Any:
		list := make([]query.Condition, 0, len(v.list))
		for _, element := range v.list {
			one, err := o.conditions(element, c.Filter(), where, depth+1)
			if err != nil {
				return nil, err
			}
			if one == nil {
				one = query.And{}
			}
			list = append(list, one)
		}
		if c.Kind == schema.Any {
			return query.Or(list), nil
		}
		return query.And(list), nil
	case schema.Lacks:
		related := &query.Related{Via: c.Via}
		if v.leaf() == "true" {
			return query.Not{Condition: related}, nil
		}
		return related, nil
	}
	inner, err := o.conditions(v, c.Filter(), where, depth+1)
	if err != nil {
		return nil, err
	}
	switch c.Kind {
	case schema.None:
		if inner == nil {
			inner = query.And{}
		}
		return query.Not{Condition: inner}, nil
	case schema.HasNone:
		return query.Not{Condition: &query.Related{Via: c.Via, Where: inner}}, nil
	case schema.HasOnly:
		if inner == nil {
			return query.And{}, nil
		}
		return query.Not{Condition: &query.Related{Via: c.Via, Where: query.Untrue{Condition: inner}}}, nil
	}
	return &query.Related{Via: c.Via, Where: inner}, nil
}

// comparison compares a column with a value.
func comparison(c *schema.Condition, v value) query.Condition {
	out := &query.Compare{Path: query.Column(c.Column), Op: c.Op}
	switch {
	case c.Op == query.In:
		out.Values = make([]string, len(v.list))
		for i := range v.list {
			out.Values[i] = v.list[i].leaf()
		}
	case c.Leaf.Class == schema.JSON || v.kind != formLeaf:
		out.Value = string(v.json())
	default:
		out.Value = v.leaf()
	}
	return out
}

// unconditional tells whether a filter lets everything through because it, or a part of
// it that alone decides, says nothing.
func unconditional(c query.Condition) bool {
	switch c := c.(type) {
	case nil:
		return true
	case query.And:
		for _, one := range c {
			if !unconditional(one) {
				return false
			}
		}
		return true
	case query.Or:
		for _, one := range c {
			if unconditional(one) {
				return true
			}
		}
	case query.Not:
		return impossible(c.Condition)
	}
	return false
}

// impossible tells whether a filter lets nothing through because it says nothing.
func impossible(c query.Condition) bool {
	switch c := c.(type) {
	case query.Or:
		for _, one := range c {
			if !impossible(one) {
				return false
			}
		}
		return true
	case query.And:
		for _, one := range c {
			if impossible(one) {
				return true
			}
		}
	case query.Not:
		return unconditional(c.Condition)
	}
	return false
}
