package graphql

import (
	"encoding/json"
	"testing"

	"fluxbase/persistence/fault"
)

// FuzzExecute sends documents with variables to a database: whatever they are, the
// answer is JSON of the form that GraphQL has, and no mistake of a client is taken for
// one of the server.
func FuzzExecute(f *testing.F) {
	b := setup(f, forumDDL)
	b.Exec(`INSERT INTO persons VALUES (1, 'a', NULL, NULL); INSERT INTO posts VALUES (1, 't', 1, 1, NULL)`)
	for _, seed := range [][2]string{
		{`{ persons { id name posts(limit: 2) { title } } }`, ``},
		{`query ($i: Int!, $f: PersonsFilter) { person(id: $i) { name } persons(filter: $f) { id } }`, `{"i":1,"f":{"_or":[{"name_like":"a%"},{"posts":{"score_in":[1,2]}}]}}`},
		{`query ($o: [PostsOrderBy!], $n: Int = 5) { posts(orderBy: $o, limit: $n) { person { boss { name } } commentsAggregate { max { likes } } } }`, `{"o":[{"person":{"name":"DESC_NULLS_LAST"}}]}`},
		{`mutation { updateManyPosts(filter: {id_eq: 1}, data: {title: "\u0000", score: 1}) { id } }`, ``},
		{`mutation ($d: [TagsInput!]!) { insertManyTags(data: $d, onConflict: {columns: [id], action: IGNORE}) { id } }`, `{"d":[{"id":1,"label":"x"},{"id":1e0,"label":null}]}`},
		{`{ ...A } fragment A on Query { __schema { types { fields { type { name } } } } ...A }`, `[]`},
		{`{ __type(name: "Persons") { fields(includeDeprecated: true) { args { defaultValue } } } _health @skip(if: true) }`, `null`},
		{"{ persons(filter: {name_match: \"(\"}) { id } }", `{"a":}`},
		{`subscription S { persons { id } } query Q { persons { ...on Persons @include(if: false) { id } } }`, `{}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, query, variables string) {
		if len(query) > 4096 || len(variables) > 4096 {
			return
		}
		r, err := b.ask(&Execute{Caller: b.User(ann), Query: query, Variables: []byte(variables)})
		if err != nil {
			switch code := fault.CodeOf(err); code {
			case fault.InternalError, fault.DatabaseError, fault.OperationFailed:
				t.Fatalf("%q with %q: %v", query, variables, err)
			}
			return
		}
		var answer map[string]json.RawMessage
		if err := json.Unmarshal(r.Body, &answer); err != nil {
			t.Fatalf("%q with %q: %s", query, variables, r.Body)
		}
		if _, executed := answer["data"]; executed == (r.Refused != "") || len(answer) > 2 || !executed && answer["errors"] == nil {
			t.Fatalf("%q with %q: %s", query, variables, r.Body)
		}
	})
}
