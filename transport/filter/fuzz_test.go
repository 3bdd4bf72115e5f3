package filter

import (
	"strings"
	"testing"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// sound checks what must hold of any parsed condition: every leaf names a
// column and a known operator, lists have their values in Values.
func sound(t *testing.T, c query.Condition) int {
	switch c := c.(type) {
	case query.And:
		n := 0
		for _, term := range c {
			n += sound(t, term)
		}
		return n
	case query.Or:
		return sound(t, query.And(c))
	case query.Not:
		return sound(t, c.Condition)
	case *query.Compare:
		if c.Path.Column == "" || c.Op.Family() == query.FamilyUnknown {
			t.Fatalf("unsound comparison %+v", c)
		}
		if isList := c.Op == query.In || c.Quantifier != query.QuantifyNone; isList != (c.Values != nil) {
			t.Fatalf("values of %+v", c)
		}
		return 1
	case nil:
		return 0
	}
	t.Fatalf("unknown condition %T", c)
	return 0
}

func refused(t *testing.T, err error) bool {
	if err != nil && fault.CodeOf(err) != fault.InvalidQuery {
		t.Fatalf("fault %v, want INVALID_QUERY", err)
	}
	return err != nil
}

func FuzzCondition(f *testing.F) {
	for _, s := range [][2]string{{"a", "eq.1"}, {"a.not.eq", "1"}, {"a", `in.(1,"b")`}, {`"x.y"->>"z".is.null`, ""}, {"b", "fts(en).x"}, {"c", "like(any).{a*}"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		c, err := ParseCondition(key, value)
		if refused(t, err) {
			return
		}
		if sound(t, c) != 1 {
			t.Fatalf("one parameter made %s", show(c))
		}
	})
}

func FuzzLogic(f *testing.F) {
	for _, s := range []string{"(a.eq.1)", "(a.eq.1,or(b.is.null,not.and(c.in.(1,2),d.cs.{a})))", `(a.eq."x,)")`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, err := ParseLogic("or", value)
		if refused(t, err) {
			return
		}
		if sound(t, c) < 1 {
			t.Fatalf("an empty tree from %q", value)
		}
		// A tree nested in another means the same.
		nested, err := ParseLogic("and", "(or"+strings.TrimSpace(value)+")")
		if err != nil {
			t.Fatalf("%q parses alone but not nested: %v", value, err)
		}
		if got, want := show(nested), "and["+show(c)+"]"; got != want {
			t.Fatalf("nested %q is %s, want %s", value, got, want)
		}
	})
}

func FuzzRealtime(f *testing.F) {
	for _, s := range []string{"a=eq.1", "a=eq.1,b=not.in.(1,2)", `a=eq."x,b=eq.2",c=is.null`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseRealtime(text)
		if !refused(t, err) {
			sound(t, c)
		}
	})
}

func FuzzSelect(f *testing.F) {
	for _, s := range []string{"*", "a,b:c::text", "a->b->>c,...d(e)", "x:y!fk!inner(z),count(*),a.sum()"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		items, err := ParseSelect(text)
		if refused(t, err) {
			return
		}
		if len(items) == 0 {
			t.Fatalf("%q selects nothing", text)
		}
	})
}

func FuzzOrder(f *testing.F) {
	for _, s := range []string{"a", "a.desc.nullslast,b->c.asc", "e.vec_l2.[1,2].asc", "r(c).desc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		terms, err := ParseOrder(text)
		if refused(t, err) {
			return
		}
		for _, o := range terms {
			if o.Path.Column == "" {
				t.Fatalf("%q orders by nothing", text)
			}
		}
	})
}
