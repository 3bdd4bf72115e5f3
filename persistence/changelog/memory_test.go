package changelog_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/db"
	"fluxbase/persistence/query"
)

// What is compared, and with what; not all of it is decided in memory.
var (
	uuidPlaces = []string{"owner", "(SELECT owner)"}
	uuidClaims = []string{
		"auth.uid()", "(SELECT auth.uid())", "auth.current_user_id()", "(auth.jwt() ->> 'sub')::uuid", "nullif(current_setting('app.user_id', true), '')::uuid",
		"'00000000-0000-0000-0000-00000000000A'::uuid", "NULL", "coalesce(auth.uid(), '00000000-0000-0000-0000-00000000000b')", "current_setting('request.jwt.claim.sub', true)::uuid",
		"nullif(auth.jwt() ->> 'boss', '')::uuid",
	}
	textPlaces = []string{"org", "v", "owner::text", "n::text", "big::text", "ok::text", "loose", "fixed", `"Odd ""n"`, "j ->> 'k'"}
	textClaims = []string{
		"'red'", "''", "'it''s'", "'a\\b'", "NULL", "auth.role()", "auth.current_user_role()", "auth.jwt() ->> 'org'", "(SELECT auth.jwt() ->> 'org')", "(SELECT auth.jwt()) ->> 'n'", "auth.jwt() -> 'app' ->> 'org'",
		"auth.jwt() #>> '{app,org}'", "auth.jwt() -> 'teams' ->> 0", "auth.jwt() -> 'teams' ->> -1", "current_setting('request.jwt.claims', true)::json ->> 'org'", "current_setting('request.jwt.claims')::jsonb ->> 'none'",
		"current_setting('app.role', true)", "coalesce(auth.jwt() ->> 'org', 'none')", "nullif(auth.jwt() ->> 'org', 'blue')", "auth.uid()::text", "current_user::text", "lower(auth.jwt() ->> 'org')",
		"auth.jwt() ->> 'odd'", "auth.jwt() -> 'org' ->> 'x'", "current_setting('app.current_tenant_id')", "auth.jwt() ->> 'f'",
	}
	intPlaces = []string{"n", "big", "small", "dom", "amount"}
	intClaims = []string{"0", "1", "-1", "2", "32768", "5000000000", "NULL", "(auth.jwt() ->> 'n')::int", "(auth.jwt() ->> 'n')::bigint", "(auth.jwt() -> 'app' ->> 'n')::smallint", "1.5", "(auth.jwt() ->> 'org')::int"}
	truths    = []string{
		"ok", "true", "false", "NULL", "auth.is_admin()", "auth.is_authenticated()", "(auth.jwt() ->> 'admin')::boolean", "coalesce((auth.jwt() ->> 'admin')::boolean, false)",
		"auth.jwt() -> 'teams' ? org", "auth.jwt() ? org", "auth.uid() = ANY (ARRAY[owner])", "auth.uid() IN (owner, NULL)", "auth.has_tenant_access(owner)", "ok = true", "(n = 1) = ok", "owner = owner",
		"org LIKE 'r%'", "length(org) > 3", "tags && ARRAY['a']", "EXISTS (SELECT FROM member WHERE member.org = docs.org)", "jsonb_typeof(auth.jwt() -> 'teams') = 'array'",
	}
	textLists = []string{"'{red,blue}'::text[]", "ARRAY['red', NULL]", "ARRAY['t1', auth.jwt() ->> 'org']", "ARRAY(SELECT jsonb_array_elements_text(auth.jwt() -> 'teams'))", "string_to_array(auth.jwt() ->> 'list', ',')", "(auth.jwt() ->> 'list')::text[]",
		"ARRAY(SELECT json_array_elements_text(current_setting('request.jwt.claims', true)::json -> 'teams'))", "'{}'::text[]", "NULL::text[]"}
	uuidLists = []string{"ARRAY[auth.uid()]", "ARRAY(SELECT jsonb_array_elements_text(auth.jwt() -> 'ids')::uuid)", "'{00000000-0000-0000-0000-00000000000a}'::uuid[]"}
	intLists  = []string{"ARRAY[1, 2]", "'{1,2}'::int[]", "ARRAY(SELECT jsonb_array_elements_text(auth.jwt() -> 'ns')::int)", "ARRAY[1, 5000000000]"}
)

// drawn makes conditions out of the parts.
type drawn struct{ *rapid.T }

func (d drawn) one(of []string) string { return rapid.SampledFrom(of).Draw(d.T, "part") }

func (d drawn) condition(depth int) string {
	kinds := 9
	if depth > 0 {
		kinds = 14
	}
	places, claims, lists := uuidPlaces, uuidClaims, uuidLists
	switch rapid.IntRange(0, 2).Draw(d.T, "type") {
	case 1:
		places, claims, lists = textPlaces, textClaims, textLists
	case 2:
		places, claims, lists = intPlaces, intClaims, intLists
	}
	switch rapid.IntRange(0, kinds).Draw(d.T, "kind") {
	case 0:
		return d.one(truths)
	case 1:
		return fmt.Sprintf("%s IS %sNULL", d.one(append(places, claims...)), d.one([]string{"", "NOT "}))
	case 2:
		return fmt.Sprintf("%s %s %s", d.one(places), d.one([]string{"<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"}), d.one(claims))
	case 3:
		return fmt.Sprintf("%s = ANY (%s)", d.one(append(places, claims...)), d.one(lists))
	case 4:
		return fmt.Sprintf("%s <> ALL (%s)", d.one(places), d.one(lists))
	case 5:
		return fmt.Sprintf("%s %sIN (%s, %s)", d.one(places), d.one([]string{"", "NOT "}), d.one(claims), d.one(claims))
	case 6:
		return fmt.Sprintf("%s IN (SELECT jsonb_array_elements_text(auth.jwt() -> 'teams'))", d.one([]string{"org", "v", "n::text", "owner::text"}))
	case 7:
		return fmt.Sprintf("%s = %s", d.one(claims), d.one(places))
	case 8, 9:
		return fmt.Sprintf("%s = %s", d.one(places), d.one(claims))
	case 10:
		return "NOT (" + d.condition(depth-1) + ")"
	case 11:
		return fmt.Sprintf("((%s) IS %s%s)", d.condition(depth-1), d.one([]string{"", "NOT "}), d.one([]string{"TRUE", "FALSE", "UNKNOWN", "NULL"}))
	case 12:
		return fmt.Sprintf("coalesce(%s, %s)", d.condition(depth-1), d.condition(depth-1))
	}
	joint := d.one([]string{" AND ", " OR "})
	parts := []string{}
	for range rapid.IntRange(2, 3).Draw(d.T, "terms") {
		parts = append(parts, "("+d.condition(depth-1)+")")
	}
	return strings.Join(parts, joint)
}

const memoryDocs = `
	CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE DOMAIN positive AS int;
	CREATE TABLE docs (id int PRIMARY KEY, owner uuid, org text, v varchar(20), n int, big bigint, small smallint, dom positive, amount numeric, ok boolean, tags text[], j jsonb,
		loose text COLLATE loose, fixed char(5), "Odd ""n" text);
	ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
	CREATE TABLE member (org text); INSERT INTO member VALUES ('red');
	INSERT INTO docs SELECT g,
		(ARRAY['00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000B', NULL])[1 + g % 3]::uuid,
		(ARRAY['red', 'blue', '', NULL, 'RED', E'tab\t"\\', 'grün', 'authenticated', '5'])[1 + g % 9],
		(ARRAY['red', 'it''s', NULL, 't1', 'a\b'])[1 + g % 5],
		(ARRAY[0, 1, 5, NULL, -1, 2])[1 + g % 6], (ARRAY[5000000000, 1, NULL, -1])[1 + g % 4], (ARRAY[1, 2, NULL])[1 + g % 3], (ARRAY[1, NULL])[1 + g % 2], (ARRAY[1, 1.5, NULL])[1 + g % 3],
		(ARRAY[true, false, NULL])[1 + g % 3], (ARRAY['{a}', '{}', NULL])[1 + g % 3]::text[], (ARRAY['{"k":"red"}', 'null', NULL])[1 + g % 3]::jsonb,
		(ARRAY['red', 'RED', NULL])[1 + g % 3], (ARRAY['red', 'blue', NULL])[1 + g % 3], (ARRAY['red', NULL, 'it''s'])[1 + g % 3]
	FROM generate_series(1, 36) g;`

// claimants are callers of all sorts; about some of them PostgreSQL must be asked.
func (f *fixture) claimants() []caller.Caller {
	list := []caller.Caller{f.Anonymous(), f.User(alice), f.User(bob)}
	for _, claims := range []string{
		`{"sub":"` + alice + `","role":"authenticated","org":"red","teams":["t1","red",null],"n":5,"app":{"org":"blue","n":"1"},"admin":true,"ids":["` + bob + `"],"ns":[1,5],"list":"red,blue","exp":1700000000}`,
		`{"sub":"` + alice + `","role":"authenticated","org":"red","teams":["t1","red",null],"n":5,"app":{"org":"blue","n":"1"},"admin":true,"ids":["` + bob + `"],"ns":[1,5],"list":"red,blue","exp":1800000000}`,
		`{"sub":"no uuid","role":"authenticated","org":null,"teams":[],"n":"1","app":null,"admin":"f","ids":["x"],"ns":[],"list":"","f":1.0}`,
		`{"sub":5,"org":"blue","teams":"red","n":1e2,"app":[],"admin":"maybe"}`,
		`{"org":"it's","teams":{"red":1},"n":"5 ","app":{"org":"","n":99999},"admin":null,"list":"{red,t1}"}`,
		`{"org":"red","org":"blue","odd":"\u0000"}`, `{"odd":"\ud83d\ude00","org":"gr\u00fcn"}`, `{"org":{"x":"red"},"teams":["t1",["red"],7],"odd":-0,"f":-0.0}`,
		`[]`, `"text"`, `not json`, ``,
	} {
		c := f.User(alice)
		c.Claims = json.RawMessage(claims)
		list = append(list, c)
		c.UserID, c.Role = "", ""
		list = append(list, c)
	}
	return list
}

// claims draws a token's claims: members that policies ask for, with values that fit
// and such as do not.
func (d drawn) claims() json.RawMessage {
	values := []string{
		`null`, `true`, `false`, `0`, `1`, `5`, `-1`, `-0`, `1.0`, `1.50`, `1e2`, `32768`, `99999999999`, `123456789012345678901234567890`, `""`, `"red"`, `"blue"`, `"5"`, `" 5"`, `"+1"`, `"1.0"`,
		`"true"`, `"t"`, `"no"`, `"it's"`, `"a\\b"`, `"tab\t\"\\"`, `"gr\u00fcn"`, `"grün"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\u0000"`, `"` + alice + `"`, `"` + strings.ToUpper(bob) + `"`, `"{` + alice + `}"`,
		`[]`, `["red"]`, `["red",null,"t1"]`, `[1,2]`, `["1","5"]`, `["` + bob + `"]`, `[["red"]]`, `{}`, `{"org":"red"}`, `{"org":"it's","n":1}`, `{"red":1}`, `{"x":{"x":"red"}}`, `"red,blue"`, `"{red,t1}"`, `"{}"`,
	}
	var members []string
	for _, name := range []string{"sub", "role", "org", "teams", "n", "app", "admin", "ids", "ns", "list", "odd", "f", "boss", "org"} {
		if rapid.IntRange(0, 2).Draw(d.T, name) > 0 && (name != "org" || len(members) < 9) {
			members = append(members, fmt.Sprintf("%q : %s", name, d.one(values)))
		}
	}
	return json.RawMessage("{" + strings.Join(members, ", ") + "}")
}

// visible are the ids of the rows that an answer says are visible.
func visible(a changelog.Answer, ids []int) (list []int) {
	for n, sees := range a.Visible {
		if sees {
			list = append(list, ids[n])
		}
	}
	return list
}

// selectsEach gives the ids that each caller gets from SELECT.
func (f *fixture) selectsEach(callers []caller.Caller, table string) ([][]int, []error) {
	ids := make([][]int, len(callers))
	runs := make([]db.Run, len(callers))
	for i, c := range callers {
		runs[i] = db.Run{Caller: c, ReadOnly: true, Statements: []db.Statement{{SQL: "SELECT id FROM " + table + " ORDER BY id", Read: func(rows pgx.Rows) (err error) {
			ids[i], err = pgx.CollectRows(rows, pgx.RowTo[int])
			return err
		}}}}
	}
	return ids, f.DB.RunEach(f.ctx, runs)
}

// A verdict that is taken in memory is PostgreSQL's.
func TestVerdictsInMemoryEqualSelect(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(memoryDocs)
	f.enable("docs")
	images, ids := f.images("docs")
	admin := f.connect()
	rapid.Check(t, func(t *rapid.T) {
		sql := "DO $$ DECLARE p name; BEGIN FOR p IN SELECT polname FROM pg_policy WHERE polrelid = 'docs'::regclass LOOP EXECUTE format('DROP POLICY %I ON docs', p); END LOOP; END $$;"
		for i := range rapid.IntRange(1, 3).Draw(t, "policies") {
			sql += fmt.Sprintf("CREATE POLICY p%d ON docs%s%s USING (%s);", i, rapid.SampledFrom([]string{"", "", " AS RESTRICTIVE"}).Draw(t, "as"),
				rapid.SampledFrom([]string{"", " TO authenticated", " TO anon"}).Draw(t, "to"), drawn{t}.condition(2))
		}
		if _, err := admin.Exec(f.ctx, sql); err != nil {
			t.Skip(err) // not a condition to PostgreSQL
		}
		table := f.table("docs")
		callers := f.claimants()
		for range 6 {
			c := f.User(alice)
			c.Claims = drawn{t}.claims()
			if rapid.Bool().Draw(t, "nobody") {
				c.UserID, c.Role = "", caller.Role(drawn{t}.one([]string{"", "admin", "authenticated"}))
			}
			callers = append(callers, c)
		}
		var questions []changelog.Question
		for _, c := range callers {
			questions = append(questions, changelog.Question{Caller: c})
		}
		answers := f.judge(table, images, questions...)
		selected, errs := f.selectsEach(callers, "docs")
		for i, c := range callers {
			view, errored := table.View(c.DatabaseRole()), errs[i] != nil || answers[i].Err != nil
			if _, ok := table.Predicate(c); ok && view.Visibility == changelog.ByPolicy && errored {
				t.Fatalf("%s\n%s %s is decided in memory: SELECT says %v, the verdict %v", sql, c.Role, c.Claims, errs[i], answers[i].Err)
			}
			// Whether PostgreSQL comes to what fails depends on its plan.
			if errored {
				continue
			}
			if got := visible(answers[i], ids); !slices.Equal(got, selected[i]) {
				t.Fatalf("%s\n%s %s: got %v, want %v", sql, c.Role, c.Claims, got, selected[i])
			}
		}
	})
	v := f.log.Verdicts()
	if t.Logf("%d verdicts in memory, %d by PostgreSQL", v.Memory, v.SQL); v.Memory == 0 || v.SQL == 0 {
		t.Error("only one of the two ways was tried")
	}
}

// What a filter matches in memory is what its SQL matches.
func TestFiltersInMemoryEqualSelect(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(memoryDocs + `CREATE POLICY p ON docs USING (owner = auth.uid())`)
	f.enable("docs")
	images, ids := f.images("docs")
	table := f.table("docs")
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	operators := map[query.Operator]string{query.Equal: "=", query.NotEqual: "<>", query.Less: "<", query.LessOrEqual: "<=", query.Greater: ">", query.GreaterOrEqual: ">=", query.IsDistinct: "IS DISTINCT FROM", query.In: "IN", query.Is: "IS"}
	values := map[string][]string{
		"owner": {alice, strings.ToUpper(bob), "{" + alice + "}"}, "org": {"red", "", "5", `tab "\`, "grün"}, "v": {"red", "it's"}, "loose": {"red"}, "fixed": {"red"},
		"n": {"1", "-1", "05", " 2"}, "big": {"5000000000", "1"}, "small": {"1"}, "dom": {"1"}, "amount": {"1", "1.5"}, "ok": {"true", "f", "yes"}, `Odd "n`: {"red"},
	}
	compare := func(t *rapid.T) (query.Condition, string) {
		column := rapid.SampledFrom([]string{"owner", "org", "v", "loose", "fixed", "n", "big", "small", "dom", "amount", "ok", `Odd "n`}).Draw(t, "column")
		op := rapid.SampledFrom([]query.Operator{query.Equal, query.NotEqual, query.Less, query.LessOrEqual, query.Greater, query.GreaterOrEqual, query.IsDistinct, query.In, query.Is}).Draw(t, "operator")
		c := &query.Compare{Path: query.Column(column), Op: op}
		where := `"` + strings.ReplaceAll(column, `"`, `""`) + `" ` + operators[op] + " "
		switch op {
		case query.In:
			var list []string
			for range rapid.IntRange(1, 3).Draw(t, "values") {
				v := rapid.SampledFrom(values[column]).Draw(t, "value")
				c.Values, list = append(c.Values, v), append(list, quote(v))
			}
			return c, where + "(" + strings.Join(list, ", ") + ")"
		case query.Is:
			c.Value = rapid.SampledFrom([]string{"null", "not_null"}).Draw(t, "value")
			if column == "ok" {
				c.Value = rapid.SampledFrom([]string{"null", "true", "false", "unknown"}).Draw(t, "value")
			}
			return c, where + strings.ReplaceAll(c.Value, "_", " ")
		}
		c.Value = rapid.SampledFrom(values[column]).Draw(t, "value")
		return c, where + quote(c.Value)
	}
	rapid.Check(t, func(t *rapid.T) {
		condition, where := compare(t)
		switch rapid.IntRange(0, 3).Draw(t, "joined") {
		case 1:
			second, w := compare(t)
			condition, where = query.And{condition, second}, where+" AND "+w
		case 2:
			second, w := compare(t)
			condition, where = query.Or{condition, second}, where+" OR "+w
		case 3:
			condition, where = query.Not{Condition: condition}, "NOT ("+where+")"
		}
		for _, c := range []caller.Caller{f.User(alice), f.Service()} {
			answer := f.judge(table, images, changelog.Question{Caller: c, Filters: []query.Condition{condition}})[0]
			want, err := f.selects(c, "docs", where)
			if err != nil || answer.Err != nil {
				t.Fatalf("%s: SELECT says %v, the verdict %v", where, err, answer.Err)
			}
			var got []int
			for n, matches := range answer.Matches[0] {
				if matches {
					got = append(got, ids[n])
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s, %s: got %v, want %v", c.Role, where, got, want)
			}
		}
	})
}

// Which policies are decided without PostgreSQL, and which are not.
func TestPoliciesThatAreDecidedInMemory(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(memoryDocs)
	f.enable("docs")
	for policy, want := range map[string]bool{
		`owner = auth.uid()`: true, `(SELECT auth.uid()) = owner`: true, `org = auth.jwt() ->> 'org'`: true, `v = auth.jwt() -> 'app' ->> 'org'`: true,
		`org = current_setting('request.jwt.claims', true)::json ->> 'org'`: true, `n = (auth.jwt() ->> 'n')::int`: true, `ok`: true, `NOT ok AND n BETWEEN 1 AND 5`: true,
		`org = ANY (ARRAY(SELECT jsonb_array_elements_text(auth.jwt() -> 'teams')))`: true, `auth.jwt() -> 'teams' ? org`: true, `auth.role() = 'admin' OR owner = auth.uid()`: true,
		`org IN ('a', 'b')`: true, `v NOT IN ('a', 'b')`: true, `n IS NOT NULL`: true, `auth.is_authenticated()`: true, `owner::text = auth.jwt() ->> 'sub'`: true,
		`org = coalesce(nullif(auth.jwt() ->> 'org', ''), 'none')`: true, `(auth.jwt() ->> 'admin')::boolean IS TRUE`: true, `big = 5000000000`: true,
		`loose = 'a'`: false, `dom = 1`: false, `amount = 1`: false, `fixed = 'a'`: false, `org < 'm'`: false, `org LIKE 'a%'`: false, `current_user = 'anon'`: false,
		`EXISTS (SELECT FROM member)`: false, `owner = current_setting('request.jwt.claim.sub', true)::uuid`: false, `org = 'a' COLLATE "C"`: false, `ctid IS NOT NULL`: false,
	} {
		f.Exec(`DROP POLICY IF EXISTS p ON docs; CREATE POLICY p ON docs USING (` + policy + `)`)
		if got := f.table("docs").View(caller.DatabaseAuthenticated).Rule != nil; got != want {
			t.Errorf("%s is decided in memory: %v, want %v", policy, got, want)
		}
	}
}

// A helper that somebody replaced means what it says now.
func TestHelpersCountOnlyAsTheyAreOurs(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(memoryDocs + `CREATE POLICY p ON docs USING (owner = auth.current_user_id())`)
	f.enable("docs")
	r := f.tail()
	for _, c := range []struct {
		sql  string
		ours bool
	}{
		{`REVOKE EXECUTE ON FUNCTION auth.uid() FROM PUBLIC`, false},
		{`GRANT EXECUTE ON FUNCTION auth.uid() TO PUBLIC`, true},
		{`CREATE OR REPLACE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE RETURN '` + bob + `'::uuid`, false},
	} {
		f.Exec(c.sql)
		r.next()
		table, _ := r.plan.Named("public", "docs")
		if got := table.View(caller.DatabaseAuthenticated).Rule != nil; got != c.ours {
			t.Errorf("after %s the policy is decided in memory: %v", c.sql, got)
		}
		images, ids := f.images("docs")
		answer := f.judge(table, images, changelog.Question{Caller: f.User(alice)})[0]
		want, err := f.selects(f.User(alice), "docs", "true")
		got := visible(answer, ids)
		if (err != nil) != (answer.Err != nil) || !slices.Equal(got, want) {
			t.Errorf("after %s: %v, %v; SELECT gives %v, %v", c.sql, got, answer.Err, want, err)
		}
	}
}

// Identities that differ only in what no policy reads are one.
func TestIdentitiesAreWhatPoliciesRead(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(memoryDocs + `CREATE POLICY p ON docs USING (org = auth.jwt() ->> 'org')`)
	f.enable("docs")
	with := func(claims string) caller.Caller {
		c := f.User(alice)
		c.Claims = json.RawMessage(claims)
		return c
	}
	key := func(c caller.Caller) string {
		p, ok := f.table("docs").Predicate(c)
		if !ok {
			t.Fatalf("%s is not decided in memory", c.Claims)
		}
		return p.Key()
	}
	first := key(with(`{"org":"red","exp":1,"session_id":"a"}`))
	if key(with(`{"org":"red","exp":2,"jti":"b"}`)) != first || key(with(`{"org":"blue","exp":1,"session_id":"a"}`)) == first {
		t.Error("identities are told apart by something else than what the policy reads")
	}
	f.Exec(`CREATE POLICY q ON docs USING (v = auth.jwt() ->> 'session_id')`)
	if key(with(`{"org":"red","session_id":"a"}`)) == key(with(`{"org":"red","session_id":"b"}`)) {
		t.Error("a policy that reads session_id does not tell sessions apart")
	}
}
