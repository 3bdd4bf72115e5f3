package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/procedure"
)

// procedureShown is what a procedure looks like over HTTP.
type procedureShown struct {
	ID, Namespace, Name, Description, Source string
	AllowedTables                            []string          `json:"allowed_tables"`
	AllowedSchemas                           []string          `json:"allowed_schemas"`
	MaxExecutionTime                         float64           `json:"max_execution_time_seconds"`
	RequireRoles                             []string          `json:"require_roles"`
	Public                                   bool              `json:"is_public"`
	DisableLogs                              bool              `json:"disable_execution_logs"`
	Enabled                                  bool              `json:"enabled"`
	Schedule                                 *string           `json:"schedule"`
	Version                                  int               `json:"version"`
	SQL                                      string            `json:"sql_query"`
	Code                                     string            `json:"original_code"`
	Input                                    map[string]string `json:"input_schema"`
	Output                                   map[string]string `json:"output_schema"`
}

type procedureList struct {
	Procedures []procedureShown
	Count      int
}

func (l procedureList) names() string {
	var names []string
	for _, p := range l.Procedures {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	return strings.Join(names, " ")
}

type syncReport struct {
	Message, Namespace string
	Summary            struct{ Created, Updated, Deleted, Unchanged, Errors int }
	Details            struct{ Created, Updated, Deleted, Unchanged []string }
	Errors             []struct{ Procedure, Error string }
	DryRun             bool `json:"dry_run"`
}

func (r syncReport) String() string {
	errors := []string{}
	for _, e := range r.Errors {
		errors = append(errors, e.Procedure)
	}
	return fmt.Sprint("created ", r.Details.Created, " updated ", r.Details.Updated, " deleted ", r.Details.Deleted,
		" unchanged ", r.Details.Unchanged, " errors ", errors)
}

// useParser uses the parser of procedures: the first use in a process may take longer
// than a client waits, where the race detector looks on.
func useParser(t *testing.T) {
	t.Helper()
	if _, err := procedure.Compile("default", "first", "SELECT 1", procedure.Limits{}); err != nil {
		t.Fatal(err)
	}
}

func syncProcedures(n *servertest.Node, t *testing.T, body string) syncReport {
	t.Helper()
	useParser(t)
	var report syncReport
	n.Want(200, "POST", "/api/v1/admin/rpc/sync", n.ServiceKey, body).Decode(t, &report)
	return report
}

func given(t *testing.T, name, code string) string {
	t.Helper()
	return fmt.Sprintf(`{"name":%q,"code":%q}`, name, code)
}

func TestProceduresAreSynced(t *testing.T) {
	n := servertest.Start(t)
	orders := "-- @fluxbase:name get-orders\n-- @fluxbase:description Orders of a user\n-- @fluxbase:public true\n" +
		"-- @fluxbase:input {\"user_id\": \"uuid\", \"limit?\": \"integer\"}\n-- @fluxbase:output {\"id\": \"uuid\"}\n" +
		"-- @fluxbase:allowed-tables orders, app.items\n-- @fluxbase:max-execution-time 1m30s\n-- @fluxbase:require-role editor, admin\n" +
		"SELECT id FROM orders WHERE user_id = $user_id LIMIT COALESCE($limit, 10);"
	both := `{"procedures":[` + given(t, "x", orders) + `,` + given(t, "one.sql", "SELECT 1 AS one") + `]}`

	dry := syncProcedures(n, t, strings.Replace(both, `{"procedures"`, `{"options":{"dry_run":true},"procedures"`, 1))
	if want := "created [get-orders one] updated [] deleted [] unchanged [] errors []"; dry.String() != want || !dry.DryRun || dry.Namespace != "default" {
		t.Errorf("a dry run says %s, want %s: %+v", dry, want, dry)
	}
	var all procedureList
	if n.Want(200, "GET", "/api/v1/admin/rpc/procedures", n.ServiceKey, nil).Decode(t, &all); all.Count != 0 || all.Procedures == nil {
		t.Errorf("after a dry run there are %+v", all)
	}

	for _, step := range []struct{ name, body, want string }{
		{"new ones", both, "created [get-orders one] updated [] deleted [] unchanged [] errors []"},
		{"the same again", both, "created [] updated [] deleted [] unchanged [get-orders one] errors []"},
		{"another text", `{"procedures":[` + given(t, "one", "SELECT 2 AS one") + `]}`, "created [] updated [one] deleted [] unchanged [] errors []"},
		{"another namespace", `{"namespace":"reports","procedures":[` + given(t, "one", "SELECT 3 AS one") + `]}`, "created [one] updated [] deleted [] unchanged [] errors []"},
		{"errors stand alone", `{"options":{"delete_missing":true},"procedures":[` +
			given(t, "one", "SELECT * FROM auth.users") + `,` + given(t, "get-orders", orders) + `,` + given(t, "two", "SELECT 2 AS two") + `,` +
			given(t, "two", "SELECT 3 AS two") + `,` + given(t, "bad name", "SELECT 1") + `]}`,
			"created [two] updated [] deleted [] unchanged [get-orders] errors [one two bad name]"},
		{"what is missing goes", `{"options":{"delete_missing":true},"procedures":[` + given(t, "two", "SELECT 2 AS two") + `,` + given(t, "get-orders", orders) + `]}`,
			"created [] updated [] deleted [one] unchanged [get-orders two] errors []"},
	} {
		if got := syncProcedures(n, t, step.body); got.String() != step.want {
			t.Errorf("%s: %s\nwant %s\n%+v", step.name, got, step.want, got.Errors)
		}
	}

	var p procedureShown
	n.Want(200, "GET", "/api/v1/admin/rpc/procedures/default/get-orders", n.ServiceKey, nil).Decode(t, &p)
	if p.Description != "Orders of a user" || !p.Public || !p.Enabled || p.MaxExecutionTime != 90 || p.Version != 1 || p.Source != "filesystem" ||
		p.Input["user_id"] != "uuid" || p.Input["limit?"] != "integer" || p.Output["id"] != "uuid" || p.Code != orders || p.Schedule != nil ||
		!slices.Equal(p.AllowedTables, []string{"orders", "app.items"}) || !slices.Equal(p.AllowedSchemas, []string{"public"}) ||
		!slices.Equal(p.RequireRoles, []string{"editor", "admin"}) || !strings.HasPrefix(p.SQL, "SELECT id FROM orders") {
		t.Errorf("the procedure is %+v", p)
	}
	n.Want(200, "GET", "/api/v1/admin/rpc/procedures", n.ServiceKey, nil).Decode(t, &all)
	if got, want := all.names(), "default/get-orders default/two reports/one"; got != want || all.Count != 3 {
		t.Errorf("all are %s (%d), want %s", got, all.Count, want)
	}
	n.Want(200, "GET", "/api/v1/admin/rpc/procedures?namespace=reports", n.ServiceKey, nil).Decode(t, &all)
	if got, want := all.names(), "reports/one"; got != want {
		t.Errorf("those of reports are %s, want %s", got, want)
	}
	var namespaces struct{ Namespaces []string }
	n.Want(200, "GET", "/api/v1/admin/rpc/namespaces", n.ServiceKey, nil).Decode(t, &namespaces)
	if !slices.Equal(namespaces.Namespaces, []string{"default", "reports"}) {
		t.Errorf("the namespaces are %v", namespaces.Namespaces)
	}

	// Everybody sees those that are public.
	for _, query := range []string{"", "?namespace=default"} {
		n.Want(200, "GET", "/api/v1/rpc/procedures"+query, "", nil).Decode(t, &all)
		if got, want := all.names(), "default/get-orders"; got != want {
			t.Errorf("the public ones are %s, want %s", got, want)
		}
	}
	if n.Want(200, "GET", "/api/v1/rpc/procedures?namespace=reports", "", nil).Decode(t, &all); all.Count != 0 || all.Procedures == nil {
		t.Errorf("the public ones of reports are %+v", all)
	}
}

func TestProceduresAreChangedByHand(t *testing.T) {
	n := servertest.Start(t)
	code := "-- @fluxbase:input limit?:integer\nSELECT * FROM notes LIMIT $limit"
	body := `{"procedures":[` + given(t, "notes", code) + `]}`
	syncProcedures(n, t, body)
	path := "/api/v1/admin/rpc/procedures/default/notes"

	var p procedureShown
	n.Want(200, "PUT", path, n.ServiceKey, `{"description":"All notes","enabled":false,"is_public":true,"require_role":["editor","admin"],
		"max_execution_time_seconds":12.5,"allowed_tables":["Notes","\"Odd\""],"allowed_schemas":["public","app"],"schedule":"*/5 * * * *"}`).Decode(t, &p)
	if p.Description != "All notes" || p.Enabled || !p.Public || !slices.Equal(p.RequireRoles, []string{"editor", "admin"}) || p.MaxExecutionTime != 12.5 ||
		!slices.Equal(p.AllowedTables, []string{"notes", "Odd"}) || !slices.Equal(p.AllowedSchemas, []string{"public", "app"}) ||
		p.Schedule == nil || *p.Schedule != "*/5 * * * *" || p.Code != code || p.Version != 1 {
		t.Errorf("changed it is %+v", p)
	}
	// A sync of the same text does not take that back.
	if got, want := syncProcedures(n, t, body).String(), "created [] updated [] deleted [] unchanged [notes] errors []"; got != want {
		t.Errorf("the same text again: %s, want %s", got, want)
	}
	var again procedureShown
	if n.Want(200, "GET", path, n.ServiceKey, nil).Decode(t, &again); again.Enabled || again.MaxExecutionTime != 12.5 {
		t.Errorf("after a sync it is %+v", again)
	}
	n.Want(200, "PUT", path, n.ServiceKey, `{"schedule":null,"allowed_tables":[],"require_role":"editor"}`).Decode(t, &again)
	if again.Schedule != nil || len(again.AllowedTables) != 0 || !slices.Equal(again.RequireRoles, []string{"editor"}) || again.Description != "All notes" {
		t.Errorf("changed again it is %+v", again)
	}

	for _, c := range []struct {
		name, body, code string
		status           int
	}{
		{"tables that the statement does not keep to", `{"allowed_tables":["other"]}`, "VALIDATION_FAILED", 400},
		{"schemas that the statement does not keep to", `{"allowed_schemas":["app"]}`, "VALIDATION_FAILED", 400},
		{"a schema of the server", `{"allowed_schemas":["pg_catalog"]}`, "VALIDATION_FAILED", 400},
		{"a time that is too long", `{"max_execution_time_seconds":301}`, "VALIDATION_FAILED", 400},
		{"a time that is none", `{"max_execution_time_seconds":-1}`, "VALIDATION_FAILED", 400},
		{"a time beyond all numbers", `{"max_execution_time_seconds":1e300}`, "VALIDATION_FAILED", 400},
		{"a schedule that is none", `{"schedule":"soon"}`, "VALIDATION_FAILED", 400},
		{"a schedule of another type", `{"schedule":5}`, "INVALID_REQUEST_BODY", 400},
		{"a role that is none", `{"require_roles":["a b"]}`, "VALIDATION_FAILED", 400},
		{"a body that is none", `[]`, "INVALID_REQUEST_BODY", 400},
		{"a zero byte", `{"description":"a\u0000b"}`, "VALIDATION_FAILED", 400},
	} {
		if f := wantFailure(t, n.Do("PUT", path, n.ServiceKey, c.body), c.status, c.code); f.Error == "" {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
	wantFailure(t, n.Do("PUT", "/api/v1/admin/rpc/procedures/default/nothing", n.ServiceKey, `{}`), 404, "NOT_FOUND")
	wantFailure(t, n.Do("GET", "/api/v1/admin/rpc/procedures/other/notes", n.ServiceKey, nil), 404, "NOT_FOUND")
	n.Want(200, "DELETE", path, n.ServiceKey, nil)
	wantFailure(t, n.Do("DELETE", path, n.ServiceKey, nil), 404, "NOT_FOUND")
}

func TestProceduresAreForAdministratorsToWrite(t *testing.T) {
	n := servertest.Start(t, "RPC_SYNC_ALLOWED_IP_RANGES=127.0.0.0/8")
	user := n.SignUp("ada@example.com").AccessToken
	for _, token := range []string{n.AnonKey, user} {
		for _, r := range []struct{ method, path string }{
			{"POST", "/sync"}, {"GET", "/procedures"}, {"GET", "/namespaces"},
			{"GET", "/procedures/a/b"}, {"PUT", "/procedures/a/b"}, {"DELETE", "/procedures/a/b"},
		} {
			wantFailure(t, n.Do(r.method, "/api/v1/admin/rpc"+r.path, token, nil), 403, "INSUFFICIENT_PERMISSIONS")
		}
	}
	syncProcedures(n, t, `{"procedures":[`+given(t, "a", "SELECT 1")+`]}`)
	elsewhere := servertest.Start(t, "RPC_SYNC_ALLOWED_IP_RANGES=10.0.0.0/8")
	wantFailure(t, elsewhere.Do("POST", "/api/v1/admin/rpc/sync", elsewhere.ServiceKey, `{}`), 403, "ACCESS_DENIED")

	off := servertest.Start(t, "RPC_ENABLED=false")
	for _, path := range []string{"/api/v1/rpc/procedures", "/api/v1/admin/rpc/procedures"} {
		var body struct {
			Code string
			Key  string `json:"feature_key"`
		}
		off.Want(503, "GET", path, off.ServiceKey, nil).Decode(t, &body)
		if body.Code != "FEATURE_DISABLED" || body.Key != "app.rpc.enabled" {
			t.Errorf("%s: %+v", path, body)
		}
	}
}

func TestProceduresComeFromFiles(t *testing.T) {
	folder := t.TempDir()
	write := func(name, code string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(code), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("hello.sql", "-- @fluxbase:public true\nSELECT 'hello' AS text")
	write("reports/daily.sql", "-- @fluxbase:name every-day\nSELECT 1 AS n")
	write("reports/readme.md", "no procedure")
	write(".hidden.sql", "SELECT 1")
	outside := filepath.Join(t.TempDir(), "secret.sql")
	if err := os.WriteFile(outside, []byte("SELECT 'secret' AS s"), 0o644); err != nil {
		t.Fatal(err)
	}
	// They are loaded when the node starts.
	n := servertest.Start(t, "RPC_PROCEDURES_DIR="+folder)
	var all procedureList
	n.Want(200, "GET", "/api/v1/admin/rpc/procedures", n.ServiceKey, nil).Decode(t, &all)
	if got, want := all.names(), "default/hello reports/every-day"; got != want {
		t.Fatalf("at the start there are %s, want %s", got, want)
	}
	write("hello.sql", "SELECT 'hello again' AS text")
	write("fresh.sql", "SELECT 2 AS n")
	write("broken.sql", "SELECT FROM WHERE")
	if err := os.Remove(filepath.Join(folder, "reports/daily.sql")); err != nil {
		t.Fatal(err)
	}
	if got, want := syncProcedures(n, t, `{"namespace":"default"}`).String(), "created [fresh] updated [hello] deleted [] unchanged [] errors [broken]"; got != want {
		t.Errorf("a sync of one namespace: %s, want %s", got, want)
	}
	report := syncProcedures(n, t, `{"options":{"delete_missing":true}}`)
	if want := "created [] updated [] deleted [reports/every-day] unchanged [default/fresh default/hello] errors [default/broken]"; report.String() != want || report.Namespace != "*" {
		t.Errorf("a sync of all: %s, want %s", report, want)
	}
	if err := os.Remove(filepath.Join(folder, "broken.sql")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(folder, "link.sql")); err != nil {
		t.Fatal(err)
	}
	if got, want := syncProcedures(n, t, ``).String(), "created [] updated [] deleted [] unchanged [default/fresh default/hello] errors [default/link]"; got != want {
		t.Errorf("a link out of the folder: %s, want %s", got, want)
	}

	// What is not there takes nothing away.
	without := servertest.Start(t, "RPC_PROCEDURES_DIR="+filepath.Join(folder, "nowhere"))
	syncProcedures(without, t, `{"procedures":[`+given(t, "a", "SELECT 1")+`]}`)
	wantFailure(t, without.Do("POST", "/api/v1/admin/rpc/sync", without.ServiceKey, `{"options":{"delete_missing":true}}`), 400, "VALIDATION_FAILED")
	if got, want := syncProcedures(without, t, ``).String(), "created [] updated [] deleted [] unchanged [] errors []"; got != want {
		t.Errorf("a sync without a folder: %s, want %s", got, want)
	}
}

// What one node has in memory of a procedure ends when another node changes it. Nobody
// is asked to wait for that: the bell is heard in a moment.
func TestEveryNodeSeesAChangeOfAProcedure(t *testing.T) {
	first := servertest.Start(t)
	second := servertest.On(t, first.DatabaseURL)
	call := func(n *servertest.Node) string {
		t.Helper()
		r := n.Do("POST", "/api/v1/rpc/default/p", n.ServiceKey, `{}`)
		var body struct {
			Result []struct{ N int }
			Code   string
		}
		r.Decode(t, &body)
		if len(body.Result) == 1 {
			return fmt.Sprint(body.Result[0].N)
		}
		return body.Code
	}
	becomes := func(want string) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for call(second) != want {
			if time.Now().After(deadline) {
				t.Fatalf("the other node still says %s, want %s", call(second), want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for i := range 3 {
		syncProcedures(first, t, `{"procedures":[`+given(t, "p", fmt.Sprintf("SELECT %d AS n", i))+`]}`)
		becomes(fmt.Sprint(i))
	}
	first.Want(200, "PUT", "/api/v1/admin/rpc/procedures/default/p", first.ServiceKey, `{"enabled":false}`)
	becomes("NOT_FOUND")
	first.Want(200, "PUT", "/api/v1/admin/rpc/procedures/default/p", first.ServiceKey, `{"enabled":true}`)
	becomes("2")
	first.Want(200, "DELETE", "/api/v1/admin/rpc/procedures/default/p", first.ServiceKey, nil)
	becomes("NOT_FOUND")
}
