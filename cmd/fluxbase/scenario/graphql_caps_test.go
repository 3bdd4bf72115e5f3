package scenario

import (
	"fmt"
	"strings"
	"testing"
)

// TestGraphQLCaps asks for too much by documents and by variables: it is refused with
// the codes of the other dialects, and nothing has changed.
func TestGraphQLCaps(t *testing.T) {
	t.Parallel()
	n := startTables(t, capsDDL, "API_MAX_CONDITIONS=10", "API_MAX_LIST_VALUES=30", "API_MAX_EMBEDS=3", "API_MAX_EMBED_DEPTH=2",
		"API_MAX_AFFECTED_ROWS=20", "API_MAX_ANSWER_BYTES=16KB", "API_MAX_STATEMENT_COST=120", "API_STATEMENT_TIMEOUT_ANON=200ms")
	contents := `SELECT md5(string_agg(s::text, ',' ORDER BY id)) || (SELECT string_agg(b::text, ',') FROM beds b) || (SELECT string_agg(c::text, ',' ORDER BY id) FROM crates c) FROM shelves s`
	before := n.text(t, contents)
	conditions := func(count int) string {
		return `{"f":{"_or":[` + strings.TrimSuffix(strings.Repeat(`{"id_eq":1},`, count), ",") + `]}}`
	}
	roots := func(field string, count int) string {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, " r%d: %s", i, field)
		}
		return "{" + b.String() + " }"
	}
	for _, c := range []struct {
		name, as, query, vars, code string
		status                      int
	}{
		{name: "conditions that fit", query: `query($f: ShelvesFilter) { shelves(filter: $f) { id } }`, vars: conditions(10)},
		{name: "conditions", query: `query($f: ShelvesFilter) { shelves(filter: $f) { id } }`, vars: conditions(11), code: "QUERY_TOO_LARGE", status: 400},
		{name: "conditions of several fields", query: `query($f: ShelvesFilter) { a: shelves(filter: $f) { id } b: shelves(filter: $f) { id } }`, vars: conditions(6), code: "QUERY_TOO_LARGE", status: 400},
		{name: "conditions of a mutation", query: `mutation($f: CratesFilter!) { deleteManyCrates(filter: $f) }`, vars: conditions(11), code: "QUERY_TOO_LARGE", status: 400},
		{name: "a list", query: `query($i: [Int!]) { shelves(filter: {id_in: $i}) { id } }`, vars: `{"i":[` + many + `]}`, code: "QUERY_TOO_LARGE", status: 400},
		{name: "related rows", query: roots(`shelves(limit: 1) { shelve { id } }`, 4), code: "QUERY_TOO_LARGE", status: 400},
		{name: "deep related rows", query: `{ shelves(limit: 1) { shelve { shelve { shelve { id } } } } }`, code: "QUERY_TOO_LARGE", status: 400},
		{name: "changed rows", query: `mutation { updateManyCrates(filter: {id_gt: 0}, data: {v: "y"}) { id } }`, code: "TOO_MANY_ROWS"},
		{name: "removed rows", query: `mutation { deleteManyCrates(filter: {id_gt: 0}) }`, code: "TOO_MANY_ROWS"},
		{name: "removed rows after others", query: `mutation { a: deleteManyCrates(filter: {id_eq: 99}) b: deleteManyCrates(filter: {id_gt: 0}) }`, code: "TOO_MANY_ROWS"},
		{name: "a large answer", as: "service", query: `{ shelves(limit: 200) { id v } }`, code: "ANSWER_TOO_LARGE", status: 400},
		{name: "large answers", as: "service", query: roots(`shelves(limit: 50) { id v }`, 4), code: "ANSWER_TOO_LARGE", status: 400},
		{name: "the schema many times", query: roots(`__schema { types { name fields { name type { name fields { name } } } } }`, 20), code: "ANSWER_TOO_LARGE", status: 400},
		{name: "cost", query: `{ shelves(filter: {n_eq: 7}) { id } }`, code: "STATEMENT_TOO_COSTLY"},
		{name: "cost of a mutation", query: `mutation { updateManyShelves(filter: {n_eq: 7}, data: {v: "y"}) { id } }`, code: "STATEMENT_TOO_COSTLY", status: 400},
		{name: "no cost of a service", as: "service", query: `{ shelves(filter: {n_eq: 7}) { id } }`},
		{name: "time", as: "anon", query: `{ naps { id nap } }`, code: "TIMEOUT", status: 504},
		{name: "time of a mutation", as: "anon", query: `mutation { updateBeds(id: 1, data: {v: 2}) { id } }`, code: "TIMEOUT", status: 504},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := c.as
			if as == "" {
				as = "ann"
			}
			status, got, body := n.graphql(t, as, c.query, c.vars, "")
			code := ""
			if len(got.Errors) > 0 {
				code = got.Errors[0].Extensions.Code
			}
			if code != c.code {
				t.Errorf("code %q, want %q: %.300s", code, c.code, body)
			}
			if want := max(c.status, 200); status != want {
				t.Errorf("status %d, want %d: %.300s", status, want, body)
			}
		})
	}
	if n.text(t, contents) != before {
		t.Error("something was changed")
	}
}
