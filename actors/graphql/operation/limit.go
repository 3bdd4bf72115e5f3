package operation

import (
	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/actors/graphql/schema"
	"fluxbase/persistence/fault"
)

// Limits bound what an operation may ask for; a limit of 0 or less is none. They hold
// for the operation as it is executed: with its fragments expanded, and what @skip and
// @include leave out left out. What is asked of the schema itself, and not of the
// database, has no depth and costs nothing.
type Limits struct {
	// MaxDepth is how deep fields are nested, the leaves counted.
	MaxDepth int
	// MaxComplexity is the sum of what the fields cost. A field costs 1. A list costs as
	// many as its weight, and so does each of its fields for everything beneath: the
	// weight is 10 for a page as large as the server gives, less with a smaller limit,
	// and 1 at least. A field of a mutation costs 10 more.
	MaxComplexity int
	// MaxFields is how many fields are selected from one value.
	MaxFields int
	// MaxAliases is how many fields have another name in the answer than in the schema.
	MaxAliases int
	// RefuseFragments refuses documents with fragments that have a name.
	RefuseFragments bool
	// DefaultPage and MaxPage are the sizes of a page that names none and of the largest
	// one, which the weights of lists are measured by.
	DefaultPage, MaxPage int64
}

// maxKey is how long the name of a field of the answer is: PostgreSQL, which makes the
// answer, keeps no more of a name.
const maxKey = 63

// listWeight is the weight of the largest page, mutationCost what a mutation costs more.
const (
	listWeight   = 10
	mutationCost = 10
	unpaged      = 1000 // what a page counts as where the server has no limit
)

// check holds an operation against the limits.
func (l Limits) check(o *Operation, introspection bool) error {
	m := &meter{limits: l, operation: o, introspection: introspection}
	cost, err := m.level(o.Fields, 1)
	if err != nil {
		return err
	}
	if l.MaxAliases > 0 && m.aliases > l.MaxAliases {
		return failure(fault.GraphQLLimitExceeded, nil, "query has %d aliases, which exceeds the maximum of %d", m.aliases, l.MaxAliases)
	}
	if l.MaxDepth > 0 && m.depth > l.MaxDepth {
		return failure(fault.GraphQLLimitExceeded, nil, "query depth %d exceeds maximum allowed depth of %d", m.depth, l.MaxDepth)
	}
	if l.MaxComplexity > 0 && cost > l.MaxComplexity {
		return failure(fault.GraphQLLimitExceeded, nil, "query complexity %d exceeds maximum allowed complexity of %d", cost, l.MaxComplexity).
			hinted("Ask for fewer fields, or for shorter lists: limit makes a list cheaper.")
	}
	return nil
}

func (e *Error) hinted(hint string) *Error {
	e.Fault = e.Fault.WithHint(hint)
	return e
}

// meter measures an operation.
type meter struct {
	limits        Limits
	operation     *Operation
	introspection bool
	depth         int
	aliases       int
}

// dearest is a cost that is too high for any limit; more is not added up.
const dearest = 1 << 30

// level measures what is selected from one value, and gives its cost.
func (m *meter) level(fields []*Selection, depth int) (int, error) {
	if m.limits.MaxFields > 0 && len(fields) > m.limits.MaxFields {
		return 0, failure(fault.GraphQLLimitExceeded, fields[0].Node.Position, "%d fields at one level exceed the maximum of %d", len(fields), m.limits.MaxFields)
	}
	cost := 0
	for _, f := range fields {
		if f.Key != f.Node.Name {
			m.aliases++
		}
		if len(f.Key) > maxKey {
			return 0, failure(fault.GraphQLLimitExceeded, f.Node.Position, "%.20s… is longer than %d characters", f.Key, maxKey).
				hinted("Give the field a shorter alias.")
		}
		schemaItself := f.Field == nil && (f.Node.Name == "__schema" || f.Node.Name == "__type")
		if schemaItself && !m.introspection {
			return 0, failure(fault.IntrospectionDisabled, f.Node.Position, "Introspection is disabled")
		}
		if schemaItself || f.Field == nil && f.Node.Name != "__typename" {
			if _, err := m.level(f.Fields, 0); err != nil {
				return 0, err
			}
			continue
		}
		if depth > 0 {
			m.depth = max(m.depth, depth)
		}
		inner, err := m.level(f.Fields, depth+1)
		if err != nil {
			return 0, err
		}
		weight, err := m.weight(f)
		if err != nil {
			return 0, err
		}
		cost = min(cost+weight*(1+inner), dearest)
		if f.Field != nil && f.Object == "Mutation" {
			cost += mutationCost
		}
	}
	return cost, nil
}

// weight is how much a field of many values weighs, 1 for others.
func (m *meter) weight(f *Selection) (int, error) {
	if f.Field == nil || !f.Field.Many {
		return 1, nil
	}
	switch f.Field.Kind {
	case schema.ListRoot, schema.RelatedField, schema.CallRoot:
	case schema.InsertManyRoot, schema.UpdateManyRoot:
		return listWeight, nil
	default: // aggregates are one object
		return 1, nil
	}
	largest := m.limits.MaxPage
	if largest <= 0 {
		largest = unpaged
	}
	rows := largest
	if m.limits.DefaultPage > 0 {
		rows = min(rows, m.limits.DefaultPage)
	}
	if arg := f.Node.Arguments.ForName("limit"); arg != nil {
		given, absent, err := m.operation.whole(arg, "limit")
		if err != nil {
			return 0, err
		}
		if !absent {
			rows = min(largest, given)
		}
	}
	return int(max(1, (rows*listWeight+largest-1)/largest)), nil
}

// whole is an argument that is a whole number of at least 0. absent tells that it has
// no value.
func (o *Operation) whole(arg *ast.Argument, name string) (n int64, absent bool, err error) {
	v, absent, err := o.coercion.argument(arg.Value, ast.NamedType("Int", nil), name)
	if err != nil || absent || v.kind == formNull {
		return 0, true, err
	}
	for _, c := range v.text {
		if c < '0' || c > '9' {
			return 0, false, failure(fault.BadUserInput, arg.Position, "%s cannot be negative", name)
		}
		n = n*10 + int64(c-'0')
	}
	return n, false, nil
}
