package policy

import "cmp"

// condition is compiled: it cannot fail. truth is a boolean Value; NULL is
// unknown.
type condition interface {
	truth(row Row, slots []datum) Value
	// needs tells what a row must have for the condition to be true.
	needs(slots []datum) need
}

// Row is the values of a table's columns, in their order. Those of columns of
// kind Other are not looked at.
type Row []Value

// place is a column's value, or its text.
type place struct {
	column int
	kind   Kind
	text   bool
}

func (p place) of(row Row) Value {
	v := row[p.column]
	if p.text {
		return v.asText(p.kind)
	}
	return v
}

// The conditions. Names tell what they hold of.
type (
	all        []condition
	some       []condition
	not        struct{ of condition }
	firstKnown []condition
	// is compares a truth with a truth or unknown, and is never unknown itself.
	is struct {
		of   condition
		want Value
	}
	columnTruth struct{ place place }
	slotTruth   struct{ slot int }
	isNull      struct{ place place }
	slotNull    struct{ slot int }
	comparison  struct {
		operator string
		place    place
		slot     int
	}
	slotComparison struct {
		operator    string
		left, right int
	}
	truthComparison struct {
		operator string
		of       condition
		slot     int
	}
	// among is = ANY (list); strict, it is unknown of NULL also where the list is
	// empty, as ? is.
	among struct {
		place  place
		list   int
		strict bool
	}
	slotAmong struct {
		slot, list int
		strict     bool
	}
)

func (c all) truth(row Row, slots []datum) Value {
	result := boolValue(true)
	for _, one := range c {
		switch v := one.truth(row, slots); {
		case v.isFalse():
			return v
		case !v.set:
			result = Value{}
		}
	}
	return result
}

func (c some) truth(row Row, slots []datum) Value {
	result := boolValue(false)
	for _, one := range c {
		switch v := one.truth(row, slots); {
		case v.isTrue():
			return v
		case !v.set:
			result = Value{}
		}
	}
	return result
}

func (c not) truth(row Row, slots []datum) Value {
	v := c.of.truth(row, slots)
	if !v.set {
		return v
	}
	return boolValue(!v.isTrue())
}

func (c firstKnown) truth(row Row, slots []datum) (v Value) {
	for _, one := range c {
		if v = one.truth(row, slots); v.set {
			break
		}
	}
	return v
}

func (c is) truth(row Row, slots []datum) Value {
	return boolValue(c.of.truth(row, slots) == c.want)
}
func (c columnTruth) truth(row Row, _ []datum) Value { return c.place.of(row) }
func (c slotTruth) truth(_ Row, slots []datum) Value { return slots[c.slot].value }
func (c isNull) truth(row Row, _ []datum) Value      { return boolValue(!c.place.of(row).set) }
func (c slotNull) truth(_ Row, slots []datum) Value  { return boolValue(!slots[c.slot].value.set) }
func (c comparison) truth(row Row, slots []datum) Value {
	return compare(c.operator, c.place.of(row), slots[c.slot].value)
}
func (c slotComparison) truth(_ Row, slots []datum) Value {
	return compare(c.operator, slots[c.left].value, slots[c.right].value)
}
func (c truthComparison) truth(row Row, slots []datum) Value {
	return compare(c.operator, c.of.truth(row, slots), slots[c.slot].value)
}
func (c among) truth(row Row, slots []datum) Value {
	return find(c.place.of(row), slots[c.list], c.strict)
}
func (c slotAmong) truth(_ Row, slots []datum) Value {
	return find(slots[c.slot].value, slots[c.list], c.strict)
}

func compare(operator string, a, b Value) Value {
	if operator == "IS DISTINCT FROM" {
		return boolValue(a != b)
	}
	if !a.set || !b.set {
		return Value{}
	}
	switch operator {
	case "=":
		return boolValue(a == b)
	case "<>":
		return boolValue(a != b)
	}
	order := cmp.Compare(a.number, b.number)
	if order == 0 {
		order = cmp.Compare(a.text, b.text)
	}
	switch operator {
	case "<":
		return boolValue(order < 0)
	case "<=":
		return boolValue(order <= 0)
	case ">":
		return boolValue(order > 0)
	}
	return boolValue(order >= 0)
}

// find is v = ANY (list).
func find(v Value, list datum, strict bool) Value {
	if !list.value.set || strict && !v.set {
		return Value{}
	}
	unknown := false
	for _, one := range list.list {
		switch {
		case !one.set || !v.set:
			unknown = true
		case one == v:
			return boolValue(true)
		}
	}
	if unknown {
		return Value{}
	}
	return boolValue(false)
}
