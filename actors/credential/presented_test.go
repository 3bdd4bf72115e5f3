package credential

import (
	"context"
	"testing"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// request is a Source made of maps.
type request struct {
	method                 string
	header, query, cookies map[string]string
}

func (r request) Method() string            { return r.method }
func (r request) Header(name string) string { return r.header[name] }
func (r request) Query(name string) string  { return r.query[name] }
func (r request) Cookie(name string) string { return r.cookies[name] }

func TestExtract(t *testing.T) {
	type m = map[string]string
	for name, c := range map[string]struct {
		request request
		want    Presented
	}{
		"nothing":            {request{}, Presented{}},
		"bearer":             {request{header: m{"Authorization": "Bearer abc"}}, Presented{Bearer: "abc"}},
		"bearer, other case": {request{header: m{"Authorization": "  bEARER   abc "}}, Presented{Bearer: "abc"}},
		"no scheme":          {request{header: m{"Authorization": "abc"}}, Presented{Bearer: "abc"}},
		"empty bearer":       {request{header: m{"Authorization": "Bearer "}}, Presented{Bearer: "Bearer"}},
		"foreign scheme":     {request{header: m{"Authorization": "Basic abc"}}, Presented{Bearer: "Basic abc"}},
		"service key":        {request{header: m{"Authorization": "ServiceKey abc"}}, Presented{ServiceKey: "abc"}},
		"X-Service-Key":      {request{header: m{"X-Service-Key": "abc", "Authorization": "ServiceKey def"}}, Presented{ServiceKey: "abc"}},
		"X-Client-Key":       {request{header: m{"X-Client-Key": "abc"}}, Presented{ClientKey: "abc"}},
		"clientkey":          {request{header: m{"clientkey": "abc"}, query: m{"clientkey": "def"}}, Presented{ClientKey: "abc"}},
		"?clientkey":         {request{query: m{"clientkey": "def"}}, Presented{ClientKey: "def"}},
		"?token":             {request{query: m{"token": "abc"}}, Presented{QueryToken: "abc"}},
		"apikey and bearer":  {request{header: m{"apikey": "k", "Authorization": "Bearer t"}}, Presented{APIKey: "k", Bearer: "t"}},
		"?apikey":            {request{query: m{"apikey": "k"}}, Presented{APIKey: "k"}},
		"cookie":             {request{cookies: m{AccessCookie: "c"}}, Presented{Cookie: "c"}},
	} {
		if got := Extract(c.request); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestCrossSite(t *testing.T) {
	type m = map[string]string
	for name, c := range map[string]struct {
		request request
		want    bool
	}{
		"read from anywhere":   {request{method: "GET", header: m{"Sec-Fetch-Site": "cross-site"}}, false},
		"socket from anywhere": {request{method: "GET", header: m{"Sec-Fetch-Site": "cross-site", "Upgrade": "websocket"}}, true},
		"socket, by origin":    {request{method: "GET", header: m{"Origin": "https://evil.example", "Host": "api.example", "Upgrade": "websocket"}}, true},
		"write, no browser":    {request{method: "POST"}, false},
		"write, same origin":   {request{method: "POST", header: m{"Sec-Fetch-Site": "same-origin"}}, false},
		"write, same site":     {request{method: "POST", header: m{"Sec-Fetch-Site": "same-site"}}, false},
		"write, typed":         {request{method: "POST", header: m{"Sec-Fetch-Site": "none"}}, false},
		"write, cross-site":    {request{method: "POST", header: m{"Sec-Fetch-Site": "cross-site"}}, true},
		"write, unknown site":  {request{method: "POST", header: m{"Sec-Fetch-Site": "galactic"}}, true},
		"write, own origin":    {request{method: "PATCH", header: m{"Origin": "https://API.example:8", "Host": "api.example:8"}}, false},
		"write, other origin":  {request{method: "DELETE", header: m{"Origin": "https://evil.example", "Host": "api.example"}}, true},
		"write, null origin":   {request{method: "POST", header: m{"Origin": "null", "Host": "api.example"}}, true},
	} {
		if got := CrossSite(c.request); got != c.want {
			t.Errorf("%s: CrossSite = %t, want %t", name, got, c.want)
		}
	}
}

// FuzzExtract holds that no header makes a caller of anybody who has no good
// credential, and that a shown credential is never overlooked.
func FuzzExtract(f *testing.F) {
	v := setup(f)
	for _, s := range []string{"", "Bearer x", "ServiceKey x", "Bearer", " ", "Bearer\tx", "a.b.c", "Bearer " + anonKey[:20]} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, authorization, apikey, query string) {
		r := request{
			method: "POST",
			header: map[string]string{"Authorization": authorization, "apikey": apikey},
			query:  map[string]string{"token": query},
		}
		p := Extract(r)
		c, err := v.Verify(context.Background(), p)
		switch {
		case err == nil && !p.None() && c.Role != caller.Anon:
			t.Fatalf("%+v let in as %s", p, c.Role)
		case err == nil && !p.None() && c.KeyID == "":
			t.Fatalf("%+v overlooked", p)
		case err != nil && p.None():
			t.Fatalf("nothing shown, refused: %v", err)
		case err != nil && fault.CodeOf(err) != fault.InvalidToken:
			t.Fatalf("%+v: %v", p, err)
		}
	})
}
