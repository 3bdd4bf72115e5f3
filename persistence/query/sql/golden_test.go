package sql

import (
	"fmt"
	"strings"
	"testing"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

func eq(column, value string) query.Condition {
	return &query.Compare{Path: query.Column(column), Op: query.Equal, Value: value}
}

func path(column string, steps ...query.Step) query.Path {
	return query.Path{Column: column, Steps: steps}
}

var all = query.Page{Limit: query.NoLimit}

// TestWhere compiles one condition each and compares the clause and its values.
func TestWhere(t *testing.T) {
	t.Parallel()
	cmp := func(column string, op query.Operator, value string) *query.Compare {
		return &query.Compare{Path: query.Column(column), Op: op, Value: value}
	}
	list := func(column string, op query.Operator, q query.Quantifier, values ...string) *query.Compare {
		return &query.Compare{Path: query.Column(column), Op: op, Quantifier: q, Values: values}
	}
	search := func(column string, op query.Operator, language, value string) *query.Compare {
		return &query.Compare{Path: query.Column(column), Op: op, Language: language, Value: value}
	}
	key, text, index := query.Step{Key: "k"}, query.Step{Key: "t", Text: true}, query.Step{Key: "0", Index: true}
	for _, c := range []struct {
		cond query.Condition
		want string
	}{
		{cmp("id", query.Equal, "1"), `"posts"."id" = $1::"int8" | 1`},
		{cmp("id", query.NotEqual, "1"), `"posts"."id" <> $1::"int8" | 1`},
		{cmp("title", query.IsDistinct, "x"), `"posts"."title" IS DISTINCT FROM $1::"text" | x`},
		{cmp("state", query.Equal, "sad"), `"posts"."state" = $1::"public"."mood" | sad`},
		{cmp("title", query.Like, "a%"), `"posts"."title" LIKE $1::"text" | a%`},
		{cmp("id", query.ILike, "1%"), `"posts"."id"::text ILIKE $1::"text" | 1%`},
		{cmp("title", query.Match, "^a"), `"posts"."title" ~ $1::"text" | ^a`},
		{cmp("title", query.IMatch, "^a"), `"posts"."title" ~* $1::"text" | ^a`},
		{list("title", query.Like, query.QuantifyAny, "a%", "b"), `"posts"."title" LIKE ANY ($1::"text"[]) | {"a%","b"}`},
		{list("id", query.Greater, query.QuantifyAll, "1", "2"), `"posts"."id" > ALL ($1::"int8"[]) | {"1","2"}`},
		{list("id", query.In, 0, "1", "2"), `"posts"."id" = ANY ($1::"int8"[]) | {"1","2"}`},
		{list("id", query.In, 0), `"posts"."id" = ANY ($1::"int8"[]) | {}`},
		{list("title", query.In, 0, `a"b\`, "NULL"), `"posts"."title" = ANY ($1::"text"[]) | {"a\"b\\","NULL"}`},
		{list("tags", query.In, 0, "{a}", "(b,c)"), `"posts"."tags" IN ($1::"text"[], $2::"text"[]) | {a} | {"b","c"}`},
		{list("data", query.In, 0, "1"), `"posts"."data" = ANY ($1::"jsonb"[]) | {"1"}`},
		{cmp("raw", query.Equal, "{}"), `"posts"."raw"::jsonb = $1::"jsonb" | {}`},
		{cmp("title", query.Is, "null"), `"posts"."title" IS NULL`},
		{cmp("title", query.Is, "not_null"), `"posts"."title" IS NOT NULL`},
		{cmp("ok", query.Is, "true"), `"posts"."ok" IS TRUE`},
		{cmp("ok", query.Is, "false"), `"posts"."ok" IS FALSE`},
		{cmp("ok", query.Is, "unknown"), `"posts"."ok" IS UNKNOWN`},
		{cmp("title", query.Is, "true"), `! INVALID_QUERY`},
		{cmp("tags", query.Contains, "(a,b)"), `"posts"."tags" @> $1::"text"[] | {"a","b"}`},
		{cmp("tags", query.Contains, `["a","b\"c",null]`), `"posts"."tags" @> $1::"text"[] | {"a","b\"c",NULL}`},
		{cmp("grid", query.Overlaps, "[[1,2],[3,4]]"), `"posts"."grid" && $1::"int4"[] | {{"1","2"},{"3","4"}}`},
		{cmp("grid", query.Equal, "[1,2]"), `"posts"."grid" = $1::"int4"[] | {"1","2"}`},
		{cmp("data", query.Contains, `{"a":1}`), `"posts"."data" @> $1::"jsonb" | {"a":1}`},
		{cmp("data", query.Contains, `(a,1,"b,c")`), `"posts"."data" @> $1::"jsonb" | ["a",1,"b,c"]`},
		{cmp("data", query.Overlaps, `[]`), `! INVALID_QUERY`},
		{cmp("title", query.Contains, `a`), `! INVALID_QUERY`},
		{cmp("span", query.Contains, "[1,2)"), `"posts"."span" @> $1::"int4range" | [1,2)`},
		{cmp("span", query.StrictlyLeft, "[1,2)"), `"posts"."span" << $1::"int4range" | [1,2)`},
		{cmp("span", query.StrictlyRight, "[1,2)"), `"posts"."span" >> $1::"int4range" | [1,2)`},
		{cmp("span", query.NotRightOf, "[1,2)"), `"posts"."span" &< $1::"int4range" | [1,2)`},
		{cmp("span", query.NotLeftOf, "[1,2)"), `"posts"."span" &> $1::"int4range" | [1,2)`},
		{cmp("span", query.Adjacent, "[1,2)"), `"posts"."span" -|- $1::"int4range" | [1,2)`},
		{search("words", query.TextSearch, "", "a"), `"posts"."words" @@ to_tsquery($1::"text") | a`},
		{search("title", query.PlainTextSearch, "german", "a"), `to_tsvector($1::"regconfig", "posts"."title") @@ plainto_tsquery($1::"regconfig", $2::"text") | german | a`},
		{search("words", query.PhraseTextSearch, "", "a"), `"posts"."words" @@ phraseto_tsquery($1::"text") | a`},
		{search("words", query.WebTextSearch, "", "a"), `"posts"."words" @@ websearch_to_tsquery($1::"text") | a`},
		{search("id", query.TextSearch, "", "a"), `! INVALID_QUERY`},
		{cmp("views", query.VectorL2, "[1]"), `! INVALID_QUERY`},
		{cmp("title", query.Intersects, "{}"), `! INVALID_QUERY`},
		{&query.Compare{Path: path("data", key, index, text), Op: query.Equal, Value: "x"}, `("posts"."data"->$1::"text"->$2::"int4"->>$3::"text") = $4::"text" | k | 0 | t | x`},
		{&query.Compare{Path: path("data", key), Op: query.Equal, Value: "1"}, `("posts"."data"->$1::"text") = $2::"jsonb" | k | 1`},
		{&query.Compare{Path: path("raw", key), Op: query.Equal, Value: "1"}, `("posts"."raw"->$1::"text")::jsonb = $2::"jsonb" | k | 1`},
		{&query.Compare{Path: path("home", query.Step{Key: "zip", Text: true}), Op: query.Equal, Value: "1"}, `(to_jsonb("posts"."home")->>$1::"text") = $2::"text" | zip | 1`},
		{&query.Compare{Path: path("data", text), Op: query.Greater, Value: "old"}, `("posts"."data"->>$1::"text") > $2::"text" | t | old`},
		{&query.Compare{Path: path("title", key), Op: query.Equal, Value: "1"}, `! INVALID_QUERY`},
		{query.Not{Condition: eq("id", "1")}, `NOT ("posts"."id" = $1::"int8") | 1`},
		{query.Or{eq("id", "1"), query.And{eq("ok", "t"), query.Not{Condition: eq("id", "2")}}}, `("posts"."id" = $1::"int8" OR ("posts"."ok" = $2::"bool" AND NOT ("posts"."id" = $3::"int8"))) | 1 | t | 2`},
		{query.Or{}, `false`},
		{query.And{}, `true`},
		{eq("nope", "1"), `! UNKNOWN_COLUMN`},
		{eq(`id" = "id" OR "id`, "1"), `! UNKNOWN_COLUMN`},
		{eq("title", "a\x00b"), `! INVALID_QUERY`},
	} {
		plan, err := Select(fixture(), &query.Select{From: query.Relation{Name: "posts"}, Where: c.cond, Page: all}, Options{})
		got := "! " + string(fault.CodeOf(err))
		if err == nil {
			_, rest, _ := strings.Cut(plan.SQL, " WHERE ")
			got = strings.TrimSuffix(rest, ") AS page")
			for _, a := range plan.Args {
				got += " | " + fmt.Sprint(a)
			}
		}
		if got != c.want {
			t.Errorf("condition %+v\n got %s\nwant %s", c.cond, got, c.want)
		}
	}
}

func TestNumericMember(t *testing.T) {
	t.Parallel()
	plan, err := Select(fixture(), &query.Select{From: query.Relation{Name: "posts"}, Page: all,
		Where: &query.Compare{Path: path("data", query.Step{Key: "age", Text: true}), Op: query.GreaterOrEqual, Value: "18"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(plan.SQL, `THEN ("posts"."data"->>$1::"text")::"numeric" >= $2::"numeric" END`) {
		t.Errorf("a number is not compared as one: %s", plan.SQL)
	}
}

func TestSpatial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		op    query.Operator
		value string
		want  string
	}{
		{query.Within, `{"type":"Point"}`, `"extensions"."st_within"("shapes"."area", "extensions"."st_geomfromgeojson"($1::"text")::"extensions"."geometry")`},
		{query.WithinDistance, `10,{"type":"Point"}`, `"extensions"."st_dwithin"("shapes"."area", "extensions"."st_geomfromgeojson"($1::"text")::"extensions"."geometry", $2::"float8")`},
		{query.WithinDistance, `-1,{"type":"Point"}`, ``},
		{query.WithinDistance, `{"type":"Point"}`, ``},
		{query.Within, `POINT(0 0)`, ``},
	} {
		plan, err := Select(fixture(), &query.Select{From: query.Relation{Schema: "geo", Name: "shapes"}, Page: all,
			Where: &query.Compare{Path: query.Column("area"), Op: c.op, Value: c.value}}, Options{})
		if c.want == "" {
			if fault.CodeOf(err) != fault.InvalidQuery {
				t.Errorf("%s %s: %v, want INVALID_QUERY", c.op, c.value, err)
			}
			continue
		}
		if err != nil || !strings.Contains(plan.SQL, c.want) {
			t.Errorf("%s %s: %v\n got %s\nwant %s", c.op, c.value, err, plan.SQL, c.want)
		}
	}
}

func TestSelectText(t *testing.T) {
	t.Parallel()
	posts := query.Relation{Schema: "public", Name: "posts"}
	field := func(column, alias, cast string) *query.Field {
		return &query.Field{Path: query.Column(column), Alias: alias, Cast: cast}
	}
	for _, c := range []struct {
		name string
		q    query.Select
		want string
	}{
		{"all", query.Select{From: posts, Page: all}, `SELECT row_to_json(page.*) FROM (SELECT "posts".* FROM "public"."posts") AS page`},
		{"columns", query.Select{From: posts, Page: query.Page{Limit: 5, Offset: 10}, Fields: query.Projection{field("id", "", ""), field("title", "t", ""), field("views", "", "int")},
			Order: []query.Order{{Path: query.Column("at"), Desc: true, Nulls: query.NullsLast}, {Path: query.Column("raw")}}},
			`SELECT row_to_json(page.*) FROM (SELECT "posts"."id" AS "id", "posts"."title" AS "t", "posts"."views"::"int4" AS "views" FROM "public"."posts" ORDER BY "posts"."at" DESC NULLS LAST, "posts"."raw"::jsonb LIMIT $1 OFFSET $2) AS page`},
		{"path", query.Select{From: posts, Page: all, Fields: query.Projection{&query.Field{Path: path("data", query.Step{Key: "a"}, query.Step{Key: "b", Text: true})}}},
			`SELECT row_to_json(page.*) FROM (SELECT ("posts"."data"->$1::"text"->>$2::"text") AS "b" FROM "public"."posts") AS page`},
		{"exact", query.Select{From: posts, Page: query.Page{Limit: 1}, Where: eq("id", "1"), Count: query.CountExact},
			`SELECT count(*), NULL::json FROM "public"."posts" WHERE "posts"."id" = $1::"int8" UNION ALL SELECT NULL, row_to_json(page.*) FROM (SELECT "posts".* FROM "public"."posts" WHERE "posts"."id" = $1::"int8" LIMIT $2) AS page`},
		{"estimated", query.Select{From: posts, Page: all, Count: query.CountEstimated},
			`SELECT count(*), NULL::json FROM (SELECT FROM "public"."posts" LIMIT $1) AS counted UNION ALL SELECT NULL, row_to_json(page.*) FROM (SELECT "posts".* FROM "public"."posts") AS page`},
		{"truncate", query.Select{From: query.Relation{Name: "recent"}, Page: all, Truncate: 3},
			`SELECT row_to_json(page.*) FROM (SELECT "recent"."id" AS "id", CASE WHEN char_length("recent"."title") > $1::int4 THEN left("recent"."title", $2::int4) || '... (' || char_length("recent"."title") || ' chars)' ELSE "recent"."title"::text END AS "title" FROM "public"."recent") AS page`},
		{"quotes", query.Select{From: query.Relation{Name: "members"}, Page: all, Fields: query.Projection{field(`odd "name`, `a"b`, "")}},
			`SELECT row_to_json(page.*) FROM (SELECT "members"."odd ""name" AS "a""b" FROM "public"."members") AS page`},
	} {
		plan, err := Select(fixture(), &c.q, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if plan.SQL != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.name, plan.SQL, c.want)
		}
	}
}

func TestSelectRefuses(t *testing.T) {
	t.Parallel()
	posts := query.Relation{Name: "posts"}
	field := func(column, alias, cast string) query.Projection {
		return query.Projection{&query.Field{Path: query.Column(column), Alias: alias, Cast: cast}}
	}
	for _, c := range []struct {
		name string
		q    query.Select
		code fault.Code
	}{
		{"relation", query.Select{From: query.Relation{Name: "nope"}, Page: all}, fault.TableNotFound},
		{"column", query.Select{From: posts, Page: all, Fields: field("nope", "", "")}, fault.UnknownColumn},
		{"order", query.Select{From: posts, Page: all, Order: []query.Order{{Path: query.Column("nope")}}}, fault.UnknownColumn},
		{"cast", query.Select{From: posts, Page: all, Fields: field("id", "", strings.Repeat("x", 64))}, fault.InvalidQuery},
		{"twice", query.Select{From: posts, Page: all, Fields: append(field("id", "", ""), field("title", "id", "")...)}, fault.InvalidQuery},
		{"long label", query.Select{From: posts, Page: all, Fields: field("id", strings.Repeat("x", 64), "")}, fault.InvalidQuery},
		{"zero label", query.Select{From: posts, Page: all, Fields: field("id", "a\x00", "")}, fault.InvalidQuery},
		{"negative limit", query.Select{From: posts, Page: query.Page{Limit: -2}}, fault.InvalidQuery},
		{"negative offset", query.Select{From: posts, Page: query.Page{Limit: 1, Offset: -1}}, fault.InvalidQuery},
		{"embed", query.Select{From: posts, Page: all, Fields: query.Projection{&query.Embed{Name: "users"}}}, fault.RelationshipNotFound},
		{"aggregate", query.Select{From: posts, Page: all, Fields: query.Projection{&query.Aggregate{Function: "pg_sleep"}}}, fault.InvalidQuery},
		{"sum of nothing", query.Select{From: posts, Page: all, Fields: query.Projection{&query.Aggregate{Function: "sum"}}}, fault.InvalidQuery},
		{"all beside groups", query.Select{From: posts, Page: all, Group: []query.Path{query.Column("id")}, Fields: query.Projection{query.Star{}}}, fault.InvalidQuery},
		{"beside groups", query.Select{From: posts, Page: all, Group: []query.Path{query.Column("id")}, Fields: field("title", "", "")}, fault.InvalidQuery},
		{"distance", query.Select{From: posts, Page: all, Order: []query.Order{{Path: query.Column("id"), Distance: &query.Distance{Op: query.VectorL2}}}}, fault.InvalidQuery},
		{"related order", query.Select{From: posts, Page: all, Order: []query.Order{{Path: query.Column("id"), Embed: "users"}}}, fault.NotEmbedded},
	} {
		if _, err := Select(fixture(), &c.q, Options{}); fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
}

func TestWriteText(t *testing.T) {
	t.Parallel()
	posts := query.Relation{Name: "posts"}
	rows := query.Returning{Rows: true}
	for _, c := range []struct {
		name string
		make func(relations) (*Plan, error)
		want string
	}{
		{"insert one", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`{"title":"a","state":"sad","tags":["x"]}`), Returning: rows}, Options{})
		}, `INSERT INTO "public"."posts" ("title", "state", "tags") SELECT "body"."title", "body"."state", "body"."tags" FROM json_to_record($1::json) AS "body"("title" "text", "state" "public"."mood", "tags" "text"[]) RETURNING row_to_json("posts".*)`},
		{"insert many", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`[{"title":"a"},{"title":"b"}]`)}, Options{})
		}, `INSERT INTO "public"."posts" ("title") SELECT "body"."title" FROM json_to_recordset($1::json) AS "body"("title" "text")`},
		{"insert unequal", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`[{"title":"a"},{"views":1}]`)}, Options{})
		}, `INSERT INTO "public"."posts" ("title", "views") SELECT "field"."title", CASE WHEN (element.value -> $1::"text") IS NULL THEN 7 ELSE "field"."views" END FROM json_array_elements($2::json) WITH ORDINALITY AS element(value, position) CROSS JOIN LATERAL json_to_record(element.value) AS "field"("title" "text", "views" "int4") ORDER BY element.position`},
		{"insert unequal as null", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`[{"title":"a"},{"views":1}]`), Missing: query.MissingNull}, Options{})
		}, `INSERT INTO "public"."posts" ("title", "views") SELECT "body"."title", "body"."views" FROM json_to_recordset($1::json) AS "body"("title" "text", "views" "int4")`},
		{"insert nothing", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`{}`), Returning: rows}, Options{})
		}, `INSERT INTO "public"."posts" DEFAULT VALUES RETURNING row_to_json("posts".*)`},
		{"insert two nothings", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`[{},{}]`)}, Options{})
		}, `INSERT INTO "public"."posts" ("id") VALUES (DEFAULT), (DEFAULT)`},
		{"columns", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`{"title":"a","unknown":1}`), Columns: []string{"title"}}, Options{})
		}, `INSERT INTO "public"."posts" ("title") SELECT "body"."title" FROM json_to_record($1::json) AS "body"("title" "text")`},
		{"merge", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`{"id":1,"title":"a"}`), Conflict: query.ConflictMerge}, Options{})
		}, `INSERT INTO "public"."posts" ("id", "title") SELECT "body"."id", "body"."title" FROM json_to_record($1::json) AS "body"("id" "int8", "title" "text") ON CONFLICT ("id") DO UPDATE SET "title" = EXCLUDED."title"`},
		{"merge of a key alone", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`{"id":1}`), Conflict: query.ConflictMerge}, Options{})
		}, `INSERT INTO "public"."posts" ("id") SELECT "body"."id" FROM json_to_record($1::json) AS "body"("id" "int8") ON CONFLICT ("id") DO NOTHING`},
		{"ignore", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`{"title":"a"}`), Conflict: query.ConflictIgnore, ConflictTarget: []string{"title", "views"}}, Options{})
		}, `INSERT INTO "public"."posts" ("title") SELECT "body"."title" FROM json_to_record($1::json) AS "body"("title" "text") ON CONFLICT ("title", "views") DO NOTHING`},
		{"insert select", func(r relations) (*Plan, error) {
			return Insert(r, &query.Insert{Into: posts, Body: object(`{"title":"a"}`), Returning: query.Returning{Rows: true, Fields: query.Projection{&query.Field{Path: query.Column("id"), Alias: "n"}}}}, Options{})
		}, `INSERT INTO "public"."posts" ("title") SELECT "body"."title" FROM json_to_record($1::json) AS "body"("title" "text") RETURNING (SELECT row_to_json(item.*) FROM (SELECT "posts"."id" AS "n") AS item)`},
		{"alias", func(r relations) (*Plan, error) {
			return Update(r, &query.Update{Relation: query.Relation{Name: "body"}, Body: object(`{"b":"x"}`), Where: eq("a", "1"), Page: all}, Options{})
		}, `UPDATE "public"."body" SET "b" = "body_1"."b" FROM json_to_record($1::json) AS "body_1"("b" "text") WHERE "body"."a" = $2::"int4"`},
		{"update", func(r relations) (*Plan, error) {
			return Update(r, &query.Update{Relation: posts, Body: object(`{"id":9,"title":"x"}`), Ignore: []string{"id"}, Where: eq("id", "1"), Page: all, Returning: rows}, Options{})
		}, `UPDATE "public"."posts" SET "title" = "body"."title" FROM json_to_record($1::json) AS "body"("title" "text") WHERE "posts"."id" = $2::"int8" RETURNING row_to_json("posts".*)`},
		{"update page", func(r relations) (*Plan, error) {
			return Update(r, &query.Update{Relation: posts, Body: object(`{"title":"x"}`), Where: eq("views", "1"), Page: query.Page{Limit: 2}}, Options{})
		}, `UPDATE "public"."posts" SET "title" = "body"."title" FROM json_to_record($1::json) AS "body"("title" "text") WHERE "posts"."views" = $2::"int4" AND ("posts"."id") IN (SELECT "posts"."id" FROM "public"."posts" WHERE "posts"."views" = $2::"int4" ORDER BY "posts"."id" LIMIT $3)`},
		{"delete", func(r relations) (*Plan, error) {
			return Delete(r, &query.Delete{From: posts, Where: eq("id", "1"), Page: all}, Options{})
		}, `DELETE FROM "public"."posts" WHERE "posts"."id" = $1::"int8"`},
		{"delete page without key", func(r relations) (*Plan, error) {
			return Delete(r, &query.Delete{From: query.Relation{Name: "body"}, Where: eq("a", "1"), Order: []query.Order{{Path: query.Column("b"), Desc: true}}, Page: query.Page{Limit: 1}, Returning: rows}, Options{})
		}, `WITH page AS (DELETE FROM "public"."body" WHERE "body"."a" = $1::"int4" AND ("body".tableoid, "body".ctid) IN (SELECT "body".tableoid, "body".ctid FROM "public"."body" WHERE "body"."a" = $1::"int4" ORDER BY "body"."b" DESC LIMIT $2) RETURNING row_to_json("body".*) AS item, "body"."b" AS key_1) SELECT page.item FROM page ORDER BY page.key_1 DESC`},
	} {
		plan, err := c.make(fixture())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if plan.SQL != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.name, plan.SQL, c.want)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	posts := query.Relation{Name: "posts"}
	insert := func(q query.Insert) error { _, err := Insert(fixture(), &q, Options{}); return err }
	update := func(q query.Update) error { _, err := Update(fixture(), &q, Options{}); return err }
	remove := func(q query.Delete) error { _, err := Delete(fixture(), &q, Options{}); return err }
	for _, c := range []struct {
		name string
		err  error
		code fault.Code
	}{
		{"unknown column", insert(query.Insert{Into: posts, Body: object(`{"nope":1}`)}), fault.UnknownColumn},
		{"generated", insert(query.Insert{Into: posts, Body: object(`{"twice":1}`)}), fault.InvalidInput},
		{"view", insert(query.Insert{Into: query.Relation{Name: "recent"}, Body: object(`{}`)}), fault.ReadOnlyRelation},
		{"no key", insert(query.Insert{Into: query.Relation{Name: "body"}, Body: object(`{"a":1}`), Conflict: query.ConflictMerge}), fault.InvalidQuery},
		{"unknown target", insert(query.Insert{Into: posts, Body: object(`{"id":1}`), Conflict: query.ConflictMerge, ConflictTarget: []string{"nope"}}), fault.UnknownColumn},
		{"target without resolution", insert(query.Insert{Into: posts, Body: object(`{"id":1}`), ConflictTarget: []string{"id"}}), fault.InvalidQuery},
		{"unequal merge", insert(query.Insert{Into: posts, Body: object(`[{"id":1},{"title":"x"}]`), Conflict: query.ConflictMerge}), fault.InvalidRequestBody},
		{"update all", update(query.Update{Relation: posts, Body: object(`{"title":"x"}`), Page: all}), fault.UnfilteredWrite},
		{"update by array", update(query.Update{Relation: posts, Body: object(`[{"title":"x"}]`), Where: eq("id", "1"), Page: all}), fault.InvalidRequestBody},
		{"update nothing", update(query.Update{Relation: posts, Body: object(`{}`), Where: eq("id", "1"), Page: all}), fault.InvalidInput},
		{"update view", update(query.Update{Relation: query.Relation{Name: "recent"}, Body: object(`{"title":"x"}`), Where: eq("id", "1"), Page: all}), fault.ReadOnlyRelation},
		{"delete all", remove(query.Delete{From: posts, Page: all}), fault.UnfilteredWrite},
		{"delete unknown order", remove(query.Delete{From: posts, Where: eq("id", "1"), Order: []query.Order{{Path: query.Column("nope")}}, Page: all}), fault.UnknownColumn},
	} {
		if fault.CodeOf(c.err) != c.code {
			t.Errorf("%s: %v, want %s", c.name, c.err, c.code)
		}
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	r := fixture()
	for _, c := range []struct{ relation, id, want string }{
		{"posts", "a,b", "id=a,b"}, {"members", "1,ann", "group=1 user=ann"}, {"members", `1,"a,b"`, "group=1 user=a,b"},
		{"members", "1", "! INVALID_ID"}, {"members", "1,2,3", "! INVALID_ID"}, {"body", "1", "! INVALID_ID"}, {"recent", "5", "id=5"},
	} {
		rel, _ := r.Relation("", c.relation)
		cond, err := Identify(rel, c.id)
		got := "! " + string(fault.CodeOf(err))
		if err == nil {
			terms, ok := cond.(query.And)
			if !ok {
				terms = query.And{cond}
			}
			got = ""
			for _, term := range terms {
				cmp := term.(*query.Compare)
				got += " " + cmp.Path.Column + "=" + cmp.Value
			}
			got = strings.TrimSpace(got)
		}
		if got != c.want {
			t.Errorf("Identify(%s, %q) = %s, want %s", c.relation, c.id, got, c.want)
		}
	}
}
