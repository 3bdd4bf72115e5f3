package procedure

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fluxbase/persistence/fault"
)

func TestAnnotations(t *testing.T) {
	p, err := Compile("reports", "file-name", "\ufeff-- A comment.\r\n--@fluxbase:name sales\r\n  -- @fluxbase:description Sales: of a month = all \r\n"+
		"-- @fluxbase:input {\"month\": \"date\",\n--   \"limit?\": \"INT\"}\n\n-- @fluxbase:output id:uuid, total : decimal\n"+
		"-- @fluxbase:allowed-tables Orders, app.\"Items\"\n-- @fluxbase:allowed-schemas public, App\n-- @fluxbase:max-execution-time 90\n"+
		"-- @fluxbase:require-role editor , admin,editor\n-- @fluxbase:public yes\n-- @fluxbase:disable-execution-logs\n-- @fluxbase:version 7\n"+
		"-- the statement\nSELECT * FROM orders WHERE m = $month LIMIT $limit -- end\n;", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := Procedure{
		Namespace: "reports", Name: "sales", Description: "Sales: of a month = all",
		Input:         Schema{true, []Field{{"month", DateType, "date", false}, {"limit", IntegerType, "int", true}}},
		Output:        Schema{true, []Field{{"id", UUIDType, "uuid", false}, {"total", NumberType, "decimal", false}}},
		AllowedTables: []string{"orders", "app.Items"}, AllowedSchemas: []string{"public", "app"},
		MaxExecutionTime: 90 * time.Second, RequireRoles: []string{"editor", "admin"}, Public: true, DisableLogs: true,
		Enabled: true, Version: 7, Query: "SELECT * FROM orders WHERE m = $month LIMIT $limit -- end\n;", Code: p.Code,
		Statement: Statement{
			SQL:        "SELECT pg_catalog.row_to_json(r.*)::text FROM (SELECT * FROM orders WHERE m = $1 LIMIT $2\n) r LIMIT $3",
			Parameters: []Parameter{{"month", DateType}, {"limit", IntegerType}}, Kind: "select", Rows: true, Tables: []string{"orders"},
		},
	}
	if !reflect.DeepEqual(*p, want) {
		t.Errorf("\n got %+v\nwant %+v", *p, want)
	}
}

func TestWithoutAnnotations(t *testing.T) {
	p, err := Compile(DefaultNamespace, "one", "SELECT 1", Limits{DefaultTime: time.Minute, MaxTime: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "one" || p.MaxExecutionTime != 20*time.Second || p.Public || p.DisableLogs || p.Input.Typed || p.AllowedTables != nil ||
		!slices.Equal(p.AllowedSchemas, []string{"public"}) || p.Version != 0 || len(p.RequireRoles) != 0 || !p.Enabled {
		t.Errorf("%+v", p)
	}
}

func TestAnnotationsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ annotation, why string }{
		{"nonsense x", `"nonsense" is not known`},
		{"name", "has no value"},
		{"name get orders", "no name"},
		{"name -x", "no name"},
		{"name " + strings.Repeat("x", 128), "no name"},
		{"name a\n-- @fluxbase:name b", "twice"},
		{"require-role a\n-- @fluxbase:require-roles b", "twice"},
		{"input a", "no type"},
		{"input a:money", `unknown type "money"`},
		{"input a:uuid, a?:text", "a twice"},
		{"input a b:uuid", `the name "a b"`},
		{"input {\"a\": 1}", "no type"},
		{"input {\"a\": \"uuid\"", "no JSON object"},
		{"input {\"a\": {\"type\":\"uuid\"}}", "no type"},
		{"input [\"a\"]", "no type"},
		{"input {\"a\":\"uuid\",\"a\":\"text\"}", "a twice"},
		{"input caller_id:uuid", "server fills in $caller_id"},
		{"input _trigger?:text", "server fills in $_trigger"},
		{"allowed-tables a,,b", "does not belong"},
		{"allowed-tables a.b.c", "no table"},
		{"allowed-tables pg_catalog.pg_class", "never be allowed"},
		{"allowed-tables a; drop", "does not belong"},
		{"allowed-tables \"a", "does not end"},
		{"allowed-schemas a.b", "no schema"},
		{"allowed-schemas pg_temp", "never be allowed"},
		{"allowed-schemas rpc", "never be allowed"},
		{"max-execution-time soon", "no duration"},
		{"max-execution-time 0", "no duration"},
		{"max-execution-time -5s", "no duration"},
		{"max-execution-time 301", "5m0s at most"},
		{"require-role a b", "no role"},
		{"public maybe", "neither true nor false"},
		{"public", "has no value"},
		{"disable-execution-logs 2", "neither true nor false"},
		{"version 0", "no whole number"},
		{"version 1.5", "no whole number"},
		{"schedule soon", "cannot be read"},
		{"schedule * * *", "cannot be read"},
		{"schedule CRON_TZ=UTC", "nothing else"},
		{"schedule CRON_TZ=Nowhere * * * * *", "cannot be read"},
	} {
		_, err := Compile(DefaultNamespace, "p", "-- @fluxbase:"+c.annotation+"\nSELECT 1", Limits{})
		if fault.CodeOf(err) != fault.ValidationFailed || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", c.annotation, err, c.why)
		}
	}
	for _, c := range []struct{ code, why string }{
		{"SELECT 1\n-- @fluxbase:public true", "stand before the statement"},
		{"-- @fluxbase:input a:text\nSELECT $a, $b", "$b is not an input"},
		{"-- @fluxbase:schedule @hourly\nSELECT $a", "must be an optional input"},
		{"-- @fluxbase:schedule @hourly\n-- @fluxbase:input a:text\nSELECT $a", "must be an optional input"},
		{"SELECT " + strings.Repeat("1, ", 100_000) + "1", "at most 262144 bytes"},
	} {
		_, err := Compile(DefaultNamespace, "p", c.code, Limits{})
		if fault.CodeOf(err) != fault.ValidationFailed || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%.80s: %v, want %q", c.code, err, c.why)
		}
	}
	many := "SELECT 1"
	for i := range maxParameters + 1 {
		many += ", $p" + strings.Repeat("x", i/50) + string(rune('a'+i%25)) + string(rune('a'+i/25%25))
	}
	if _, err := Compile(DefaultNamespace, "p", many, Limits{}); err == nil || !strings.Contains(err.Error(), "200 placeholders") {
		t.Errorf("many placeholders: %v", err)
	}
}

func TestSchedules(t *testing.T) {
	at := time.Date(2026, 3, 28, 23, 30, 10, 0, time.UTC)
	for text, want := range map[string]string{
		"*/5 * * * *":                     "2026-03-28T23:35:00Z",
		"30 */5 * * * *":                  "2026-03-28T23:30:30Z",
		"@every 90s":                      "2026-03-28T23:31:40Z",
		"@daily":                          "2026-03-29T00:00:00Z",
		"CRON_TZ=Europe/Berlin 0 4 * * *": "2026-03-29T02:00:00Z",
		"0 3 * * MON-FRI":                 "2026-03-30T03:00:00Z",
		"@every 1ns":                      "2026-03-28T23:30:11Z",
	} {
		s, err := ParseSchedule(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := s.Next(at).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s: next at %s, want %s", text, got, want)
		}
	}
}

// A schema goes through JSON unchanged, in its order.
func TestSchemasAreStoredAsTheyAre(t *testing.T) {
	for _, text := range []string{"any", "z:uuid, a?:text, m:json", `{"z":"uuid","a?":"text"}`} {
		s, err := ParseSchema(text)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Schema
		if err := json.Unmarshal(stored, &back); err != nil || !reflect.DeepEqual(s, back) {
			t.Errorf("%s became %s and then %+v: %v", text, stored, back, err)
		}
	}
}

// Whatever the text, annotations are read or refused, and what is left of the text is
// the end of it.
func FuzzAnnotations(f *testing.F) {
	for _, text := range []string{
		"-- @fluxbase:name a\n-- @fluxbase:input {\"a\":\n-- \"uuid\"}\nSELECT 1", "--@fluxbase:schedule TZ=\n", "-- @fluxbase:schedule CRON_TZ=UTC @every 5s\n",
		"-- @fluxbase:allowed-tables a, \"b.\"\"c\"\nx", "-- @fluxbase:max-execution-time 1h\r\n", "-- @fluxbase:version 99999999999999999999\n", "-- @fluxbase:", "--\n\n--",
		"-- @fluxbase:schedule 0-59/0 * * * *\n", "-- @fluxbase:require-role a,b\n-- @fluxbase:public 1\n", "-- @fluxbase:input a?:uuid,b:json\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, rest, err := parseAnnotations(text)
		if err != nil {
			return
		}
		if !strings.HasSuffix(text, rest) {
			t.Fatalf("%q is no end of %q", rest, text)
		}
		if a.schedule != "" {
			if _, err := ParseSchedule(a.schedule); err != nil {
				t.Fatalf("%q: %v", a.schedule, err)
			}
		}
		for _, n := range a.allowedSchemas {
			if n == "" || blockedSchema(n) {
				t.Fatalf("%q allows the schema %q", text, n)
			}
		}
	})
}
