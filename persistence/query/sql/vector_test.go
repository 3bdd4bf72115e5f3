package sql

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// points are vectors kept in every way.
func points() relations {
	in := func(name, schema, typ string, kind Kind) Column {
		return Column{Name: name, Type: Type{Schema: schema, Name: typ, Kind: kind}}
	}
	r := &Relation{Schema: "public", Name: "points", Key: []string{"id"}, Columns: []Column{
		scalar("id", "int4", KindNumber), in("v", "public", "vector", KindVector), in("h", "public", "halfvec", KindVector), in("s", "public", "sparsevec", KindVector),
		scalar("f4", "float4", KindArray), scalar("f8", "float8", KindArray), scalar("n", "numeric", KindArray), scalar("i", "int4", KindArray),
		scalar("t", "text", KindText), scalar("j", "jsonb", KindJSONB), scalar("r", "json", KindJSON), scalar("names", "text", KindArray), scalar("at", "timestamptz", KindScalar),
	}}
	return relations{"public.points": r.Index()}
}

var pointsRelation = query.Relation{Name: "points"}

func nearest(column string, op query.Operator, vector string) query.Order {
	return query.Order{Path: query.Column(column), Distance: &query.Distance{Op: op, Vector: vector}}
}

func TestDistanceText(t *testing.T) {
	t.Parallel()
	inner := query.Path{Column: "j", Steps: []query.Step{{Key: "e"}}}
	for _, c := range []struct {
		order query.Order
		want  string
	}{
		{nearest("v", query.VectorL2, "[0.1, -2,3e2]"), `"points"."v" OPERATOR("public".<->) $1::"public"."vector" | [0.1,-2,300]`},
		{nearest("h", query.VectorCosine, "(1,2)"), `"points"."h" OPERATOR("public".<=>) $1::"public"."halfvec" | [1,2]`},
		{nearest("s", query.VectorInner, "[1,2]"), `"points"."s" OPERATOR("public".<#>) $1::"public"."vector"::"public"."sparsevec" | [1,2]`},
		{nearest("f8", query.VectorL2, "[0.1]"), `app.l2_distance("points"."f8", $1::"float8"[]) | {0.1}`},
		{nearest("f4", query.VectorL2, "[0.1]"), `app.l2_distance("points"."f4"::"float8"[], $1::"float8"[]) | {0.10000000149011612}`},
		{nearest("n", query.VectorCosine, "[0.1]"), `app.cosine_distance("points"."n"::"float8"[], $1::"float8"[]) | {0.1}`},
		{nearest("i", query.VectorInner, "[1]"), `app.negative_inner_product("points"."i"::"float8"[], $1::"float8"[]) | {1}`},
		{nearest("t", query.VectorInner, "[1]"), `app.negative_inner_product(app.read_vector("points"."t"::text), $1::"float8"[]) | {1}`},
		{query.Order{Path: inner, Distance: &query.Distance{Op: query.VectorL2, Vector: "[1]"}, Desc: true, Nulls: query.NullsLast},
			`app.l2_distance(app.read_vector((("points"."j"->$1::"text"))::text), $2::"float8"[]) DESC NULLS LAST | e | {1}`},
		{nearest("v", query.VectorL2, "[1e-60]"), `"points"."v" OPERATOR("public".<->) $1::"public"."vector" | [0]`},
		{nearest("v", query.Equal, "[1]"), `! INVALID_QUERY`},
		{nearest("id", query.VectorL2, "[1]"), `! INVALID_QUERY`},
		{nearest("names", query.VectorL2, "[1]"), `! INVALID_QUERY`},
		{nearest("at", query.VectorL2, "[1]"), `! INVALID_QUERY`},
		{nearest("nope", query.VectorL2, "[1]"), `! UNKNOWN_COLUMN`},
		{nearest("v", query.VectorL2, ""), `! INVALID_QUERY`},
		{nearest("v", query.VectorL2, "[1) <-> v; --]"), `! INVALID_QUERY`},
	} {
		plan, err := Select(points(), &query.Select{From: pointsRelation, Order: []query.Order{c.order}, Page: all}, Options{})
		got := "! " + string(fault.CodeOf(err))
		if err == nil {
			_, got, _ = strings.Cut(strings.TrimSuffix(plan.SQL, ") AS page"), " ORDER BY ")
			for _, a := range plan.Args {
				got += " | " + fmt.Sprint(a)
			}
		}
		if got != c.want {
			t.Errorf("%+v\n got %s\nwant %s", c.order, got, c.want)
		}
	}
}

// TestVectorConditions: a comparison of vectors orders, keeps none out, and is refused
// where it would have to decide.
func TestVectorConditions(t *testing.T) {
	t.Parallel()
	near := func(column string) *query.Compare {
		return &query.Compare{Path: query.Column(column), Op: query.VectorCosine, Value: "(1,2)"}
	}
	const l2 = `app.cosine_distance("points"."f8", $%d::"float8"[])`
	for _, c := range []struct {
		name  string
		where query.Condition
		order []query.Order
		want  string
	}{
		{"alone", near("f8"), nil, ` ORDER BY ` + fmt.Sprintf(l2, 1)},
		{"beside others", query.And{eq("id", "1"), near("f8"), eq("id", "2")}, nil, ` WHERE ("points"."id" = $1::"int4" AND "points"."id" = $2::"int4") ORDER BY ` + fmt.Sprintf(l2, 3)},
		{"beside one", query.And{near("f8"), eq("id", "2")}, nil, ` WHERE "points"."id" = $1::"int4" ORDER BY ` + fmt.Sprintf(l2, 2)},
		{"behind an order", near("f8"), []query.Order{{Path: query.Column("id"), Desc: true}}, ` ORDER BY "points"."id" DESC, ` + fmt.Sprintf(l2, 1)},
		{"that is ordered by", near("f8"), []query.Order{nearest("f8", query.VectorCosine, "[1,2]")}, ` ORDER BY ` + fmt.Sprintf(l2, 1)},
		{"nested in and", query.And{query.And{near("f8")}}, nil, ` ORDER BY ` + fmt.Sprintf(l2, 1)},
		{"in or", query.Or{near("f8"), eq("id", "1")}, nil, `! INVALID_QUERY`},
		{"in not", query.Not{Condition: near("f8")}, nil, `! INVALID_QUERY`},
		{"in or in and", query.And{near("f8"), query.Or{near("f8")}}, nil, `! INVALID_QUERY`},
	} {
		plan, err := Select(points(), &query.Select{From: pointsRelation, Where: c.where, Order: c.order, Page: all}, Options{})
		got := "! " + string(fault.CodeOf(err))
		if err == nil {
			_, got, _ = strings.Cut(strings.TrimSuffix(plan.SQL, ") AS page"), `"public"."points"`)
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	for name, err := range map[string]error{
		"update": func() error {
			_, err := Update(points(), &query.Update{Relation: pointsRelation, Body: object(`{"t":"x"}`), Where: near("f8"), Page: all}, Options{})
			return err
		}(),
		"delete": func() error {
			_, err := Delete(points(), &query.Delete{From: pointsRelation, Where: query.And{eq("id", "1"), near("f8")}, Page: all}, Options{})
			return err
		}(),
	} {
		if fault.CodeOf(err) != fault.InvalidQuery {
			t.Errorf("%s: %v, want INVALID_QUERY", name, err)
		}
	}
}

func TestSearchText(t *testing.T) {
	t.Parallel()
	below := 0.5
	plan, err := Search(points(), &query.Search{From: pointsRelation, Path: query.Column("v"), Distance: query.Distance{Op: query.VectorL2, Vector: "[1]"},
		Fields: query.Projection{&query.Field{Path: query.Column("id"), Alias: "distance"}}, Where: eq("id", "1"), Below: &below, Limit: 3}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `SELECT (SELECT row_to_json(item.*) FROM (SELECT "page"."distance") AS item), "page"."distance_2" FROM ` +
		`(SELECT "points"."id" AS "distance", "points"."v" OPERATOR("public".<->) $1::"public"."vector" AS "distance_2" FROM "public"."points" ` +
		`WHERE "points"."id" = $2::"int4" ORDER BY 2 LIMIT $3) AS page WHERE "page"."distance_2" > '-Infinity'::"float8" AND "page"."distance_2" < $4::"float8" ORDER BY 2`
	if plan.SQL != want {
		t.Errorf("\n got %s\nwant %s", plan.SQL, want)
	}
	for name, q := range map[string]query.Search{
		"aggregate": {Fields: query.Projection{&query.Aggregate{Function: "count"}}},
		"operator":  {Distance: query.Distance{Op: query.Equal, Vector: "[1]"}},
		"limit":     {Limit: -1},
		"threshold": {Below: func() *float64 { x := math.NaN(); return &x }()},
		"effort":    {Candidates: MaxCandidates + 1},
		"condition": {Where: &query.Compare{Path: query.Column("v"), Op: query.VectorL2, Value: "[1]"}},
	} {
		q.From, q.Path = pointsRelation, query.Column("f8")
		if q.Distance.Op == "" {
			q.Distance = query.Distance{Op: query.VectorL2, Vector: "[1]"}
		}
		if _, err := Search(points(), &q, Options{}); fault.CodeOf(err) != fault.InvalidQuery {
			t.Errorf("%s: %v, want INVALID_QUERY", name, err)
		}
	}
}

// distances are the measures by their definitions.
var distances = map[query.Operator]func(a, b []float64) float64{
	query.VectorL2: func(a, b []float64) float64 {
		sum := 0.0
		for i := range a {
			sum += (a[i] - b[i]) * (a[i] - b[i])
		}
		return math.Sqrt(sum)
	},
	query.VectorInner: func(a, b []float64) float64 {
		sum := 0.0
		for i := range a {
			sum -= a[i] * b[i]
		}
		return sum
	},
	query.VectorCosine: func(a, b []float64) float64 {
		xy, xx, yy := 0.0, 0.0, 0.0
		for i := range a {
			xy, xx, yy = xy+a[i]*b[i], xx+a[i]*a[i], yy+b[i]*b[i]
		}
		return 1 - xy/math.Sqrt(xx*yy)
	},
}

// randomVector draws a vector, sometimes of few distinct or very unequal numbers.
func randomVector(r *rand.Rand, dimensions int) []float64 {
	v := make([]float64, dimensions)
	kind := r.IntN(4)
	for i := range v {
		switch kind {
		case 0:
			v[i] = float64(r.IntN(5) - 2)
		case 1:
			v[i] = math.Pow(10, float64(r.IntN(9)-4)) * r.NormFloat64()
		default:
			v[i] = r.NormFloat64()
		}
		v[i] = float64(float32(v[i]))
	}
	return v
}

// TestDistancesAreThoseOfPgvector keeps random vectors in every way and searches them
// through the compiler: whatever they are kept in, each has the distance that pgvector
// gives, up to the digits of a number of four bytes, and that the definition gives.
func TestDistancesAreThoseOfPgvector(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e engine) {
		refusalsAreThoseOfPgvector(t, e)
		r := rand.New(rand.NewPCG(13, uint64(len(t.Name()))))
		for round, dimensions := range []int{1, 2, 3, 8, 33, 200} {
			if err := e.script(fmt.Sprintf(`DROP TABLE IF EXISTS points; CREATE TABLE points (id int PRIMARY KEY, v vector(%[1]d), h halfvec(%[1]d), s sparsevec(%[1]d),
				f4 float4[], f8 float8[], n numeric[], i int[], t text, j jsonb, r json, names text[], at timestamptz)`, dimensions)); err != nil {
				t.Fatal(err)
			}
			vectors := make([][]float64, 12)
			for id := range vectors {
				vectors[id] = randomVector(r, dimensions)
				text := vectorText(vectors[id], 64, '[', ']')
				if _, err := e.rows(`INSERT INTO points SELECT $1::int4, $2::text::vector, $2::text::halfvec, $2::text::vector::sparsevec, $3::text::float4[], $3::text::float8[],
					$3::text::numeric[], NULL, $2::text, jsonb_build_object('e', $2::text::json), $2::text::json`, id, text, vectorText(vectors[id], 64, '{', '}')); err != nil {
					t.Fatal(err)
				}
			}
			from := randomVector(r, dimensions)
			for op, definition := range distances {
				for _, path := range []query.Path{query.Column("v"), query.Column("f4"), query.Column("f8"), query.Column("n"), query.Column("t"),
					{Column: "j", Steps: []query.Step{{Key: "e"}}}, query.Column("r"), query.Column("s"), query.Column("h")} {
					plan, err := Search(points(), &query.Search{From: pointsRelation, Path: path, Distance: query.Distance{Op: op, Vector: vectorText(from, 64, '[', ']')},
						Fields: query.Projection{&query.Field{Path: query.Column("id")}}, Limit: 100}, Options{})
					if err != nil {
						t.Fatal(err)
					}
					rows, err := e.rows(plan.SQL, plan.Args...)
					if err != nil {
						t.Fatalf("%s by %s: %v\n%s", path, op, err, plan.SQL)
					}
					found := map[int]float64{}
					before := math.Inf(-1)
					for _, row := range rows {
						var item struct{ ID int }
						if err := json.Unmarshal([]byte(*row[0]), &item); err != nil {
							t.Fatal(err)
						}
						d, err := strconv.ParseFloat(*row[1], 64)
						if err != nil {
							t.Fatal(err)
						}
						if d < before {
							t.Errorf("%s by %s: %v comes after %v", path, op, d, before)
						}
						found[item.ID], before = d, d
					}
					for id, v := range vectors {
						want := definition(v, from)
						got, ok := found[id]
						if ok == math.IsNaN(want) { // only a vector of zeros has no direction
							t.Errorf("round %d: %s by %s: found %t, the definition gives %v for %v", round, path, op, ok, want, v)
							continue
						}
						// What rounding can cost grows with the numbers that were added up.
						scale := 1.0
						if op != query.VectorCosine {
							scale += math.Sqrt(norm(v)*norm(from)) + norm(v) + norm(from)
							if op == query.VectorL2 {
								scale = 1 + math.Sqrt(norm(v)) + math.Sqrt(norm(from))
							}
						}
						tolerance := 1e-12 * scale
						switch path.Column {
						case "v", "s":
							tolerance = 2e-5 * scale // pgvector adds up in four bytes
						case "h":
							tolerance = 5e-3 * scale
						}
						if ok && !(math.Abs(got-want) <= tolerance) {
							t.Errorf("round %d: %s by %s: %v, want %v ± %v\n%v\n%v", round, path, op, got, want, tolerance, v, from)
						}
					}
				}
			}
		}
	})
}

func norm(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	return sum
}

// refusalsAreThoseOfPgvector: pgvector and our functions refuse the same, in the same
// words.
func refusalsAreThoseOfPgvector(t *testing.T, e engine) {
	for _, op := range []struct{ operator, function string }{{"<->", "l2_distance"}, {"<=>", "cosine_distance"}, {"<#>", "negative_inner_product"}} {
		_, theirs := e.rows(`SELECT $1::text::vector `+op.operator+` $2::text::vector`, "[1,2,3]", "[1,2]")
		_, ours := e.rows(`SELECT app.`+op.function+`($1::text::float8[], $2::text::float8[])`, "{1,2,3}", "{1,2}")
		if theirs == nil || ours == nil || theirs.Error() != ours.Error() {
			t.Errorf("%s: pgvector says %v, we say %v", op.operator, theirs, ours)
		}
	}
}

// TestWhatIsNoVectorHasNoDistance on any PostgreSQL, with pgvector or without.
func TestWhatIsNoVectorHasNoDistance(t *testing.T) {
	t.Parallel()
	e := serverEngine{connectTo(t, dbtest.Create(t))}
	for _, c := range []struct{ vector, from, want string }{
		{"'{1,2}'", "{3,4}", "2.8284271247461903 -11 0.01613008990009257"},
		{"NULL", "{1}", "- - -"},
		{"'{}'", "{1}", "- - -"},
		{"'{1,NULL}'", "{1,2}", "- - -"},
		{"'{{1,2},{3,4}}'", "{1,2}", "- - -"},
		{"'{0,0}'", "{1,2}", "2.23606797749979 0 NaN"},
		{"'{NaN,1}'", "{1,2}", "NaN NaN NaN"},
		{"'{Infinity,1}'", "{1,2}", "Infinity -Infinity NaN"},
		{"'{3,4}'", "{3,4}", "0 -25 0"},
		{"'{-3,-4}'", "{3,4}", "10 25 2"},
		{"'{1e-150,0}'", "{1e-150,0}", "0 -1e-300 0"},
		{"'[5:6]={1,2}'", "{1,2}", "0 -5 0"},
		{"app.read_vector('[1, 2]')", "{1,2}", "0 -5 0"},
		{"app.read_vector(E' [\\n+1.,.2e1\\t] ')", "{1,2}", "0 -5 0"},
		{"app.read_vector('[1,2')", "{1,2}", "- - -"},
		{"app.read_vector('[]')", "{1,2}", "- - -"},
		{"app.read_vector('[1,,2]')", "{1,2}", "- - -"},
		{"app.read_vector('[1,NaN]')", "{1,2}", "- - -"},
		{"app.read_vector('[1,null]')", "{1,2}", "- - -"},
		{"app.read_vector('[[1,2]]')", "{1,2}", "- - -"},
		{"app.read_vector('{1,2}')", "{1,2}", "- - -"},
		{"app.read_vector('[1,2] ; drop')", "{1,2}", "- - -"},
		{"app.read_vector('[1e400,1e-400]')", "{1,2}", "- - -"},
		{"app.read_vector('[1," + strings.Repeat("9", 400) + "]')", "{1,2}", "- - -"},
		{"app.read_vector('[0." + strings.Repeat("0", 400) + "1,2]')", "{1,2}", "- - -"},
		{"app.read_vector('[1e99,-1e99]')", "{1,1}", "1.414213562373095e+99 0 1"},
		{"app.read_vector('hello')", "{1,2}", "- - -"},
	} {
		rows, err := e.rows(`SELECT app.l2_distance(v, q), app.negative_inner_product(v, q), app.cosine_distance(v, q) FROM (SELECT `+c.vector+`::float8[] AS v, $1::float8[] AS q) AS x`, c.from)
		if err != nil {
			t.Errorf("%s: %v", c.vector, err)
			continue
		}
		var got []string
		for _, value := range rows[0] {
			if value == nil {
				got = append(got, "-")
			} else {
				got = append(got, strings.Replace(*value, "-0", "0", 1))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s from %s: %s, want %s", c.vector, c.from, strings.Join(got, " "), c.want)
		}
	}
}
