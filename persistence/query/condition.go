package query

// Condition is a node of a logic tree: And, Or, Not, Untrue, *Compare or
// *Related.
type Condition interface{ condition() }

// And holds when all of its conditions do; an empty And always holds.
type And []Condition

// Or holds when any of its conditions does; an empty Or never holds.
type Or []Condition

// Not holds when its condition is false; like PostgreSQL's NOT it is unknown
// when the condition is.
type Not struct{ Condition Condition }

// Compare holds a place in a row against a value.
type Compare struct {
	// Path is the place. For conditions on an embed as a whole (is null) the
	// column is the embed's label.
	Path Path
	Op   Operator
	// Quantifier spreads the comparison over Values.
	Quantifier Quantifier
	// Language is the text search configuration of the full-text operators;
	// empty for the database's default.
	Language string
	// Value is the text to compare with. PostgreSQL converts it to the type of
	// the place.
	Value string
	// Values replaces Value for In and for quantified comparisons.
	Values []string
}

// Quantifier spreads a comparison over several values.
type Quantifier uint8

// The quantifiers.
const (
	QuantifyNone Quantifier = iota
	// QuantifyAny holds when the comparison holds for at least one value.
	QuantifyAny
	// QuantifyAll holds when the comparison holds for every value.
	QuantifyAll
)

// Conjoin is the condition that holds when all given ones do. Nil conditions
// are left out; without any it is nil.
func Conjoin(conditions ...Condition) Condition {
	var all And
	for _, c := range conditions {
		switch c := c.(type) {
		case nil:
		case And:
			all = append(all, c...)
		default:
			all = append(all, c)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

func (And) condition()      {}
func (Or) condition()       {}
func (Not) condition()      {}
func (*Compare) condition() {}
