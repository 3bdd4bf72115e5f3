package filter

import (
	"fmt"
	"strings"
	"testing"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// show prints a condition so that tests can compare it.
func show(c query.Condition) string {
	switch c := c.(type) {
	case nil:
		return "nothing"
	case query.And:
		return "and" + showAll(c)
	case query.Or:
		return "or" + showAll(c)
	case query.Not:
		return "not " + show(c.Condition)
	case *query.Compare:
		s := c.Path.String() + " " + string(c.Op)
		switch c.Quantifier {
		case query.QuantifyAny:
			s += " any"
		case query.QuantifyAll:
			s += " all"
		}
		if c.Language != "" {
			s += " in " + c.Language
		}
		if c.Values != nil {
			return s + fmt.Sprintf(" %q", c.Values)
		}
		return s + fmt.Sprintf(" %q", c.Value)
	}
	return fmt.Sprintf("unknown %T", c)
}

func showAll(terms []query.Condition) string {
	parts := make([]string, len(terms))
	for i, t := range terms {
		parts[i] = show(t)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func TestParseCondition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, value, want string }{
		{"age", "gt.18", `age gt "18"`},
		{"age.gt", "18", `age gt "18"`},
		{"age.not.eq", "5", `not age eq "5"`},
		{"age", "not.eq.5", `not age eq "5"`},
		{"age.not", "eq.5", `not age eq "5"`},
		{"age", "not.not.eq.5", `age eq "5"`},
		{"deleted_at.is.null", "", `deleted_at is "null"`},
		{"deleted_at", "is.null", `deleted_at is "null"`},
		{"deleted_at.is", "null", `deleted_at is "null"`},
		{"deleted_at.not.is.null", "", `not deleted_at is "null"`},
		{"a", "is.NOT_NULL", `a is "not_null"`},
		{"a", "isnot.null", `not a is "null"`},
		{"a", "not.isnot.null", `a is "null"`},
		{"name.eq", "", `name eq ""`},
		{"name", "eq.", `name eq ""`},
		{"name.eq.Ann Lee", "", `name eq "Ann Lee"`},
		{"name", `eq."quoted"`, `name eq "\"quoted\""`},
		{"name", "eq.a.b,c", `name eq "a.b,c"`},
		{"status", "in.(a,b)", `status in ["a" "b"]`},
		{"status.in", "(a,b)", `status in ["a" "b"]`},
		{"status", `in.(a,"b,c","d\"e", "f")`, `status in ["a" "b,c" "d\"e" "f"]`},
		{"status", "in.(f(x),b)", `status in ["f(x)" "b"]`},
		{"status", "in.()", `status in []`},
		{"status", "not.in.(1,2)", `not status in ["1" "2"]`},
		{"status", "nin.(1,2)", `not status in ["1" "2"]`},
		{"name", "like.J*n%", `name like "J%n%"`},
		{"name", "like(any).{a*,*b}", `name like any ["a%" "%b"]`},
		{"name.ilike(all)", "{a*,*b}", `name ilike all ["a%" "%b"]`},
		{"name", "match.^a*", `name match "^a*"`},
		{"age", "gt(all).{1,2}", `age gt all ["1" "2"]`},
		{"tags", "cs.{a,b}", `tags cs "{a,b}"`},
		{"tags.cs", "(a,b)", `tags cs "(a,b)"`},
		{"data", `cs.{"a":1}`, `data cs "{\"a\":1}"`},
		{"body", "fts.cat", `body fts "cat"`},
		{"body", "fts(english).cat", `body fts in english "cat"`},
		{"body.plfts(german)", "Katze", `body plfts in german "Katze"`},
		{"data->a->0->>b", "eq.x", `data->a->0->>b eq "x"`},
		{"data->>a.eq", "x", `data->>a eq "x"`},
		{`data->>"a.b"`, "eq.x", `data->>a.b eq "x"`},
		{`"odd.name"`, "eq.x", `odd.name eq "x"`},
		{`"odd.name".eq`, "x", `odd.name eq "x"`},
		{`"say ""`, "eq.x", ``},
		{"période", "adj.[1,2)", `période adj "[1,2)"`},
		{"geo", `st_dwithin.10,{"type":"Point"}`, `geo st_dwithin "10,{\"type\":\"Point\"}"`},
	} {
		cond, err := ParseCondition(c.key, c.value)
		if c.want == "" {
			if err == nil {
				t.Errorf("ParseCondition(%q, %q) = %s, want a fault", c.key, c.value, show(cond))
			}
			continue
		}
		if err != nil {
			t.Errorf("ParseCondition(%q, %q): %v", c.key, c.value, err)
		} else if got := show(cond); got != c.want {
			t.Errorf("ParseCondition(%q, %q) = %s, want %s", c.key, c.value, got, c.want)
		}
	}
}

func TestParseConditionRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"id", "5"}, {"id", ""}, {"id", "eq"}, {"id", "equals.5"}, {"id", "EQ.5"}, {"id.foo", "5"}, {"id.", "5"}, {"", "eq.5"},
		{".eq", "5"}, {"id.eq.5", "6"}, {"id", "is.maybe"}, {"id", "is."}, {"id", "in.1,2"}, {"id", "in.(1"}, {"id", `in.("a"b)`},
		{"id", "like(some).{a}"}, {"id", "like(any).a"}, {"id", "in(any).{1}"}, {"id", "is(any).{null}"}, {"id", "cs(any).{1}"},
		{"id", "eq(any.{1}"}, {"id", "fts().a"}, {"data->", "eq.1"}, {"data->>a->b", "eq.1"}, {"a b)c", "eq.1"}, {`"a`, "eq.1"}, {`""`, "eq.1"},
		{"id", "not"}, {"id", "not."}, {"id", "nótanop.1"}, {"id", "eq5"},
	} {
		cond, err := ParseCondition(c[0], c[1])
		if fault.CodeOf(err) != fault.InvalidQuery {
			t.Errorf("ParseCondition(%q, %q) = %s, %v; want INVALID_QUERY", c[0], c[1], show(cond), err)
		}
	}
}

func TestParseLogic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, value, want string }{
		{"or", "(a.eq.1,b.gt.2)", `or[a eq "1", b gt "2"]`},
		{"and", "(a.eq.1)", `and[a eq "1"]`},
		{"not.or", "(a.eq.1,b.eq.2)", `not or[a eq "1", b eq "2"]`},
		{"or", "(a.eq.1,and(b.gt.2,c.lt.3),not.or(d.is.null,e.not.in.(1,2)))", `or[a eq "1", and[b gt "2", c lt "3"], not or[d is "null", not e in ["1" "2"]]]`},
		{"and", "(or(a.eq.1,b.eq.2),or(c.eq.3,d.eq.4))", `and[or[a eq "1", b eq "2"], or[c eq "3", d eq "4"]]`},
		{"or", " ( a.eq.1 , not.and( b.eq.2 ) ) ", `or[a eq "1 ", not and[b eq "2 "]]`},
		{"or", `(name.eq."a,b)",x.eq."q\"q")`, `or[name eq "a,b)", x eq "q\"q"]`},
		{"or", "(tags.cs.{a,b},r.ov.[1,5),t.cd.(x,y))", `or[tags cs "{a,b}", r ov "[1,5)", t cd "(x,y)"]`},
		{"or", "(at.gte.2024-01-01T00:00:00.000Z,name.like(any).{a*,b})", `or[at gte "2024-01-01T00:00:00.000Z", name like any ["a%" "b"]]`},
		{"or", "(order.eq.1,android.eq.2,not_x.eq.3)", `or[order eq "1", android eq "2", not_x eq "3"]`},
		{"or", "(data->>a.eq.1,data->b->>c.not.is.null)", `or[data->>a eq "1", ` + `not data->b->>c is "null"]`},
		{"or", "(a.eq.,b.eq.1)", `or[a eq "", b eq "1"]`},
	} {
		cond, err := ParseLogic(c.key, c.value)
		if err != nil {
			t.Errorf("ParseLogic(%q, %q): %v", c.key, c.value, err)
		} else if got := show(cond); got != c.want {
			t.Errorf("ParseLogic(%q, %q)\n got %s\nwant %s", c.key, c.value, got, c.want)
		}
	}
	deep := strings.Repeat("and(", 40) + "a.eq.1" + strings.Repeat(")", 40)
	for _, value := range []string{"", "()", "a.eq.1", "(a.eq.1", "(a.eq.1))", "(a.eq.1)x", "(a)", "(a.eq)", "(,)", "(a.eq.1,)", "(a.what.1)", `(a.eq."x"y)`, "(and)", "(or())", "(" + deep + ")", "(a.cs.{1)"} {
		if cond, err := ParseLogic("or", value); fault.CodeOf(err) != fault.InvalidQuery {
			t.Errorf("ParseLogic(or, %q) = %s, %v; want INVALID_QUERY", value, show(cond), err)
		}
	}
}

func TestParseRealtime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", "nothing"},
		{"a=eq.1", `a eq "1"`},
		{"a=eq.1,b=not.in.(1,2)", `and[a eq "1", not b in ["1" "2"]]`},
		{"name=eq.Hello, world", `name eq "Hello, world"`},
		{`name=eq."a,b=eq.1",c=gt.2`, `and[name eq "a,b=eq.1", c gt "2"]`},
		{`name=in.("x,y=eq.1",z),c=is.null`, `and[name in ["x,y=eq.1" "z"], c is "null"]`},
		{"data->>k=ilike.*a*, b=lte.3", `and[data->>k ilike "%a%", b lte "3"]`},
		{`q=eq.5" disk,b=eq.1`, `and[q eq "5\" disk", b eq "1"]`},
		{"a=isdistinct.x,b=match.^y", `and[a isdistinct "x", b match "^y"]`},
	} {
		cond, err := ParseRealtime(c.text)
		if err != nil {
			t.Errorf("ParseRealtime(%q): %v", c.text, err)
		} else if got := show(cond); got != c.want {
			t.Errorf("ParseRealtime(%q)\n got %s\nwant %s", c.text, got, c.want)
		}
	}
	for _, text := range []string{"a", "a=", "a=1", "a.eq.1", "=eq.1", "a=fts.x", "a=cs.{1}", "a=eq.1,", `a=eq."x"y"`} {
		cond, err := ParseRealtime(text)
		if text == "a=eq.1," { // a comma that no condition follows belongs to the value
			if show(cond) != `a eq "1,"` {
				t.Errorf("ParseRealtime(%q) = %s", text, show(cond))
			}
			continue
		}
		if fault.CodeOf(err) != fault.InvalidQuery {
			t.Errorf("ParseRealtime(%q) = %s, %v; want INVALID_QUERY", text, show(cond), err)
		}
	}
}

func TestParseOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"a", "a asc 0"},
		{"a.desc", "a desc 0"},
		{"a.asc.nullsfirst,b.desc.nullslast", "a asc 1; b desc 2"},
		{" a.asc , b->x->>y.desc ", "a asc 0; b->x->>y desc 0"},
		{"a.nullslast", "a asc 2"},
		{`"x.y".desc`, "x.y desc 0"},
		{"rel(c).desc", "rel(c) desc 0"},
		{"e.vec_cos.[0.1,0.2].asc", "e asc 0 vec_cos [0.1,0.2]"},
		{"e.vec_l2.(0.1,0.2).asc", "e asc 0 vec_l2 [0.1,0.2]"},
	} {
		terms, err := ParseOrder(c.text)
		if err != nil {
			t.Errorf("ParseOrder(%q): %v", c.text, err)
			continue
		}
		parts := make([]string, len(terms))
		for i, o := range terms {
			p := o.Path.String()
			if o.Embed != "" {
				p = o.Embed + "(" + p + ")"
			}
			direction := "asc"
			if o.Desc {
				direction = "desc"
			}
			parts[i] = fmt.Sprintf("%s %s %d", p, direction, o.Nulls)
			if o.Distance != nil {
				parts[i] += " " + string(o.Distance.Op) + " " + o.Distance.Vector
			}
		}
		if got := strings.Join(parts, "; "); got != c.want {
			t.Errorf("ParseOrder(%q) = %s, want %s", c.text, got, c.want)
		}
	}
	for _, text := range []string{"", ",", "a,", "a.up", "a.asc.desc", "a.nullsfirst.nullslast", "a.nullsfirst.asc", "a.", "a b c.asc.x", "rel(c", "e.vec_l2.asc", "a;drop"} {
		if text == "a;drop" { // an odd column name, which the catalogue will not know
			continue
		}
		if terms, err := ParseOrder(text); fault.CodeOf(err) != fault.InvalidQuery {
			t.Errorf("ParseOrder(%q) = %v, %v; want INVALID_QUERY", text, terms, err)
		}
	}
}

func showItems(p query.Projection) string {
	parts := make([]string, len(p))
	for i, item := range p {
		switch item := item.(type) {
		case query.Star:
			parts[i] = "*"
		case *query.Field:
			parts[i] = showField(item)
		case *query.Aggregate:
			of := "*"
			if item.Of != nil {
				of = showField(item.Of)
			}
			parts[i] = item.Alias + "=" + item.Function + "<" + of + ">::" + item.Cast
		case *query.Embed:
			parts[i] = fmt.Sprintf("%s=%s!%s inner:%v spread:%v (%s)", item.Alias, item.Name, item.Hint, item.Inner, item.Spread, showItems(item.Fields))
		}
	}
	return strings.Join(parts, ", ")
}

func showField(f *query.Field) string {
	s := f.Path.String()
	if f.Alias != "" {
		s = f.Alias + "=" + s
	}
	if f.Cast != "" {
		s += "::" + f.Cast
	}
	return s
}

func TestParseSelect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"*", "*"},
		{"a,b", "a, b"},
		{" a , b ", "a, b"},
		{"x:a,b::text", "x=a, b::text"},
		{"x:a::double precision,y:b::int4[]", "x=a::double precision, y=b::int4[]"},
		{"data->a->>b,y:data->0", "data->a->>b, y=data->0"},
		{`"odd name","q""r"`, ""},
		{`"odd, name",x:"a.b"`, "odd, name, x=a.b"},
		{"*,posts(id,title)", "*, =posts! inner:false spread:false (id, title)"},
		{"id, posts ( id , author:users!fk!inner ( * ) )", "id, =posts! inner:false spread:false (id, author=users!fk inner:true spread:false (*))"},
		{"...rel(a)", "=rel! inner:false spread:true (a)"},
		{"rel()", "=rel! inner:false spread:false ()"},
		{"count(*),sum(c),n:avg(d)::int", "=count<*>::, =sum<c>::, n=avg<d>::int"},
		{"a.sum(),x:b->c.max()::text", "sum=sum<a>::, x=max<b->c>::text"},
	} {
		items, err := ParseSelect(c.text)
		if c.want == "" {
			if err == nil {
				t.Errorf("ParseSelect(%q) = %s, want a fault", c.text, showItems(items))
			}
			continue
		}
		if err != nil {
			t.Errorf("ParseSelect(%q): %v", c.text, err)
		} else if got := showItems(items); got != c.want {
			t.Errorf("ParseSelect(%q)\n got %s\nwant %s", c.text, got, c.want)
		}
	}
	for _, text := range []string{"", ",", "a,", "a b:", "a::", "a(", "a)", "a(b", "rel!", "rel!x", "...", "a.b", "a.foo()", "sum(*)", "sum(a,b)", "a;b(", strings.Repeat("a(", 50)} {
		if items, err := ParseSelect(text); fault.CodeOf(err) != fault.InvalidQuery {
			t.Errorf("ParseSelect(%q) = %s, %v; want INVALID_QUERY", text, showItems(items), err)
		}
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, head, rest string
		ok              bool
	}{
		{"a.eq", "a", "eq", true}, {"a", "", "", false}, {`"a.b".eq`, `"a.b"`, "eq", true}, {"a.b.c", "a", "b.c", true},
	} {
		head, rest, ok := Head(c.key)
		if head != c.head || rest != c.rest || ok != c.ok {
			t.Errorf("Head(%q) = %q, %q, %v", c.key, head, rest, ok)
		}
	}
}
