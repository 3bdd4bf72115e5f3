package procedure

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tokenKind tells the tokens of SQL apart, as far as anybody here asks.
type tokenKind uint8

const (
	symbolToken      tokenKind = iota // one byte of an operator or of punctuation
	wordToken                         // a keyword or a name
	quotedNameToken                   // "name" and U&"name"
	textToken                         // a string constant in any spelling
	numberToken                       // a number
	numberedToken                     // $1
	placeholderToken                  // $name
	commentToken                      // of either kind, with what ends it left out
)

// token is a piece of the text.
type token struct {
	kind       tokenKind
	start, end int
}

// scan splits SQL into tokens, comments included and white space left out, by the
// lexical rules of PostgreSQL with standard_conforming_strings, to which $name is
// added. The error is for text that ends in the middle of something.
func scan(text string) ([]token, error) {
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return nil, fmt.Errorf("the text is not valid UTF-8")
	}
	s := scanner{text: text}
	for {
		s.skipSpace()
		if s.at == len(text) {
			return s.tokens, nil
		}
		if err := s.next(); err != nil {
			return nil, err
		}
	}
}

type scanner struct {
	text   string
	at     int
	tokens []token
}

func (s *scanner) peek(ahead int) byte {
	if s.at+ahead < len(s.text) {
		return s.text[s.at+ahead]
	}
	return 0
}

func (s *scanner) emit(kind tokenKind, end int) {
	s.tokens = append(s.tokens, token{kind, s.at, end})
	s.at = end
}

func (s *scanner) skipSpace() {
	for s.at < len(s.text) && isSpace(s.text[s.at]) {
		s.at++
	}
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isNameStart(c byte) bool {
	return c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (s *scanner) next() error {
	switch c := s.text[s.at]; {
	case c == '-' && s.peek(1) == '-':
		s.emit(commentToken, s.lineEnd(s.at))
		return nil
	case c == '/' && s.peek(1) == '*':
		return s.blockComment()
	case c == '\'':
		return s.constant(s.at, false)
	case c == '"':
		return s.quotedName(s.at)
	case c == '$':
		return s.dollar()
	case isDigit(c) || c == '.' && isDigit(s.peek(1)):
		s.number()
		return nil
	case isNameStart(c):
		return s.word()
	default:
		s.emit(symbolToken, s.at+1)
		return nil
	}
}

func (s *scanner) lineEnd(from int) int {
	if i := strings.IndexAny(s.text[from:], "\n\r"); i >= 0 {
		return from + i
	}
	return len(s.text)
}

func (s *scanner) blockComment() error {
	depth := 0
	for i := s.at; i+1 < len(s.text); i++ {
		switch s.text[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				s.emit(commentToken, i+1)
				return nil
			}
		}
	}
	return fmt.Errorf("a comment does not end")
}

// constant reads a string constant whose quote is at from. Constants that a line
// break alone parts are one, and go on by the rules of the first.
func (s *scanner) constant(from int, backslashes bool) error {
	for i := from + 1; i < len(s.text); i++ {
		switch s.text[i] {
		case '\\':
			if backslashes {
				i++
			}
		case '\'':
			if i+1 < len(s.text) && s.text[i+1] == '\'' {
				i++
				continue
			}
			if next := s.continuation(i + 1); next > 0 {
				i = next
				continue
			}
			s.emit(textToken, i+1)
			return nil
		}
	}
	return fmt.Errorf("a string does not end")
}

// continuation gives the place of the quote that goes on with the constant that has
// just ended, or 0.
func (s *scanner) continuation(at int) int {
	line := false
	for at < len(s.text) {
		switch c := s.text[at]; {
		case c == '\n' || c == '\r':
			line = true
			at++
		case isSpace(c):
			at++
		case strings.HasPrefix(s.text[at:], "--"):
			at = s.lineEnd(at)
		case c == '\'' && line:
			return at
		default:
			return 0
		}
	}
	return 0
}

func (s *scanner) quotedName(from int) error {
	for i := from + 1; i < len(s.text); i++ {
		if s.text[i] != '"' {
			continue
		}
		if i+1 < len(s.text) && s.text[i+1] == '"' {
			i++
			continue
		}
		s.emit(quotedNameToken, i+1)
		return nil
	}
	return fmt.Errorf("a quoted name does not end")
}

// dollar reads what begins with a dollar sign: $1, $tag$ … $tag$, $name.
func (s *scanner) dollar() error {
	end := s.at + 1
	if isDigit(s.peek(1)) {
		for end < len(s.text) && isDigit(s.text[end]) {
			end++
		}
		s.emit(numberedToken, end)
		return nil
	}
	if end < len(s.text) && isNameStart(s.text[end]) {
		for end < len(s.text) && (isNameStart(s.text[end]) || isDigit(s.text[end])) {
			end++
		}
	}
	if end < len(s.text) && s.text[end] == '$' {
		tag := s.text[s.at : end+1]
		close := strings.Index(s.text[end+1:], tag)
		if close < 0 {
			return fmt.Errorf("the string that %s begins does not end", tag)
		}
		s.emit(textToken, end+1+close+len(tag))
		return nil
	}
	name := s.text[s.at+1 : end]
	if !isPlaceholder(name) {
		return fmt.Errorf("%q is no placeholder: a dollar sign is followed by letters, digits and underscores, 63 at most", "$"+name)
	}
	s.emit(placeholderToken, end)
	return nil
}

func (s *scanner) number() {
	end := s.at
	for end < len(s.text) {
		c := s.text[end]
		switch {
		case isDigit(c) || c == '.' || c == '_' || isNameStart(c):
		case (c == '+' || c == '-') && (s.text[end-1] == 'e' || s.text[end-1] == 'E') && end > s.at && !strings.HasPrefix(strings.ToLower(s.text[s.at:]), "0x"):
		default:
			s.emit(numberToken, end)
			return
		}
		// Two dots are a range of PL/pgSQL and end a number.
		if c == '.' && end+1 < len(s.text) && s.text[end+1] == '.' {
			s.emit(numberToken, max(end, s.at+1))
			return
		}
		end++
	}
	s.emit(numberToken, end)
}

// word reads a name or keyword, and the constants that a letter begins.
func (s *scanner) word() error {
	end := s.at
	for end < len(s.text) && (isNameStart(s.text[end]) || isDigit(s.text[end]) || s.text[end] == '$') {
		end++
	}
	prefix := strings.ToLower(s.text[s.at:end])
	next := byte(0)
	if end < len(s.text) {
		next = s.text[end]
	}
	switch {
	case next == '\'' && prefix == "e":
		return s.constant(end, true)
	case next == '\'' && (prefix == "b" || prefix == "x" || prefix == "n"):
		return s.constant(end, false)
	case prefix == "u" && next == '&' && end+1 < len(s.text) && s.text[end+1] == '\'':
		return s.constant(end+1, false)
	case prefix == "u" && next == '&' && end+1 < len(s.text) && s.text[end+1] == '"':
		return s.quotedName(end + 1)
	}
	s.emit(wordToken, end)
	return nil
}
