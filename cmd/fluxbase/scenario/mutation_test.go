package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// sent is a request as a client would write it.
type sent struct {
	as, method, path, query, body string
	headers                       [][2]string
}

// knownRequests are the requests of the tables of cases: each means something.
func knownRequests() []sent {
	var all []sent
	add := func(base, as, method, path, body string, headers ...string) {
		s := sent{as: as, method: method, body: body}
		if s.method == "" {
			s.method = "GET"
		}
		s.path, s.query, _ = strings.Cut(base+path, "?")
		for _, h := range headers {
			if name, value, ok := strings.Cut(h, ": "); ok {
				s.headers = append(s.headers, [2]string{name, value})
			}
		}
		all = append(all, s)
	}
	for _, c := range slices.Concat(tablesCases, actionCases, embedCases) {
		prefer := ""
		if c.prefer != "" {
			prefer = "Prefer: " + c.prefer
		}
		add("/api/v1/tables", c.as, c.method, c.path, c.body, prefer)
	}
	for _, c := range slices.Concat(restCases, callCases) {
		add("/rest/v1", c.as, c.method, c.path, c.body, strings.Split(c.headers, " | ")...)
	}
	return all
}

// mutator changes requests that mean something into requests that nearly do.
type mutator struct {
	r     *rand.Rand
	known []sent
}

func (m *mutator) chance(percent int) bool { return m.r.IntN(100) < percent }

func (m *mutator) other() sent { return m.known[m.r.IntN(len(m.known))] }

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// request is one of the known ones with one to four mutations.
func (m *mutator) request() sent {
	s := m.other()
	s.headers = slices.Clone(s.headers)
	for range 1 + m.r.IntN(4) {
		switch m.r.IntN(10) {
		case 0:
			s.path = m.mutatePath(s.path)
		case 1, 2, 3, 4:
			s.query = m.mutateQuery(s.query)
		case 5, 6, 7:
			s.body = m.mutateBody(s.body)
		case 8:
			s.headers = append(s.headers, pick(m.r, mutantHeaders))
			if h := m.other().headers; len(h) > 0 && m.chance(50) {
				s.headers = append(s.headers, pick(m.r, h))
			}
		default:
			switch m.r.IntN(3) {
			case 0:
				s.method = pick(m.r, []string{"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"})
			case 1:
				s.as = pick(m.r, []string{"service", "ann", "bob", "anon", "nobody"})
			default:
				o := m.other()
				if m.chance(50) {
					s.body = o.body
				} else {
					s.query = o.query
				}
			}
		}
	}
	return s
}

// oddities are characters and texts that grammars, encodings and types stumble over.
var oddities = []string{"", "%00", "%ff", "%C3%28", "%ED%A0%80", "%27", "%22", "%5C", "%2C", "%28", "%29", "%7B", "%7D", "%5B", "%5D", ".", "..", ",", "(", ")", "()", "{}", "*", "!", "!inner", ":", "::", "::text[]", "->", "->>", "->>x->y",
	"-", "-1", "0", "1e309", "99999999999999999999", "9223372036854775807", "NaN", "null", "%F0%9F%98%80", "%E2%80%AE", "%0A", "%20", "+", "&", "=", ";", "$1", "--", "not.", "and", "or(", "select=", "%2525", "infinity", "%09", "e%CC%81"}

var mutantHeaders = [][2]string{
	{"Range", "9-1"}, {"Range", "-5"}, {"Range", "0-99999999999999999999"}, {"Range", "items=1-"}, {"Range", "9223372036854775807-9223372036854775807"}, {"Range", "1-9223372036854775807"}, {"Range-Unit", "bytes"},
	{"Accept", "text/csv"}, {"Accept", "application/vnd.pgrst.object+json"}, {"Accept", "application/vnd.pgrst.array+json;nulls=stripped"}, {"Accept", "application/geo+json"},
	{"Accept", "application/vnd.pgrst.plan+json"}, {"Accept", `application/vnd.pgrst.plan+text; for="application/json"; options=analyze|nothing`}, {"Accept", "a/b;q=x,,;"}, {"Accept", "*/*;q=0"},
	{"Content-Type", "text/csv"}, {"Content-Type", "application/x-www-form-urlencoded"}, {"Content-Type", "text/plain"}, {"Content-Type", "application/octet-stream"}, {"Content-Type", "application/json; charset=latin1"}, {"Content-Type", ";"},
	{"Prefer", "count=exact"}, {"Prefer", "count=estimated"}, {"Prefer", "return=representation"}, {"Prefer", "return=headers-only"}, {"Prefer", "tx=rollback"}, {"Prefer", "handling=strict,nothing=1"}, {"Prefer", "timezone=Nowhere/Never"},
	{"Prefer", "handling=strict,timezone='"}, {"Prefer", "max-affected=0,handling=strict"}, {"Prefer", "max-affected=99999999999999999999,handling=strict"}, {"Prefer", "max-affected=-1,handling=strict"}, {"Prefer", "resolution=merge-duplicates,missing=default"}, {"Prefer", "resolution=ignore-duplicates,return=representation"}, {"Prefer", ",,=;"},
	{"Accept-Profile", "nothing"}, {"Content-Profile", "hidden"}, {"Accept-Profile", "pg_catalog"}, {"Content-Profile", "public"}, {"Accept-Profile", "\""}, {"X-FB-Tenant", "x"}, {"Idempotency-Key", "once"}, {"Idempotency-Key", strings.Repeat("k", 257)},
	{"Accept-Encoding", "gzip"}, {"Content-Encoding", "gzip"}, {"If-None-Match", "*"}, {"Cookie", "a=\xff; b"}, {"X-Request-ID", strings.Repeat("r", 300)},
}

// edit changes a text somewhere.
func (m *mutator) edit(text string) string {
	at := m.r.IntN(len(text) + 1)
	end := min(len(text), at+m.r.IntN(4))
	switch m.r.IntN(5) {
	case 0: // cut
		return text[:at] + text[end:]
	case 1: // double
		return text[:end] + text[at:]
	case 2: // repeat
		return text[:at] + strings.Repeat(text[at:end], m.r.IntN(40)) + text[end:]
	default:
		return text[:at] + pick(m.r, oddities) + text[end:]
	}
}

func (m *mutator) mutatePath(path string) string {
	segments := strings.Split(path, "/")
	at := 1 + m.r.IntN(len(segments)-1)
	switch m.r.IntN(5) {
	case 0:
		segments[at] = m.edit(segments[at])
	case 1:
		others := strings.Split(m.other().path, "/")
		segments[at] = pick(m.r, others)
	case 2:
		segments = slices.Insert(segments, at, pick(m.r, oddities))
	case 3:
		segments = append(segments, pick(m.r, strings.Split(m.other().path, "/")))
	default:
		return m.other().path
	}
	return strings.Join(segments, "/")
}

func (m *mutator) mutateQuery(query string) string {
	pairs := strings.Split(query, "&")
	others := strings.Split(m.other().query, "&")
	at := m.r.IntN(len(pairs))
	key, value, _ := strings.Cut(pairs[at], "=")
	otherKey, otherValue, _ := strings.Cut(pick(m.r, others), "=")
	switch m.r.IntN(9) {
	case 0:
		pairs[at] = m.edit(pairs[at])
	case 1:
		pairs[at] = key + "=" + m.edit(value)
	case 2:
		pairs[at] = key + "=" + otherValue
	case 3:
		pairs[at] = otherKey + "=" + value
	case 4:
		pairs = slices.Delete(pairs, at, at+1)
	case 5:
		pairs = append(pairs, pairs[at])
	case 6: // one list from two
		pairs[at] = key + "=" + value + "," + otherValue
	case 7: // one inside of the other
		pairs[at] = key + "=" + strings.Replace(otherValue, ".", "("+value+").", 1)
	default:
		pairs = append(pairs, otherKey+"="+otherValue)
	}
	return strings.Join(pairs, "&")
}

func (m *mutator) mutateBody(body string) string {
	if body == "" || m.chance(10) {
		return m.other().body
	}
	if m.chance(30) {
		return m.edit(body)
	}
	var tree any
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	if d.Decode(&tree) != nil {
		return m.edit(body)
	}
	raw, err := json.Marshal(m.mutateJSON(tree, 4))
	if err != nil {
		return m.edit(body)
	}
	return string(raw)
}

func (m *mutator) mutateJSON(v any, depth int) any {
	if depth == 0 || m.chance(25) {
		return json.RawMessage(pick(m.r, mutantValues))
	}
	switch v := v.(type) {
	case []any:
		switch {
		case len(v) == 0 || m.chance(15):
			return append(v, m.mutateJSON(nil, 1))
		case m.chance(15):
			return []any{v, v[0]}
		}
		at := m.r.IntN(len(v))
		v[at] = m.mutateJSON(v[at], depth-1)
		return v
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if len(keys) == 0 {
			v["id"] = m.mutateJSON(nil, 1)
			return v
		}
		key := pick(m.r, keys)
		switch m.r.IntN(4) {
		case 0:
			delete(v, key)
		case 1:
			v[m.edit(key)] = v[key]
		default:
			v[key] = m.mutateJSON(v[key], depth-1)
		}
		return v
	}
	return json.RawMessage(pick(m.r, mutantValues))
}

var mutantValues = []string{"null", "true", "0", "-1", "1.5", "1e308", "1e400", "123456789012345678901234567890", `""`, `"\u0000"`, `"\ud800"`, `"\ufffe"`, `"null"`, `"eq.1"`, `"eq"`, `"in"`, `"id"`, `"id desc"`, `"*"`, `"a,b"`, `"(1,2)"`, `"{1,2}"`, `"[1,2)"`, `"2024-02-30"`, `"infinity"`,
	"[]", "[[]]", "[null]", "[1,[2]]", "{}", `{"id":1}`, `{"column":"id","operator":"eq","value":{"a":[]}}`, `{"a":{"a":{"a":{}}}}`, `"` + strings.Repeat("x", 3000) + `"`}

// TestNearlyRightRequests changes the requests of all tables of cases a little, and
// sends them. Whatever comes of it is the client's fault: no status of 500, a coded
// body, and nothing of the inside in it. SEED repeats a run, REQUESTS lengthens it.
func TestNearlyRightRequests(t *testing.T) {
	t.Parallel()
	n := startTables(t, restDDL+callDDL)
	seed, requests := setting(t, "SEED", uint64(time.Now().UnixNano())), setting(t, "REQUESTS", 4000)
	t.Logf("SEED=%d REQUESTS=%d", seed, requests)
	m := &mutator{r: rand.New(rand.NewPCG(seed, 2)), known: knownRequests()}
	judged := newJudgedAnswers(t, n)
	for i := range requests {
		if i%100 == 0 {
			n.exec(t, restSeed)
		}
		judged.send(m.request())
	}
	judged.done(int(requests))
}

// judgedAnswers sends requests and judges what comes back.
type judgedAnswers struct {
	t        *testing.T
	n        *tablesNode
	statuses map[int]int
}

func newJudgedAnswers(t *testing.T, n *tablesNode) *judgedAnswers {
	return &judgedAnswers{t: t, n: n, statuses: map[int]int{}}
}

// send sends a request as it is, if HTTP can, and judges the answer.
func (j *judgedAnswers) send(s sent) {
	t := j.t
	host, err := url.Parse(j.n.URL)
	if err != nil {
		t.Fatal(err)
	}
	var body io.Reader
	if s.body != "" {
		body = strings.NewReader(s.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), s.method, j.n.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	// As it is: a client would repair it otherwise.
	target := s.path
	if s.query != "" {
		target += "?" + s.query
	}
	req.URL = &url.URL{Scheme: host.Scheme, Host: host.Host, Opaque: sendable(target)}
	if s.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	as := s.as
	if as == "" {
		as = "service"
	}
	if token := j.n.token(t, as); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range s.headers {
		req.Header.Set(h[0], h[1])
	}
	status, answer := sendHostile(t, req)
	j.statuses[status]++
	j.judge(fmt.Sprintf("%s %s as %s %v\n%s", s.method, req.URL.Opaque, as, s.headers, s.body), s.method, s.path, status, answer)
}

// sendable is a target with what the request line cannot hold escaped.
func sendable(target string) string {
	var b strings.Builder
	for _, c := range []byte(target) {
		if c <= ' ' || c >= 0x7f || c == '#' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	if !strings.HasPrefix(b.String(), "/") {
		return "/" + b.String()
	}
	return b.String()
}

func (j *judgedAnswers) judge(described, method, path string, status int, body []byte) {
	t := j.t
	t.Helper()
	if status >= 500 && status != http.StatusNotImplemented && status != http.StatusGatewayTimeout && !functionsFault.Match(body) && !switchedOff.Match(body) {
		t.Errorf("%s\nis answered with %d %s", described, status, body)
		return
	}
	if status < 400 || method == "HEAD" {
		return
	}
	switch {
	case strings.Contains(path, "/rest/v1/") && status != 405 && status != 404:
		checkRestBody(t, described, body)
	case strings.Contains(path, "/rest/v1/"):
	case strings.Contains(path, "/graphql") && bytes.HasPrefix(body, []byte(`{"errors"`)):
		var answer graphqlAnswer
		if err := json.Unmarshal(body, &answer); err != nil || len(answer.Errors) == 0 || answer.Errors[0].Message == "" || answer.Errors[0].Extensions.Code == "" {
			t.Errorf("%s\nis refused without a coded body: %d %s", described, status, body)
		}
	default:
		var f failure
		if err := json.Unmarshal(body, &f); err != nil || f.Error == "" || f.Code == "" || f.RequestID == "" {
			t.Errorf("%s\nis refused without a coded body: %d %s", described, status, body)
		}
	}
	for _, inside := range insides {
		if bytes.Contains(body, []byte(inside)) && !strings.Contains(described, inside) {
			t.Errorf("%s\nis told about the inside: %s", described, body)
		}
	}
}

// functionsFault are answers of 500 that tell of a function of the application's
// that speaks to the server in a form that means nothing.
var functionsFault = regexp.MustCompile(`"code":"PGRST1(11|12|21)"`)

// switchedOff are answers of areas that this node has no use of.
var switchedOff = regexp.MustCompile(`"code":"FEATURE_DISABLED"`)

// insides are texts that no answer has unless the request had them.
var insides = []string{"pgx", "Go struct", "Go value", "json: ", "goroutine", ".go:", "panic", "pg_catalog", "fluxbase_", "max_stack_depth"}

// done checks what holds of all answers together.
func (j *judgedAnswers) done(requests int) {
	j.t.Log(j.statuses)
	if j.statuses[200] < requests/20 || j.statuses[400] < requests/20 {
		j.t.Errorf("the requests are too much of one kind to prove anything: %v", j.statuses)
	}
	if j.n.Logged("panic") {
		j.t.Error("something panicked")
	}
	for _, secret := range []string{j.n.ServiceKey, j.n.AnonKey, j.n.ann.AccessToken, j.n.ann.RefreshToken, "Correct-horse-42"} {
		if j.n.Logged(secret) {
			j.t.Errorf("the log holds %.12s…", secret)
		}
	}
}
