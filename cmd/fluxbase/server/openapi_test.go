package server_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/jackc/pgx/v5"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/postgres/npmtest"
)

// TestEveryRouteIsDocumented: a route whose document does not say what it is for and
// what it answers is not served.
func TestEveryRouteIsDocumented(t *testing.T) {
	for _, r := range servertest.Start(t).Server.Routes() {
		switch d := r.Doc; {
		case d.Hidden:
		case d.Tag == "" || d.Summary == "" || len(d.Answers) == 0:
			t.Errorf("%s %s: its Doc has no tag, summary or answers", r.Method, r.Path)
		case strings.HasSuffix(d.Summary, "."):
			t.Errorf("%s %s: its summary ends with a full stop", r.Method, r.Path)
		}
	}
}

// schemas of all kinds, with names that documents do not take as they are.
const schemas = `
	CREATE TYPE mood AS ENUM ('sad', 'it''s "fine"', 'größe');
	CREATE DOMAIN age AS int CHECK (VALUE >= 0);
	CREATE TYPE pair AS (a int, b text);
	CREATE TABLE authors (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(80) NOT NULL DEFAULT 'nobody', born date, mood mood, age age,
		full_name text GENERATED ALWAYS AS (name || '!') STORED, secret text);
	COMMENT ON TABLE authors IS 'Who writes "books"'; COMMENT ON COLUMN authors.born IS 'The day';
	CREATE TABLE books (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), author bigint NOT NULL REFERENCES authors, title text NOT NULL, price numeric(8,2) DEFAULT 9.5,
		tags text[] NOT NULL DEFAULT '{}', extra jsonb, sold tstzrange, seen timestamptz DEFAULT now(), best pair, score float8, cover bytea, free boolean DEFAULT false);
	CREATE TABLE ratings (book uuid REFERENCES books, reader int, stars smallint NOT NULL, PRIMARY KEY (book, reader));
	CREATE TABLE log (line text);
	CREATE TABLE "select" ("select" int PRIMARY KEY, "order" text, "or" text, "a.b" text, "größe" text, "{x}" text, "a/b" text);
	CREATE TABLE "{id}" (id int PRIMARY KEY); CREATE TABLE "a/b%?#c d" (id int PRIMARY KEY); CREATE TABLE "A-b" (id int); CREATE TABLE "A_b" (id int);
	CREATE TABLE "rpc" (id int PRIMARY KEY);
	CREATE VIEW bestsellers AS SELECT id, title FROM books WHERE price > 10;
	CREATE VIEW counts AS SELECT author, count(*) AS books FROM books GROUP BY author;
	CREATE MATERIALIZED VIEW kept AS SELECT * FROM authors;
	CREATE FUNCTION add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
	CREATE FUNCTION add(a text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT a';
	CREATE FUNCTION find(title text) RETURNS SETOF books LANGUAGE sql STABLE AS 'SELECT * FROM books';
	CREATE FUNCTION touch() RETURNS void LANGUAGE sql AS '';
	CREATE FUNCTION takes(json) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT $1';
	CREATE FUNCTION "odd name"(VARIADIC "{p}" int[]) RETURNS TABLE ("a b" int, c mood) LANGUAGE sql STABLE AS 'SELECT 1, NULL::mood';
	CREATE FUNCTION hidden_one() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION hidden_one() FROM PUBLIC, anon, authenticated;
	CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO anon, authenticated, service_role;
	CREATE TABLE shop.items (id int PRIMARY KEY, name text); CREATE TABLE shop.books (id int PRIMARY KEY); GRANT SELECT ON shop.items TO anon;
	REVOKE ALL ON authors FROM anon; GRANT SELECT (id, name), UPDATE (name) ON authors TO anon;
	REVOKE ALL ON log, kept FROM anon, authenticated; REVOKE INSERT, UPDATE, DELETE ON books FROM anon`

func execute(t testing.TB, url, sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func withSchemas(t *testing.T) *servertest.Node {
	t.Helper()
	url := dbtest.Create(t)
	execute(t, url, schemas)
	return servertest.On(t, url, "API_EXPOSED_SCHEMAS=public,shop")
}

// load reads a document as a client does: it must be a valid one.
func load(t *testing.T, n *servertest.Node, token string) *openapi3.T {
	t.Helper()
	res := n.Want(200, "GET", "/openapi.json", token, nil)
	doc, err := openapi3.NewLoader().LoadFromData(res.Body)
	if err != nil {
		t.Fatalf("the document cannot be read: %v", err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the document is not valid: %v", err)
	}
	return doc
}

// operations are the methods of a path, in order.
func operations(doc *openapi3.T, path string) string {
	item := doc.Paths.Value(path)
	if item == nil {
		return ""
	}
	var methods []string
	for method := range item.Operations() {
		methods = append(methods, method)
	}
	slices.Sort(methods)
	return strings.Join(methods, " ")
}

// TestDocumentHasWhatItsReaderMayUse: everything for those who look after the
// installation, for others what their role has grants for.
func TestDocumentHasWhatItsReaderMayUse(t *testing.T) {
	n := withSchemas(t)
	user := n.SignUp("ann@example.com")
	docs := map[string]*openapi3.T{"nobody": load(t, n, ""), "user": load(t, n, user.AccessToken), "service": load(t, n, n.ServiceKey)}
	const everything, row = "DELETE GET PATCH POST", "DELETE GET PATCH PUT"
	for _, c := range []struct{ path, nobody, user, service string }{
		{"/api/v1/auth/signup", "POST", "POST", "POST"},
		{"/api/v1/admin/realtime/tables", "", "", "GET POST"},
		{"/api/v1/tables/{table}", everything, everything, everything},
		{"/api/v1/tables/books", "GET", everything, everything},
		{"/rest/v1/books", "GET", everything + " PUT", everything + " PUT"},
		{"/api/v1/tables/books/{id}", "GET", row, row},
		{"/api/v1/tables/books/bulk", "", "DELETE PATCH POST", "DELETE PATCH POST"},
		{"/api/v1/tables/books/query", "POST", "POST", "POST"},
		{"/api/v1/tables/authors", "GET PATCH", everything, everything},
		{"/api/v1/tables/log", "", "", everything},
		{"/api/v1/tables/log/{id}", "", "", ""},
		{"/api/v1/tables/ratings/{id}", row, row, row},
		{"/api/v1/tables/bestsellers", "GET", "GET", everything},
		{"/api/v1/tables/counts", "GET", "GET", "GET"},
		{"/api/v1/tables/kept", "", "", "GET"},
		{"/api/v1/tables/shop/items", "GET", "", everything},
		{"/api/v1/tables/shop/items/{id}", "GET", "", row},
		{"/rest/v1/items", "GET", "", everything + " PUT"},
		{"/api/v1/tables/%7Bid%7D/{id}", row, row, row},
		{"/api/v1/tables/a%2Fb%25%3F%23c%20d", everything, everything, everything},
		{"/rest/v1/rpc/add", "GET POST", "GET POST", "GET POST"},
		{"/rest/v1/rpc/touch", "POST", "POST", "POST"},
		{"/rest/v1/rpc/hidden_one", "", "", "POST"},
		{"/rest/v1/rpc/odd%20name", "GET POST", "GET POST", "GET POST"},
	} {
		for name, want := range map[string]string{"nobody": c.nobody, "user": c.user, "service": c.service} {
			if got := operations(docs[name], c.path); got != sorted(want) {
				t.Errorf("%s for %s: got %q, want %q", c.path, name, got, sorted(want))
			}
		}
	}
	// Columns that somebody may not read or write are not shown to him.
	authors := docs["nobody"].Components.Schemas["public.authors"].Value
	if keys := members(authors); keys != "id name" {
		t.Errorf("the row of authors for nobody has %s", keys)
	}
	if keys := members(docs["nobody"].Components.Schemas["public.authors.update"].Value); keys != "name" {
		t.Errorf("nobody may change %s of authors", keys)
	}
	if keys := members(docs["service"].Components.Schemas["public.authors.insert"].Value); keys != "age born mood name secret" {
		t.Errorf("the service may give %s of authors", keys)
	}
}

func sorted(methods string) string {
	all := strings.Fields(methods)
	slices.Sort(all)
	return strings.Join(all, " ")
}

func members(s *openapi3.Schema) string {
	var names []string
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestColumnsAreDescribed: types, formats, nulls, enums, defaults and comments are
// those of the database.
func TestColumnsAreDescribed(t *testing.T) {
	n := withSchemas(t)
	doc := load(t, n, n.ServiceKey)
	show := func(component string) map[string]string {
		raw, err := json.Marshal(doc.Components.Schemas[component].Value.Properties)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for name, text := range all {
			out[name] = string(text)
		}
		return out
	}
	rows := show("public.authors")
	for name, text := range show("public.books") {
		rows["books."+name] = text
	}
	for name, text := range show("public.books.insert") {
		rows["insert."+name] = text
	}
	for name, text := range show("public.authors.insert") {
		rows["insert.authors."+name] = text
	}
	for name, want := range map[string]string{
		"id":                  `{"description":"bigint, primary key","format":"int64","readOnly":true,"type":"integer"}`,
		"born":                `{"description":"The day (date)","format":"date","nullable":true,"type":"string"}`,
		"mood":                `{"description":"mood","enum":["sad","it's \"fine\"","größe",null],"nullable":true,"type":"string"}`,
		"age":                 `{"description":"age","format":"int32","nullable":true,"type":"integer"}`,
		"books.author":        `{"description":"bigint, refers to public.authors.id","format":"int64","type":"integer"}`,
		"books.tags":          `{"description":"text[]","items":{"nullable":true,"type":"string"},"type":"array"}`,
		"books.extra":         `{"description":"jsonb","nullable":true}`,
		"books.sold":          `{"description":"tstzrange","format":"tstzrange","nullable":true,"type":"string"}`,
		"books.score":         `{"description":"double precision","format":"double","nullable":true,"type":"number"}`,
		"insert.price":        `{"default":9.5,"description":"numeric(8,2)","nullable":true,"type":"number"}`,
		"insert.free":         `{"default":false,"description":"boolean","nullable":true,"type":"boolean"}`,
		"insert.seen":         `{"description":"timestamp with time zone, by default now()","format":"date-time","nullable":true,"type":"string"}`,
		"insert.authors.name": `{"default":"nobody","description":"character varying(80)","maxLength":80,"type":"string"}`,
	} {
		if rows[name] != want {
			t.Errorf("%s\n got %s\nwant %s", name, rows[name], want)
		}
	}
	if got := doc.Components.Schemas["public.books.insert"].Value.Required; !slices.Equal(got, []string{"author", "title"}) {
		t.Errorf("a book needs %v", got)
	}
	if got := doc.Components.Schemas["public.authors"].Value.Description; got != `Who writes "books"` {
		t.Errorf("authors are described as %q", got)
	}
	// Every column that is no parameter of another meaning can be asked for.
	var names []string
	for _, p := range doc.Paths.Value("/api/v1/tables/select").Get.Parameters {
		if p.Value.In == "query" {
			names = append(names, p.Value.Name)
		}
	}
	for _, want := range []string{"a.b", "größe", "{x}", "a/b"} {
		if !slices.Contains(names, want) {
			t.Errorf("no condition on %s is described", want)
		}
	}
}

// TestDocumentFollowsTheSchema: it is kept as long as it is true.
func TestDocumentFollowsTheSchema(t *testing.T) {
	n := servertest.Start(t)
	first := n.Want(200, "GET", "/api/v1/openapi.json", n.ServiceKey, nil)
	tag := first.Header.Get("ETag")
	if tag == "" {
		t.Fatal("the document has no ETag")
	}
	if again := n.Want(304, "GET", "/api/v1/openapi.json", n.ServiceKey, nil, "If-None-Match", `"x", `+tag); len(again.Body) != 0 {
		t.Errorf("304 has a body of %d bytes", len(again.Body))
	}
	n.Want(200, "GET", "/api/v1/openapi.json", "", nil, "If-None-Match", tag)
	execute(t, n.DatabaseURL, `CREATE TABLE fresh (id int PRIMARY KEY)`)
	n.Want(200, "GET", "/api/v1/tables/fresh", n.ServiceKey, nil) // the catalogue has heard of it
	next := n.Want(200, "GET", "/api/v1/openapi.json", n.ServiceKey, nil, "If-None-Match", tag)
	if operations(load(t, n, n.ServiceKey), "/api/v1/tables/fresh") == "" || next.Header.Get("ETag") == tag {
		t.Error("a table that was made is not in the document")
	}
}

// TestDocumentIsReadElsewhere: a reader of npm's, which has nothing in common with
// ours, finds the document valid, and every operation has an id of its own.
func TestDocumentIsReadElsewhere(t *testing.T) {
	folder := npmtest.Install(t, "openapi")
	n := withSchemas(t)
	const script = "testdata/openapi.mjs"
	// Opened here, so that go test knows that its result depends on it.
	if _, err := os.Stat(script); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"service": n.ServiceKey, "nobody": ""} {
		cmd := exec.CommandContext(t.Context(), "node", script)
		cmd.Env = append(os.Environ(), "CLIENTS="+folder)
		cmd.Stdin = bytes.NewReader(n.Want(200, "GET", "/openapi.json", token, nil).Body)
		out, err := cmd.CombinedOutput()
		if operations, _ := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || operations < 100 {
			t.Errorf("the document for %s: %v\n%s", name, err, out)
		}
	}
}

// TestDocumentedPathsAreServed: what the document says of single tables and functions
// is answered by the routes that there are.
func TestDocumentedPathsAreServed(t *testing.T) {
	n := withSchemas(t)
	parameter, described := regexp.MustCompile(`\{[^}]*\}`), 0
	for path, item := range load(t, n, n.ServiceKey).Paths.Map() {
		for method, operation := range item.Operations() {
			if !strings.Contains(operation.Tags[0], ": ") {
				continue
			}
			described++
			headers := []string{}
			for _, p := range operation.Parameters {
				if p.Value.In == "header" && p.Value.Required {
					headers = append(headers, "Accept-Profile", p.Value.Schema.Value.Enum[0].(string), "Content-Profile", p.Value.Schema.Value.Enum[0].(string))
				}
			}
			r := n.Do("OPTIONS", parameter.ReplaceAllString(path, "1"), n.ServiceKey, nil, headers...)
			allowed := r.Header.Get("Allow")
			if !slices.Contains(strings.FieldsFunc(allowed, func(c rune) bool { return c == ',' || c == ' ' }), method) {
				t.Errorf("%s %s is described, and served is %q (%d)", method, path, allowed, r.Status)
			}
		}
	}
	if described < 100 {
		t.Errorf("only %d operations of tables and functions are described", described)
	}
}
