package sql

import (
	"slices"
	"strconv"
	"strings"

	"fluxbase/persistence/db"
	"fluxbase/persistence/query"
)

// measures say how each operator is written: between pgvector's types by an operator
// of the extension, between numbers in anything else by a function of ours that
// measures the same (see the migration vector_distance).
var measures = map[query.Operator]struct{ operator, function string }{
	query.VectorL2:     {"<->", "l2_distance"},
	query.VectorCosine: {"<=>", "cosine_distance"},
	query.VectorInner:  {"<#>", "negative_inner_product"},
}

// elements are the types of numbers whose arrays serve as vectors.
var elements = map[string]bool{"float4": true, "float8": true, "numeric": true, "int2": true, "int4": true, "int8": true}

// distance writes how far the vector in a place is from another one. It is NULL where
// there is no vector.
func (c *compiler) distance(w *strings.Builder, p query.Path, d *query.Distance) error {
	measure, ok := measures[d.Op]
	if !ok {
		return invalid("%q is no measure of distance", d.Op)
	}
	numbers, err := query.ParseVector(d.Vector)
	if err != nil {
		return err
	}
	var place strings.Builder
	t, err := c.place(&place, p)
	if err != nil {
		return err
	}
	if t.Kind == KindVector {
		w.WriteString(place.String())
		w.WriteString(" OPERATOR(")
		quote(w, t.Schema)
		w.WriteString("." + measure.operator + ") ")
		dense := t
		if t.Name == "sparsevec" {
			dense.Name = "vector"
		}
		c.typed(w, vectorText(numbers, 32, '[', ']'), dense)
		if dense != t {
			w.WriteString("::")
			t.write(w)
		}
		c.nearest = true
		return nil
	}
	w.WriteString("app." + measure.function + "(")
	switch {
	case t.Kind == KindArray && elements[t.Name]:
		w.WriteString(place.String())
		if t.Name != "float8" {
			w.WriteString(`::"float8"[]`)
		}
		if t.Name == "float4" {
			numbers = rounded(numbers) // as those in the array are
		}
	case t.Kind == KindText:
		w.WriteString("app.read_vector(" + place.String() + "::text)")
	case t.Kind == KindJSON, t.Kind == KindJSONB:
		w.WriteString("app.read_vector((" + place.String() + ")::text)")
	default:
		return invalid("%s needs vectors, and %s holds none", d.Op, p).
			WithHint("Vectors are kept in vector, halfvec and sparsevec of pgvector, in arrays of numbers, and in text or JSON like [0.1,0.2].")
	}
	w.WriteString(", ")
	c.typed(w, vectorText(numbers, 64, '{', '}'), Type{Name: "float8", Kind: KindArray})
	w.WriteByte(')')
	return nil
}

// vectorText writes numbers between brackets, with the digits that so many bits need.
func vectorText(numbers []float64, bits int, opening, closing byte) string {
	b := make([]byte, 0, 12*len(numbers)+2)
	b = append(b, opening)
	for i, x := range numbers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, x, 'g', -1, bits)
	}
	return string(append(b, closing))
}

// rounded are numbers as four bytes hold them.
func rounded(numbers []float64) []float64 {
	out := make([]float64, len(numbers))
	for i, x := range numbers {
		out[i] = float64(float32(x))
	}
	return out
}

// ranked takes the comparisons of vectors out of a condition. They hold for every row
// and order the rows, behind the order that was asked for, unless it has the distance
// already. What is nested in or and not stays, to be refused.
func ranked(cond query.Condition, order []query.Order) (query.Condition, []query.Order) {
	if !ranks(cond) {
		return cond, order
	}
	var kept []query.Condition
	all, ok := cond.(query.And)
	if !ok {
		all = query.And{cond}
	}
	for _, each := range all {
		cmp, ok := each.(*query.Compare)
		if !ok || !ranks(cmp) {
			var rest query.Condition
			rest, order = ranked(each, order)
			kept = append(kept, rest)
			continue
		}
		if !slices.ContainsFunc(order, func(o query.Order) bool {
			return o.Embed == "" && len(o.Related) == 0 && o.Distance != nil && o.Distance.Op == cmp.Op && o.Path.String() == cmp.Path.String()
		}) {
			order = append(slices.Clip(order), query.Order{Path: cmp.Path, Distance: &query.Distance{Op: cmp.Op, Vector: cmp.Value}})
		}
	}
	return query.Conjoin(kept...), order
}

// ranks tells whether a condition has comparisons of vectors that order the rows.
func ranks(cond query.Condition) bool {
	switch cond := cond.(type) {
	case query.And:
		return slices.ContainsFunc(cond, ranks)
	case *query.Compare:
		return cond.Op.Family() == query.FamilyVector
	}
	return false
}

// prepared puts before the statements of a plan what its transaction needs.
func (p *Plan) prepared(statements ...db.Statement) []db.Statement {
	if !p.nearest {
		return statements
	}
	return append([]db.Statement{exhaustively}, statements...)
}

// exhaustively makes an HNSW index go on until there are as many rows as were asked
// for: by itself it stops after hnsw.ef_search candidates, before policies and filters
// have seen them.
var exhaustively = indexSettings("hnsw.iterative_scan", "strict_order")

// indexSettings sets settings of pgvector for the transaction, given as names and
// values. Where the extension is older than 0.8 or missing it sets nothing: it does not
// know iterative scans.
func indexSettings(namesAndValues ...string) db.Statement {
	var w strings.Builder
	args := make([]any, len(namesAndValues))
	for i := range namesAndValues {
		args[i] = namesAndValues[i]
		if i%2 == 1 {
			w.WriteString("pg_catalog.set_config($" + strconv.Itoa(i) + ", $" + strconv.Itoa(i+1) + ", true), ")
		}
	}
	return db.Statement{Args: args, SQL: "SELECT " + strings.TrimSuffix(w.String(), ", ") + ` FROM pg_catalog.pg_extension
WHERE extname = 'vector' AND (pg_catalog.string_to_array(pg_catalog.substring(extversion, '^[0-9.]*'), '.'))[1:2]::int[] >= '{0,8}'`}
}
