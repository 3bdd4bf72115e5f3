package scenario

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// restCase is one request in PostgREST's dialect and what must come back.
type restCase struct {
	name   string
	as     string // service when empty; ann, bob, anon, nobody
	method string // GET when empty
	path   string // behind /rest/v1
	body   string
	// headers are "Name: value" parted by " | ".
	headers string

	status int // 200 when zero
	// want is the whole body; wantPart must be in it.
	want, wantPart string
	// error is the whole body of an error: code, message, details and hint, where
	// "-" is null and "?" anything.
	error [4]string
	// header is "Name: value" parted by " | "; a value "-" means that there is none.
	header string
	// then is a SELECT of one text, and thenWant what it must give afterwards.
	then, thenWant string
}

func (n *tablesNode) runRest(t *testing.T, c restCase) {
	method, status, as := c.method, c.status, c.as
	if method == "" {
		method = "GET"
	}
	if status == 0 {
		status = 200
	}
	if as == "" {
		as = "service"
	}
	var body any
	if c.body != "" {
		body = c.body
	}
	var headers []string
	if c.headers != "" {
		for _, h := range strings.Split(c.headers, " | ") {
			name, value, _ := strings.Cut(h, ": ")
			headers = append(headers, name, value)
		}
	}
	got := n.Do(method, "/rest/v1"+c.path, n.token(t, as), body, headers...)
	text := string(got.Body)
	if got.Status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, c.path, got.Status, status, text)
	}
	if c.want != "" && text != c.want {
		t.Errorf("body\n got %s\nwant %s", text, c.want)
	}
	if !strings.Contains(text, c.wantPart) {
		t.Errorf("body %s lacks %s", text, c.wantPart)
	}
	if status == 204 && text != "" {
		t.Errorf("204 with a body: %s", text)
	}
	if status >= 300 && status != 304 && method != "HEAD" {
		n.checkRestError(t, c, text, got.Header.Get("Proxy-Status"))
	}
	if c.header != "" {
		for _, h := range strings.Split(c.header, " | ") {
			name, value, _ := strings.Cut(h, ": ")
			if got := got.Header.Get(name); got != value && (value != "-" || got != "") {
				t.Errorf("header %s is %q, want %q", name, got, value)
			}
		}
	}
	if c.then != "" {
		if got := n.text(t, c.then); got != c.thenWant {
			t.Errorf("%s gives %s, want %s", c.then, got, c.thenWant)
		}
	}
}

// checkRestError checks that an error has exactly four members, and the wanted ones.
func (n *tablesNode) checkRestError(t *testing.T, c restCase, body, proxy string) {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &members); err != nil || len(members) != 4 {
		t.Fatalf("no error of PostgREST: %s", body)
	}
	for i, name := range []string{"code", "message", "details", "hint"} {
		want := c.error[i]
		if want == "" || want == "?" {
			continue
		}
		got := string(members[name])
		var text string
		if json.Unmarshal(members[name], &text) == nil && got != "null" {
			got = text
		} else if got == "null" {
			got = "-"
		}
		if got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	var code string
	if json.Unmarshal(members["code"], &code); proxy != "PostgREST; error="+code {
		t.Errorf("Proxy-Status is %q with code %q", proxy, code)
	}
}

const restDDL = tablesDDL + embedDDL + `
CREATE TABLE kinds (id int4 PRIMARY KEY, label text NOT NULL DEFAULT 'none', n int4);
CREATE TABLE pairs (a int4, b text, v text, PRIMARY KEY (a, b));
CREATE FUNCTION teapot() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.label = 'tea' THEN RAISE SQLSTATE 'PT418' USING MESSAGE = 'I am a teapot', DETAIL = 'short', HINT = 'stout'; END IF;
  IF new.label = 'raise' THEN RAISE SQLSTATE 'PGRST' USING MESSAGE = '{"code":"123","message":"ABC","details":"DEF","hint":"XYZ"}', DETAIL = '{"status":332,"headers":{"X-Powered-By":"Nerd Rage"}}'; END IF;
  IF new.label = 'bad raise' THEN RAISE SQLSTATE 'PGRST' USING MESSAGE = 'INVALID', DETAIL = '{"status":332,"headers":{}}'; END IF;
  IF new.label = 'plain' THEN RAISE 'just no'; END IF;
  IF new.label = 'said' THEN PERFORM set_config('response.status', '202', true), set_config('response.headers', '[{"X-Said":"yes"},{"Cache-Control":"no-store"}]', true); END IF;
  IF new.label = 'bad status' THEN PERFORM set_config('response.status', 'abc', true); END IF;
  IF new.label = 'bad headers' THEN PERFORM set_config('response.headers', '{}', true); END IF;
  IF new.label = 'path' THEN new.label := current_setting('request.method') || ' ' || current_setting('request.path') || ' ' || (current_setting('request.headers')::json ->> 'x-mine'); END IF;
  IF new.label = 'zone' THEN new.label := current_setting('timezone'); END IF;
  RETURN new; END $$;
CREATE TRIGGER teapot BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION teapot();
GRANT ALL ON kinds, pairs TO anon, authenticated, service_role;
REVOKE ALL ON private FROM anon, authenticated;
`

const callDDL = `
CREATE FUNCTION add(a int4, b int4) RETURNS int4 LANGUAGE sql IMMUTABLE RETURN a + b;
CREATE FUNCTION greet(name text DEFAULT 'you', mark text DEFAULT '!') RETURNS text LANGUAGE sql STABLE RETURN 'hello ' || name || mark;
CREATE FUNCTION big(n int8) RETURNS int8 LANGUAGE sql IMMUTABLE RETURN n;
CREATE FUNCTION nothing() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION no_value() RETURNS text LANGUAGE sql IMMUTABLE RETURN NULL::text;
CREATE FUNCTION numbers(n int4) RETURNS SETOF int4 LANGUAGE sql STABLE AS 'SELECT generate_series(1, n)';
CREATE FUNCTION kinds_above(low int4) RETURNS SETOF kinds LANGUAGE sql STABLE AS 'SELECT * FROM kinds WHERE n >= low';
CREATE FUNCTION first_kind() RETURNS kinds LANGUAGE sql STABLE AS 'SELECT * FROM kinds ORDER BY id LIMIT 1';
CREATE FUNCTION books_of(author_id int4) RETURNS SETOF books LANGUAGE sql STABLE AS 'SELECT * FROM books WHERE author = author_id';
CREATE FUNCTION pairs_table(n int4) RETURNS TABLE (a int4, "b c" text) LANGUAGE sql STABLE AS 'SELECT i, ''x'' || i FROM generate_series(1, n) i';
CREATE FUNCTION two(OUT x int4, OUT y text) LANGUAGE sql STABLE AS 'SELECT 1, ''one''::text';
CREATE FUNCTION total(VARIADIC v int4[]) RETURNS int8 LANGUAGE sql IMMUTABLE RETURN (SELECT sum(x) FROM unnest(v) x);
CREATE FUNCTION joined(words text[]) RETURNS text LANGUAGE sql IMMUTABLE RETURN array_to_string(words, '-');
CREATE FUNCTION echo(data jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN data;
CREATE FUNCTION whole(json) RETURNS json LANGUAGE sql IMMUTABLE RETURN $1;
CREATE FUNCTION whole_text(text) RETURNS text LANGUAGE sql IMMUTABLE RETURN upper($1);
CREATE FUNCTION whole_bytes(bytea) RETURNS int4 LANGUAGE sql IMMUTABLE RETURN length($1);
CREATE FUNCTION over(a int4) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'one';
CREATE FUNCTION over(a int4, b int4) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'two';
CREATE FUNCTION vague(a int4) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'int';
CREATE FUNCTION vague(a text) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'text';
CREATE FUNCTION make_kind(id int4) RETURNS int4 LANGUAGE sql VOLATILE AS 'INSERT INTO kinds (id) VALUES (id) RETURNING id';
CREATE FUNCTION who() RETURNS text LANGUAGE sql STABLE RETURN current_user || ' ' || coalesce(auth.jwt() ->> 'email', 'nobody');
CREATE FUNCTION said() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('response.status', '201', true), set_config('response.headers', '[{"X-Said":"called"}]', true); END $$;
CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE 'PT402' USING MESSAGE = 'Payment Required', DETAIL = 'Quota exceeded', HINT = 'Upgrade your plan'; END $$;
CREATE FUNCTION counted() RETURNS SETOF kinds LANGUAGE plpgsql VOLATILE AS $$ BEGIN UPDATE kinds SET n = coalesce(n, 0) + 1; RETURN QUERY SELECT * FROM kinds; END $$;
CREATE FUNCTION "Odd ""fn"(" a ""b" int4) RETURNS int4 LANGUAGE sql IMMUTABLE RETURN " a ""b" * 2;
CREATE FUNCTION secret() RETURNS int4 LANGUAGE sql IMMUTABLE RETURN 1;
REVOKE ALL ON FUNCTION secret() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION secret() TO service_role;
CREATE FUNCTION hidden.never() RETURNS int4 LANGUAGE sql IMMUTABLE RETURN 1;
`

const restSeed = tablesSeed + embedSeed + `
TRUNCATE kinds, pairs;
INSERT INTO kinds VALUES (1, 'one', 10), (2, 'two', NULL), (3, 'three', 30), (4, 'four', 40), (5, 'five', 50);
INSERT INTO pairs VALUES (1, 'x', 'first'), (1, 'y', 'second');
`

func TestRest(t *testing.T) {
	t.Parallel()
	n := startTables(t, restDDL+callDDL)
	if cases := len(restCases) + len(callCases) + len(borrowed()); cases < 300 {
		t.Errorf("%d cases, want at least 300", cases)
	}
	n.runRests(t, restSeed, restCases, callCases, borrowed())
}

// runRests runs each case on the rows of seed.
func (n *tablesNode) runRests(t *testing.T, seed string, cases ...[]restCase) {
	seen := map[string]bool{}
	fresh := n.seeder(seed)
	for _, c := range slices.Concat(cases...) {
		if seen[c.name] {
			t.Fatalf("two cases are named %q", c.name)
		}
		seen[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			fresh(t, c.method)
			n.runRest(t, c)
		})
	}
}

// borrowed are the reads of the native dialect that mean the same here.
func borrowed() []restCase {
	var out []restCase
	for _, c := range slices.Concat(tablesCases, embedCases) {
		// By id, by schema, by parameters and spellings that PostgREST does not have.
		table, query, _ := strings.Cut(strings.TrimPrefix(c.path, "/"), "?")
		_, id, byID := strings.Cut(table, "/")
		if c.method != "" || c.status != 0 || c.want == "" || byID && (!strings.HasPrefix(c.want, "{") || strings.ContainsAny(id, ",/%")) ||
			strings.Contains(query, "truncate=") || strings.Contains(query, "count=") || strings.Contains(query, "group_by") || nativeSpelling(query) {
			continue
		}
		r := restCase{name: "as native: " + c.name, as: c.as, path: "/" + table + "?" + query, want: c.want}
		if byID {
			table, _, _ = strings.Cut(table, "/")
			r.path = "/" + table + "?id=eq." + id
			if table == "titles" || query != "" {
				r.path += "&" + query
			}
			r.headers = "Accept: application/vnd.pgrst.object+json"
		}
		out = append(out, r)
	}
	return out
}

// nativeSpelling tells whether a query has an operator in a key, or aggregates as
// the SDK writes them.
func nativeSpelling(query string) bool {
	for _, p := range strings.Split(query, "&") {
		key, value, hasValue := strings.Cut(p, "=")
		if key == "select" && (strings.Contains(value, "count(*)") || strings.Contains(value, "sum(price)") || strings.Contains(value, "count(genre)")) {
			return true
		}
		if !hasValue || key != "select" && strings.Contains(key, ".") && !strings.HasPrefix(value, "eq.") && !strings.HasPrefix(key, "not.") && !embeddedWord(key, value) {
			return true
		}
		for _, operator := range []string{".eq", ".gt", ".in", ".is", ".gte", ".like"} {
			if strings.HasSuffix(key, operator) {
				return true
			}
		}
	}
	return false
}

func embeddedWord(key, value string) bool {
	for _, word := range []string{".order", ".limit", ".offset", ".or", ".and"} {
		if strings.HasSuffix(key, word) {
			return true
		}
	}
	for _, operator := range []string{"gt.", "lt.", "neq.", "is.", "not.", "in.", "like.", "gte."} {
		if strings.HasPrefix(value, operator) {
			return true
		}
	}
	return false
}
