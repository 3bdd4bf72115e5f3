package scenario

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestNoRequestIsAnsweredWithAServerError sends requests made of pieces that mean
// something, put together without sense, and of plain garbage. Whatever is asked,
// the fault is the asker's: a status below 500, and from 400 on a body with text,
// code and request id. Nothing secret and nothing of the inside may be in it.
func TestNoRequestIsAnsweredWithAServerError(t *testing.T) {
	t.Parallel()
	n := startTables(t, restDDL+callDDL)
	seed := setting(t, "SEED", uint64(time.Now().UnixNano()))
	requests := setting(t, "REQUESTS", 4000)
	t.Logf("SEED=%d REQUESTS=%d", seed, requests)
	r := rand.New(rand.NewPCG(seed, 1))
	g := hostile{r: r, tokens: []string{n.ServiceKey, n.ServiceKey, n.ServiceKey, n.ann.AccessToken, n.AnonKey, n.ann.RefreshToken, "", "nonsense"}}
	judged := newJudgedAnswers(t, n)
	for i := range requests {
		if i%200 == 0 {
			n.exec(t, restSeed)
		}
		req := g.request(n.URL)
		if req == nil {
			continue
		}
		status, body := sendHostile(t, req)
		judged.statuses[status]++
		judged.judge(fmt.Sprintf("%s %s %v\n%s", req.Method, req.URL.Opaque, req.Header, g.body), req.Method, req.URL.Opaque, status, body)
	}
	judged.done(int(requests))
}

// checkRestBody checks that an error of PostgREST's dialect has its four members.
func checkRestBody(t *testing.T, described string, body []byte) {
	t.Helper()
	var f map[string]any
	if err := json.Unmarshal(body, &f); err != nil || len(f) != 4 || f["code"] == "" || f["message"] == "" {
		t.Errorf("%s\nis refused without PostgREST's body: %s", described, body)
	}
}

func sendHostile(t *testing.T, req *http.Request) (int, []byte) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s %v: %v", req.Method, req.URL.Opaque, req.Header, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// hostile makes requests.
type hostile struct {
	r      *rand.Rand
	tokens []string
	body   string
	// apt asks for a table that is there by names that it has, so that most of the
	// request reaches the database.
	apt bool
}

func (g *hostile) table() string {
	if g.apt {
		return g.pick("posts", "posts", "posts", "notes", "titles", "public/posts", "books", "books")
	}
	return g.pick(hostileTables...)
}

func (g *hostile) column() string {
	if g.apt {
		return g.pick(hostileColumns[:12]...)
	}
	return g.pick(hostileColumns...)
}

func (g *hostile) op() string {
	if g.apt {
		return g.pick(hostileOps[:18]...)
	}
	return g.pick(hostileOps...)
}

func (g *hostile) pick(of ...string) string { return of[g.r.IntN(len(of))] }

func (g *hostile) chance(percent int) bool { return g.r.IntN(100) < percent }

var (
	hostileTables  = []string{"posts", "posts", "posts", "members", "comments", "Odd%20Name", "keyless", "titles", "notes", "private", "secrets", "public", "auth", "hidden", "pg_class", "query", "bulk", "export", "nothing", "books", "reviews", "staff", "cheap", "kinds", "pairs"}
	hostileEmbeds  = []string{"authors", "author", "written_by", "authors!edited_by", "reviews", "r:reviews", "reviews!inner", "tags", "tags!book_tags", "book", "boss", "staff", "staff!follows", "best_review", "same_genre", "comments", "posts", "...author", "...reviews", "nothing", "book_tags", "a b", "reviews!inner!left"}
	hostileCalls   = []string{"add", "greet", "big", "nothing", "numbers", "kinds_above", "first_kind", "books_of", "pairs_table", "two", "total", "joined", "echo", "whole", "over", "vague", "make_kind", "who", "said", "missing", "pg_sleep", "set_config", "teapot"}
	hostileColumns = []string{"id", "title", "views", "score", "done", "data", "tags", "span", "at", "mood", "slug", "loud", "room", "name", "rank", "post", "body", "owner", "first col", `"first col"`, `"a.b"`, "data->age", "data->>name", "data->list->0", "data->deep->>k", "tags->0", "nothing", "", "*", "ctid", "posts", "id::text", "x:title"}
	hostileOps     = []string{"eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in", "is", "not", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj", "fts", "plfts", "phfts", "wfts", "fts(english)", "fts(nothing)", "match", "imatch", "isdistinct", "nin", "isnot", "like(any)", "eq(all)", "gt(any)", "not.eq", "not.in", "st_contains", "st_dwithin", "vec_l2", "between", "bogus", ""}
	hostileValues  = []string{"1", "0", "-1", "2147483648", "9223372036854775808", "1e400", "NaN", "abc", "", "null", "not_null", "true", "unknown", "(1,2)", "(a,\"b,c\")", "{a,b}", "{1,2", "[1,5)", "[5,1)", "empty", `{"k":1}`, `{"k":`, "2024-01-01", "2024-13-45", "infinity", "happy", "*a*", "%25", "%00", "%ff", "%zz", "(", ")", "[", "\\", "'", "\"", ";", "a%26b", "a.b.c", "%F0%9F%98%80", "x'); drop table posts; --", "$1", "00000000-0000-0000-0000-000000000000", "2,{}"}
	hostileJSON    = []string{"null", "true", "0", "-1", "1.5", "1e999", "12345678901234567890123", `""`, `"abc"`, `"\u0000"`, `"\ud800"`, `"2024-01-01"`, `"happy"`, `"{a,b}"`, `"[1,2)"`, "[]", "[1,2]", `["a",null]`, "[[1],[2,3]]", "{}", `{"a":{"b":[1]}}`, "nan", "", "'x'", `"`}
	hostilePrefers = []string{"return=minimal", "return=representation", "return=headers-only", "resolution=merge-duplicates", "resolution=ignore-duplicates", "missing=default", "missing=null", "count=exact", "count=planned", "count=estimated", "handling=strict", "handling=strict, bogus=1", "bogus", ";=,", "return=minimal;x=y"}
)

// fittingJSON are values that the columns of posts take.
var fittingJSON = map[string][]string{
	"id": {"1", "2", "77", "88"}, "views": {"1", "0", `"5"`}, "score": {"1.5", "null", `"NaN"`}, "done": {"true", "null"},
	"data": {"{}", "[1]", `"text"`, "null", "12345678901234567890"}, "tags": {"[]", `["a",null]`, `"{a}"`}, "span": {`"[1,2)"`, `"empty"`},
	"at": {`"2024-01-01"`, `"infinity"`, "null"}, "mood": {`"sad"`, "null"}, "slug": {`"s1"`, `"s9"`, "null"},
}

// request is nil when chance made something that an HTTP client cannot send.
func (g *hostile) request(base string) *http.Request {
	g.body, g.apt = "", g.chance(60)
	method := g.pick("GET", "GET", "GET", "GET", "POST", "POST", "PATCH", "PATCH", "PUT", "DELETE")
	if g.chance(5) {
		method = g.pick("HEAD", "OPTIONS", "TRACE")
	}
	path := g.path()
	if g.chance(80) {
		path += "?" + g.query()
	}
	if method != "GET" && method != "HEAD" || g.chance(5) {
		g.body = g.json()
	}
	host, err := url.Parse(base)
	if err != nil {
		return nil
	}
	var body io.Reader
	if g.body != "" {
		body = strings.NewReader(g.body)
		if g.chance(20) {
			body = io.MultiReader(body) // of unknown length: sent in chunks
		}
	}
	req, err := http.NewRequest(method, base, body)
	if err != nil {
		return nil
	}
	// As it is: a client would repair it otherwise.
	req.URL = &url.URL{Scheme: host.Scheme, Host: host.Host, Opaque: strings.NewReplacer(" ", "%20", "\n", "%0A").Replace(path)}
	if g.chance(90) {
		req.Header.Set("Authorization", "Bearer "+g.tokens[g.r.IntN(4)])
	} else {
		req.Header.Set(g.pick("Authorization", "apikey", "X-Client-Key", "X-Service-Key", "clientkey"), g.pick("Bearer ", "", "Basic ", "ServiceKey ")+g.pick(g.tokens...))
	}
	if g.chance(40) {
		req.Header.Set("Prefer", g.pick(hostilePrefers...)+", "+g.pick(hostilePrefers...))
	}
	if g.body != "" {
		req.Header.Set("Content-Type", g.pick("application/json", "application/json", "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", ""))
	}
	for _, odd := range [][2]string{{"X-FB-Tenant", "nothing"}, {"X-FB-Tenant", "default"}, {"Accept", "text/csv"}, {"Accept", "text/csv"}, {"Accept", "application/vnd.pgrst.object+json"}, {"Accept", "application/vnd.pgrst.array+json;nulls=stripped"}, {"Accept", "nonsense"}, {"Accept-Profile", "public"}, {"Content-Profile", "nothing"}, {"Range", "5-1"}, {"Prefer", "tx=rollback, handling=strict, max-affected=1, timezone=UTC"}, {"Idempotency-Key", "k"}, {"Accept-Encoding", "gzip, br;q=2"}, {"Range", "items=0-1"}, {"Origin", "null"}, {"X-Request-ID", "\xff"}, {"X-Forwarded-For", "nonsense"}, {"Content-Encoding", "gzip"}, {"Idempotency-Key", strings.Repeat("k", 300)}, {"Cookie", "fluxbase_access_token=x; ;="}, {"Expect", "nonsense"}, {"X-HTTP-Method-Override", "DELETE"}} {
		if g.chance(3) {
			req.Header.Set(odd[0], odd[1])
		}
	}
	return req
}

func (g *hostile) path() string {
	if !g.apt && g.chance(20) {
		return g.pick("/", "//", "/health", "/ready", "/api/v1", "/api/v1/", "/api/v1/auth/user", "/api/v1/auth/config", "/api/v1/auth/signin", "/api/v1/auth/signup", "/api/v1/auth/refresh",
			"/api/v1/auth/signout?scope=nonsense", "/api/v1/admin/me", "/api/v1/admin/login", "/api/v1/admin/refresh", "/api/v1/admin/setup", "/api/v1/admin/setup/status", "/api/v1/admin/realtime/tables", "/api/v1/realtime/stats", "/api/v1/realtime/broadcast", "/api/v1/monitoring/logs", "/api/v1/monitoring/health", "/realtime", "/api/v1/tables/%2e%2e/%2e%2e/health", "/%00", "/%ff", "/%")
	}
	if g.chance(30) {
		return "/rest/v1/" + g.table()
	}
	if g.chance(12) {
		return "/rest/v1/rpc/" + g.pick(hostileCalls...)
	}
	path := "/api/v1/tables/" + g.table()
	if !g.apt && g.chance(15) {
		path = "/api/v1/tables/" + g.pick("public", "public", "auth", "hidden", "pg_catalog", "nothing", "posts") + "/" + g.pick(hostileTables...)
	}
	if g.chance(35) {
		path += "/" + g.pick("1", "2", "99", "abc", "1,ann", "1,b%2Cc", "1,2,3", "", "%00", "-1", "1.5", "query", "bulk", "x'--", strings.Repeat("9", 40), "%E2%82%AC")
	}
	return path
}

func (g *hostile) query() string {
	var parts []string
	for range g.r.IntN(4) {
		column, op, value := g.column(), g.op(), g.pick(hostileValues...)
		var part string
		switch g.r.IntN(18) {
		case 14, 15:
			part = "select=" + g.selection(3)
		case 16:
			part = g.pick("reviews", "author", "r", "books") + "." + g.pick("stars", "name", "order", "limit", "offset", "or", "id", column) + "=" + g.pick("gt.1", "eq.Ada", "stars.desc", "1", "(stars.eq.1,id.gt.2)", op+"."+value)
		case 17:
			part = g.pick("a", "b", "n", "low", "v", "words", "data", "author_id", "reviews", "order") + "=" + g.pick("1", "is.null", "not.is.null", "author(name)", "{1,2}", "1,2", value)
		case 0, 1, 2:
			part = column + "=" + op + "." + value
		case 3, 4, 5:
			part = column + "." + op + "=" + value
		case 6:
			part = g.pick("or", "and", "not.or", "not.and") + "=" + g.logic(3)
		case 7:
			part = "select=" + column + g.pick(",", ", ", "::text,", "::int,", "(", "(*)", ",,") + g.column()
		case 8:
			part = "order=" + column + g.pick("", ".asc", ".desc", ".desc.nullslast", ".nullsfirst", ".up", ".vec_l2.[1].asc") + g.pick("", ","+g.column())
		case 9:
			part = g.pick("limit", "offset", "truncate", "count", "group_by", "on_conflict", "columns", "cursor") + "=" + g.pick("0", "1", "3", "-1", "abc", "exact", "planned", "estimated", "id", "slug", "room,name", "", value)
		case 10:
			part = g.pick("limit=1", "count=exact", "order=id", "select=*", "on_conflict=id", "offset=1", "truncate=3")
		case 11:
			if g.apt {
				continue
			}
			part = g.pick("token", "apikey", "clientkey") + "=" + g.pick(g.tokens...)
		case 12:
			part = "id=" + g.pick("eq.1", "gt.0", "in.(1,2)")
		default:
			part = g.garbage()
		}
		parts = append(parts, part)
	}
	query := strings.Join(parts, "&")
	if g.chance(5) && len(query) > 0 { // cut, or twisted, somewhere
		at := g.r.IntN(len(query))
		query = query[:at] + g.pick("", "%", "(", ")", "\"", "=", "&", ".", ",") + query[min(len(query), at+g.r.IntN(3)):]
	}
	return query
}

// selection makes a select list with embeds and aggregates.
func (g *hostile) selection(depth int) string {
	var items []string
	for range 1 + g.r.IntN(3) {
		switch g.r.IntN(6) {
		case 0:
			if depth > 0 {
				items = append(items, g.pick(hostileEmbeds...)+"("+g.pick("", "*", "id", "count()", g.selection(depth-1))+g.pick(")", ")", ")", ")", ""))
			}
		case 1:
			items = append(items, g.pick("count()", "count(*)", "count", "price.sum()", "stars.avg()::int", "sum(views)", "id.max()", "x:id.min()", "bogus()", g.column()+".sum()", "...author(born.max())"))
		default:
			items = append(items, g.column()+g.pick("", "", "::text", "::int", "->a"))
		}
	}
	return strings.Join(items, ",")
}

func (g *hostile) logic(depth int) string {
	var terms []string
	for range g.r.IntN(4) {
		if depth > 0 && g.chance(30) {
			terms = append(terms, g.pick("and", "or", "not.and", "not.or", "xor")+g.logic(depth-1))
			continue
		}
		terms = append(terms, g.column()+"."+g.op()+"."+g.pick(hostileValues...))
	}
	return "(" + strings.Join(terms, ",") + g.pick(")", ")", ")", "", "))")
}

func (g *hostile) garbage() string {
	b := make([]byte, g.r.IntN(12))
	for i := range b {
		b[i] = byte('!' + g.r.IntN(94))
	}
	return strings.NewReplacer("#", "", "?", "").Replace(string(b))
}

func (g *hostile) json() string {
	object := func() string {
		var members []string
		for range g.r.IntN(4) {
			name := g.column()
			if g.chance(50) {
				name = g.pick("id", "title", "views", "score", "done", "data", "tags", "at", "mood", "email", "password", "refresh_token", "table", "schema", "channel", "event", "payload")
			}
			value := g.pick(hostileJSON...)
			if fitting := fittingJSON[name]; fitting != nil && g.chance(70) {
				value = g.pick(fitting...)
			}
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		}
		if g.apt && g.chance(70) {
			members = append(members, `"title":"made"`)
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	switch g.r.IntN(10) {
	case 0:
		return g.pick(hostileJSON...)
	case 1:
		return g.garbage()
	case 2, 3:
		return "[" + object() + "," + object() + g.pick("]", "]", "", ",]", ",5]")
	case 4:
		return strings.Repeat("[", 1+g.r.IntN(100))
	case 5:
		return ""
	}
	return object() + g.pick("", "", "", "", "}", " x")
}
