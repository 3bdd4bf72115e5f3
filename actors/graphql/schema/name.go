package schema

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// words parts a name of the database where it has anything but ASCII letters and
// digits. Other letters are spelled by their code points: GraphQL's names have none.
func words(name string) []string {
	var out []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			out = append(out, word.String())
			word.Reset()
		}
	}
	for _, r := range name {
		switch {
		case r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			word.WriteRune(r)
		case r >= utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			end()
			fmt.Fprintf(&word, "u%04x", r)
			end()
		default:
			end()
		}
	}
	end()
	if out == nil {
		return []string{"unnamed"}
	}
	return out
}

// named makes a name begin as GraphQL's names must.
func named(name string) string {
	if name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}

// pascal is a name of the database as the name of a type: order_items is OrderItems.
func pascal(name string) string {
	var b strings.Builder
	for _, w := range words(name) {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return named(b.String())
}

// camel is a name of the database as the name of a field: created_at is createdAt.
func camel(name string) string {
	var b strings.Builder
	for i, w := range words(name) {
		w = strings.ToLower(w)
		if i > 0 {
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		b.WriteString(w)
	}
	return named(b.String())
}

// singular is the name for one of what a name stands for: categories, category.
func singular(name string) string {
	if stem, ok := strings.CutSuffix(name, "ies"); ok && stem != "" {
		return stem + "y"
	}
	if stem, ok := strings.CutSuffix(name, "s"); ok && stem != "" {
		return stem
	}
	return name
}

// names are those taken in one place.
type names map[string]bool

// take gives the first of the wanted names that is free; when none is, the last one
// with a number behind it.
func (n names) take(wanted ...string) string {
	for _, name := range wanted {
		if !n[name] {
			n[name] = true
			return name
		}
	}
	last := wanted[len(wanted)-1]
	for i := 2; ; i++ {
		if name := last + "_" + strconv.Itoa(i); !n[name] {
			n[name] = true
			return name
		}
	}
}

// isName tells whether a text can be an enum's value as it is.
func isName(text string) bool {
	if text == "" || strings.HasPrefix(text, "__") || text == "true" || text == "false" || text == "null" {
		return false
	}
	for i := range len(text) {
		c := text[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
