package policy

import (
	"errors"
	"strings"
)

// errUnknown says that an expression is not of a form that is understood.
var errUnknown = errors.New("the expression is not of a form that is decided in memory")

// maxExpression bounds the text of one expression.
const maxExpression = 32 << 10

type tokenKind uint8

const (
	endToken     tokenKind = iota
	nameToken              // a name that was not quoted, in lower case
	quotedToken            // a name in double quotes
	wordToken              // a key word, which is printed in upper case
	stringToken            // a string, without its quotes
	numberToken            // digits
	symbolToken            // an operator or a bracket
	castToken              // ::
	unknownToken           // whatever else
)

type token struct {
	kind tokenKind
	text string
}

const operatorCharacters = "+-*/<>=~!@#%^&|`?"

// lexer cuts an expression into tokens.
type lexer struct {
	text string
	pos  int
}

func (l *lexer) next() token {
	for l.pos < len(l.text) && strings.IndexByte(" \n\t\r", l.text[l.pos]) >= 0 {
		l.pos++
	}
	if l.pos == len(l.text) {
		return token{kind: endToken}
	}
	start := l.pos
	switch c := l.text[start]; {
	case c >= 'a' && c <= 'z' || c == '_':
		return token{nameToken, l.while(func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' })}
	case c >= 'A' && c <= 'Z':
		return token{wordToken, l.while(func(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' })}
	case c >= '0' && c <= '9':
		return token{numberToken, l.while(func(c byte) bool { return c >= '0' && c <= '9' })}
	case c == '\'':
		return l.quoted(stringToken, c)
	case c == '"':
		return l.quoted(quotedToken, c)
	case strings.HasPrefix(l.text[start:], "::"):
		l.pos += 2
		return token{castToken, "::"}
	case strings.IndexByte("()[],.", c) >= 0:
		l.pos++
		return token{symbolToken, l.text[start:l.pos]}
	case strings.IndexByte(operatorCharacters, c) >= 0:
		return token{symbolToken, l.while(func(c byte) bool { return strings.IndexByte(operatorCharacters, c) >= 0 })}
	}
	l.pos = len(l.text)
	return token{kind: unknownToken}
}

func (l *lexer) while(in func(byte) bool) string {
	start := l.pos
	for l.pos < len(l.text) && in(l.text[l.pos]) {
		l.pos++
	}
	return l.text[start:l.pos]
}

// quoted reads to the closing quote; a doubled one is one. What a backslash means
// in a string depends on a setting, so none is taken.
func (l *lexer) quoted(kind tokenKind, quote byte) token {
	var b strings.Builder
	for i := l.pos + 1; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c == quote && i+1 < len(l.text) && l.text[i+1] == quote:
			b.WriteByte(c)
			i++
		case c == quote:
			l.pos = i + 1
			return token{kind, b.String()}
		case c == '\\' && kind == stringToken:
			l.pos = len(l.text)
			return token{kind: unknownToken}
		default:
			b.WriteByte(c)
		}
	}
	l.pos = len(l.text)
	return token{kind: unknownToken}
}
