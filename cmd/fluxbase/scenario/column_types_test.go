package scenario

import "testing"

// typesDDL has a column of every kind of type.
const typesDDL = `
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int4 CHECK (value > 0);
CREATE DOMAIN email AS text CHECK (value LIKE '%@%');
CREATE TYPE address AS (street text, zip int4);
CREATE TABLE wide (
  id int4 PRIMARY KEY, mood mood DEFAULT 'ok', n positive, mail email, home address,
  span int4range, during tstzrange, many int4multirange, ints int4[], texts text[], moods mood[], grid int4[],
  bytes bytea, bits bit(3), period interval, clock time, day date, at timestamp, zoned timestamptz, uid uuid,
  host inet, plain json, doc jsonb, exact numeric, rough float8, money money, kind "char", padded char(3),
  twice int4 GENERATED ALWAYS AS (id * 2) STORED, always int4 GENERATED ALWAYS AS IDENTITY);
GRANT ALL ON wide TO anon, authenticated, service_role;
`

const typesSeed = `
TRUNCATE wide RESTART IDENTITY;
INSERT INTO wide VALUES (1, 'ok', 5, 'a@b', '("Main St",12)', '[1,5)', '[2024-01-01,2024-02-01)', '{[1,3),[5,7)}', '{1,2}', '{a,"b,c",NULL}', '{sad,happy}', '{{1,2},{3,4}}',
  '\xdeadbeef', '101', '1 day 02:00', '10:00', '2024-01-01', '2024-01-01 00:00', '2024-01-01 00:00+00', '00000000-0000-0000-0000-000000000001',
  '10.0.0.1', '{"b": 1,"a":9007199254740993}', '{"b":1}', 'NaN', 'Infinity', '12.5', 'x', 'ab');
INSERT INTO wide (id) VALUES (2);
`

// wideRow is the row 1, as both dialects show it.
const wideRow = `{"id":1,"mood":"ok","n":5,"mail":"a@b","home":{"street":"Main St","zip":12},"span":"[1,5)",` +
	`"during":"[\"2024-01-01 00:00:00+00\",\"2024-02-01 00:00:00+00\")","many":"{[1,3),[5,7)}","ints":[1,2],"texts":["a","b,c",null],"moods":["sad","happy"],` +
	`"grid":[[1,2],[3,4]],"bytes":"\\xdeadbeef","bits":"101","period":"1 day 02:00:00","clock":"10:00:00","day":"2024-01-01","at":"2024-01-01T00:00:00",` +
	`"zoned":"2024-01-01T00:00:00+00:00","uid":"00000000-0000-0000-0000-000000000001","host":"10.0.0.1","plain":{"b": 1,"a":9007199254740993},"doc":{"b": 1},` +
	`"exact":"NaN","rough":"Infinity","money":"$12.50","kind":"x","padded":"ab ","twice":2,"always":1}`

// typesFilters are conditions that hold for row 1 alone.
var typesFilters = []string{
	"mood=eq.ok&n=not.is.null", "mood=in.(ok,sad)&id=eq.1", "mood=gt.sad&id=lt.2", "n=eq.5", "mail=like.a*", `home=eq.("Main%20St",12)`, "home-%3E%3Estreet=eq.Main%20St",
	"home-%3Ezip=eq.12", "span=cs.[2,3)", "span=ov.[4,9)", "span=sl.[5,9)", "during=cs.[2024-01-02,2024-01-03)", "many=cs.{[5,6)}", "ints=cs.{1}", "ints=eq.{1,2}",
	"ints-%3E0=eq.1", `texts=cs.{"b,c"}`, "moods=cs.{sad}", "moods=ov.{happy}", "grid=cs.{4}", "grid-%3E1-%3E%3E0=eq.3", `bytes=eq.%5Cxdeadbeef`, "bits=eq.101", "period=gt.1h",
	"clock=eq.10:00", "day=eq.2024-01-01", "at=lt.2024-01-02", "zoned=gte.2023-12-31T00:00:00Z", "uid=eq.00000000-0000-0000-0000-000000000001", "host=eq.10.0.0.1", "host=sl.10.0.0.0/8",
	"doc-%3Eb=eq.1", "doc=cs.{%22b%22:1}", "plain-%3E%3Ea=eq.9007199254740993", "exact=eq.NaN", "rough=eq.Infinity", "money=eq.12.5", "kind=eq.x", "padded=eq.ab", "twice=eq.2",
}

// typesRefused are conditions that PostgreSQL or the compiler refuses, always as the
// client's mistake.
var typesRefused = []string{
	"mood=eq.nope", "n=gt.x", "span=cs.3", "many=eq.5", "ints=cs.x", "moods=cs.{nope}", "bytes=eq.%5Cxzz", "bits=eq.2", "period=gt.x", "clock=eq.25:00", "day=eq.2024-13-01",
	"zoned=gt.x", "uid=eq.1", "host=eq.x", "doc=eq.x", "exact=eq.x", "rough=eq.x", "money=eq.x", "home=eq.x", "home-%3Ezip=eq.x", "n=fts.x", "day=st_within.{}",
}

// TestTypes reads, filters by and writes values of every kind of type in both
// dialects.
func TestTypes(t *testing.T) {
	t.Parallel()
	var native []tablesCase
	var rest []restCase
	for _, f := range typesFilters {
		native = append(native, tablesCase{name: "by " + f, path: "/wide?select=id&" + f, want: ids("1")})
		rest = append(rest, restCase{name: "by " + f, path: "/wide?select=id&" + f, want: ids("1")})
	}
	for _, f := range typesRefused {
		native = append(native, tablesCase{name: "refused: " + f, path: "/wide?" + f, status: 400})
		rest = append(rest, restCase{name: "refused: " + f, path: "/wide?" + f, status: 400})
	}
	values := `{"id":9,"mood":"sad","n":7,"mail":"x@y","home":{"street":"S","zip":1},"span":"[2,3)","many":"{[1,2)}","ints":[1,null,3],"texts":["x","y,z"],"moods":["ok"],"grid":[[1,2],[3,4]],` +
		`"bytes":"\\x00ff","bits":"111","period":"2 hours","doc":"text","plain":[1,"a"],"exact":123456789012345678901234567890.123,"rough":"NaN","kind":"z"}`
	written := `{"mood":"sad","n":7,"mail":"x@y","home":{"street":"S","zip":1},"span":"[2,3)","many":"{[1,2)}","ints":[1,null,3],"texts":["x","y,z"],"moods":["ok"],"grid":[[1,2],[3,4]],` +
		`"bytes":"\\x00ff","bits":"111","period":"02:00:00","doc":"text","plain":[1,"a"],"exact":123456789012345678901234567890.123,"rough":"NaN","kind":"z","twice":18}`
	const wanted = "mood,n,mail,home,span,many,ints,texts,moods,grid,bytes,bits,period,doc,plain,exact,rough,kind,twice"
	native = append(native,
		tablesCase{name: "all of them", path: "/wide?id=eq.1", want: "[" + wideRow + "]"},
		tablesCase{name: "all of them by id", path: "/wide/1", want: wideRow},
		tablesCase{name: "write all", method: "POST", path: "/wide?select=" + wanted, body: values, status: 201, want: written},
		tablesCase{name: "write all again", method: "PATCH", path: "/wide?id=eq.2&select=" + wanted, body: `{"ints":[],"texts":"{q,\"r s\"}"}`, wantPart: `"ints":[],"texts":["q","r s"]`},
		tablesCase{name: "an operator that the type lacks", path: "/wide?mood=cs.ok", status: 400, code: "INVALID_QUERY"},
		tablesCase{name: "against a domain", method: "POST", path: "/wide", body: `{"id":9,"n":-1}`, status: 400, code: "CHECK_VIOLATION"},
		tablesCase{name: "no label of an enum", method: "POST", path: "/wide", body: `{"id":9,"mood":"nope"}`, status: 400, code: "INVALID_INPUT"},
		tablesCase{name: "a generated column", method: "POST", path: "/wide", body: `{"id":9,"twice":1}`, status: 400, code: "INVALID_INPUT"},
		tablesCase{name: "an identity that is always generated", method: "PATCH", path: "/wide/1", body: `{"always":7}`, status: 400, code: "INVALID_INPUT"},
		tablesCase{name: "order by an enum", path: "/wide?select=id&order=mood.desc,id.desc", want: ids("2,1")},
		tablesCase{name: "group by a domain", path: "/wide?select=n,count(*)&n=not.is.null", want: `[{"n":5,"count":1}]`},
	)
	rest = append(rest,
		restCase{name: "all of them", path: "/wide?id=eq.1", want: "[" + wideRow + "]"},
		restCase{name: "write all", method: "POST", path: "/wide?select=" + wanted, body: values, headers: represent, status: 201, want: "[" + written + "]"},
		restCase{name: "write all as csv", method: "POST", path: "/wide?select=home,ints,moods", body: "id,home,ints,moods\n9,\"(Q,5)\",\"{1,2}\",{ok}", headers: "Content-Type: text/csv | " + represent, status: 201,
			want: `[{"home":{"street":"Q","zip":5},"ints":[1,2],"moods":["ok"]}]`},
		restCase{name: "an operator that the type lacks", path: "/wide?mood=cs.ok", status: 404, error: [4]string{"42883", "operator does not exist: mood @> mood", "-", "?"}},
		restCase{name: "against a domain", method: "POST", path: "/wide", body: `{"id":9,"mail":"x"}`, status: 400, error: [4]string{"23514", `value for domain email violates check constraint "email_check"`, "-", "-"}},
		restCase{name: "no label of an enum", method: "POST", path: "/wide", body: `{"id":9,"mood":"nope"}`, status: 400, error: [4]string{"22P02", `invalid input value for enum mood: "nope"`, "-", "-"}},
		restCase{name: "cast to an enum", path: "/wide?select=m:mood::text,t:texts::text&id=eq.1", want: `[{"m":"ok","t":"{a,\"b,c\",NULL}"}]`},
		restCase{name: "steps into an array and a composite", path: "/wide?select=ints-%3E0,home-%3Ezip&id=eq.1", want: `[{"ints":1,"zip":12}]`},
		restCase{name: "as csv", path: "/wide?select=mood,home,ints,span,bytes&id=eq.1", headers: "Accept: text/csv", want: "mood,home,ints,span,bytes\nok,\"(\"\"Main St\"\",12)\",\"{1,2}\",\"[1,5)\",\"\\\\xdeadbeef\""},
	)
	n := startTables(t, typesDDL)
	n.runAll(t, typesSeed, native)
	n.runRests(t, typesSeed, rest)
}
