package graphql

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fluxbase/actors/data"
	"fluxbase/actors/graphql/operation"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

const (
	ann = "11111111-1111-1111-1111-111111111111"
	bob = "22222222-2222-2222-2222-222222222222"
)

const forumDDL = `
CREATE TABLE persons (id int4 PRIMARY KEY, name text NOT NULL, owner uuid, boss_id int4 REFERENCES persons);
CREATE TABLE posts (id int4 PRIMARY KEY, title text NOT NULL, score int4, person_id int4 NOT NULL REFERENCES persons, owner uuid);
CREATE TABLE comments (id int4 PRIMARY KEY, body text, likes int4, post_id int4 NOT NULL REFERENCES posts, person_id int4 REFERENCES persons, owner uuid);
CREATE TABLE tags (id int4 PRIMARY KEY, label text NOT NULL);
CREATE TABLE post_tags (post_id int4 REFERENCES posts, tag_id int4 REFERENCES tags, PRIMARY KEY (post_id, tag_id));
`

// counted counts what is run.
type counted struct {
	data.Database
	transactions, statements int
}

func (c *counted) Run(ctx context.Context, who caller.Caller, s ...db.Statement) error {
	c.transactions, c.statements = c.transactions+1, c.statements+len(s)
	return c.Database.Run(ctx, who, s...)
}

func (c *counted) RunRead(ctx context.Context, who caller.Caller, s ...db.Statement) error {
	c.transactions, c.statements = c.transactions+1, c.statements+len(s)
	return c.Database.RunRead(ctx, who, s...)
}

// bundle is a database with tables and a worker over it.
type bundle struct {
	*dbtest.Database
	testing.TB
	runs   *counted
	worker *Worker
}

func setup(t testing.TB, ddl string, change ...func(*Options)) *bundle {
	t.Helper()
	d := dbtest.New(t)
	d.Exec(ddl + `; GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, authenticated, service_role`)
	c, err := catalog.Open(t.Context(), d.DB, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{Database: d, TB: t, runs: &counted{Database: d.DB}}
	o := Options{Database: b.runs, Catalog: c, Limits: data.DefaultLimits, Rules: operation.Rules{
		Introspection: true, Limits: operation.Limits{MaxDepth: 10, MaxComplexity: 5000, MaxFields: 50, MaxAliases: 50},
	}}
	for _, f := range change {
		f(&o)
	}
	b.worker = NewWorker(o)
	return b
}

func (b *bundle) ask(m *Execute) (*Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	reply, err := b.worker.Handle(ctx, m)
	r, _ := reply.(*Response)
	return r, err
}

// data is what a request that must succeed is answered with.
func (b *bundle) data(who caller.Caller, query, variables string) string {
	b.Helper()
	r, err := b.ask(&Execute{Caller: who, Query: query, Variables: []byte(variables)})
	if err != nil {
		b.Fatalf("%s: %v", query, err)
	}
	var answer struct{ Data, Errors json.RawMessage }
	if err := json.Unmarshal(r.Body, &answer); err != nil || answer.Errors != nil {
		b.Fatalf("%s with %s: %s (%v)", query, variables, r.Body, err)
	}
	return string(answer.Data)
}

// TestStatements: a query is one statement however much it asks for, and a mutation
// one for each of its fields, in one transaction.
func TestStatements(t *testing.T) {
	t.Parallel()
	b := setup(t, forumDDL)
	b.Exec(`INSERT INTO persons SELECT i, 'p' || i, NULL, NULL FROM generate_series(1, 20) i;
		INSERT INTO posts SELECT i, 't' || i, i, 1 + i % 20, NULL FROM generate_series(1, 100) i;
		INSERT INTO comments SELECT i, 'c', i, 1 + i % 100, 1 + i % 20, NULL FROM generate_series(1, 500) i`)
	for _, c := range []struct {
		query                    string
		transactions, statements int
	}{
		{`{ persons { name posts { title comments { body person { name } } commentsAggregate { count } } } }`, 1, 1},
		{`{ persons { id } posts(filter: {person: {name_eq: "p1"}}, orderBy: [{person: {name: ASC}}]) { id } a: commentsAggregate { count } person(id: 1) { name } __typename _health }`, 1, 1},
		{`{ __schema { types { name } } _health __typename }`, 0, 0},
		{`mutation { a: insertTag(data: {id: 1, label: "a"}) { id } b: insertManyTags(data: [{id: 2, label: "b"}, {id: 3, label: "c"}]) { id } c: deleteManyTags(filter: {id_gt: 0}) }`, 1, 3},
		{`mutation { updateManyPosts(filter: {id_lt: 50}, data: {score: 0}) { id person { name posts { comments { id } } } } }`, 1, 1},
	} {
		*b.runs = counted{Database: b.DB}
		b.data(b.Service(), c.query, "")
		if b.runs.transactions != c.transactions || b.runs.statements != c.statements {
			t.Errorf("%s: %d statements in %d transactions, want %d in %d", c.query, b.runs.statements, b.runs.transactions, c.statements, c.transactions)
		}
	}
}

// TestManyAtOnce: workers share a schema and its documents.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, forumDDL)
	b.worker.options.Database = b.DB // counting is for one at a time
	var all errgroup.Group
	for i := range 8 {
		all.Go(func() error {
			for j := range 12 {
				// Some are the same, some are new; variables differ.
				query := fmt.Sprintf(`query Q%d ($n: [Int!] = [1], $o: [PostsOrderBy!]) { persons(filter: {id_in: $n}) { posts(orderBy: $o) { ...P } } __type(name: "Posts") { name } } fragment P on Posts { id comments { id } }`, (i+j)%9)
				r, err := b.ask(&Execute{Caller: []caller.Caller{b.Service(), b.User(ann)}[j%2], Query: query, Variables: fmt.Appendf(nil, `{"n":[%d],"o":[{"id":"ASC"}]}`, i)})
				if err != nil || string(r.Body) != `{"data":{"persons":[],"__type":{"name":"Posts"}}}` {
					return fmt.Errorf("%v, %v", r, err)
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

// TestScopes: a key that may only read tables writes none through GraphQL.
func TestScopes(t *testing.T) {
	t.Parallel()
	b := setup(t, forumDDL)
	for _, c := range []struct {
		scopes []string
		query  string
		code   fault.Code
	}{
		{[]string{"tables:read"}, `{ tags { id } }`, ""},
		{[]string{"tables:read"}, `mutation { insertTag(data: {id: 1, label: "a"}) { id } }`, fault.InsufficientPermissions},
		{[]string{"tables:write"}, `{ tags { id } }`, fault.InsufficientPermissions},
		{[]string{"tables:*"}, `mutation { insertTag(data: {id: 1, label: "a"}) { id } }`, ""},
		{nil, `{ tags { id } }`, ""},
	} {
		who := b.Service()
		who.Scopes = c.scopes
		if _, err := b.ask(&Execute{Caller: who, Query: c.query}); fault.CodeOf(err) != c.code {
			t.Errorf("%v, %s: %v, want %q", c.scopes, c.query, err, c.code)
		}
	}
}

// TestBounds: what other dialects bound is bounded here.
func TestBounds(t *testing.T) {
	t.Parallel()
	b := setup(t, forumDDL, func(o *Options) {
		o.Limits.MaxPageSize, o.Limits.DefaultPageSize, o.Limits.MaxTotalResults = 5, 3, 8
		o.Limits.MaxBatchSize, o.Limits.MaxAffectedRows, o.Limits.MaxAnswerBytes = 3, 2, 4000
		o.Limits.MaxConditions = 6
	})
	b.Exec(`INSERT INTO persons SELECT i, 'p' || i, NULL, NULL FROM generate_series(1, 20) i;
		INSERT INTO posts SELECT i, 't' || i, i, 1, NULL FROM generate_series(1, 20) i`)
	user := b.User(ann)
	count := func(query string) int {
		t.Helper()
		return strings.Count(b.data(user, query, ""), `"id"`)
	}
	for query, want := range map[string]int{
		`{ persons { id } }`: 3, `{ persons(limit: 100) { id } }`: 5, `{ persons(limit: 5, offset: 6) { id } }`: 2, `{ persons(offset: 8) { id } }`: 0,
		`{ person(id: 1) { posts { id } } }`: 5, `{ person(id: 1) { posts(limit: 9) { id } } }`: 5,
	} {
		if got := count(query); got != want {
			t.Errorf("%s gives %d rows, want %d", query, got, want)
		}
	}
	for _, c := range []struct {
		query, code string
		refused     bool
	}{
		{`mutation { insertManyTags(data: [{id: 1}, {id: 2}, {id: 3}, {id: 4}]) { id } }`, "BATCH_TOO_LARGE", true},
		{`mutation { updateManyPosts(filter: {id_gt: 0}, data: {score: 0}) { id } }`, "TOO_MANY_ROWS", false},
		{`mutation { deleteManyPosts(filter: {id_gt: 0}) }`, "TOO_MANY_ROWS", false},
		{`{ persons(filter: {_or: [{id_eq: 1}, {id_eq: 2}, {id_eq: 3}, {posts: {id_eq: 1, score_eq: 2, title_eq: "x"}}]}) { id } }`, "QUERY_TOO_LARGE", true},
	} {
		r, err := b.ask(&Execute{Caller: user, Query: c.query})
		if err != nil || !strings.Contains(string(r.Body), `"code":"`+c.code+`"`) || (r.Refused != "") != c.refused {
			t.Errorf("%s: %+v, %v, want %s", c.query, string(r.Body), err, c.code)
		}
	}
	var scores, tags int
	b.QueryRow(`SELECT count(*) FROM posts WHERE score > 0`, &scores)
	b.QueryRow(`SELECT count(*) FROM tags`, &tags)
	if scores != 20 || tags != 0 {
		t.Errorf("something was written: %d scores, %d tags", scores, tags)
	}

	b.Exec(`UPDATE persons SET name = repeat('x', 3000)`)
	r, err := b.ask(&Execute{Caller: user, Query: `{ persons { name } }`})
	if err != nil || !strings.Contains(string(r.Body), "ANSWER_TOO_LARGE") {
		t.Errorf("a large answer: %.200s, %v", r.Body, err)
	}
	r, err = b.ask(&Execute{Caller: user, Query: `mutation { a: updatePerson(id: 1, data: {bossId: 2}) { name } b: updatePerson(id: 2, data: {bossId: 3}) { name } }`})
	var bosses int
	b.QueryRow(`SELECT count(boss_id) FROM persons`, &bosses)
	if err != nil || !strings.Contains(string(r.Body), "ANSWER_TOO_LARGE") || !strings.Contains(string(r.Body), `"data":{"a":null,"b":null}`) || bosses != 2 {
		t.Errorf("a large answer to a mutation: %.300s, %v, %d rows written", r.Body, err, bosses)
	}
}

// TestCost: the planner's cost bounds queries of callers, where that is set.
func TestCost(t *testing.T) {
	t.Parallel()
	b := setup(t, forumDDL, func(o *Options) { o.Limits.MaxCost = 100 })
	b.data(b.User(ann), `{ person(id: 1) { name } }`, "")
	r, err := b.ask(&Execute{Caller: b.User(ann), Query: `{ persons { posts { comments { id } } } }`})
	if err != nil || !strings.Contains(string(r.Body), "STATEMENT_TOO_COSTLY") {
		t.Errorf("%s, %v", r.Body, err)
	}
}

// TestSchemaFollows: a table, a column and a grant are there for the next request, and
// gone when they are gone.
func TestSchemaFollows(t *testing.T) {
	t.Parallel()
	b := setup(t, forumDDL)
	refused := func(query string) {
		t.Helper()
		r, err := b.ask(&Execute{Caller: b.User(ann), Query: query})
		if err != nil || r.Refused != fault.GraphQLValidationFailed {
			t.Errorf("%s: %v, %v", query, r, err)
		}
	}
	refused(`{ things { id } }`)
	b.Exec(`CREATE TABLE things (id int4 PRIMARY KEY); INSERT INTO things VALUES (1)`)
	if got := b.data(b.User(ann), `{ things { id } }`, ""); got != `{"things":[{"id":1}]}` {
		t.Error(got)
	}
	refused(`{ things { id name } }`)
	b.Exec(`ALTER TABLE things ADD name text DEFAULT 'n'`)
	if got := b.data(b.User(ann), `{ things { id name } }`, ""); got != `{"things":[{"id":1,"name":"n"}]}` {
		t.Error(got)
	}
	b.Exec(`ALTER TABLE things ADD size int4`)
	if got := b.data(b.User(ann), `query ($f: ThingsFilter) { things(filter: $f) { id } }`, `{"f":{"size_is_null":true}}`); got != `{"things":[{"id":1}]}` {
		t.Error(got)
	}
	b.Exec(`REVOKE ALL ON things FROM authenticated`)
	refreshed(b)
	refused(`{ things { id name } }`)
	b.Exec(`GRANT SELECT (id) ON things TO authenticated`)
	refused(`{ things { id name } }`)
	b.data(b.User(ann), `{ things { id } }`, "")
}

// refreshed makes the catalogue look at the database, as a bell would.
func refreshed(b *bundle) {
	b.Helper()
	if err := b.worker.options.Catalog.Reload(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// TestFloods: documents that would cost much to check are refused before they are
// checked.
func TestFloods(t *testing.T) {
	t.Parallel()
	b := setup(t, forumDDL, func(o *Options) { o.Rules.MaxComplexity = 1000 })
	var chain strings.Builder
	for i := range 30 {
		fmt.Fprintf(&chain, " fragment F%d on Persons { ...F%d ...F%d }", i, i+1, i+1)
	}
	for _, c := range []struct {
		name, query string
		code        fault.Code
	}{
		{"one field many times", "{ persons { " + strings.Repeat("id ", 1001) + "} }", fault.GraphQLLimitExceeded},
		{"as often as may be", "{ persons(limit: 1) { " + strings.Repeat("id ", 990) + "} }", ""},
		{"one list many times", "{ " + strings.Repeat("persons { posts { id } } ", 400) + "}", fault.GraphQLLimitExceeded},
		{"fields that are unknown", "{ persons { " + strings.Repeat("x ", 1001) + "} }", fault.GraphQLLimitExceeded},
		{"fragments that double", "{ persons { ...F0 } } fragment F30 on Persons { id name }" + chain.String(), fault.GraphQLLimitExceeded},
		{"fragments that nobody asks for", "{ _health } fragment F30 on Persons { id name }" + chain.String(), fault.GraphQLLimitExceeded},
		{"a filter in a filter", "{ persons(filter: " + strings.Repeat("{_not: ", 60) + "{id_eq: 1}" + strings.Repeat("}", 60) + ") { id } }", fault.BadUserInput},
		{"a filter beyond all depth", "{ persons(filter: " + strings.Repeat("{_not: ", 3000) + "{}" + strings.Repeat("}", 3000) + ") { id } }", fault.GraphQLParseFailed},
		{"fields beyond all depth", strings.Repeat("{ persons ", 150) + "{ id }" + strings.Repeat("}", 150), fault.GraphQLLimitExceeded},
		{"tokens", "{ " + strings.Repeat("_health ", 20000) + "}", fault.GraphQLParseFailed},
		{"operations", strings.Repeat("query { _health } ", 1001), fault.GraphQLLimitExceeded},
	} {
		r, err := b.ask(&Execute{Caller: b.User(ann), Query: c.query})
		if err != nil || r.Refused != c.code {
			t.Errorf("%s: %v, %.200s, want %q", c.name, err, r.Body, c.code)
		}
	}
}
