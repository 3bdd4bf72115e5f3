package server_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// additions are routes that the published list of the API does not have: they
// are promised elsewhere, or make the product better. A route that is in neither
// list is a mistake until somebody decides otherwise here.
var additions = []string{
	"GET /ready",
	// GraphQL: the introspection answer, queries in the address, and the path that
	// tools try first.
	"GET /api/v1/graphql",
	"POST /graphql",
	"GET /graphql",
	// The document, beside the one at the root.
	"GET /api/v1/openapi.json",
	// A table outside of the default schema, by id; POST takes {table}/{id} for
	// schema and table.
	"GET /api/v1/tables/{schema}/{table}/{id}",
	"PUT /api/v1/tables/{schema}/{table}/{id}",
	"PATCH /api/v1/tables/{schema}/{table}/{id}",
	"DELETE /api/v1/tables/{schema}/{table}/{id}",
	"POST /api/v1/tables/{schema}/{table}",
	// Queries in a body, bulk writes and exports of tables in any schema.
	"POST /api/v1/tables/{table}/query",
	"POST /api/v1/tables/{schema}/{table}/query",
	"POST /api/v1/tables/{schema}/{table}/bulk",
	"PATCH /api/v1/tables/{schema}/{table}/bulk",
	"DELETE /api/v1/tables/{schema}/{table}/bulk",
	"GET /api/v1/tables/{schema}/{table}/export",
	// Vectors: the public SDK's search and embedding.
	"GET /api/v1/capabilities/vector",
	"POST /api/v1/vector/search",
	"POST /api/v1/vector/embed",
	// PostgREST's dialect. What a function cannot be asked by is refused in it.
	"GET /rest/v1/{table}",
	"POST /rest/v1/{table}",
	"PATCH /rest/v1/{table}",
	"PUT /rest/v1/{table}",
	"DELETE /rest/v1/{table}",
	"OPTIONS /rest/v1/{table}",
	"OPTIONS /rest/v1/rpc/{function}",
	"GET /rest/v1/rpc/{function}",
	"POST /rest/v1/rpc/{function}",
	"PATCH /rest/v1/rpc/{function}",
	"PUT /rest/v1/rpc/{function}",
	"DELETE /rest/v1/rpc/{function}",
	// What administrators see of the schema and do to it.
	"GET /api/v1/tables",
	"GET /api/v1/admin/ddl/schemas",
	"POST /api/v1/admin/ddl/schemas",
	"GET /api/v1/admin/ddl/tables",
	"POST /api/v1/admin/ddl/tables",
	"DELETE /api/v1/admin/ddl/tables/{schema}/{table}",
	"POST /api/v1/admin/schema/refresh",
	// Which tables tell their changes: the public SDK's realtime administration.
	"GET /api/v1/admin/realtime/tables",
	"POST /api/v1/admin/realtime/tables",
	"GET /api/v1/admin/realtime/tables/{schema}/{table}",
	"PATCH /api/v1/admin/realtime/tables/{schema}/{table}",
	"DELETE /api/v1/admin/realtime/tables/{schema}/{table}",
	// Procedures, for the public SDK's administration.
	"GET /api/v1/admin/rpc/namespaces",
	"GET /api/v1/admin/rpc/procedures",
	"GET /api/v1/admin/rpc/procedures/{namespace}/{name}",
	"PUT /api/v1/admin/rpc/procedures/{namespace}/{name}",
	"DELETE /api/v1/admin/rpc/procedures/{namespace}/{name}",
	// Why somebody gets a change or does not.
	"POST /api/v1/realtime/explain",
	// What became of calls of procedures, for administrators: the public SDK's.
	"GET /api/v1/admin/rpc/executions",
	"GET /api/v1/admin/rpc/executions/{id}",
	"GET /api/v1/admin/rpc/executions/{id}/logs",
	"POST /api/v1/admin/rpc/executions/{id}/cancel",
	// Server-sent events.
	"GET /realtime/sse",
	// The doors of supabase-js.
	"GET /realtime/v1/websocket",
	"POST /realtime/v1/api/broadcast",
	"POST /realtime/v1/api/broadcast/{topic}/events/{event}",
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// shape is a route without the names of its parameters.
func shape(line string) string { return parameter.ReplaceAllString(line, "{}") }

// TestRoutesAreThoseOfTheAPI compares what a node serves with the API's list.
func TestRoutesAreThoseOfTheAPI(t *testing.T) {
	text, err := os.ReadFile("testdata/endpoints.tsv")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.ReplaceAll(strings.TrimSpace(line), "\t", " ")
		listed[shape(line)] = line
	}
	extra := map[string]bool{}
	for _, line := range additions {
		extra[shape(line)] = true
	}
	served := map[string]bool{}
	for _, r := range servertest.Start(t).Server.Routes() {
		line := r.Method + " " + r.Path
		served[shape(line)] = true
		if listed[shape(line)] == "" && !extra[shape(line)] {
			t.Errorf("%s is served and in no list", line)
		}
	}
	var missing []string
	for s, line := range listed {
		// HEAD is served by GET.
		if !served[s] && !served["GET"+strings.TrimPrefix(s, "HEAD")] {
			missing = append(missing, line)
		}
	}
	slices.Sort(missing)
	t.Logf("%d of %d are not served yet:\n%s", len(missing), len(listed), strings.Join(missing, "\n"))
}
