package filter

import (
	"testing"
	"unicode/utf8"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// TestSyntax: a text that breaks the grammar is told where it does, and what was
// expected there, as PostgREST tells it.
func TestSyntax(t *testing.T) {
	t.Parallel()
	parsers := map[string]func(string) error{
		"filter": func(s string) error { _, err := ParseExpression(query.Column("c"), s); return err },
		"or":     func(s string) error { _, err := ParseLogic("or", s); return err },
		"not.or": func(s string) error { _, err := ParseLogic("not.or", s); return err },
		"order":  func(s string) error { _, err := ParseOrder(s); return err },
		"select": func(s string) error { _, err := ParseSelect(s); return err },
		"names":  func(s string) error { _, err := ParseNames(s); return err },
	}
	const operator = "operator (eq, gt, ...)"
	const column = `letter, digit, "-", "->>", "->", `
	for _, c := range []struct {
		parser, text string
		column       int
		reason       string
	}{
		{"filter", "5", 1, `unexpected "5" expecting "not" or ` + operator},
		{"filter", "", 1, `unexpected end of input expecting "not" or ` + operator},
		{"filter", "nope.5", 1, `unexpected "p" expecting "not" or ` + operator},
		{"filter", "eq", 3, "unexpected end of input expecting " + operator},
		{"filter", "eqx.5", 3, `unexpected "x" expecting ` + operator},
		{"filter", "eq().5", 4, `unexpected ")" expecting ` + operator},
		{"filter", "is().null", 3, `unexpected "(" expecting ` + operator},
		{"filter", "not.5", 5, `unexpected "5" expecting ` + operator},
		{"select", "a(id", 5, "unexpected end of input expecting " + column + `"::", ".", "," or ")"`},
		{"filter", "is.nonsense", 6, `unexpected "n" expecting isVal: (null, not_null, true, false, unknown)`},
		{"filter", "is.", 4, "unexpected end of input expecting isVal: (null, not_null, true, false, unknown)"},
		{"filter", "in.1,2", 4, `unexpected "1" expecting "("`},
		{"filter", "in.(1,2", 8, `unexpected end of input expecting "," or ")"`},
		{"or", "()", 4, `unexpected ")" expecting field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)`},
		{"or", "(id.in.1,2,id.eq.3)", 10, `unexpected "1" expecting "("`},
		{"or", ")(", 3, `unexpected ")" expecting "("`},
		{"or", "(id.eq.1", 11, `unexpected end of input expecting "," or ")"`},
		{"not.or", "(id.eq.1", 15, `unexpected end of input expecting "," or ")"`},
		{"or", "(a.eq.1,other.name.ilike.x)", 17, `unexpected "a" expecting "not" or ` + operator},
		{"order", "id.ac", 4, `unexpected "c" expecting "asc", "desc", "nullsfirst" or "nullslast"`},
		{"order", "id.descc", 8, `unexpected 'c' expecting delimiter (.), "," or end of input`},
		{"order", "id.nulsfist", 4, `unexpected "n" expecting "asc", "desc", "nullsfirst" or "nullslast"`},
		{"order", "id.nullslasttt", 13, `unexpected 't' expecting "," or end of input`},
		{"order", "id.smth34", 4, `unexpected "s" expecting "asc", "desc", "nullsfirst" or "nullslast"`},
		{"order", "id.asc.nlsfst", 8, `unexpected "l" expecting "nullsfirst" or "nullslast"`},
		{"order", "id.asc.nullslasttt", 17, `unexpected 't' expecting "," or end of input`},
		{"order", "clients(name,id)", 8, "unexpected '(' expecting " + column + `delimiter (.), "," or end of input`},
		{"order", "id,", 4, "unexpected end of input expecting field name (* or [a..z0..9_$])"},
		{"select", "id,,n", 4, `unexpected "," expecting "...", field name (* or [a..z0..9_$]), "*" or "count()"`},
		{"select", "id,clients(name[])", 16, "unexpected '[' expecting " + column + `"::", ".", ")", "," or end of input`},
		{"select", "name!hint", 5, "unexpected '!' expecting " + column + `"::", ".", ")", "," or end of input`},
		{"select", "name::", 7, "unexpected end of input expecting letter or digit"},
		{"select", "ä,n.nope()", 5, `unexpected "n" expecting "sum", "avg", "count", "max" or "min"`},
		{"names", "a,", 3, "unexpected end of input expecting field name (* or [a..z0..9_$])"},
	} {
		err := parsers[c.parser](c.text)
		got, ok := fault.From(err).Details.(*Syntax)
		if !ok || got.Column != c.column || got.Reason != c.reason {
			t.Errorf("%s %q: %+v, want column %d: %s (%v)", c.parser, c.text, got, c.column, c.reason, err)
		}
	}
}

// FuzzSyntax: the place of a fault is one in the text, or right behind it.
func FuzzSyntax(f *testing.F) {
	for _, s := range []string{"eq.1", "not.is.nul", "(a.eq.1,not.or(b.x", "id.asc.nulls", "a,b(c", "ä::,é.sum(", `"a\`, "in.(1,\"2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, parse := range map[string]func() error{
			"filter": func() error { _, err := ParseExpression(query.Column("c"), text); return err },
			"order":  func() error { _, err := ParseOrder(text); return err },
			"select": func() error { _, err := ParseSelect(text); return err },
			"names":  func() error { _, err := ParseNames(text); return err },
			"logic":  func() error { _, err := ParseLogic("and", text); return err },
		} {
			most := utf8.RuneCountInString(text) + 1
			if name == "logic" {
				most += len("and")
			}
			err := parse()
			if syntax, ok := fault.From(err).Details.(*Syntax); err != nil && ok && (syntax.Column < 1 || syntax.Column > most || syntax.Reason == "") {
				t.Fatalf("%s %q: %+v", name, text, syntax)
			}
		}
	})
}
