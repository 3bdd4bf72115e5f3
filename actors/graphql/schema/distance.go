package schema

import (
	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/query"
)

// Metrics are the ways to measure the distance of vectors, by the values of their enum.
var Metrics = map[string]query.Operator{"COSINE": query.VectorCosine, "L2": query.VectorL2, "INNER_PRODUCT": query.VectorInner}

var metricNames = []struct{ name, description string }{
	{"COSINE", "By direction: 0 for the same, 2 for the opposite one."},
	{"L2", "By the Euclidean distance."},
	{"INNER_PRODUCT", "By the negative inner product."},
}

// The fields of an order by distance.
const (
	DistanceMetric = "metric"
	DistanceVector = "vector"
)

// holdsVectors tells whether a type is made for vectors: pgvector's types, and arrays of
// numbers with fractions.
func holdsVectors(t *catalog.Type) bool {
	if t == nil {
		return false
	}
	t = t.Underlying()
	if t.Kind == catalog.Array && t.Element != nil {
		return t.Element.Name == "float4" || t.Element.Name == "float8" || t.Element.Name == "numeric"
	}
	return t.Name == "vector" || t.Name == "halfvec" || t.Name == "sparsevec"
}

// distanceType is the type of an order by the distance from a vector. It is made when
// the first table needs it: its names are free of tables then.
func (b *builder) distanceType() *ast.Type {
	if b.distance == "" {
		b.distance = b.types.take("VectorDistance")
		metric := &ast.Definition{Kind: ast.Enum, Name: b.types.take("VectorMetric"), Description: "How the distance of two vectors is measured."}
		for _, m := range metricNames {
			metric.EnumValues = append(metric.EnumValues, &ast.EnumValueDefinition{Name: m.name, Description: m.description})
		}
		b.add(metric)
		numbers := ast.NonNullListType(ast.NonNullNamedType("Float", nil), nil)
		b.add(&ast.Definition{Kind: ast.InputObject, Name: b.distance, Description: "Orders by the distance from a vector, the nearest first.", Fields: ast.FieldList{
			{Name: DistanceMetric, Type: ast.NamedType(metric.Name, nil), Position: position,
				DefaultValue: &ast.Value{Raw: metricNames[0].name, Kind: ast.EnumValue, Position: position}},
			{Name: DistanceVector, Type: numbers, Position: position},
		}})
	}
	return ast.NamedType(b.distance, nil)
}
