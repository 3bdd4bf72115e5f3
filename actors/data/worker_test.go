package data

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

const (
	ann = "11111111-1111-1111-1111-111111111111"
	bob = "22222222-2222-2222-2222-222222222222"
)

// bundle is a database with tables and a worker over it.
type bundle struct {
	*dbtest.Database
	*testing.T
	worker *Worker
}

func setup(t *testing.T, ddl string) *bundle {
	t.Helper()
	t.Parallel()
	d := dbtest.New(t)
	d.Exec(ddl + `; GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, authenticated, service_role; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO anon, authenticated, service_role`)
	c, err := catalog.Open(t.Context(), d.DB, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{Database: d, T: t, worker: NewWorker(d.DB, c, DefaultLimits)}
}

// ask hands a message to the worker.
func ask[R any](b *bundle, msg any) (R, error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	reply, err := b.worker.Handle(ctx, msg)
	r, _ := reply.(R)
	return r, err
}

func must[R any](b *bundle, msg any) R {
	b.Helper()
	r, err := ask[R](b, msg)
	if err != nil {
		b.Fatalf("%T: %v", msg, err)
	}
	return r
}

func refused(b *bundle, msg any, code fault.Code) {
	b.Helper()
	if _, err := ask[any](b, msg); fault.CodeOf(err) != code {
		b.Errorf("%T: %v, want %s", msg, err, code)
	}
}

func from(name string) query.Relation { return Public(name) }

func selection(name string, where query.Condition) *query.Select {
	return &query.Select{From: from(name), Where: where, Page: query.Page{Limit: query.NoLimit}, Order: []query.Order{{Path: query.Column("id")}}}
}

func eq(column, value string) query.Condition {
	return &query.Compare{Path: query.Column(column), Op: query.Equal, Value: value}
}

func body(b *bundle, text string) query.Body {
	b.Helper()
	out, err := query.ReadBody([]byte(text))
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// types are columns of every kind with a value that tells encodings apart. The
// texts are what a client may rely on.
var types = []struct{ column, typ, value, json string }{
	{"i2", "int2", "-32768", `-32768`},
	{"i8", "int8", "9223372036854775807", `9223372036854775807`},
	{"num", "numeric", "12345678901234567890.123456789000", `12345678901234567890.123456789000`},
	{"num2", "numeric(5,2)", "1.5", `1.50`},
	{"nan", "numeric", "NaN", `"NaN"`},
	{"f8", "float8", "0.1", `0.1`},
	{"inf", "float8", "-Infinity", `"-Infinity"`},
	{"f4", "float4", "NaN", `"NaN"`},
	{"b", "bool", "t", `true`},
	{"txt", "text", "a\"b\\c\né\u2028", `"a\"b\\c\né` + "\u2028" + `"`},
	{"vc", "varchar(5)", "abc", `"abc"`},
	{"ch", "char(5)", "abc", `"abc  "`},
	{"u", "uuid", ann, `"` + ann + `"`},
	{"d", "date", "2024-01-31", `"2024-01-31"`},
	{"ts", "timestamp", "2024-01-31 01:02:03.456789", `"2024-01-31T01:02:03.456789"`},
	{"tz", "timestamptz", "2024-01-31 01:02:03+02", `"2024-01-30T23:02:03+00:00"`},
	{"tinf", "timestamptz", "infinity", `"infinity"`},
	{"tm", "time", "01:02:03", `"01:02:03"`},
	{"tmz", "timetz", "01:02:03+02", `"01:02:03+02"`},
	{"iv", "interval", "1 year 2 mons 3 days 04:05:06", `"1 year 2 mons 3 days 04:05:06"`},
	{"by", "bytea", `\xdeadbeef`, `"\\xdeadbeef"`},
	{"js", "json", `{"b": 1, "a":  [9007199254740993, 1.10]}`, `{"b": 1, "a":  [9007199254740993, 1.10]}`},
	{"jb", "jsonb", `{"b":9007199254740993}`, `{"b": 9007199254740993}`},
	{"jbs", "jsonb", `"text"`, `"text"`},
	{"ia", "int8[]", "{{1,2},{3,NULL}}", `[[1,2],[3,null]]`},
	{"ta", "text[]", `{a,"b,c",NULL,"NULL"}`, `["a","b,c",null,"NULL"]`},
	{"ua", "uuid[]", "{" + ann + "}", `["` + ann + `"]`},
	{"ja", "jsonb[]", `{"{\"a\": 1}"}`, `[{"a": 1}]`},
	{"r", "int4range", "[1,5)", `"[1,5)"`},
	{"mr", "int4multirange", "{[1,2),[5,7)}", `"{[1,2),[5,7)}"`},
	{"tr", "tstzrange", `["2024-01-01 00:00:00+00",)`, `"[\"2024-01-01 00:00:00+00\",)"`},
	{"bt", "bit(3)", "101", `"101"`},
	{"vb", "varbit", "10101", `"10101"`},
	{"inet", "inet", "10.0.0.1", `"10.0.0.1"`},
	{"mac", "macaddr", "08:00:2b:01:02:03", `"08:00:2b:01:02:03"`},
	{"tsv", "tsvector", "'a':1 'b':2", `"'a':1 'b':2"`},
	{"pt", "point", "(1,2)", `"(1,2)"`},
	{"xm", "xml", "<a/>", `"<a/>"`},
	{"money", "money", "$1.50", `"$1.50"`},
	{"mood", "mood", "happy", `"happy"`},
	{"moods", "mood[]", "{sad,happy}", `["sad","happy"]`},
	{"addr", "address", `("Main St",7)`, `{"street":"Main St","zip":7}`},
	{"addrs", "address[]", `{"(a,1)"}`, `[{"street":"a","zip":1}]`},
	{"email", "email", "a@b.c", `"a@b.c"`},
	{"odd \"name", "text", "x", `"x"`},
}

const typeDDL = `CREATE TYPE mood AS ENUM ('sad','happy'); CREATE TYPE address AS (street text, zip int); CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');`

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// TestRepresentation checks every type on all four ways out of the database, and
// that what came out can be sent back in unchanged.
func TestRepresentation(t *testing.T) {
	columns, values := []string{"id int PRIMARY KEY"}, []string{"1"}
	for _, c := range types {
		columns = append(columns, quoted(c.column)+" "+c.typ)
		values = append(values, "'"+strings.ReplaceAll(c.value, "'", "''")+"'")
	}
	b := setup(t, typeDDL+`CREATE TABLE kinds (`+strings.Join(columns, ", ")+`); INSERT INTO kinds VALUES (`+strings.Join(values, ", ")+`)`)
	want := `{"id":1`
	for _, c := range types {
		key, err := json.Marshal(c.column)
		if err != nil {
			t.Fatal(err)
		}
		want += `,` + string(key) + `:` + c.json
	}
	want += `}`
	check := func(name, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", name, got, want)
		}
	}
	service := b.Service()
	list := must[*Page](b, &List{Caller: service, Query: selection("kinds", nil)})
	check("list", string(list.JSON), `[`+want+`]`)
	counted := selection("kinds", nil)
	counted.Count = query.CountExact
	check("counted list", string(must[*Page](b, &List{Caller: service, Query: counted}).JSON), `[`+want+`]`)
	check("get", string(must[*Record](b, &Get{Caller: service, ID: "1", Query: selection("kinds", nil)}).JSON), want)

	// What came out goes in again, as a new row and as an update.
	copied := strings.Replace(want, `{"id":1`, `{"id":2`, 1)
	inserted := must[*Written](b, &Create{Caller: service, Query: &query.Insert{Into: from("kinds"), Body: body(b, copied), Returning: query.Returning{Rows: true}}})
	check("insert of what was read", string(inserted.JSON), copied)
	many := must[*Written](b, &Create{Caller: service, Query: &query.Insert{Into: from("kinds"),
		Body: body(b, `[`+strings.Replace(want, `{"id":1`, `{"id":3`, 1)+`]`), Returning: query.Returning{Rows: true}}})
	check("insert of many", string(many.JSON), `[`+strings.Replace(want, `{"id":1`, `{"id":3`, 1)+`]`)
	b.Exec(`INSERT INTO kinds (id) VALUES (4)`)
	updated := must[*Written](b, &UpdateOne{Caller: service, ID: "4", Query: &query.Update{Relation: from("kinds"), Body: body(b, want),
		Page: query.Page{Limit: query.NoLimit}, Returning: query.Returning{Rows: true}}})
	check("update to what was read", string(updated.JSON), strings.Replace(want, `{"id":1`, `{"id":4`, 1))

	// Every scalar finds its row by its own text.
	for _, c := range types {
		switch c.typ {
		case "json", "point", "xml": // no equality
			continue
		}
		q := selection("kinds", query.And{eq(c.column, c.value), eq("id", "1")})
		if got := must[*Page](b, &List{Caller: service, Query: q}); got.Rows != 1 {
			t.Errorf("%s = %s finds %d rows", c.typ, c.value, got.Rows)
		}
	}
	for _, typ := range []string{"pt", "xm"} {
		refused(b, &List{Caller: service, Query: selection("kinds", eq(typ, "x"))}, fault.InvalidQuery)
	}
	refused(b, &List{Caller: service, Query: selection("kinds", eq("i8", "abc"))}, fault.InvalidInput)
	refused(b, &List{Caller: service, Query: selection("kinds", eq("mood", "angry"))}, fault.InvalidInput)
	refused(b, &List{Caller: service, Query: selection("kinds", &query.Compare{Path: query.Column("txt"), Op: query.Match, Value: "("})}, fault.InvalidInput)
	refused(b, &List{Caller: service, Query: selection("kinds", &query.Compare{Path: query.Column("txt"), Op: query.TextSearch, Value: "a b"})}, fault.InvalidQuery)
	refused(b, &List{Caller: service, Query: selection("kinds", &query.Compare{Path: query.Column("txt"), Op: query.TextSearch, Language: "klingon", Value: "a"})}, fault.InvalidQuery)
}

const policyDDL = `
CREATE TABLE notes (id int PRIMARY KEY, owner uuid NOT NULL, body text, public bool NOT NULL DEFAULT false);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON notes FOR SELECT USING (public OR owner = auth.uid());
CREATE POLICY writers ON notes FOR INSERT WITH CHECK (owner = auth.uid());
CREATE POLICY changers ON notes FOR UPDATE USING (owner = auth.uid());
CREATE POLICY removers ON notes FOR DELETE USING (owner = auth.uid());
INSERT INTO notes VALUES (1, '` + ann + `', 'hers', false), (2, '` + ann + `', 'shared', true), (3, '` + bob + `', 'his', false)`

// TestPolicies runs the messages as several callers over one table with
// policies and compares what each of them can do.
func TestPolicies(t *testing.T) {
	b := setup(t, policyDDL)
	for _, c := range []struct {
		name string
		c    caller.Caller
		sees string
	}{
		{"ann", b.User(ann), "1,2"}, {"bob", b.User(bob), "2,3"}, {"anonymous", b.Anonymous(), "2"}, {"service", b.Service(), "1,2,3"},
	} {
		q := selection("notes", nil)
		q.Count = query.CountExact
		q.Fields = query.Projection{&query.Field{Path: query.Column("id")}}
		page := must[*Page](b, &List{Caller: c.c, Query: q})
		var rows []struct{ ID json.Number }
		if err := json.Unmarshal(page.JSON, &rows); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range rows {
			ids = append(ids, r.ID.String())
		}
		if got := strings.Join(ids, ","); got != c.sees || page.Total != int64(len(rows)) {
			t.Errorf("%s sees %s of %d, want %s", c.name, got, page.Total, c.sees)
		}
	}
	all := query.Page{Limit: query.NoLimit}
	change := func(c caller.Caller, id string) *UpdateOne {
		return &UpdateOne{Caller: c, ID: id, Query: &query.Update{Relation: from("notes"), Body: body(b, `{"body":"new"}`), Page: all, Returning: query.Returning{Rows: true}}}
	}
	drop := func(c caller.Caller, id string) *DeleteOne {
		return &DeleteOne{Caller: c, ID: id, Query: &query.Delete{From: from("notes"), Page: all}}
	}
	refused(b, &Get{Caller: b.User(bob), ID: "1", Query: selection("notes", nil)}, fault.NotFound)
	refused(b, change(b.User(bob), "1"), fault.NotFound)           // hidden
	refused(b, change(b.User(bob), "9"), fault.NotFound)           // missing
	refused(b, change(b.User(bob), "2"), fault.RLSPolicyViolation) // seen, not his
	refused(b, change(b.Anonymous(), "2"), fault.AuthenticationRequired)
	refused(b, drop(b.User(bob), "2"), fault.RLSPolicyViolation)
	refused(b, drop(b.User(bob), "1"), fault.NotFound)
	refused(b, &Get{Caller: b.User(bob), ID: "x", Query: selection("notes", nil)}, fault.InvalidInput)
	insert := func(c caller.Caller, text string, rows bool) *Create {
		return &Create{Caller: c, Query: &query.Insert{Into: from("notes"), Body: body(b, text), Returning: query.Returning{Rows: rows}}}
	}
	refused(b, insert(b.User(bob), `{"id":4,"owner":"`+ann+`"}`, true), fault.RLSPolicyViolation)
	refused(b, insert(b.Anonymous(), `{"id":4,"owner":"`+ann+`"}`, true), fault.AuthenticationRequired)
	if w := must[*Written](b, insert(b.User(bob), `{"id":4,"owner":"`+bob+`"}`, false)); w.Affected != 1 || w.JSON != nil {
		t.Errorf("insert without rows: %+v", w)
	}
	if w := must[*Written](b, change(b.User(ann), "1")); w.Affected != 1 || !strings.Contains(string(w.JSON), `"body":"new"`) {
		t.Errorf("update of one's own: %s", w.JSON)
	}
	mine := must[*Written](b, &Update{Caller: b.User(bob), Query: &query.Update{Relation: from("notes"), Body: body(b, `{"body":"all"}`), Where: query.Not{Condition: eq("id", "0")}, Page: all}})
	if mine.Affected != 2 {
		t.Errorf("bob changed %d rows, want his 2", mine.Affected)
	}
	if w := must[*Written](b, drop(b.User(ann), "1")); w.Affected != 1 {
		t.Errorf("delete of one's own: %+v", w)
	}
}

// TestWrites checks inserts with unequal keys, upserts and windows of writes.
func TestWrites(t *testing.T) {
	b := setup(t, `
CREATE TABLE items (id int PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, name text DEFAULT 'unnamed', n int, at timestamptz NOT NULL DEFAULT now(), twice int GENERATED ALWAYS AS (n * 2) STORED);
CREATE TABLE pairs (a int, b text, v int DEFAULT 9, PRIMARY KEY (a, b));
CREATE TABLE bare (v int, w text);
CREATE TABLE fixed (id int GENERATED ALWAYS AS IDENTITY, v int)`)
	service := b.Service()
	rows := query.Returning{Rows: true, Fields: query.Projection{&query.Field{Path: query.Column("name")}, &query.Field{Path: query.Column("n")}}}
	create := func(q query.Insert) string {
		t.Helper()
		q.Returning = rows
		if q.Into.Name != "items" {
			q.Returning = query.Returning{Rows: true}
		}
		return string(must[*Written](b, &Create{Caller: service, Query: &q}).JSON)
	}
	check := func(name, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", name, got, want)
		}
	}
	items, pairs := from("items"), from("pairs")
	check("unequal keys", create(query.Insert{Into: items, Body: body(b, `[{"n":1},{"name":"b"},{"name":null,"n":3}]`)}),
		`[{"name":"unnamed","n":1},{"name":"b","n":null},{"name":null,"n":3}]`)
	check("unequal keys as null", create(query.Insert{Into: items, Body: body(b, `[{"n":1},{"name":"b"}]`), Missing: query.MissingNull}),
		`[{"name":null,"n":1},{"name":"b","n":null}]`)
	check("no keys", create(query.Insert{Into: items, Body: body(b, `{}`)}), `{"name":"unnamed","n":null}`)
	check("no keys twice", create(query.Insert{Into: items, Body: body(b, `[{},{}]`)}), `[{"name":"unnamed","n":null},{"name":"unnamed","n":null}]`)
	check("no objects", create(query.Insert{Into: items, Body: body(b, `[]`)}), `[]`)
	check("identity absent in one", create(query.Insert{Into: items, Body: body(b, `[{"id":100,"n":1},{"n":2}]`)}), `[{"name":"unnamed","n":1},{"name":"unnamed","n":2}]`)
	check("no keys of an identity", create(query.Insert{Into: from("fixed"), Body: body(b, `[{},{}]`)}), `[{"id":1,"v":null},{"id":2,"v":null}]`)
	refused(b, &Create{Caller: service, Query: &query.Insert{Into: from("fixed"), Body: body(b, `{"id":5}`)}}, fault.InvalidInput)
	refused(b, &Create{Caller: service, Query: &query.Insert{Into: items, Body: body(b, `{"twice":5}`)}}, fault.InvalidInput)
	refused(b, &Create{Caller: service, Query: &query.Insert{Into: items, Body: body(b, `{"nope":5}`)}}, fault.UnknownColumn)
	refused(b, &Create{Caller: service, Query: &query.Insert{Into: items, Body: body(b, `{"n":"five"}`)}}, fault.InvalidInput)
	refused(b, &Create{Caller: service, Query: &query.Insert{Into: items, Body: body(b, `{"id":100}`)}}, fault.DuplicateKey)
	refused(b, &Create{Caller: service, Query: &query.Insert{Into: items, Body: body(b, `[`+strings.Repeat(`{},`, 1000)+`{}]`)}}, fault.BatchTooLarge)

	check("pairs", create(query.Insert{Into: pairs, Body: body(b, `[{"a":1,"b":"x","v":1},{"a":1,"b":"y","v":2}]`)}), `[{"a":1,"b":"x","v":1},{"a":1,"b":"y","v":2}]`)
	check("merge", create(query.Insert{Into: pairs, Body: body(b, `{"a":1,"b":"x","v":5}`), Conflict: query.ConflictMerge}), `{"a":1,"b":"x","v":5}`)
	check("ignore one", create(query.Insert{Into: pairs, Body: body(b, `{"a":1,"b":"x","v":6}`), Conflict: query.ConflictIgnore}), ``)
	check("ignore some", create(query.Insert{Into: pairs, Body: body(b, `[{"a":1,"b":"x","v":6},{"a":2,"b":"z","v":6}]`), Conflict: query.ConflictIgnore}), `[{"a":2,"b":"z","v":6}]`)
	check("merge with defaults", create(query.Insert{Into: pairs, Body: body(b, `[{"a":1,"b":"x"},{"a":3,"b":"q","v":1}]`), Conflict: query.ConflictMerge, Missing: query.MissingDefaultMerge}),
		`[{"a":1,"b":"x","v":9},{"a":3,"b":"q","v":1}]`)
	refused(b, &Create{Caller: service, Query: &query.Insert{Into: pairs, Body: body(b, `{"a":1,"v":2}`), Conflict: query.ConflictMerge, ConflictTarget: []string{"v"}}}, fault.InvalidQuery)

	record := must[*Record](b, &Get{Caller: service, ID: `1,"y"`, Query: &query.Select{From: pairs}})
	check("composite key", string(record.JSON), `{"a":1,"b":"y","v":2}`)
	one := must[*Written](b, &UpdateOne{Caller: service, ID: "1,y", Query: &query.Update{Relation: pairs, Body: body(b, `{"a":7,"b":"k","v":3}`), Page: query.Page{Limit: query.NoLimit}, Returning: query.Returning{Rows: true}}})
	check("the key in the body is left alone", string(one.JSON), `{"a":1,"b":"y","v":3}`)

	b.Exec(`INSERT INTO bare SELECT g, 'w' || g FROM generate_series(1, 5) g`)
	order := []query.Order{{Path: query.Column("v"), Desc: true}}
	w := must[*Written](b, &Update{Caller: service, Query: &query.Update{Relation: from("bare"), Body: body(b, `{"w":"top"}`), Where: &query.Compare{Path: query.Column("v"), Op: query.Greater, Value: "0"},
		Order: order, Page: query.Page{Limit: 2}, Returning: query.Returning{Rows: true}}})
	check("update of the top two", string(w.JSON), `[{"v":5,"w":"top"},{"v":4,"w":"top"}]`)
	w = must[*Written](b, &Delete{Caller: service, Query: &query.Delete{From: from("bare"), Where: eq("w", "top"), Order: order, Page: query.Page{Limit: 1, Offset: 1}, Returning: query.Returning{Rows: true}}})
	check("delete of the second", string(w.JSON), `[{"v":4,"w":"top"}]`)
	if w := must[*Written](b, &Delete{Caller: service, Query: &query.Delete{From: from("bare"), Where: eq("w", "top"), Page: query.Page{Limit: query.NoLimit}}}); w.Affected != 1 || w.JSON != nil {
		t.Errorf("delete without rows: %+v", w)
	}
}

func TestCounts(t *testing.T) {
	b := setup(t, `CREATE TABLE many (id int PRIMARY KEY); INSERT INTO many SELECT generate_series(1, 3000); ANALYZE many`)
	for _, c := range []struct {
		count  query.Count
		where  query.Condition
		lo, hi int64
	}{
		{query.CountNone, nil, -1, -1}, {query.CountExact, nil, 3000, 3000}, {query.CountPlanned, nil, 2000, 4000}, {query.CountEstimated, nil, 1001, 4000},
		{query.CountEstimated, &query.Compare{Path: query.Column("id"), Op: query.LessOrEqual, Value: "10"}, 10, 10}, {query.CountExact, eq("id", "0"), 0, 0},
	} {
		q := selection("many", c.where)
		q.Count, q.Page = c.count, query.Page{Limit: 3, Offset: 1}
		page := must[*Page](b, &List{Caller: b.Service(), Query: q})
		if page.Total < c.lo || page.Total > c.hi {
			t.Errorf("count %d: total %d, want %d to %d", c.count, page.Total, c.lo, c.hi)
		}
	}
	// Limits: the default page, the cap, and the total.
	for _, c := range []struct{ limit, offset, want int64 }{{query.NoLimit, 0, 1000}, {5000, 0, 1000}, {5, 2998, 2}, {0, 0, 0}, {10, 9999, 0}} {
		q := selection("many", nil)
		q.Page = query.Page{Limit: c.limit, Offset: c.offset}
		if page := must[*Page](b, &List{Caller: b.Service(), Query: q}); page.Rows != c.want {
			t.Errorf("limit %d offset %d gives %d rows, want %d", c.limit, c.offset, page.Rows, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	none := Limits{DefaultPageSize: -1, MaxPageSize: -1, MaxTotalResults: -1, MaxBatchSize: -1}
	user, admin := caller.Caller{Role: caller.Authenticated}, caller.Caller{Role: caller.Admin}
	for _, c := range []struct {
		l             Limits
		c             caller.Caller
		limit, offset int64
		want          int64
	}{
		{none, user, -1, 0, -1}, {none, user, 7, 0, 7}, {DefaultLimits, user, -1, 0, 1000}, {DefaultLimits, user, 2000, 0, 1000},
		{DefaultLimits, user, 100, 9950, 50}, {DefaultLimits, user, 100, 20000, 0}, {DefaultLimits, admin, 100, 20000, 100},
		{Limits{DefaultPageSize: -1, MaxPageSize: 5, MaxTotalResults: -1}, user, -1, 0, 5},
	} {
		if got := c.l.Page(query.Page{Limit: c.limit, Offset: c.offset}, c.c).Limit; got != c.want {
			t.Errorf("%+v limit %d offset %d: %d, want %d", c.l, c.limit, c.offset, got, c.want)
		}
	}
	if none.Batch(1<<20) != nil || fault.CodeOf(DefaultLimits.Batch(1001)) != fault.BatchTooLarge {
		t.Error("batch size")
	}
}
