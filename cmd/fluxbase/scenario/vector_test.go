package scenario

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// keeping is a way to keep vectors: the type of a column, and how it is written.
type keeping struct {
	name, typ string
	write     func(numbers string) string
}

// everywhere are the ways that need no extension.
var everywhere = []keeping{
	{"float4", "float4[]", braces}, {"float8", "float8[]", braces}, {"numeric", "numeric[]", braces}, {"text", "text", brackets}, {"jsonb", "jsonb", brackets},
}

func braces(numbers string) string   { return "'{" + numbers + "}'" }
func brackets(numbers string) string { return "'[" + numbers + "]'" }

// pgvectors are the types of the extension, which lives in a schema of an odd name.
func pgvectors() (all []keeping) {
	for _, typ := range []string{"vector", "halfvec", "sparsevec"} {
		all = append(all, keeping{typ, `"Exten sions".` + typ + "(3)", func(n string) string { return brackets(n) + `::"Exten sions".vector` }})
	}
	return all
}

const vectorSchemas = `CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO anon, authenticated, service_role;
	CREATE TABLE authors (id int PRIMARY KEY, name text); INSERT INTO authors VALUES (1, 'ada'), (2, 'bo');`

// named puts the name of a way to keep vectors behind the names of its tables.
func (k keeping) named(text string) string {
	return strings.NewReplacer("documents", "documents_"+k.name, "titles", "titles_"+k.name, "shop.items", "shop.items_"+k.name).Replace(text)
}

// documents are the tables of a way to keep vectors.
func (k keeping) documents() string {
	const ddl = `
		CREATE TABLE documents (id int PRIMARY KEY, owner uuid, title text, embedding TYPE, author int REFERENCES authors, tags text[]);
		ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
		CREATE POLICY shared ON documents USING (owner IS NULL OR owner = auth.uid());
		CREATE TABLE shop.items (id int, e TYPE); GRANT SELECT ON shop.items TO anon, authenticated;
		INSERT INTO shop.items VALUES (7, VECTOR(1,1,1));
		CREATE VIEW titles AS SELECT id, title, embedding FROM documents WHERE owner IS NULL;
		INSERT INTO documents VALUES
			(1, NULL, 'east', VECTOR(1,0,0), 1, '{a}'), (2, NULL, 'north', VECTOR(0,2,0), 2, '{a,b}'), (3, NULL, 'west', VECTOR(-1,0,0), 1, '{b}'),
			(4, NULL, 'far east', VECTOR(3,4,0), 2, '{}'), (5, '00000000-0000-0000-0000-000000000001', 'hidden', VECTOR(1,0,0), 1, '{a}'),
			(6, NULL, 'nowhere', NULL, 1, '{a}'), (7, NULL, 'origin', VECTOR(0,0,0), NULL, NULL);`
	var b strings.Builder
	for i, part := range strings.Split(k.named(strings.ReplaceAll(ddl, "TYPE", k.typ)), "VECTOR(") {
		if i > 0 {
			numbers, rest, _ := strings.Cut(part, ")")
			b.WriteString(k.write(numbers))
			part = rest
		}
		b.WriteString(part)
	}
	return b.String()
}

type vectorCase struct {
	name, who, method, path, body string
	status                        int
	want, code                    string
}

// vectorCases hold whatever the vectors are kept in.
var vectorCases = []vectorCase{
	// Orders and conditions of lists.
	{name: "order", path: "/api/v1/tables/documents?select=id&order=embedding.vec_l2.[1,0,0].asc&limit=4", want: `[{"id":1},{"id":7},{"id":3},{"id":2}]`},
	{name: "order in parentheses, downwards", path: "/api/v1/tables/documents?select=id&order=embedding.vec_l2.(1,0,0).desc.nullslast&limit=2", want: `[{"id":4},{"id":2}]`},
	{name: "order by the inner product", path: "/api/v1/tables/documents?select=id&order=embedding.vec_ip.[1,0,0],id&limit=3", want: `[{"id":4},{"id":1},{"id":2}]`},
	{name: "order by direction", path: "/api/v1/tables/documents?select=id&order=embedding.vec_cos.[2,0,0].asc.nullslast&limit=4", want: `[{"id":1},{"id":4},{"id":2},{"id":3}]`},
	{name: "a condition orders only", path: "/api/v1/tables/documents?select=id&embedding=vec_cos.(1,0,0)&limit=3", want: `[{"id":1},{"id":4},{"id":2}]`},
	{name: "a condition in the other spelling", path: "/api/v1/tables/documents?select=id&embedding.vec_cos=[1,0,0]&tags=cs.{a}&limit=3", want: `[{"id":1},{"id":2},{"id":6}]`},
	{name: "what the SDK sends", path: "/api/v1/tables/documents?select=id&embedding=vec_cos.(1,0,0)&order=embedding.vec_cos.[1,0,0].asc&limit=2", want: `[{"id":1},{"id":4}]`},
	{name: "a query in a body", method: "POST", path: "/api/v1/tables/documents/query", body: `{"select":"id","order":[{"column":"embedding","direction":"asc","vectorOp":"vec_l2","vectorValue":"[1,0,0]"}],"limit":2}`, want: `[{"id":1},{"id":7}]`},
	{name: "a query in a body with an array", method: "POST", path: "/api/v1/tables/documents/query", body: `{"select":"id","order":[{"column":"embedding","direction":"desc","nulls":"last","vectorOp":"vec_l2","vectorValue":[1,0,0]}],"limit":2}`, want: `[{"id":4},{"id":2}]`},
	{name: "embedded rows by distance", path: "/api/v1/tables/authors?select=name,documents(id)&documents.order=embedding.vec_l2.[3,4,0]&documents.limit=1&order=id", want: `[{"name":"ada","documents":[{"id":1}]},{"name":"bo","documents":[{"id":4}]}]`},
	{name: "embedded rows by a condition", path: "/api/v1/tables/authors?select=name,documents!inner(id)&documents.embedding=vec_l2.[-1,0,0]&documents.limit=1&order=id", want: `[{"name":"ada","documents":[{"id":3}]},{"name":"bo","documents":[{"id":2}]}]`},
	{name: "PostgREST's dialect", path: "/rest/v1/documents?select=id&order=embedding.vec_l2.[1,0,0]&limit=2", want: `[{"id":1},{"id":7}]`},
	{name: "count", path: "/api/v1/tables/documents?select=id&embedding=vec_l2.[1,0,0]&count=exact&limit=1", want: `[{"id":1}]`},
	{name: "in or", path: "/api/v1/tables/documents?or=(embedding.vec_l2.[1,0,0],id.eq.1)", status: 400, code: "INVALID_QUERY"},
	{name: "not", path: "/api/v1/tables/documents?embedding=not.vec_l2.[1,0,0]", status: 400, code: "INVALID_QUERY"},
	{name: "not a vector", path: "/api/v1/tables/documents?order=embedding.vec_l2.[1,x,0].asc", status: 400, code: "INVALID_QUERY"},
	{name: "no vector", path: "/api/v1/tables/documents?order=embedding.vec_l2.asc", status: 400, code: "INVALID_QUERY"},
	{name: "another column", path: "/api/v1/tables/documents?order=id.vec_l2.[1]", status: 400, code: "INVALID_QUERY"},
	{name: "another size", path: "/api/v1/tables/documents?order=embedding.vec_l2.[1,0].asc", status: 400, code: "INVALID_INPUT"},
	{name: "no filter of a write", method: "DELETE", path: "/api/v1/tables/documents?embedding=vec_l2.[1,0,0]", status: 400, code: "INVALID_QUERY"},
	{name: "no filter of an update", method: "PATCH", path: "/api/v1/tables/documents?embedding=vec_l2.[1,0,0]", body: `{"title":"x"}`, status: 400, code: "INVALID_QUERY"},

	// Searches.
	{name: "search", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id","match_count":3}`,
		want: `{"data":[{"id":1},{"id":4},{"id":2}],"distances":[0,0.4,1],"similarities":[1,0.6,0]}`},
	{name: "search by distance", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"metric":"euclidean","select":"title","match_count":2}`,
		want: `{"data":[{"title":"east"},{"title":"origin"}],"distances":[0,1],"similarities":[1,0.5]}`},
	{name: "search by product", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"metric":"ip","select":"id","match_count":1}`,
		want: `{"data":[{"id":4}],"distances":[-3],"similarities":[3]}`},
	{name: "without the vectors", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"match_count":1}`,
		want: `{"data":[{"id":1,"owner":null,"title":"east","author":1,"tags":["a"]}],"distances":[0],"similarities":[1]}`},
	{name: "threshold", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id","match_threshold":0.4}`,
		want: `{"data":[{"id":1}],"distances":[0],"similarities":[1]}`},
	{name: "no vector is not found", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id","metric":"l2","filters":[{"column":"id","operator":"in","value":[6,7]}]}`,
		want: `{"data":[{"id":7}],"distances":[1],"similarities":[0.5]}`},
	{name: "nothing found", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"filters":[{"column":"id","operator":"eq","value":99}]}`, want: `{"data":[],"distances":[],"similarities":[]}`},
	{name: "filters", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id","filters":[{"column":"tags","operator":"cs","value":"{b}"},{"column":"title","operator":"not.is","value":null},{"column":"or","operator":"","value":""}]}`, status: 400, code: "INVALID_QUERY"},
	{name: "all filters hold", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id","filters":[{"column":"tags","operator":"cs","value":["b"]},{"column":"title","operator":"not.ilike","value":"NORTH"},{"column":"id","operator":"lt","value":5}]}`,
		want: `{"data":[{"id":3}],"distances":[2],"similarities":[-1]}`},
	{name: "embeds", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id,author(name)","match_count":2}`,
		want: `{"data":[{"id":1,"author":{"name":"ada"}},{"id":4,"author":{"name":"bo"}}],"distances":[0,0.4],"similarities":[1,0.6]}`},
	{name: "embeds that filter", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id,author!inner(name)","filters":[{"column":"author.name","operator":"eq","value":"bo"}]}`,
		want: `{"data":[{"id":4,"author":{"name":"bo"}},{"id":2,"author":{"name":"bo"}}],"distances":[0.4,1],"similarities":[0.6,0]}`},
	{name: "a schema", body: `{"table":"shop.items","column":"e","vector":[1,1,1],"metric":"l2"}`, want: `{"data":[{"id":7}],"distances":[0],"similarities":[1]}`},
	{name: "a view", body: `{"table":"titles","column":"embedding","vector":[0,1,0],"match_count":1}`, want: `{"data":[{"id":2,"title":"north"}],"distances":[0],"similarities":[1]}`},
	{name: "somebody else's rows", who: "nobody's", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id","metric":"l2","match_threshold":0.5}`, want: `{"data":[{"id":1}],"distances":[0],"similarities":[1]}`},
	{name: "the service sees all", who: "service", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id","metric":"l2","match_threshold":0.5,"filters":[{"column":"id","operator":"eq","value":5}]}`, want: `{"data":[{"id":5}],"distances":[0],"similarities":[1]}`},
	{name: "how hard an index tries", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"id","match_count":1,"ef_search":100,"probes":5}`, want: `{"data":[{"id":1}],"distances":[0],"similarities":[1]}`},
	{name: "no credentials", who: "nobody", body: `{"table":"documents","column":"embedding","vector":[1,0,0]}`, status: 401, code: "MISSING_AUTHENTICATION"},
	{name: "no table", body: `{"column":"embedding","vector":[1,0,0]}`, status: 400, code: "MISSING_REQUIRED_FIELD"},
	{name: "no column", body: `{"table":"documents","vector":[1,0,0]}`, status: 400, code: "MISSING_REQUIRED_FIELD"},
	{name: "nothing to search", body: `{"table":"documents","column":"embedding"}`, status: 400, code: "MISSING_REQUIRED_FIELD"},
	{name: "two things to search", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"query":"x"}`, status: 400, code: "INVALID_INPUT"},
	{name: "unknown table", body: `{"table":"nope","column":"embedding","vector":[1,0,0]}`, status: 404, code: "TABLE_NOT_FOUND"},
	{name: "hidden schema", body: `{"table":"auth.users","column":"id","vector":[1,0,0]}`, status: 404, code: "TABLE_NOT_FOUND"},
	{name: "unknown column", body: `{"table":"documents","column":"nope","vector":[1,0,0]}`, status: 400, code: "UNKNOWN_COLUMN"},
	{name: "unknown column selected", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"nope"}`, status: 400, code: "UNKNOWN_COLUMN"},
	{name: "column without vectors", body: `{"table":"documents","column":"id","vector":[1,0,0]}`, status: 400, code: "INVALID_QUERY"},
	{name: "unknown metric", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"metric":"hamming"}`, status: 400, code: "INVALID_INPUT"},
	{name: "unknown operator", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"filters":[{"column":"id","operator":"bogus","value":1}]}`, status: 400, code: "INVALID_QUERY"},
	{name: "unknown member", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"filter":[]}`, status: 400, code: "INVALID_REQUEST_BODY"},
	{name: "numbers that are none", body: `{"table":"documents","column":"embedding","vector":[1,null,"x"]}`, status: 400, code: "INVALID_QUERY"},
	{name: "too large a number", body: `{"table":"documents","column":"embedding","vector":[1e300,0,0]}`, status: 400, code: "INVALID_QUERY"},
	{name: "another size searched", body: `{"table":"documents","column":"embedding","vector":[1,0]}`, status: 400, code: "INVALID_INPUT"},
	{name: "no rows wanted", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"match_count":0}`, status: 400, code: "INVALID_INPUT"},
	{name: "a bad effort", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"ef_search":1001}`, status: 400, code: "INVALID_QUERY"},
	{name: "aggregates", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"select":"count()"}`, status: 400, code: "INVALID_QUERY"},
	{name: "an order in a condition", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"filters":[{"column":"embedding","operator":"vec_l2","value":[1,0,0]}]}`, status: 400, code: "INVALID_QUERY"},
	{name: "a number that is none", body: `{"table":"documents","column":"embedding","vector":[1,0,0],"match_threshold":"near"}`, status: 400, code: "INVALID_REQUEST_BODY"},
	{name: "a broken body", body: `{"table":`, status: 400, code: "INVALID_REQUEST_BODY"},
	{name: "text without a provider", body: `{"table":"documents","column":"embedding","query":"east"}`, status: 503, code: "FEATURE_DISABLED"},
	{name: "embed without a provider", path: "/api/v1/vector/embed", body: `{"text":"east"}`, status: 503, code: "FEATURE_DISABLED"},
}

// run asks everything of a node and compares the answers.
func (c vectorCase) run(t *testing.T, n *tablesNode) {
	t.Helper()
	if c.path == "" {
		c.path = "/api/v1/vector/search"
	}
	if c.method == "" {
		c.method = "GET"
		if c.body != "" {
			c.method = "POST"
		}
	}
	if c.status == 0 {
		c.status = 200
	}
	token := n.ann.AccessToken
	switch c.who {
	case "service", "nobody":
		token = n.token(t, c.who)
	case "nobody's":
		token = n.AnonKey
	}
	address, query, _ := strings.Cut(c.path, "?")
	if query != "" {
		address += "?" + strings.NewReplacer("[", "%5B", "]", "%5D", " ", "%20", "{", "%7B", "}", "%7D").Replace(query)
	}
	var body any
	if c.body != "" {
		body = c.body
	}
	r := n.Do(c.method, address, token, body)
	var failure struct{ Code string }
	_ = json.Unmarshal(r.Body, &failure) // a list is no object
	if r.Status != c.status || c.status != 200 && failure.Code != c.code {
		t.Errorf("%s: got %d %s, want %d %s\n%s", c.name, r.Status, failure.Code, c.status, c.code, r.Body)
	} else if c.want != "" && compact(t, r.Body) != c.want {
		t.Errorf("%s\n got %s\nwant %s", c.name, compact(t, r.Body), c.want)
	}
}

// compact writes numbers of JSON with six digits: four bytes hold no more of 0.4.
func compact(t *testing.T, text []byte) string {
	t.Helper()
	var b strings.Builder
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	// The decoder gives tokens without what stands between them.
	type level struct {
		array bool
		n     int
	}
	var open []level
	for {
		token, err := d.Token()
		if err != nil {
			return b.String()
		}
		closing := token == json.Delim(']') || token == json.Delim('}')
		if len(open) > 0 && !closing {
			top := &open[len(open)-1]
			switch {
			case !top.array && top.n%2 == 1:
				b.WriteByte(':')
			case top.n > 0:
				b.WriteByte(',')
			}
			top.n++
		}
		switch token := token.(type) {
		case json.Delim:
			b.WriteString(token.String())
			if closing {
				open = open[:len(open)-1]
			} else {
				open = append(open, level{array: token == '['})
			}
		case json.Number:
			x, err := token.Float64()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%.6g", x+0)
		default:
			text, err := json.Marshal(token)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
	}
}

const exposeShop = "API_EXPOSED_SCHEMAS=public,shop"

// hasPgvector tells whether the test server can make the extension.
func hasPgvector(t *testing.T, n *tablesNode) bool {
	t.Helper()
	return n.text(t, `SELECT count(*)::text FROM pg_available_extensions WHERE name = 'vector'`) != "0"
}

// TestVectors: one table of answers, whatever the vectors are kept in.
func TestVectors(t *testing.T) {
	t.Parallel()
	n := startTables(t, vectorSchemas, exposeShop)
	ways := everywhere
	if hasPgvector(t, n) {
		n.exec(t, `CREATE SCHEMA "Exten sions"; GRANT USAGE ON SCHEMA "Exten sions" TO PUBLIC; CREATE EXTENSION vector SCHEMA "Exten sions"`)
		ways = append(ways, pgvectors()...)
		var capable struct {
			Installed bool   `json:"pgvector_installed"`
			Version   string `json:"pgvector_version"`
		}
		n.Want(200, "GET", "/api/v1/capabilities/vector", n.ServiceKey, nil).Decode(t, &capable)
		if !capable.Installed || capable.Version == "" {
			t.Errorf("the extension is not noticed: %+v", capable)
		}
	} else {
		t.Log("the test server has no pgvector: its types are left out")
	}
	for _, k := range ways {
		n.exec(t, k.documents())
	}
	for _, k := range ways {
		t.Run(k.name, func(t *testing.T) {
			for _, c := range vectorCases {
				c.path, c.body, c.want = k.named(c.path), k.named(c.body), k.named(c.want)
				c.run(t, n)
			}
		})
	}
}

// TestVectorsInGraphQL: rows, related rows, and rows by the vectors of related ones are
// ordered by distance.
func TestVectorsInGraphQL(t *testing.T) {
	t.Parallel()
	n := startTables(t, vectorSchemas+everywhere[0].documents()+`
		CREATE TABLE vector_distance (id int PRIMARY KEY, e float8[], e_distance text);
		CREATE TABLE reviews (id int PRIMARY KEY, document int REFERENCES documents_float4);
		INSERT INTO reviews VALUES (1, 3), (2, 1), (3, 2)`)
	for _, c := range []graphqlCase{
		{name: "nearest", as: "ann", query: `{documentsFloat4(orderBy: [{embeddingDistance: {vector: [1, 0, 0]}}], limit: 3) {id}}`,
			data: `{"documentsFloat4":[{"id":1},{"id":4},{"id":2}]}`},
		{name: "metric and a variable", query: `query ($v: [Float!]!) {documentsFloat4(filter: {id_neq: 5}, orderBy: [{embeddingDistance: {metric: L2, vector: $v}}, {id: ASC}], limit: 2) {id}}`,
			vars: `{"v":[1,0,0]}`, data: `{"documentsFloat4":[{"id":1},{"id":7}]}`},
		{name: "the whole order as a variable", query: `query ($o: [DocumentsFloat4OrderBy!]) {documentsFloat4(orderBy: $o, limit: 1) {id}}`,
			vars: `{"o":[{"embeddingDistance":{"metric":"INNER_PRODUCT","vector":[1,0,0]}}]}`, data: `{"documentsFloat4":[{"id":4}]}`},
		{name: "related rows", query: `{authors(orderBy: [{id: ASC}]) {name documentsFloat4(orderBy: [{embeddingDistance: {metric: L2, vector: [3, 4, 0]}}], limit: 1) {id}}}`,
			data: `{"authors":[{"name":"ada","documentsFloat4":[{"id":1}]},{"name":"bo","documentsFloat4":[{"id":4}]}]}`},
		{name: "by a related row", query: `{reviews(orderBy: [{documentsFloat4: {embeddingDistance: {metric: L2, vector: [-1, 0, 0]}}}]) {id}}`,
			data: `{"reviews":[{"id":1},{"id":2},{"id":3}]}`},
		{name: "no vector", query: `{documentsFloat4(orderBy: [{embeddingDistance: {vector: []}}]) {id}}`, code: "INVALID_QUERY", path: "documentsFloat4"},
		{name: "another size", query: `{documentsFloat4(orderBy: [{embeddingDistance: {vector: [1]}}]) {id}}`, code: "INVALID_INPUT", part: "different vector dimensions 3 and 1", path: "documentsFloat4"},
		{name: "vectors are numbers", query: `{documentsFloat4(orderBy: [{embeddingDistance: {vector: ["x"]}}]) {id}}`, code: "GRAPHQL_VALIDATION_FAILED", status: 400, data: "-"},
		{name: "names that are taken", query: `{vectorDistance(orderBy: [{eDistance_2: {vector: [1]}}, {eDistance: ASC}]) {id} __type(name: "VectorDistance_2") {kind}}`,
			data: `{"vectorDistance":[],"__type":{"kind":"INPUT_OBJECT"}}`},
	} {
		t.Run(c.name, func(t *testing.T) { n.runGraphQL(t, c) })
	}
}

// TestVectorIndexesFindEnough: an HNSW index gives as many rows as were asked for, also
// when policies and conditions let only few of its candidates through.
func TestVectorIndexesFindEnough(t *testing.T) {
	t.Parallel()
	// The planner would rather sort so few rows.
	n := startTables(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_sort = off', current_database()); EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off', current_database()); END $$`)
	if !hasPgvector(t, n) {
		t.Skip("the test server has no pgvector")
	}
	n.exec(t, `CREATE EXTENSION vector; CREATE TABLE points (id int PRIMARY KEY, owner uuid, e vector(2));
		INSERT INTO points SELECT i, CASE WHEN i % 50 = 0 THEN '`+n.ann.ID+`' ELSE gen_random_uuid() END, ARRAY[i, 1]::vector FROM generate_series(1, 5000) i;
		CREATE INDEX ON points USING hnsw (e vector_l2_ops); ANALYZE points;
		ALTER TABLE points ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON points USING (owner = auth.uid())`)
	var rows []struct{ ID int }
	n.Want(200, "GET", "/api/v1/tables/points?select=id&order=e.vec_l2.%5B0,1%5D&limit=60", n.ann.AccessToken, nil).Decode(t, &rows)
	for i := range rows {
		if rows[i].ID != 50*(i+1) {
			t.Fatalf("row %d has the id %d", i, rows[i].ID)
		}
	}
	if len(rows) != 60 {
		t.Errorf("%d rows, want 60", len(rows))
	}
	var found struct{ Data []struct{ ID int } }
	n.Want(200, "POST", "/api/v1/vector/search", n.ann.AccessToken, `{"table":"points","column":"e","vector":[0,1],"metric":"l2","match_count":60}`).Decode(t, &found)
	if len(found.Data) != 60 || found.Data[59].ID != 3000 {
		t.Errorf("a search found %d rows", len(found.Data))
	}
}

// TestEmbeddings: texts become vectors by a provider that speaks the real protocol.
func TestEmbeddings(t *testing.T) {
	t.Parallel()
	const key = "sk-secret-of-the-provider"
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Model string
			Input []string
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.Header.Get("Authorization") != "Bearer "+key || r.URL.Path != "/v1/embeddings" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s"}}`, r.Header.Get("Authorization"))
			return
		}
		if asked.Model == "nope" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"message":"The model nope does not exist"}}`)
			return
		}
		directions := map[string]string{"east": "[1,0,0]", "north": "[0,1,0]"}
		var items []string
		for i, text := range asked.Input {
			vector, ok := directions[text]
			if !ok {
				vector = "[0,0,1]"
			}
			items = append(items, fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":%s}`, i, vector))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"list","data":[%s],"model":%q,"usage":{"prompt_tokens":5,"total_tokens":5}}`, strings.Join(items, ","), asked.Model)
	}))
	t.Cleanup(provider.Close)
	n := startTables(t, vectorSchemas+everywhere[0].documents(), exposeShop, "AI_EMBEDDING_ENABLED=true", "AI_EMBEDDING_PROVIDER=openai",
		"AI_OPENAI_API_KEY="+key, "AI_OPENAI_BASE_URL="+provider.URL+"/v1", "AI_EMBEDDING_MAX_TEXTS=2")
	for _, c := range []vectorCase{
		{name: "one text", path: "/api/v1/vector/embed", body: `{"text":"east"}`, want: `{"embeddings":[[1,0,0]],"model":"text-embedding-3-small","dimensions":3,"usage":{"prompt_tokens":5,"total_tokens":5}}`},
		{name: "texts", path: "/api/v1/vector/embed", body: `{"texts":["north","east"],"model":"large"}`, want: `{"embeddings":[[0,1,0],[1,0,0]],"model":"large","dimensions":3,"usage":{"prompt_tokens":5,"total_tokens":5}}`},
		{name: "anonymous key", who: "nobody's", path: "/api/v1/vector/embed", body: `{"text":"east"}`},
		{name: "nobody", who: "nobody", path: "/api/v1/vector/embed", body: `{"text":"east"}`, status: 401, code: "MISSING_AUTHENTICATION"},
		{name: "no text", path: "/api/v1/vector/embed", body: `{}`, status: 400, code: "MISSING_REQUIRED_FIELD"},
		{name: "both", path: "/api/v1/vector/embed", body: `{"text":"a","texts":["b"]}`, status: 400, code: "INVALID_INPUT"},
		{name: "too many", path: "/api/v1/vector/embed", body: `{"texts":["a","b","c"]}`, status: 400, code: "BATCH_TOO_LARGE"},
		{name: "unknown model", path: "/api/v1/vector/embed", body: `{"text":"a","model":"nope"}`, status: 400, code: "INVALID_INPUT"},
		{name: "a user's provider", path: "/api/v1/vector/embed", body: `{"text":"a","provider":"openai"}`, status: 403, code: "ADMIN_REQUIRED"},
		{name: "the service's provider", who: "service", path: "/api/v1/vector/embed", body: `{"text":"a","provider":"openai"}`},
		{name: "a provider that is not configured", who: "service", path: "/api/v1/vector/embed", body: `{"text":"a","provider":"azure"}`, status: 400, code: "INVALID_INPUT"},
		{name: "search by a text", body: `{"table":"documents","column":"embedding","query":"north","select":"title","match_count":1}`,
			want: `{"data":[{"title":"north"}],"distances":[0],"similarities":[1],"model":"text-embedding-3-small"}`},
		{name: "capabilities of a user", path: "/api/v1/capabilities/vector", want: `{"enabled":true}`},
		{name: "capabilities of nobody", who: "nobody", path: "/api/v1/capabilities/vector", want: `{"enabled":true}`},
		{name: "capabilities of the service", who: "service", path: "/api/v1/capabilities/vector",
			want: `{"enabled":true,"pgvector_installed":false,"embedding_enabled":true,"embedding_provider":"openai","embedding_model":"text-embedding-3-small"}`},
	} {
		c.body = everywhere[0].named(c.body)
		c.run(t, n)
	}
	if n.Logged(key) {
		t.Error("the provider's key is in the log")
	}
	wrong := servertest.Start(t, "AI_EMBEDDING_ENABLED=true", "AI_EMBEDDING_PROVIDER=openai", "AI_OPENAI_API_KEY=sk-wrong-key-of-ours", "AI_OPENAI_BASE_URL="+provider.URL+"/v1")
	r := wrong.Want(503, "POST", "/api/v1/vector/embed", wrong.AnonKey, `{"text":"east"}`)
	if strings.Contains(string(r.Body), "sk-wrong") || wrong.Logged("sk-wrong") {
		t.Errorf("the key is shown: %s", r.Body)
	}
}

// TestVectorsAreWrittenAsTheyAreRead in every form that clients use.
func TestVectorsAreWrittenAsTheyAreRead(t *testing.T) {
	t.Parallel()
	n := startTables(t, `CREATE TABLE notes (id serial PRIMARY KEY, e float4[])`)
	n.Want(201, "POST", "/api/v1/tables/notes", n.ServiceKey, `{"e":[0.5,-1,2e1]}`)
	r := n.Want(200, "GET", "/api/v1/tables/notes?e=eq."+url.QueryEscape("{0.5,-1,20}"), n.ServiceKey, nil)
	if string(r.Body) != `[{"id":1,"e":[0.5,-1,20]}]` {
		t.Errorf("got %s", r.Body)
	}
}
