package sql

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"

	"fluxbase/persistence/query"
)

// samples are values of every type that the server prints, in PostgreSQL's texts.
var samples = map[string][]string{
	"bool": {"t", "f"},
	"int2": {"0", "-32768", "32767"}, "int4": {"0", "-2147483648", "7"}, "int8": {"9223372036854775807", "-9223372036854775808"},
	"float4":  {"0", "-0", "NaN", "Infinity", "-Infinity", "1e-45", "3.4028235e38", "0.1", "1e20", "16777216"},
	"float8":  {"0", "-0", "NaN", "Infinity", "-Infinity", "5e-324", "1.7976931348623157e308", "0.1", "1e15", "1e16", "123456.789"},
	"numeric": {"0", "NaN", "Infinity", "-Infinity", "0.10", "-12345678901234567890123456789.000000001", "1e-20"},
	"json":    {"null", ` { "a" : [ 1, "\u0041", 1e5 ] } `, `"x"`, "12.50"}, "jsonb": {"null", `{"b":1,"a":[true,"\"\n"],"":{}}`, "1.50"},
	"text":    {"", "a", `"`, `\`, "a\nb\tc\rd\be\ff", "\x01\x1f\x7f", "é😀\u2028", "</script>&", "a b", "(,)", ",", "\v\u00a0\u0085", strings.Repeat("x", 3000)},
	"varchar": {"", `"a"`}, "bpchar": {"a", "ab   "}, "name": {"", `na"me`},
	"uuid":        {"00000000-0000-0000-0000-000000000000", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
	"date":        {"2024-02-29", "infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", "0001-01-01"},
	"timestamp":   {"2024-02-29 12:00:00", "2024-02-29 23:59:59.999999", "infinity", "-infinity", "0044-03-15 01:02:03.5 BC", "294276-12-31 23:59:59.999999"},
	"timestamptz": {"2024-02-29 12:00:00+00", "1900-01-01 00:00:00.1+00", "1970-01-01 00:00:00+00", "infinity", "-infinity", "0044-03-15 01:02:03.5+00 BC", "294276-12-31 00:00:00+00"},
	"time":        {"00:00:00", "24:00:00", "12:34:56.789"}, "timetz": {"12:34:56.5+05:30", "00:00:00-15:59:59"},
	"interval": {"0", "1 year 2 mons -3 days 04:05:06.789", "-1 day +02:03", "178000000 years"},
	"bytea":    {"", `\x00ff22`, `a"b`}, "oid": {"0", "4294967295"}, "money": {"0", "-12.34", "1234567.89"},
	"inet": {"10.0.0.1", "10.0.0.1/8", "::1/64"}, "cidr": {"10.0.0.0/8", "2001:db8::/32"}, "macaddr": {"08:00:2b:01:02:03"}, "macaddr8": {"08:00:2b:01:02:03:04:05"},
	"bit": {"1", "0"}, "varbit": {"", "10101"}, "tsvector": {"", `'a':1A 'b"c':2`, `'back\\slash'`}, "tsquery": {"", `'a' & !'b"'`},
	"int4range": {"empty", "[1,5)", "(,)"}, "int8range": {"[1,2]"}, "numrange": {"[1.5,2.50]", "(,3)"}, "daterange": {"[2024-01-01,2024-02-01)", "[,infinity)"},
	"tsrange": {`["2024-01-01 00:00","2024-01-02 00:00")`}, "tstzrange": {`["2024-01-01 00:00+00",)`},
	"point": {"(1,2)", "(NaN,-1e-7)"}, "line": {"{1,-1,0}"}, "lseg": {"[(0,0),(1,1)]"}, "box": {"(1,1),(0,0)"}, "path": {"((0,0),(1,1))", "[(0,0),(1,1)]"},
	"polygon": {"((0,0),(1,1),(1,0))"}, "circle": {"<(0,0),1>"},
}

// kinds are those of the samples' types that conditions and truncation distinguish.
var kinds = map[string]Kind{"text": KindText, "varchar": KindText, "bpchar": KindText, "name": KindText, "json": KindJSON, "jsonb": KindJSONB}

// printing compares the rows that the server writes with those of row_to_json.
type printing struct {
	conn     *pgx.Conn
	relation *Relation
}

// wide makes a table that has a column for every type that the server prints, one
// for types that it does not print, and a row for every sample.
func wide(t *testing.T) *printing {
	t.Helper()
	conn := connect(t)
	rel := &Relation{Schema: "public", Name: "wide", Columns: []Column{scalar("n", "int8", KindNumber)}, Key: []string{"n"}}
	var ddl strings.Builder
	ddl.WriteString(`CREATE DOMAIN short AS text CHECK (length(VALUE) < 9); CREATE TYPE pair AS (a int, "b""c" timestamptz); CREATE TABLE wide (n int8 PRIMARY KEY`)
	names := make([]string, 0, len(printedTypes))
	for name := range printedTypes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&ddl, `, "a ""%s"" é" pg_catalog.%s`, name, name)
		rel.Columns = append(rel.Columns, scalar(fmt.Sprintf(`a "%s" é`, name), name, kinds[name]))
	}
	ddl.WriteString(`, of_domain short, of_enum mood, of_array text[], of_pair pair, of_pairs pair[], of_times timestamptz[])`)
	rel.Columns = append(rel.Columns, scalar("of_domain", "text", KindText), Column{Name: "of_enum", Type: Type{Schema: "public", Name: "mood"}},
		scalar("of_array", "text", KindArray), Column{Name: "of_pair", Type: Type{Schema: "public", Name: "pair", Kind: KindComposite}},
		Column{Name: "of_pairs", Type: Type{Schema: "public", Name: "pair", Kind: KindArray}}, scalar("of_times", "timestamptz", KindArray))
	ctx := context.Background()
	if _, err := conn.Exec(ctx, ddl.String()); err != nil {
		t.Fatal(err)
	}
	most := 0
	for _, all := range samples {
		most = max(most, len(all))
	}
	for i := range most {
		columns, places, args := []string{"n"}, []string{fmt.Sprint(i)}, []any{}
		for _, name := range names {
			if all := samples[name]; i < len(all) {
				args = append(args, all[i])
				columns = append(columns, fmt.Sprintf(`"a ""%s"" é"`, name))
				places = append(places, fmt.Sprintf("$%d::text::pg_catalog.%s", len(args), name))
			} else if len(all) == 0 {
				t.Errorf("there is no sample of %s", name)
			}
		}
		insert := fmt.Sprintf("INSERT INTO wide (%s) VALUES (%s)", strings.Join(columns, ", "), strings.Join(places, ", "))
		if _, err := conn.Exec(ctx, insert, args...); err != nil {
			t.Fatalf("%v in %s with %q", err, insert, args)
		}
	}
	_, err := conn.Exec(ctx, `INSERT INTO wide (n, of_domain, of_enum, of_array, of_pair, of_pairs, of_times) VALUES
		(100, 'sho"rt', 'happy', '{a,NULL,"b\"c"}', '(1,2024-01-01 00:00+00)', '{"(1,)",NULL}', '{infinity,2024-01-01 00:00+00}')`)
	if err != nil {
		t.Fatal(err)
	}
	return &printing{conn: conn, relation: rel.Index()}
}

// run gives the rows of a plan as the server writes them.
func (p *printing) run(plan *Plan) (Result, error) {
	var r Result
	statement := plan.Statements(&r, false)[0]
	formats := make(pgx.QueryResultFormats, len(statement.Columns))
	for i, c := range statement.Columns {
		if c.Type == pgtype.UUIDOID {
			formats[i] = pgx.BinaryFormatCode
		}
	}
	rows, err := p.conn.Query(context.Background(), statement.SQL, append([]any{formats}, statement.Args...)...)
	if err != nil {
		return r, err
	}
	defer rows.Close()
	for i, f := range rows.FieldDescriptions() {
		if statement.Columns == nil {
			break
		}
		if len(rows.FieldDescriptions()) != len(statement.Columns) || f.Name != statement.Columns[i].Name || statement.Columns[i].Type != 0 && f.DataTypeOID != statement.Columns[i].Type {
			return r, fmt.Errorf("column %d is %s of type %d, want %+v", i+1, f.Name, f.DataTypeOID, statement.Columns[i])
		}
	}
	return r, statement.Read(rows)
}

// rows compares a query's rows, made in both ways, as JSON and as records.
func (p *printing) rows(t *testing.T, what string, q *query.Select) {
	t.Helper()
	p.compare(t, what, q, JSON)
	p.compare(t, what+", as records", q, Records)
}

func (p *printing) compare(t *testing.T, what string, q *query.Select, form Form) {
	t.Helper()
	compile := func(columns bool) string {
		plan, err := Select(relations{"public.wide": p.relation}, q, Options{Columns: columns, Form: form})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if (plan.row != nil) != columns {
			t.Fatalf("%s: who writes the rows is not as asked", what)
		}
		r, err := p.run(plan)
		if err != nil {
			t.Fatalf("%s: %v in %s", what, err, plan.SQL)
		}
		return fmt.Sprint(r.Rows, " of ", r.Total, "\n", strings.ReplaceAll(string(r.JSON), `,"`, ",\n\""))
	}
	got, want := strings.Split(compile(true), "\n"), strings.Split(compile(false), "\n")
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("%s: line %d is\n%s, PostgreSQL has\n%s", what, i, got[min(i, len(got)-1)], want[i])
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d lines, want %d", what, len(got), len(want))
	}
}

// TestColumnsPrintAsRowToJSON holds every printed type against row_to_json, in every
// kind of read and under settings that change how PostgreSQL prints.
func TestColumnsPrintAsRowToJSON(t *testing.T) {
	t.Parallel()
	p := wide(t)
	order := []query.Order{{Path: query.Column("n")}}
	var named query.Projection
	for _, c := range p.relation.Columns {
		named = append(named, &query.Field{Path: query.Column(c.Name), Alias: "x" + c.Name})
	}
	cast := query.Projection{&query.Field{Path: query.Column(`a "float8" é`), Cast: "text", Alias: `a"\`}, &query.Field{Path: query.Column(`a "date" é`), Cast: "timestamptz"},
		&query.Field{Path: query.Path{Column: `a "jsonb" é`, Steps: []query.Step{{Key: "a"}, {Key: "1", Index: true}}}, Alias: "j"},
		&query.Field{Path: query.Path{Column: `a "json" é`, Steps: []query.Step{{Key: "a", Text: true}}}, Alias: "jt"},
		&query.Field{Path: query.Column(`a "text" é`), Cast: "text[]", Alias: "ta"}, &query.Aggregate{Function: "count"}, &query.Aggregate{Function: "max", Of: &query.Field{Path: query.Column(`a "timestamptz" é`)}}}
	for _, q := range []struct {
		what string
		query.Select
	}{
		{"all columns", query.Select{Order: order}},
		{"all columns, some of them plain", query.Select{Order: order, Fields: named[:30]}},
		{"columns by name", query.Select{Order: order, Fields: named}},
		{"a page and its total", query.Select{Order: order, Count: query.CountExact, Page: query.Page{Limit: 4, Offset: 1}}},
		{"no row and a total", query.Select{Order: order, Count: query.CountExact, Page: query.Page{Limit: 0}}},
		{"an estimate", query.Select{Order: order, Count: query.CountEstimated, Fields: named[:9]}},
		{"shortened texts", query.Select{Order: order, Truncate: 2}},
		{"casts, members and aggregates", query.Select{Fields: cast, Order: []query.Order{{Path: query.Column(`a"\`)}, {Path: query.Column("jt")}, {Path: query.Column("j")}},
			Where: &query.Compare{Path: query.Column(`a "text" é`), Op: query.Is, Value: "null"}}},
	} {
		if q.Page == (query.Page{}) && q.what != "no row and a total" {
			q.Page = query.Page{Limit: query.NoLimit}
		}
		q.From = query.Relation{Schema: "public", Name: "wide"}
		p.rows(t, q.what, &q.Select)
	}
	everything := &query.Select{From: query.Relation{Schema: "public", Name: "wide"}, Order: order, Page: query.Page{Limit: query.NoLimit}}
	for _, settings := range []string{
		"timezone = 'Asia/Kolkata'", "timezone = 'Europe/Amsterdam'", "timezone = 'America/St_Johns'", "timezone = '<-0102>+01:02'",
		"datestyle = 'ISO, DMY'", "datestyle = 'ISO, YMD'", "extra_float_digits = 0", "extra_float_digits = -10", "extra_float_digits = 3",
		"intervalstyle = 'iso_8601'", "intervalstyle = 'sql_standard'", "intervalstyle = 'postgres_verbose'", "bytea_output = 'escape'",
	} {
		if _, err := p.conn.Exec(context.Background(), "SET "+settings); err != nil {
			t.Fatal(err)
		}
		p.rows(t, settings, everything)
		if _, err := p.conn.Exec(context.Background(), "RESET ALL"); err != nil {
			t.Fatal(err)
		}
	}
}

// Dates in another style than ISO are printed as they come: the answer is JSON still.
func TestDatesOfAnotherStyle(t *testing.T) {
	t.Parallel()
	p := wide(t)
	for _, style := range []string{"German", "SQL, DMY", "Postgres, MDY"} {
		if _, err := p.conn.Exec(context.Background(), "SET datestyle = '"+style+"'"); err != nil {
			t.Fatal(err)
		}
		plan, err := Select(relations{"public.wide": p.relation}, &query.Select{From: query.Relation{Schema: "public", Name: "wide"}, Page: query.Page{Limit: query.NoLimit},
			Where: &query.Compare{Path: query.Column("n"), Op: query.Equal, Value: "0"}}, Options{Columns: true})
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.run(plan)
		if err != nil {
			t.Fatal(err)
		}
		var rows []map[string]any
		if err := json.Unmarshal(r.JSON, &rows); err != nil || len(rows) != 1 {
			t.Fatalf("%s: %v in %s", style, err, r.JSON)
		}
		var want string
		if err := p.conn.QueryRow(context.Background(), `SELECT "a ""timestamptz"" é"::text FROM wide WHERE n = 0`).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if got := rows[0][`a "timestamptz" é`]; got != want {
			t.Errorf("%s: %v, want %s", style, got, want)
		}
	}
}

// TestPrintedTypes holds the table of types against PostgreSQL's own: each is a type
// of its own there, and no array, composite or enum.
func TestPrintedTypes(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	for name, want := range printedTypes {
		var oid uint32
		var kind, category string
		err := conn.QueryRow(context.Background(), `SELECT oid, typtype::text, typcategory::text FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typname = $1`, name).Scan(&oid, &kind, &category)
		if err != nil || oid != want.oid || kind != "b" && kind != "r" || category == "A" {
			t.Errorf("%s: oid %d, type %s, category %s, %v; want oid %d", name, oid, kind, category, err, want.oid)
		}
	}
}

// TestRandomValuesPrintAsToJSON does the same for random values.
func TestRandomValuesPrintAsToJSON(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	if _, err := conn.Exec(context.Background(), `SET timezone = 'Europe/Amsterdam'`); err != nil {
		t.Fatal(err)
	}
	types := []string{"text", "float8", "float4", "numeric", "timestamptz", "timestamp", "date", "uuid", "interval", "bytea", "jsonb"}
	var columns, wanted []string
	for i, typ := range types {
		value := fmt.Sprintf("$%d::%s", i+1, typ)
		switch typ {
		case "timestamptz":
			value = fmt.Sprintf("'epoch'::timestamptz + $%d::int8 * interval '1 microsecond'", i+1)
		case "timestamp", "date":
			value = fmt.Sprintf("('epoch'::timestamp + $%d::int8 * interval '1 microsecond')::%s", i+1, typ)
		case "interval":
			value = fmt.Sprintf("$%d::int8 * interval '1 microsecond'", i+1)
		case "jsonb":
			value = fmt.Sprintf("jsonb_build_object($%d::text, $%d::text)", i+1, i+1)
		}
		columns = append(columns, value)
		wanted = append(wanted, "to_json("+value+")::text")
	}
	// PostgreSQL's years: 4714 BC to 294276.
	moment := rapid.OneOf(rapid.Int64Range(-210_000_000_000_000_000, 9_000_000_000_000_000_000), rapid.Int64Range(-5_000_000_000_000_000, 5_000_000_000_000_000))
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\x01", "\\u0041", `\"`, "\u2028\u2029", "\t\n"})).Filter(func(s string) bool { return !strings.Contains(s, "\x00") })
	rapid.Check(t, func(t *rapid.T) {
		bits, single := rapid.Uint64().Draw(t, "float8"), rapid.Uint32().Draw(t, "float4")
		var id [16]byte
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
		args := []any{
			text.Draw(t, "text"), math.Float64frombits(bits), math.Float32frombits(single), rapid.StringMatching(`-?[0-9]{1,30}(\.[0-9]{0,20})?`).Draw(t, "numeric"),
			moment.Draw(t, "timestamptz"), moment.Draw(t, "timestamp"), moment.Draw(t, "date"), pgtype.UUID{Bytes: id, Valid: true},
			moment.Draw(t, "interval"), rapid.SliceOf(rapid.Byte()).Draw(t, "bytea"), text.Draw(t, "jsonb"),
		}
		formats := make(pgx.QueryResultFormats, len(types))
		formats[7] = pgx.BinaryFormatCode
		read := func(list []string, formats pgx.QueryResultFormats) [][]byte {
			rows, err := conn.Query(context.Background(), "SELECT "+strings.Join(list, ", "), append([]any{formats}, args...)...)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			if !rows.Next() {
				t.Fatal(rows.Err())
			}
			out := make([][]byte, len(list))
			for i, v := range rows.RawValues() {
				out[i] = append([]byte(nil), v...)
			}
			return out
		}
		got, want := read(columns, formats), read(wanted, pgx.QueryResultFormats{pgx.TextFormatCode})
		for i, typ := range types {
			if printed := printedTypes[typ].print(nil, got[i]); string(printed) != string(want[i]) {
				t.Errorf("%s %v is %s, PostgreSQL has %s", typ, args[i], printed, want[i])
			}
		}
	})
}
