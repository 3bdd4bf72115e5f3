package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const someone = "00000000-0000-0000-0000-00000000000a"

func scope() *Scope {
	s := &Scope{Role: "authenticated", Functions: map[string]Function{}, Columns: []Column{
		NewColumn("owner", "uuid", false), NewColumn("org", "text", true), NewColumn("n", "integer", false), NewColumn("ok", "boolean", false), NewColumn("other", "numeric", false),
	}}
	for name, h := range helpers {
		s.Functions[name] = Function{Body: h.body, Type: h.typ, Roles: []string{"authenticated"}}
	}
	return s
}

func settings(claims string) Settings { return Settings{Claims: claims, Role: "authenticated"} }

// row makes a row of the scope's columns out of texts; "" is NULL.
func row(t testing.TB, texts ...string) Row {
	t.Helper()
	r := make(Row, len(scope().Columns))
	for i, text := range texts {
		if text == "" {
			continue
		}
		v, ok := scope().Columns[i].Value(text)
		if !ok {
			t.Fatalf("%q is no value of %s", text, scope().Columns[i].Name)
		}
		r[i] = v
	}
	return r
}

func TestRules(t *testing.T) {
	t.Parallel()
	claims := `{"sub":"` + someone + `","org":"red","teams":["red","blue",null]}`
	for _, c := range []struct {
		expression string
		row        []string
		want       bool
	}{
		{`(owner = auth.uid())`, []string{someone}, true},
		{`(owner = auth.uid())`, []string{""}, false},
		{`(( SELECT auth.uid() AS uid) = owner)`, []string{someone}, true},
		{`(org = (auth.jwt() ->> 'org'::text))`, []string{"", "red"}, true},
		{`(org = (auth.jwt() ->> 'org'::text))`, []string{"", "blue"}, false},
		{`(NOT (org = (auth.jwt() ->> 'org'::text)))`, []string{"", ""}, false},
		{`(org = ANY (ARRAY( SELECT jsonb_array_elements_text((auth.jwt() -> 'teams'::text)) AS jsonb_array_elements_text)))`, []string{"", "blue"}, true},
		{`(org = ((auth.jwt() -> 'org'::text) ->> 0))`, []string{"", "red"}, true}, // jsonb keeps a lone value as an array of one
		{`(NOT (org IN ( SELECT jsonb_array_elements_text((auth.jwt() -> 'teams'::text)) AS x)))`, []string{"", "green"}, false},
		{`((n >= 1) AND (n <= 5))`, []string{"", "", "5"}, true},
		{`(n = ANY (ARRAY[1, 2]))`, []string{"", "", "3"}, false},
		{`((n = '-1'::integer) OR ok)`, []string{"", "", "", "true"}, true},
		{`(ok IS NOT TRUE)`, []string{}, true},
		{`(org IS DISTINCT FROM 'it''s'::text)`, []string{}, true},
		{`COALESCE((org = 'a'::text), true)`, []string{}, true},
	} {
		rule, ok := Compile(scope(), c.expression)
		if !ok {
			t.Errorf("%s is not understood", c.expression)
			continue
		}
		p, ok := rule.Bind(settings(claims))
		if got := ok && p.Holds(row(t, c.row...)); !ok || got != c.want {
			t.Errorf("%s of %q: %v (decided: %v), want %v", c.expression, c.row, got, ok, c.want)
		}
	}
}

// What is refused is left to PostgreSQL.
func TestExpressionsThatAreNotUnderstood(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		``, `(`, `(owner = )`, `owner = auth.uid() AND`, `(owner = auth.uid(1))`, `(owner = public.uid())`, `(owner = x.auth.uid())`, `(org OPERATOR(public.=) 'a'::text)`,
		`(org = 'a\b'::text)`, `(org = E'a'::text)`, `(org = 'a'::public.text)`, `(org = 'abc'::character varying(2))`, `(n = 1.5)`, `(n = 2147483648)`, `(other = 1)`, `(missing = 1)`,
		`(org < 'a'::text)`, `(n = 'a'::text)`, `( SELECT org FROM t)`, `(org = ( SELECT 'a'::text LIMIT 1))`, `(org = current_setting('request.headers'::text, true))`, `CURRENT_USER`,
		`(org = "substring"('a'::text, 'b'::text))`, `((n % 2) = 0)`, `CASE WHEN ok THEN true ELSE false END`, `(n = n)`, `(org = jsonb_array_elements_text(auth.jwt()))`,
		strings.Repeat("(NOT ", 300) + "ok" + strings.Repeat(")", 300),
	} {
		if _, ok := Compile(scope(), expression); ok {
			t.Errorf("%s is understood", expression)
		}
	}
}

// Callers for whom PostgreSQL raises an error are left to it.
func TestCallersWhoAreNotDecided(t *testing.T) {
	t.Parallel()
	for expression, claims := range map[string]string{
		`(owner = ((auth.jwt() ->> 'sub'::text))::uuid)`:                                             `{"sub":"no uuid"}`,
		`(n = ((auth.jwt() ->> 'n'::text))::integer)`:                                                `{"n":"99999999999"}`,
		`(org = (auth.jwt() ->> 'org'::text))`:                                                       `{"org":{"a":1}}`,
		`(org = (auth.jwt() ->> 'a'::text))`:                                                         `{"a":"x","org":"\u0000"}`,
		`(org = (auth.jwt() ->> 'b'::text))`:                                                         `{"b":"x","b":"y"}`,
		`(org = ((current_setting('request.jwt.claims'::text, true))::json ->> 'org'::text))`:        ``,
		`(org = auth.role())`:                                                                        "{\"a\":\"\xff\"}",
		`(org = ANY (ARRAY( SELECT jsonb_array_elements_text((auth.jwt() -> 'teams'::text)) AS x)))`: `{"teams":"red"}`,
	} {
		rule, ok := Compile(scope(), expression)
		if !ok {
			t.Errorf("%s is not understood", expression)
			continue
		}
		if _, ok := rule.Bind(settings(claims)); ok {
			t.Errorf("%s is decided for %s", expression, claims)
		}
	}
}

// The index leaves out nobody of whom the row is true, also after removals.
func TestIndexFindsEverybodyOfWhomARowIsTrue(t *testing.T) {
	t.Parallel()
	conditions := []string{
		`(org = (auth.jwt() ->> 'org'::text))`, `(org = ANY (ARRAY( SELECT jsonb_array_elements_text((auth.jwt() -> 'teams'::text)) AS x)))`, `((auth.jwt() -> 'teams'::text) ? org)`,
		`(owner = auth.uid())`, `((n)::text = (auth.jwt() ->> 'n'::text))`, `(n > 1)`, `ok`, `(org IS NULL)`, `(NOT ok)`, `true`, `false`, `(auth.role() = 'admin'::text)`, `(n = ANY (ARRAY[1, NULL::integer]))`,
	}
	texts := [][]string{{"", someone}, {"", "red", "blue"}, {"", "1", "2"}, {"", "true", "false"}}
	rapid.Check(t, func(t *rapid.T) {
		var x Index[int]
		var predicates []*Predicate
		for i := range rapid.IntRange(1, 12).Draw(t, "predicates") {
			terms := rapid.SliceOfN(rapid.SampledFrom(conditions), 1, 3).Draw(t, "terms")
			expression := "(" + strings.Join(terms, rapid.SampledFrom([]string{" AND ", " OR "}).Draw(t, "joint")) + ")"
			rule, ok := Compile(scope(), expression)
			if !ok {
				t.Fatal(expression)
			}
			claims, err := json.Marshal(map[string]any{
				"sub": rapid.SampledFrom([]string{"", someone}).Draw(t, "sub"), "org": rapid.SampledFrom([]any{nil, "red", "blue"}).Draw(t, "org"),
				"teams": rapid.SampledFrom([][]any{{}, {"red"}, {"red", "blue", nil}}).Draw(t, "teams"), "n": rapid.IntRange(1, 2).Draw(t, "n"),
			})
			if err != nil {
				t.Fatal(err)
			}
			p, ok := rule.Bind(settings(string(claims)))
			if !ok {
				t.Fatal(string(claims))
			}
			predicates = append(predicates, p)
			x.Add(p, i)
		}
		gone := rapid.IntRange(0, len(predicates)).Draw(t, "gone")
		for i := range gone {
			x.Remove(predicates[i], i)
		}
		r := make(Row, len(scope().Columns))
		for i, of := range texts {
			if text := rapid.SampledFrom(of).Draw(t, "value"); text != "" {
				r[i], _ = scope().Columns[i].Value(text)
			}
		}
		found := map[int]bool{}
		x.Candidates(r, func(i int) { found[i] = true })
		for i, p := range predicates {
			if i < gone && found[i] {
				t.Fatalf("%d was removed", i)
			}
			if i >= gone && p.Holds(r) && !found[i] {
				t.Fatalf("%d holds of %v and is not found", i, r)
			}
		}
		for i := range predicates {
			x.Remove(predicates[i], i)
		}
		if len(x.byValue) > 0 || len(x.rest) > 0 {
			t.Fatal("an empty index keeps something")
		}
	})
}

// Equality with a claim costs nobody else.
func TestIndexAsksOnlyThoseOfTheValue(t *testing.T) {
	t.Parallel()
	rule, _ := Compile(scope(), `((org = (auth.jwt() ->> 'org'::text)) AND (n > 1))`)
	var x Index[int]
	for i := range 500 {
		p, _ := rule.Bind(settings(fmt.Sprintf(`{"org":"o%d"}`, i)))
		x.Add(p, i)
	}
	var asked []int
	x.Candidates(row(t, "", "o7", "2"), func(i int) { asked = append(asked, i) })
	if !slices.Equal(asked, []int{7}) {
		t.Errorf("asked %v", asked)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`(owner = auth.uid())`, `((org = 'a'::text) AND (n <> ALL (ARRAY[1, 2])))`, `COALESCE(((auth.jwt() -> 'a'::text) ? org), false)`, `(org IN ( SELECT jsonb_array_elements_text((auth.jwt() -> 'x'::text)) AS x))`, `(((auth.jwt() #>> '{a,b}'::text[]))::boolean IS UNKNOWN)`} {
		f.Add(seed, `{"sub":"x","a":{"b":"true"},"x":["a"]}`)
	}
	f.Fuzz(func(t *testing.T, expression, claims string) {
		rule, ok := Compile(scope(), expression)
		if !ok {
			return
		}
		p, ok := rule.Bind(settings(claims))
		if !ok {
			return
		}
		var x Index[int]
		x.Add(p, 1)
		for _, r := range []Row{row(t), row(t, someone, "a", "1", "true")} {
			found := false
			x.Candidates(r, func(int) { found = true })
			if p.Holds(r) && !found {
				t.Errorf("%s with %s holds of %v and is not found", expression, claims, r)
			}
		}
	})
}
