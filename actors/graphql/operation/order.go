package operation

import (
	"fluxbase/actors/graphql/schema"
	"fluxbase/persistence/query"
)

// order reads what a list is ordered by.
func (o *Operation) order(f *Selection, t *schema.Table) ([]query.Order, error) {
	arg := f.Node.Arguments.ForName("orderBy")
	if arg == nil {
		return nil, nil
	}
	def := f.Node.Definition.Arguments.ForName("orderBy")
	v, absent, err := o.coercion.argument(arg.Value, def.Type, "orderBy")
	if err != nil || absent || v.kind == formNull {
		return nil, err
	}
	out := make([]query.Order, len(v.list))
	for i, element := range v.list {
		if out[i], err = o.orderTerm(element, def.Type.Name()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// orderTerm reads one term, which has one field: a column, a distance, or a related row.
func (o *Operation) orderTerm(v value, input string) (query.Order, error) {
	var related []string
	for depth := 0; ; depth++ {
		if depth > maxFilterDepth {
			return query.Order{}, badInput("orderBy is nested deeper than %d levels", maxFilterDepth)
		}
		m := v.members[0]
		by := o.schema.Order(input, m.name)
		if by.Distance {
			return query.Order{Path: query.Column(by.Column), Related: related, Distance: distance(m.value)}, nil
		}
		if by.Table == nil {
			term := schema.Directions[m.value.leaf()]
			term.Path, term.Related = query.Column(by.Column), related
			return term, nil
		}
		related = append(related, by.Via)
		v, input = m.value, by.Table.OrderInput()
	}
}

// distance reads what to measure from, and how.
func distance(v value) *query.Distance {
	metric, _ := v.member(schema.DistanceMetric)
	vector, _ := v.member(schema.DistanceVector)
	op, ok := schema.Metrics[metric.leaf()]
	if !ok { // null
		op = query.VectorCosine
	}
	return &query.Distance{Op: op, Vector: string(vector.json())}
}
