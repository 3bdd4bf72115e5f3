package query

import (
	"strconv"
	"strings"
)

// Path is a column, or a place inside a column that holds JSON, a composite or
// an array.
type Path struct {
	Column string
	Steps  []Step
}

// Column is the path of a plain column.
func Column(name string) Path { return Path{Column: name} }

// Step goes one level into a value.
type Step struct {
	// Key is a member's name, or an index in decimal when Index is true.
	Key   string
	Index bool
	// Text takes the value as text (->>); it can only be the last step.
	Text bool
}

// String is the path in the arrow notation, for messages.
func (p Path) String() string {
	if len(p.Steps) == 0 {
		return p.Column
	}
	var b strings.Builder
	b.WriteString(p.Column)
	for _, s := range p.Steps {
		if s.Text {
			b.WriteString("->>")
		} else {
			b.WriteString("->")
		}
		b.WriteString(s.Key)
	}
	return b.String()
}

// Label is the name that a selected path gets in the result: its last member's
// name, or the column's when the path has only indexes.
func (p Path) Label() string {
	for i := len(p.Steps) - 1; i >= 0; i-- {
		if !p.Steps[i].Index {
			return p.Steps[i].Key
		}
	}
	return p.Column
}

// IsIndex tells whether a step written as key is an array index: an optional
// minus sign and digits that fit in an int4.
func IsIndex(key string) bool {
	if key == "" || key[0] == '+' {
		return false
	}
	_, err := strconv.ParseInt(key, 10, 32)
	return err == nil
}
