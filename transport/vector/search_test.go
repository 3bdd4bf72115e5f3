package vector

import (
	"testing"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/transport/route"
)

// FuzzSearchBody: a body is a search that names its column and measure and finds a
// bounded number of rows, or it is the client's mistake.
func FuzzSearchBody(f *testing.F) {
	f.Add([]byte(`{"table":"t","column":"e","vector":[1,2],"metric":"l2","match_threshold":0.5,"match_count":3,"select":"id,r(x)","filters":[{"column":"r.x","operator":"eq","value":1}]}`))
	f.Add([]byte(`{"table":"t","column":"d->e","query":"text","filters":[{"column":"a","operator":"in","value":["x","y"]}]}`))
	f.Add([]byte(`{"table":"t","column":"e","vector":"(1,2)","match_count":100000}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var b searchBody
		err := route.DecodeStrictly(body, &b)
		var q *query.Search
		if err == nil {
			q, err = b.read()
		}
		if err != nil {
			switch code := fault.CodeOf(err); code {
			case fault.InvalidRequestBody, fault.InvalidQuery, fault.InvalidInput, fault.MissingRequiredField:
			default:
				t.Fatalf("%q: %s %v", body, code, err)
			}
			return
		}
		if q.Path.Column == "" || q.Distance.Op.Family() != query.FamilyVector || q.Limit < 1 || q.Limit > maxCount || (b.Query == nil) == (q.Distance.Vector == "") {
			t.Fatalf("%q became %+v", body, q)
		}
	})
}
