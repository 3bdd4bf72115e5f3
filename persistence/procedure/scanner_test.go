package procedure

import (
	"strings"
	"testing"
)

// show writes tokens as kind:text.
func show(text string, tokens []token) string {
	kinds := map[tokenKind]string{
		symbolToken: "", wordToken: "w:", quotedNameToken: "n:", textToken: "t:", numberToken: "d:",
		numberedToken: "#:", placeholderToken: "$:", commentToken: "c:",
	}
	var all []string
	for _, t := range tokens {
		all = append(all, kinds[t.kind]+text[t.start:t.end])
	}
	return strings.Join(all, " | ")
}

func TestTokens(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a=$b", "w:a | = | $:$b"},
		{"a$b + $c_1", "w:a$b | + | $:$c_1"},
		{"$1,$23", "#:$1 | , | #:$23"},
		{"'a''b' 'c'", "t:'a''b' | t:'c'"},
		{"'a\\' $b", "t:'a\\' | $:$b"},
		{"'a'\n 'b$c'", "t:'a'\n 'b$c'"},
		{"'a' -- $x\n 'b'", "t:'a' -- $x\n 'b'"},
		{"'a' /* $x */\n'b'", "t:'a' | c:/* $x */ | t:'b'"},
		{`E'a\'$b' $c`, `t:E'a\'$b' | $:$c`},
		{"E'a'\n'\\'$b' $c", "t:E'a'\n'\\'$b' | $:$c"},
		{"e'' B'01' x'ff' N'n' U&'a\\0061'", "t:e'' | t:B'01' | t:x'ff' | t:N'n' | t:U&'a\\0061'"},
		{"u & 'a'", "w:u | & | t:'a'"},
		{"ae'x'", "w:ae | t:'x'"},
		{`"a""$b" U&"$c"`, `n:"a""$b" | n:U&"$c"`},
		{"$$ $a $$ $b", "t:$$ $a $$ | $:$b"},
		{"$t$ $$ $a$ $t$", "t:$t$ $$ $a$ $t$"},
		{"$a AND $a$x$a$", "$:$a | w:AND | t:$a$x$a$"},
		{"-- $a\n$b--", "c:-- $a | $:$b | c:--"},
		{"-- $a\r$b", "c:-- $a | $:$b"},
		{"/* $a /* $b */ $c */ $d", "c:/* $a /* $b */ $c */ | $:$d"},
		{"1.5e-3+2 .5 1_000 0x1F", "d:1.5e-3 | + | d:2 | d:.5 | d:1_000 | d:0x1F"},
		{"1..2", "d:1 | . | d:.2"},
		{"a[1]::int", "w:a | [ | d:1 | ] | : | : | w:int"},
		{"größe = $x", "w:größe | = | $:$x"},
		{"", ""},
	} {
		tokens, err := scan(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		} else if got := show(c.text, tokens); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.text, got, c.want)
		}
	}
	for _, text := range []string{"'a", "E'a\\'", `"a`, "/* a", "/* /* */", "$$ a", "$a$ b $A$", "$ a", "$", "$é", "a\x00", "\xff", "$" + strings.Repeat("a", 64)} {
		if tokens, err := scan(text); err == nil {
			t.Errorf("%q is %s", text, show(text, tokens))
		}
	}
}

// Whatever the text, its tokens are in order, apart, and all there is but white space.
func FuzzScan(f *testing.F) {
	for _, text := range append(seeds, "'a' -- x\n'b'", "$a$b$a$", "E'\\'", "1..2", "U&\"a\" U&'b'", "/*/**/*/") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := scan(text)
		if err != nil {
			return
		}
		at := 0
		for _, k := range tokens {
			if k.start < at || k.end <= k.start || k.end > len(text) {
				t.Fatalf("%q: token %+v after %d", text, k, at)
			}
			if gap := text[at:k.start]; strings.Trim(gap, " \t\n\r\f\v") != "" {
				t.Fatalf("%q: %q is in no token", text, gap)
			}
			at = k.end
		}
		if strings.Trim(text[at:], " \t\n\r\f\v") != "" {
			t.Fatalf("%q: %q is in no token", text, text[at:])
		}
	})
}

// seeds are statements with placeholders in and out of what hides them.
var seeds = []string{
	"SELECT * FROM a WHERE x = $x AND y = '$y' OR z = $x",
	"WITH q AS (DELETE FROM a RETURNING *) SELECT * FROM q WHERE b = $b -- $c",
	"INSERT INTO a VALUES ($$ $x $$, E'\\'$y', \"$z\", $real) RETURNING *;",
	"SELECT $a$ $b $a$, col$x, /* $n /* $m */ */ $k::int",
	"SELECT extract(year FROM $d), $x IS NULL, ARRAY[$a, $b]",
}

// The scanner and PostgreSQL's grammar mean the same: whatever compiles has as many
// parameters as the grammar finds in it, and comes out as one statement again.
func FuzzCompileStatement(f *testing.F) {
	// The first use of the parser takes longer than a fuzzer lets one text take.
	if _, err := compileStatement("SELECT 1", Rules{}); err != nil {
		f.Fatal(err)
	}
	for _, text := range seeds {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := compileStatement(text, Rules{Schemas: []string{"public"}})
		if theParser.broken != nil {
			t.Fatalf("%q breaks the parser: %v", text, theParser.broken)
		}
		if err != nil {
			return
		}
		tokens, err := scan(s.SQL)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, s.SQL, err)
		}
		node, err := parseOne(s.SQL, tokens)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, s.SQL, err)
		}
		numbers := map[int]bool{}
		for _, n := range parametersOf(node) {
			numbers[n] = true
		}
		want := len(s.Parameters)
		if s.Rows {
			want++
		}
		if len(numbers) != want {
			t.Fatalf("%q became %q with the parameters %v, want %d", text, s.SQL, numbers, want)
		}
	})
}

func TestWhatNestsTooDeepNeverReachesTheParser(t *testing.T) {
	shapes := map[string]func(n int) string{
		"brackets":   func(n int) string { return "SELECT " + strings.Repeat("(", n) + "1" + strings.Repeat(")", n) },
		"minus":      func(n int) string { return "SELECT " + strings.Repeat("- ", n) + "1" },
		"plus":       func(n int) string { return "SELECT 1" + strings.Repeat("+1", n) },
		"not":        func(n int) string { return "SELECT " + strings.Repeat("NOT ", n) + "true" },
		"is null":    func(n int) string { return "SELECT 1" + strings.Repeat(" IS NULL", n) },
		"subqueries": func(n int) string { return "SELECT " + strings.Repeat("(SELECT ", n) + "1" + strings.Repeat(")", n) },
		"from": func(n int) string {
			return strings.Repeat("SELECT * FROM (", n) + "SELECT 1" + strings.Repeat(") q", n)
		},
		"exists": func(n int) string {
			return "SELECT " + strings.Repeat("EXISTS (SELECT ", n) + "1" + strings.Repeat(")", n)
		},
		"unions": func(n int) string { return "SELECT 1" + strings.Repeat(" UNION SELECT 1", n) },
		"casts":  func(n int) string { return "SELECT 1" + strings.Repeat("::int", n) },
		"joins":  func(n int) string { return "SELECT 1 FROM a" + strings.Repeat(" JOIN a ON true", n) },
		"case": func(n int) string {
			return "SELECT " + strings.Repeat("CASE WHEN true THEN ", n) + "1" + strings.Repeat(" END", n)
		},
		"case else": func(n int) string {
			return "SELECT " + strings.Repeat("CASE WHEN true THEN 1 ELSE ", n) + "1" + strings.Repeat(" END", n)
		},
		"arrays":     func(n int) string { return "SELECT " + strings.Repeat("ARRAY[", n) + "1" + strings.Repeat("]", n) },
		"subscripts": func(n int) string { return "SELECT " + strings.Repeat("a[", n) + "1" + strings.Repeat("]", n) },
		"functions":  func(n int) string { return "SELECT " + strings.Repeat("f(", n) + "1" + strings.Repeat(")", n) },
		"rows":       func(n int) string { return "SELECT " + strings.Repeat("ROW(1, ", n) + "1" + strings.Repeat(")", n) },
		"with": func(n int) string {
			return strings.Repeat("WITH q AS (", n) + "SELECT 1" + strings.Repeat(") SELECT 1", n)
		},
		"collate":      func(n int) string { return "SELECT 'a'" + strings.Repeat(" COLLATE c", n) },
		"at time zone": func(n int) string { return "SELECT a" + strings.Repeat(" AT TIME ZONE 'u'", n) },
		"in":           func(n int) string { return "SELECT " + strings.Repeat("1 IN (", n) + "1" + strings.Repeat(")", n) },
		"and, or": func(n int) string {
			return "SELECT " + strings.Repeat("(true AND (false OR ", n) + "true" + strings.Repeat("))", n)
		},
		"any": func(n int) string {
			return "SELECT " + strings.Repeat("1 = ANY (ARRAY[", n) + "1" + strings.Repeat("])", n)
		},
		"over": func(n int) string {
			return "SELECT " + strings.Repeat("sum(1) OVER (ORDER BY ", n) + "1" + strings.Repeat(")", n)
		},
		"filter": func(n int) string {
			return "SELECT " + strings.Repeat("count(*) FILTER (WHERE 1 = ", n) + "1" + strings.Repeat(")", n)
		},
		"coalesce": func(n int) string {
			return "SELECT " + strings.Repeat("COALESCE(1, ", n) + "1" + strings.Repeat(")", n)
		},
		"lateral": func(n int) string {
			return "SELECT 1 FROM a" + strings.Repeat(", LATERAL (SELECT 1 FROM a", n) + strings.Repeat(") q", n)
		},
		"xml": func(n int) string {
			return "SELECT " + strings.Repeat("xmlelement(name a, ", n) + "1" + strings.Repeat(")", n)
		},
		"grouping": func(n int) string {
			return "SELECT 1 GROUP BY " + strings.Repeat("GROUPING SETS (", n) + "1" + strings.Repeat(")", n)
		},
		"inserts": func(n int) string {
			return strings.Repeat("WITH q AS (INSERT INTO a ", n) + "SELECT 1" + strings.Repeat(" RETURNING *) SELECT 1", n)
		},
		"fields":     func(n int) string { return "SELECT (a)" + strings.Repeat(".a", n) },
		"between":    func(n int) string { return "SELECT 1 " + strings.Repeat("BETWEEN 1 AND 1 = 1 ", n) },
		"concat":     func(n int) string { return "SELECT ''" + strings.Repeat(" || 'a'", n) },
		"type names": func(n int) string { return "SELECT 1::int" + strings.Repeat("[]", n) },
		"dots":       func(n int) string { return "SELECT a" + strings.Repeat(".a", n) },
		"names":      func(n int) string { return "SELECT " + strings.Repeat("a ", n) },
		"aliases":    func(n int) string { return "SELECT 1 FROM " + strings.Repeat("(a ", n) + strings.Repeat(") q", n) },
		"order":      func(n int) string { return "SELECT 1 ORDER BY " + strings.Repeat("1 < ", n) + "1" },
		"interval":   func(n int) string { return "SELECT " + strings.Repeat("INTERVAL '1' ", n) },
		"notnull":    func(n int) string { return "SELECT 1" + strings.Repeat(" NOTNULL", n) },
		"distinct":   func(n int) string { return "SELECT 1" + strings.Repeat(" IS DISTINCT FROM 1", n) },
		"is true":    func(n int) string { return "SELECT true" + strings.Repeat(" IS TRUE", n) },
		"operator":   func(n int) string { return "SELECT 1" + strings.Repeat(" OPERATOR(pg_catalog.+) 1", n) },
		"sets":       func(n int) string { return strings.Repeat("(", n) + "SELECT 1" + strings.Repeat(") UNION SELECT 1", n) },
		"json": func(n int) string {
			return "SELECT " + strings.Repeat("JSON_OBJECT('a': ", n) + "1" + strings.Repeat(")", n)
		},
		"natural": func(n int) string { return "SELECT 1 FROM a" + strings.Repeat(" NATURAL JOIN a", n) },
		"row casts": func(n int) string {
			return "SELECT " + strings.Repeat("CAST(", n) + "1" + strings.Repeat(" AS int)", n)
		},
	}
	for name, shape := range shapes {
		deepest := 0
		for _, n := range []int{1, 10, 50, 100, 130, 199, 200, 390, 399, 400, 1000, 5000, 20000} {
			text := shape(n)
			tokens, err := scan(text)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			_, _ = theParser.parse(text, tokens) // whether it is SQL does not matter here
			if theParser.broken != nil {
				t.Fatalf("%s nested %d times break the parser: %v", name, n, theParser.broken)
			}
			if !tooDeep(text, tokens, maxDepth) {
				deepest = n
			}
		}
		if deepest < 10 {
			t.Errorf("%s may be nested %d times only", name, deepest)
		}
	}
	wide := "SELECT * FROM a WHERE x IN (1" + strings.Repeat(", 2", 5000) + ") AND y = 1" + strings.Repeat(" OR (x = 1 AND y = 2)", 2000)
	tokens, err := scan(wide)
	if err != nil || tooDeep(wide, tokens, maxDepth) {
		t.Errorf("a wide statement counts as deep: %v", err)
	}
}
