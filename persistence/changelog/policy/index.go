package policy

// need is what a row must have for a condition to be true: one of keys. Without
// restriction any row may do; without keys none does.
type need struct {
	any  bool
	keys []key
}

// key is a value that a row has.
type key struct {
	place place
	value Value
}

var (
	anyRow = need{any: true}
	noRow  = need{}
)

// better is the need that fewer rows have, of two that both must be met.
func (n need) better(o need) need {
	switch {
	case n.any:
		return o
	case o.any || len(n.keys) <= len(o.keys):
		return n
	}
	return o
}

func (c all) needs(slots []datum) need {
	best := anyRow
	for _, one := range c {
		best = best.better(one.needs(slots))
	}
	return best
}

func (c some) needs(slots []datum) need {
	var either need
	for _, one := range c {
		n := one.needs(slots)
		if n.any {
			return anyRow
		}
		either.keys = append(either.keys, n.keys...)
	}
	return either
}

func (c comparison) needs(slots []datum) need {
	switch v := slots[c.slot].value; {
	case c.operator == "IS DISTINCT FROM":
		return anyRow
	case !v.set:
		return noRow
	case c.operator == "=":
		return need{keys: []key{{c.place, v}}}
	}
	return anyRow
}

func (c among) needs(slots []datum) need {
	var n need
	for _, v := range slots[c.list].list {
		if v.set {
			n.keys = append(n.keys, key{c.place, v})
		}
	}
	return n
}

func (c columnTruth) needs([]datum) need { return need{keys: []key{{c.place, boolValue(true)}}} }
func (c isNull) needs([]datum) need      { return need{keys: []key{{c.place, Value{}}}} }

// fixed is the need of a condition that says the same of every row.
func fixed(c condition, slots []datum) need {
	if c.truth(nil, slots).isTrue() {
		return anyRow
	}
	return noRow
}

func (c slotTruth) needs(slots []datum) need      { return fixed(c, slots) }
func (c slotNull) needs(slots []datum) need       { return fixed(c, slots) }
func (c slotComparison) needs(slots []datum) need { return fixed(c, slots) }
func (c slotAmong) needs(slots []datum) need      { return fixed(c, slots) }
func (c not) needs([]datum) need                  { return anyRow }
func (c firstKnown) needs([]datum) need           { return anyRow }
func (c is) needs([]datum) need                   { return anyRow }
func (c truthComparison) needs([]datum) need      { return anyRow }

// Index finds those of many predicates that may hold of a row, by what each of
// them needs of it. T stands for a predicate. The zero Index is empty.
type Index[T comparable] struct {
	byValue map[place]map[Value]map[T]struct{}
	rest    map[T]struct{}
}

// Add puts a predicate in. One that holds of no row needs no place.
func (x *Index[T]) Add(p *Predicate, t T) {
	n := p.needs()
	if n.any {
		if x.rest == nil {
			x.rest = map[T]struct{}{}
		}
		x.rest[t] = struct{}{}
		return
	}
	for _, k := range n.keys {
		if x.byValue == nil {
			x.byValue = map[place]map[Value]map[T]struct{}{}
		}
		values := x.byValue[k.place]
		if values == nil {
			values = map[Value]map[T]struct{}{}
			x.byValue[k.place] = values
		}
		if values[k.value] == nil {
			values[k.value] = map[T]struct{}{}
		}
		values[k.value][t] = struct{}{}
	}
}

// Remove takes out what Add put in.
func (x *Index[T]) Remove(p *Predicate, t T) {
	delete(x.rest, t)
	for _, k := range p.needs().keys {
		delete(x.byValue[k.place][k.value], t)
		if len(x.byValue[k.place][k.value]) == 0 {
			delete(x.byValue[k.place], k.value)
		}
		if len(x.byValue[k.place]) == 0 {
			delete(x.byValue, k.place)
		}
	}
}

// Candidates calls f for those of whom the row may be true, for some more than
// once. All others are false or unknown.
func (x *Index[T]) Candidates(row Row, f func(T)) {
	for place, values := range x.byValue {
		for t := range values[place.of(row)] {
			f(t)
		}
	}
	for t := range x.rest {
		f(t)
	}
}
