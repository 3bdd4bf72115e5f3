package scenario

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestDocumentedRoutesAnswerNoServerError makes requests out of the node's own
// document: for every operation, parameters and bodies as their schemas have them,
// most of them then changed a little. Whatever is served is documented, so that this
// is every route. None is answered with a 500, and nobody learns of the inside.
// SEED repeats a run, REQUESTS lengthens it.
func TestDocumentedRoutesAnswerNoServerError(t *testing.T) {
	t.Parallel()
	n := startTables(t, restDDL+callDDL)
	n.exec(t, restSeed)
	seed, requests := setting(t, "SEED", uint64(time.Now().UnixNano())), setting(t, "REQUESTS", 2500)
	t.Logf("SEED=%d REQUESTS=%d", seed, requests)
	r := rand.New(rand.NewPCG(seed, 3))
	d := &documented{mutator: mutator{r: r, known: knownRequests()}, operations: documentedOperations(t, n)}
	judged := newJudgedAnswers(t, n)
	asked := map[string]int{}
	for i := range int(requests) {
		if i%500 == 0 {
			n.exec(t, restSeed)
		}
		// Each in turn, so that none is left out.
		op := d.operations[i%len(d.operations)]
		asked[op.name()]++
		judged.send(d.request(op))
	}
	t.Logf("%d operations, %v", len(asked), judged.statuses)
	if judged.statuses[200] == 0 || judged.statuses[400] == 0 {
		t.Errorf("the requests are too much of one kind to prove anything: %v", judged.statuses)
	}
	if n.Logged("panic") {
		t.Error("something panicked")
	}
}

// operation is a method of a path, as the document has it.
type operation struct {
	method, path string
	*openapi3.Operation
	shared openapi3.Parameters
}

func (o operation) name() string { return o.method + " " + o.path }

// endless are paths whose answers have no end, or which open a socket or end a
// session that is asked with.
var endless = regexp.MustCompile(`^/realtime|/signout$|/logout$`)

// tablePath is a path of a single table, of which there are hundreds: the tables' own
// cases ask for them.
var tablePath = regexp.MustCompile(`^(/api/v1/tables|/rest/v1)/`)

func documentedOperations(t *testing.T, n *tablesNode) []operation {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(n.Want(200, "GET", "/openapi.json", n.ServiceKey, nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	var all []operation
	for _, path := range doc.Paths.InMatchingOrder() {
		if endless.MatchString(path) || tablePath.MatchString(path) && !strings.Contains(path, "/posts") && !strings.Contains(path, "{") && !strings.Contains(path, "/rpc/") {
			continue
		}
		item := doc.Paths.Value(path)
		for method, op := range item.Operations() {
			if method == "DELETE" && strings.Contains(path, "/ddl/") {
				continue // the tables are needed
			}
			all = append(all, operation{method, path, op, item.Parameters})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.name(), b.name()) })
	if len(all) < 50 {
		t.Fatalf("the document has %d operations", len(all))
	}
	return all
}

// documented makes requests of operations.
type documented struct {
	mutator
	operations []operation
}

func (d *documented) request(op operation) sent {
	s := sent{method: op.method, path: op.path, as: pick(d.r, []string{"service", "service", "service", "ann", "anon", "nobody"})}
	query := []string{}
	for _, ref := range slices.Concat(op.shared, op.Parameters) {
		p := ref.Value
		if p == nil {
			continue
		}
		value := d.parameter(p)
		switch p.In {
		case "path":
			s.path = strings.ReplaceAll(s.path, "{"+p.Name+"}", value)
		case "query":
			if p.Required || d.chance(40) {
				query = append(query, url.QueryEscape(p.Name)+"="+value)
			}
		case "header":
			text, err := url.QueryUnescape(value)
			if (p.Required || d.chance(20)) && err == nil && !strings.ContainsFunc(text, unicode.IsControl) {
				s.headers = append(s.headers, [2]string{p.Name, text})
			}
		}
	}
	s.query = strings.Join(query, "&")
	if op.RequestBody != nil && op.RequestBody.Value != nil {
		if media := op.RequestBody.Value.Content["application/json"]; media != nil && media.Schema != nil {
			raw, err := json.Marshal(d.value(media.Schema.Value, 6))
			if err == nil {
				s.body = string(raw)
			}
		}
	}
	for range d.r.IntN(3) {
		switch d.r.IntN(6) {
		case 0:
			s.path = d.mutatePath(s.path)
		case 1, 2:
			s.query = d.mutateQuery(s.query)
		default:
			if s.body != "" {
				s.body = d.mutateBody(s.body)
			}
		}
	}
	return s
}

// parameter is a value for a parameter, escaped.
func (d *documented) parameter(p *openapi3.Parameter) string {
	if d.chance(25) {
		return pick(d.r, oddities)
	}
	if p.Schema == nil || p.Schema.Value == nil {
		return pick(d.r, []string{"posts", "1", "public"})
	}
	switch v := d.value(p.Schema.Value, 2).(type) {
	case string:
		return url.QueryEscape(v)
	case nil:
		return ""
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return url.QueryEscape(string(raw))
	}
}

// words stand where a schema wants any text: what is there, and what is not.
var words = []string{"posts", "public", "id", "title", "notes", "kinds", "default", "add", "ann@example.com", "Correct-horse-42", "1", "nothing", "text", "{ posts { id } }", "mutation { deleteManyPosts(filter: {id_eq: 1}) }", "-- @fluxbase:public true\nSELECT 1 AS one", "SELECT $a", "*/5 * * * *", "[1,2,3]", "eq", "broadcast:room", "table:public.posts", "INSERT", "a b", `"`, "'", "\x01", "é", ""}

// value is something that fits a schema, as far as that goes.
func (d *documented) value(s *openapi3.Schema, depth int) any {
	switch {
	case s == nil || depth == 0:
		return nil
	case len(s.Enum) > 0 && d.chance(80):
		return pick(d.r, s.Enum)
	case len(s.OneOf) > 0:
		return d.value(pick(d.r, s.OneOf).Value, depth-1)
	case len(s.AnyOf) > 0:
		return d.value(pick(d.r, s.AnyOf).Value, depth-1)
	case len(s.AllOf) > 0:
		whole := map[string]any{}
		for _, part := range s.AllOf {
			if members, ok := d.value(part.Value, depth-1).(map[string]any); ok {
				for k, v := range members {
					whole[k] = v
				}
			}
		}
		return whole
	case s.Type.Is("object") || len(s.Properties) > 0:
		members := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if slices.Contains(s.Required, name) || d.chance(60) {
				members[name] = d.value(s.Properties[name].Value, depth-1)
			}
		}
		return members
	case s.Type.Is("array"):
		items := []any{}
		for range d.r.IntN(3) {
			if s.Items != nil {
				items = append(items, d.value(s.Items.Value, depth-1))
			}
		}
		return items
	case s.Type.Is("integer"), s.Type.Is("number"):
		return pick(d.r, []any{0, 1, 2, -1, 10, 1000, 1 << 40, 1.5})
	case s.Type.Is("boolean"):
		return d.chance(50)
	case s.Format == "uuid":
		return pick(d.r, []string{"00000000-0000-0000-0000-000000000000", "nothing", strconv.Itoa(d.r.IntN(9)) + "b7c62e4-5b6f-4a0e-9d8f-1f2e3d4c5b6a"})
	case s.Format == "date-time":
		return pick(d.r, []string{"2024-01-01T00:00:00Z", "yesterday", "2024-02-30T25:00:00Z"})
	}
	return pick(d.r, words)
}
