package ddl

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxExpression      = 4096
	maxExpressionDepth = 50
)

// checkExpression tells whether a text, put into parentheses, is one expression or an
// error of PostgreSQL's, and nothing behind it: its brackets are balanced, its
// quotes are closed, and there is nothing in it that would make the end of a text
// or of the statement a matter of opinion: comments, semicolons, dollar quotes, and
// texts with escapes.
func checkExpression(text string) error {
	if len(text) > maxExpression {
		return fmt.Errorf("is longer than %d bytes", maxExpression)
	}
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return errors.New("is no text")
	}
	var open []byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\'' || c == '"':
			if i > 0 && c == '\'' && isWord(text[i-1]) {
				return errors.New("has a text with a prefix")
			}
			end := closing(text, i)
			if end < 0 {
				return errors.New("has an open quote")
			}
			i = end
		case c == '(' || c == '[':
			if open = append(open, c); len(open) > maxExpressionDepth {
				return errors.New("is nested too deep")
			}
		case c == ')' || c == ']':
			if len(open) == 0 || open[len(open)-1] != opposite(c) {
				return errors.New("has a bracket too many")
			}
			open = open[:len(open)-1]
		case c == ';' || c == '$' || c == '\\':
			return fmt.Errorf("has a %c", c)
		case strings.HasPrefix(text[i:], "--") || strings.HasPrefix(text[i:], "/*"):
			return errors.New("has a comment")
		}
	}
	if len(open) > 0 {
		return errors.New("has an open bracket")
	}
	return nil
}

// closing is where the quote at start ends; a doubled one is a part of the text.
func closing(text string, start int) int {
	quote := text[start]
	for i := start + 1; i < len(text); i++ {
		if text[i] != quote {
			continue
		}
		if i+1 < len(text) && text[i+1] == quote {
			i++
			continue
		}
		return i
	}
	return -1
}

func opposite(c byte) byte {
	if c == ')' {
		return '('
	}
	return '['
}

// isWord tells whether a quote behind c may be one of another kind: E”, U&”.
func isWord(c byte) bool {
	return c == '_' || c == '&' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80
}
