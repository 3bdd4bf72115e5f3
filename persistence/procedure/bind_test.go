package procedure_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
)

func compile(t *testing.T, code string) *procedure.Procedure {
	t.Helper()
	p, err := procedure.Compile(procedure.DefaultNamespace, "p", code, procedure.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	return p
}

// shown writes arguments as JSON, NULL for none.
func shown(a procedure.Arguments) string {
	var all []string
	for _, v := range a {
		if v == nil {
			v = json.RawMessage("NULL")
		}
		all = append(all, string(v))
	}
	return strings.Join(all, " ")
}

func TestWhatARequestGivesIsChecked(t *testing.T) {
	const id = `"0b7c62e4-5b6f-4a0e-9d8f-1f2e3d4c5b6a"`
	for _, c := range []struct {
		kind, value string
		want        string // "" is refused
	}{
		{"uuid", id, id}, {"uuid", `"x"`, ""}, {"uuid", `5`, ""}, {"uuid", `null`, "NULL"},
		{"text", `"a"`, `"a"`}, {"text", `""`, `""`}, {"text", `1`, ""}, {"string", `"a"`, `"a"`}, {"text", `["a"]`, ""},
		{"number", `1.5e3`, `1.5e3`}, {"float", `-2`, `-2`}, {"decimal", `"1"`, ""}, {"double", `true`, ""}, {"number", `0.10000000000000000001`, `0.10000000000000000001`},
		{"integer", `7`, `7`}, {"int", `7.0`, `7`}, {"int", `1e3`, `1000`}, {"int", `7.5`, ""}, {"int", `"7"`, ""}, {"int", `1e300`, ""}, {"int", `1e999`, ""}, {"integer", `9223372036854775807`, `9223372036854775807`},
		{"boolean", `true`, `true`}, {"bool", `false`, `false`}, {"bool", `"true"`, ""}, {"bool", `1`, ""},
		{"timestamp", `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00Z"`}, {"datetime", `5`, ""}, {"date", `"today"`, `"today"`}, {"time", `"10:00"`, `"10:00"`}, {"date", `20260101`, ""},
		{"json", `{"a":1}`, `{"a":1}`}, {"jsonb", `[1]`, `[1]`}, {"object", `"x"`, `"x"`}, {"any", `{"a":[1]}`, `{"a":[1]}`},
		{"array", `[1,2]`, `[1,2]`}, {"array", `"{1,2}"`, ""}, {"array", `{"a":1}`, ""}, {"array", `null`, "NULL"},
	} {
		p := compile(t, "-- @fluxbase:input v:"+c.kind+"\nSELECT $v")
		got, err := p.Bind(json.RawMessage(`{"v": `+c.value+` }`), procedure.Origin{})
		switch {
		case c.want == "" && fault.CodeOf(err) != fault.InvalidInput:
			t.Errorf("%s for %s: %s, %v", c.value, c.kind, shown(got), err)
		case c.want != "" && (err != nil || shown(got) != c.want):
			t.Errorf("%s for %s: %s, %v, want %s", c.value, c.kind, shown(got), err, c.want)
		}
	}
}

func TestParametersComeFromWhereTheyShould(t *testing.T) {
	c := caller.Caller{Role: "editor", UserID: "u", Email: "ada@example.com"}
	typed := "-- @fluxbase:input a:text, b?:integer\nSELECT $b, $a, $caller_id, $b"
	for _, k := range []struct{ name, code, params, want, fault string }{
		{"in the order of the statement", typed, `{"a":"x","b":2}`, `2 "x" "u"`, ""},
		{"what is optional is NULL", typed, `{"a":"x"}`, `NULL "x" "u"`, ""},
		{"null is NULL", typed, `{"a":null,"b":null}`, `NULL NULL "u"`, ""},
		{"what is missing", typed, `{"b":2}`, "", "Parameter a is missing"},
		{"what is missing, with nothing at all", typed, ``, "", "Parameter a is missing"},
		{"what nobody knows", typed, `{"a":"x","c":1}`, "", "Parameter c is not an input of the procedure"},
		{"the caller's id cannot be given", typed, `{"a":"x","caller_id":"other"}`, "", "Parameter caller_id is filled in by the server"},
		{"nor where nothing is typed", "SELECT $caller_role", `{"caller_role":"service_role"}`, "", "Parameter caller_role is filled in by the server"},
		{"nor when the statement does not ask", "SELECT 1", `{"caller_email":"x"}`, "", "Parameter caller_email is filled in by the server"},
		{"nor the clock", "SELECT $_scheduled_at", `{"_scheduled_at":"2026-01-01"}`, "", "Parameter _scheduled_at is filled in by the server"},
		{"the caller", "SELECT $caller_id, $caller_role, $caller_email, $_trigger, $_scheduled_at", `null`, `"u" "editor" "ada@example.com" NULL NULL`, ""},
		{"anything where nothing is typed", "SELECT $x", `{"x":[1],"y":2}`, `[1]`, ""},
		{"missing where nothing is typed", "SELECT $x", `{}`, "", "Parameter x is missing"},
		{"a declared one that the statement does not use", "-- @fluxbase:input a:text\nSELECT 1", `{}`, "", "Parameter a is missing"},
		{"no object", "SELECT 1", `[1]`, "", "The parameters are not a JSON object"},
		{"no JSON", "SELECT 1", `{"a":`, "", "The parameters are not a JSON object"},
	} {
		got, err := compile(t, k.code).Bind(json.RawMessage(k.params), procedure.Origin{Caller: c})
		if k.fault != "" {
			if fault.CodeOf(err) != fault.InvalidInput || fault.From(err).Message != k.fault {
				t.Errorf("%s: %s, %v, want %q", k.name, shown(got), err, k.fault)
			}
		} else if err != nil || shown(got) != k.want {
			t.Errorf("%s: %s, %v, want %s", k.name, shown(got), err, k.want)
		}
	}
	got, err := compile(t, "SELECT $caller_id, $caller_role, $caller_email, $_trigger, $_scheduled_at").
		Bind(nil, procedure.Origin{Trigger: "cron", ScheduledAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	if want := `NULL "anon" NULL "cron" "2026-01-02T03:04:05Z"`; err != nil || shown(got) != want {
		t.Errorf("for nobody, by the clock: %s, %v, want %s", shown(got), err, want)
	}
}

func TestWhoMayRunAProcedure(t *testing.T) {
	for _, c := range []struct {
		annotations string
		allowed     string // of the roles below
	}{
		{"-- @fluxbase:public false\n", "authenticated editor admin service_role instance_admin tenant_service"},
		{"-- @fluxbase:public true\n", " anon authenticated editor admin service_role instance_admin tenant_service"},
		{"-- @fluxbase:require-role editor\n", "editor service_role instance_admin tenant_service"},
		{"-- @fluxbase:public true\n-- @fluxbase:require-role editor\n", "editor service_role instance_admin tenant_service"},
		{"-- @fluxbase:require-role authenticated\n", "authenticated editor admin service_role instance_admin tenant_service"},
		{"-- @fluxbase:require-role anon\n", " anon authenticated editor admin service_role instance_admin tenant_service"},
		{"-- @fluxbase:require-role editor, admin\n", "editor admin service_role instance_admin tenant_service"},
	} {
		p := compile(t, c.annotations+"SELECT 1")
		var allowed []string
		for _, role := range []caller.Role{"", caller.Anon, caller.Authenticated, "editor", caller.Admin, caller.Service, caller.InstanceAdmin, caller.TenantService} {
			if p.Permits(caller.Caller{Role: role}) {
				allowed = append(allowed, string(role))
			}
		}
		if got := strings.Join(allowed, " "); got != c.allowed {
			t.Errorf("%s: %q may run it, want %q", c.annotations, got, c.allowed)
		}
	}
}

// What is bound never becomes anything but a value, whatever is given.
func FuzzBind(f *testing.F) {
	for _, params := range []string{`{"a":"'; DROP TABLE t; --","b":[1,["x\"\\"],null]}`, `{"a":{"b":{}},"b":"{}"}`, `{"a":1e400}`, `[]`, `{"a":"\u0000"}`} {
		f.Add(params)
	}
	p, err := procedure.Compile(procedure.DefaultNamespace, "p", "-- @fluxbase:input a?:any, b?:array, c?:integer, d?:uuid\nSELECT $a, $b, $c, $d", procedure.Limits{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, params string) {
		a, err := p.Bind(json.RawMessage(params), procedure.Origin{})
		if err != nil {
			if fault.CodeOf(err) != fault.InvalidInput {
				t.Fatalf("%q: %v", params, err)
			}
			return
		}
		if len(a) != 4 {
			t.Fatalf("%q: %d arguments", params, len(a))
		}
		for _, v := range a {
			if v != nil && !json.Valid(v) {
				t.Fatalf("%q became %q", params, v)
			}
		}
	})
}
