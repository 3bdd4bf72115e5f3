package scenario

import (
	"net/url"
	"strings"
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// TestGraphQLOverHTTP: methods, media types and statuses.
func TestGraphQLOverHTTP(t *testing.T) {
	t.Parallel()
	n := startTables(t, graphqlDDL)
	n.exec(t, graphqlSeed)
	const (
		graph  = "application/graphql-response+json"
		author = `{"query":"{ author(id: 1) { name } }"}`
	)
	address := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return "?" + v.Encode()
	}
	for _, c := range []struct {
		name, method, path, body string
		headers                  string // "Name: value" parted by " | "
		status                   int
		contentType, want, allow string
	}{
		{"JSON", "POST", "", author, "", 200, "application/json", `{"data":{"author":{"name":"Ada"}}}`, ""},
		{"the form of its own", "POST", "", author, "Accept: " + graph, 200, graph, `{"data":{"author":{"name":"Ada"}}}`, ""},
		{"the best of several", "POST", "", author, "Accept: application/json;q=0.5, " + graph + ";q=0.9, text/html", 200, graph, "", ""},
		{"neither", "POST", "", author, "Accept: text/html", 406, "application/json", `"code":"NOT_ACCEPTABLE"`, ""},
		{"the path that tools try", "POST", "/graphql", author, "", 200, "application/json", `{"data":{"author":{"name":"Ada"}}}`, ""},
		{"a body that is no JSON", "POST", "", `{"query":`, "Accept: application/json", 400, "application/json", `"code":"INVALID_REQUEST_BODY"`, ""},
		{"a batch", "POST", "", `[` + author + `]`, "", 400, "", `"code":"INVALID_REQUEST_BODY"`, ""},
		{"no query", "POST", "", `{}`, "", 400, "", `"code":"MISSING_REQUIRED_FIELD"`, ""},
		{"variables that are no object", "POST", "", `{"query":"{ _health }","variables":[1]}`, "", 400, "", `"code":"INVALID_REQUEST_BODY"`, ""},
		{"nulls for what is optional", "POST", "", `{"query":"{ _health }","variables":null,"operationName":null,"extensions":null}`, "", 200, "", `{"data":{"_health":"ok"}}`, ""},
		{"a form", "POST", "", `query=x`, "Content-Type: application/x-www-form-urlencoded", 415, "", `"code":"UNSUPPORTED_MEDIA_TYPE"`, ""},
		{"syntax, to one who asks for JSON", "POST", "", `{"query":"{"}`, "Accept: application/json", 200, "application/json", `"code":"GRAPHQL_PARSE_FAILED"`, ""},
		{"syntax, to others", "POST", "", `{"query":"{"}`, "", 400, "application/json", `"code":"GRAPHQL_PARSE_FAILED"`, ""},
		{"syntax, in the form of its own", "POST", "", `{"query":"{"}`, "Accept: " + graph, 400, graph, `"code":"GRAPHQL_PARSE_FAILED"`, ""},
		{"a field that fails", "POST", "", `{"query":"{ books(filter: {isbn_eq: \"x\"}) { id } }"}`, "Accept: " + graph, 200, graph, `"data":{"books":null}`, ""},

		{"GET", "GET", address("query", "{ author(id: 1) { name } }"), "", "", 200, "application/json", `{"data":{"author":{"name":"Ada"}}}`, ""},
		{"GET with variables", "GET", address("query", "query A($i: Int!) { author(id: $i) { name } } query B { _health }", "variables", `{"i":2}`, "operationName", "A"), "", "", 200, "", `{"data":{"author":{"name":"Bo"}}}`, ""},
		{"GET with bad variables", "GET", address("query", "{ _health }", "variables", `{"i"`), "", "", 400, "", `"code":"INVALID_REQUEST_BODY"`, ""},
		{"GET of a mutation", "GET", address("query", `mutation { deleteManyReviews(filter: {id_gt: 0}) }`), "", "", 405, "", `"code":"METHOD_NOT_ALLOWED"`, "POST"},
		{"GET of the schema", "GET", "", "", "", 200, "", `{"data":{"__schema":{`, ""},
		{"another method", "PUT", "", author, "", 405, "", `"code":"METHOD_NOT_ALLOWED"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := "/api/v1/graphql" + c.path
			if strings.HasPrefix(c.path, "/") {
				path = c.path
			}
			var body any
			if c.body != "" {
				body = c.body
			}
			var headers []string
			for _, h := range strings.Split(c.headers, " | ") {
				if name, value, ok := strings.Cut(h, ": "); ok {
					headers = append(headers, name, value)
				}
			}
			got := n.Do(c.method, path, n.ServiceKey, body, headers...)
			contentType, _, _ := strings.Cut(got.Header.Get("Content-Type"), ";")
			if got.Status != c.status || !strings.Contains(string(got.Body), c.want) || c.contentType != "" && contentType != c.contentType ||
				c.allow != "" && got.Header.Get("Allow") != c.allow {
				t.Errorf("status %d, want %d; %s; Allow %q; %.400s", got.Status, c.status, contentType, got.Header.Get("Allow"), got.Body)
			}
		})
	}
	if got := n.text(t, `SELECT count(*)::text FROM reviews`); got != "3" {
		t.Errorf("a GET has written: %s reviews are left", got)
	}

	r := n.Do("POST", "/api/v1/graphql", "no.good.token", author)
	if r.Status != 401 || !strings.HasPrefix(string(r.Body), `{"errors":[{"message":`) || r.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong credential: %d %s", r.Status, r.Body)
	}
	if r := n.Do("POST", "/api/v1/graphql", n.ServiceKey, author, "X-FB-Tenant", "nobody"); r.Status != 404 || !strings.Contains(string(r.Body), "TENANT_NOT_FOUND") {
		t.Errorf("a wrong tenant: %d %s", r.Status, r.Body)
	}
}

// TestGraphQLSettings: what the settings switch off is off on every way in.
func TestGraphQLSettings(t *testing.T) {
	t.Parallel()
	address := dbtest.Create(t)
	ask := func(n *servertest.Node, query string) servertest.Response {
		return n.Do("POST", "/graphql", n.ServiceKey, map[string]string{"query": query})
	}
	want := func(r servertest.Response, status int, part string) {
		t.Helper()
		if r.Status != status || !strings.Contains(string(r.Body), part) {
			t.Errorf("status %d, want %d with %s: %s", r.Status, status, part, r.Body)
		}
	}
	n := servertest.On(t, address, "GRAPHQL_INTROSPECTION=false", "GRAPHQL_ALLOW_FRAGMENTS=false", "GRAPHQL_MAX_FIELDS_PER_LVL=2", "GRAPHQL_MAX_ALIASES=1", "GRAPHQL_MAX_DEPTH=2")
	want(n.Do("GET", "/graphql", n.ServiceKey, nil), 403, `"message":"Introspection is disabled"`)
	want(n.Do("GET", "/graphql?query=%7B__schema%7BqueryType%7Bname%7D%7D%7D", n.ServiceKey, nil), 403, "INTROSPECTION_DISABLED")
	want(ask(n, `{ __type(name: "Query") { name } }`), 403, "INTROSPECTION_DISABLED")
	want(ask(n, `{ __typename }`), 200, `"Query"`)
	r := ask(n, `{ _helth }`)
	if want(r, 400, "GRAPHQL_VALIDATION_FAILED"); strings.Contains(string(r.Body), "_health") {
		t.Errorf("a name of the schema is suggested: %s", r.Body)
	}
	want(ask(n, `{ ...A } fragment A on Query { _health }`), 400, "Fragment spreads are not allowed")
	want(ask(n, `{ ... on Query { _health } }`), 200, `"ok"`)
	want(ask(n, `{ _health a: _health __typename }`), 400, "3 fields at one level exceed the maximum of 2")
	want(ask(n, `{ a: _health b: _health }`), 400, "2 aliases")
	n.Stop()

	n = servertest.On(t, address, "GRAPHQL_ENABLED=false")
	want(ask(n, `{ _health }`), 404, "NOT_FOUND")
	want(n.Do("GET", "/api/v1/graphql", n.ServiceKey, nil), 404, "NOT_FOUND")
}
