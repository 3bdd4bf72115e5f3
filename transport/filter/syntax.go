package filter

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"fluxbase/persistence/fault"
)

// Syntax is the Details of INVALID_QUERY about a text that breaks the grammar.
type Syntax struct {
	// Column is where, in characters from 1, in the parameter's value.
	Column int `json:"column"`
	// Reason is what stands there and what could, in PostgREST's words.
	Reason string `json:"reason"`
}

// What the grammar expects, as PostgREST calls it.
const (
	aName      = "field name (* or [a..z0..9_$])"
	anOperator = "operator (eq, gt, ...)"
	aDot       = "delimiter (.)"
	theEnd     = "end of input"
)

// afterName is what can follow a column where it may have JSON steps; each place
// adds to it.
var afterName = []string{"letter", "digit", `"-"`, `"->>"`, `"->"`}

// fail is a fault about what stands at the scanner's place.
func (s *scanner) fail(expecting []string, format string, args ...any) *fault.Fault {
	return s.failAt(s.pos, "", expecting, format, args...)
}

// failAt is a fault about what stands at a place of the text. word, when not empty,
// is what was tried there first: the first character that differs is the one that
// was not expected.
func (s *scanner) failAt(at int, word string, expecting []string, format string, args ...any) *fault.Fault {
	stray := s.text[at:]
	for len(word) > 0 && len(stray) > 0 && stray[0] == word[0] {
		word, stray = word[1:], stray[1:]
	}
	unexpected := "unexpected end of input"
	if stray != "" {
		r, _ := utf8.DecodeRuneInString(stray)
		unexpected = "unexpected " + strconv.Quote(string(r))
		if n := len(expecting); n > 0 && expecting[n-1] == theEnd {
			unexpected = "unexpected " + strconv.QuoteRune(r)
		}
	}
	return invalid(format, args...).WithDetails(&Syntax{
		Column: utf8.RuneCountInString(s.text[:at]) + 1,
		Reason: unexpected + " expecting " + either(expecting),
	})
}

// either joins alternatives: a, b or c.
func either(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}

// within gives a fault the place that it has in a longer text, of which the
// scanner's begins so many characters in.
func within(err error, ahead string) error {
	f := fault.From(err)
	syntax, ok := f.Details.(*Syntax)
	if !ok {
		return err
	}
	return f.WithDetails(&Syntax{Column: syntax.Column + utf8.RuneCountInString(ahead), Reason: syntax.Reason})
}

// startsName tells whether a name can begin at the scanner's place.
func (s *scanner) startsName() bool {
	return !s.end() && (s.peek() == '"' || !strings.ContainsRune(endOfName, rune(s.peek())) && !s.at("->"))
}

// endOfName are the characters of the grammar, which only a quoted name may hold.
const endOfName = `.,:()"*!=&<>{}[]`
