package policy

import (
	"encoding/binary"
)

// Rule is a condition on rows for every caller of a role.
type Rule struct {
	condition condition
	slots     []*claim
}

// Compile makes a rule of an expression as pg_get_expr prints it. false: it is
// not of a form that is understood.
func Compile(scope *Scope, expression string) (*Rule, bool) {
	return CompileAll(scope, nil, []string{expression})
}

// CompileAll makes a rule of policies: it holds where every restrictive and at
// least one permissive one does. false: one of them is not of a form that is
// understood.
func CompileAll(scope *Scope, restrictive, permissive []string) (*Rule, bool) {
	c := compiler{scope: scope}
	read := func(expressions []string) (list []condition, ok bool) {
		for _, text := range expressions {
			e, err := parse(text)
			if err != nil {
				return nil, false
			}
			one, err := c.condition(e)
			if err != nil {
				return nil, false
			}
			list = append(list, one)
		}
		return list, true
	}
	every, understood := read(restrictive)
	if !understood {
		return nil, false
	}
	either, understood := read(permissive)
	if !understood {
		return nil, false
	}
	var whole condition = some(either)
	if len(either) == 1 {
		whole = either[0]
	}
	if len(every) > 0 {
		whole = all(append(every, whole))
	}
	return &Rule{condition: whole, slots: c.slots}, true
}

// Bind makes the rule one caller's. false: PostgreSQL must be asked for this
// caller, because it would raise an error, or might.
func (r *Rule) Bind(s Settings) (*Predicate, bool) {
	slots, decided := bind(r.slots, &s)
	if !decided || !s.valid() {
		return nil, false
	}
	return &Predicate{parts: []part{{r.condition, slots}}}, true
}

func bind(claims []*claim, s *Settings) (slots []datum, decided bool) {
	slots = make([]datum, len(claims))
	for i, c := range claims {
		if slots[i], decided = c.give(s); !decided {
			return nil, false
		}
		slots[i].document = nil
	}
	return slots, true
}

// Predicate is a condition on rows.
type Predicate struct{ parts []part }

type part struct {
	condition condition
	slots     []datum
}

// All holds where all of the predicates do; nil ones hold everywhere.
func All(predicates ...*Predicate) *Predicate {
	var p Predicate
	for _, one := range predicates {
		if one != nil {
			p.parts = append(p.parts, one.parts...)
		}
	}
	return &p
}

// Holds tells whether the predicate is true of a row; unknown is not.
func (p *Predicate) Holds(row Row) bool {
	for i := range p.parts {
		if !p.parts[i].condition.truth(row, p.parts[i].slots).isTrue() {
			return false
		}
	}
	return true
}

// Truth is the predicate of a row; not known where PostgreSQL says NULL.
func (p *Predicate) Truth(row Row) (holds, known bool) {
	conditions := make(all, len(p.parts))
	for i := range p.parts {
		conditions[i] = bound(p.parts[i])
	}
	v := conditions.truth(row, nil)
	return v.isTrue(), v.set
}

// bound is a condition that brings its slots.
type bound part

func (b bound) truth(row Row, _ []datum) Value { return b.condition.truth(row, b.slots) }
func (b bound) needs([]datum) need             { return b.condition.needs(b.slots) }

func (p *Predicate) needs() need {
	best := anyRow
	for i := range p.parts {
		best = best.better(p.parts[i].condition.needs(p.parts[i].slots))
	}
	return best
}

// Key is equal for two callers whose predicates of one rule are: what they claim
// differs only in what the rule does not read.
func (p *Predicate) Key() string {
	var b []byte
	put := func(v Value) {
		if !v.set {
			b = append(b, 0)
			return
		}
		b = append(b, 1)
		b = binary.AppendVarint(b, v.number)
		b = binary.AppendUvarint(b, uint64(len(v.text)))
		b = append(b, v.text...)
	}
	for _, one := range p.parts {
		for _, d := range one.slots {
			put(d.value)
			b = binary.AppendUvarint(b, uint64(len(d.list)))
			for _, v := range d.list {
				put(v)
			}
		}
	}
	return string(b)
}
