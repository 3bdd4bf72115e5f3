package tables

import (
	"reflect"
	"strings"
	"testing"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/transport/route"
)

func TestParse(t *testing.T) {
	t.Parallel()
	r, err := parse("select=id,t:title&order=at.desc&limit=5&offset=10&count=exact&truncate=3&age=gt.18&status.in=(a,b)&or=(x.is.null,y.eq.1)&age=lt.65", listWords)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.fields) != 2 || len(r.order) != 1 || r.page != (query.Page{Limit: 5, Offset: 10}) || r.count != query.CountExact || r.truncate != 3 {
		t.Errorf("words: %+v", r)
	}
	if all, ok := r.where.(query.And); !ok || len(all) != 4 {
		t.Errorf("conditions: %#v", r.where)
	}
	if r, err = parse("name=eq.a%20b%2Bc+d&%22order%22=eq.1&order.eq=2", listWords); err != nil {
		t.Fatal(err)
	} else if all := r.where.(query.And); all[0].(*query.Compare).Value != "a b+c d" || all[1].(*query.Compare).Path.Column != "order" || all[2].(*query.Compare).Path.Column != "order" {
		t.Errorf("escapes and quotes: %#v", all)
	}
	if r, err = parse("token=eyJhbGciOiJIUzI1NiJ9.e30.x&apikey=abc&clientkey=eq.1", listWords); err != nil {
		t.Fatal(err)
	} else if cmp, ok := r.where.(*query.Compare); !ok || cmp.Path.Column != "clientkey" {
		t.Errorf("credentials: %#v", r.where)
	}
	if r, err = parse("", listWords); err != nil || r.where != nil || r.page.Limit != query.NoLimit {
		t.Errorf("nothing: %+v, %v", r, err)
	}
	if r, err = parse("select=*,posts(id,author:users(name))&posts.title=eq.x&posts.order=id&posts.limit=2&posts.author.name.like=A*&a=eq.1", listWords); err != nil {
		t.Fatal(err)
	}
	e := r.fields[1].(*query.Embed)
	author := e.Fields[1].(*query.Embed)
	if e.Where == nil || len(e.Order) != 1 || e.Page.Limit != 2 || author.Where == nil || r.where == nil {
		t.Errorf("embedded conditions: %+v %+v", e, author)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw     string
		allowed words
	}{
		{"id=5", listWords}, {"id", listWords}, {"foo=bar", listWords}, {"limit=x", listWords}, {"limit=-1", listWords}, {"offset=1.5", listWords},
		{"limit=1&limit=2", listWords}, {"count=many", listWords}, {"truncate=-1", listWords}, {"cursor=abc", listWords}, {"cursor_column=id", listWords},
		{"on_conflict=id", listWords}, {"id=eq.1", createWords}, {"order=id", createWords}, {"limit=1", getWords}, {"a=%zz", listWords}, {"a=eq.%00", listWords},
		{"a=eq.%ff", listWords}, {"order=name.up", listWords}, {"select=a(", listWords}, {"or=a.eq.1", listWords}, {"a.b.c=1", listWords},
		{strings.Repeat("a=eq.1&", 501), listWords},
	} {
		if _, err := parse(c.raw, c.allowed); fault.CodeOf(err) != fault.InvalidQuery {
			t.Errorf("parse(%.40q) = %v, want INVALID_QUERY", c.raw, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"select=a,b(c)&b.c=eq.1", "a=eq.1&or=(b.is.null)&limit=1", "a.not.in=(1,2)&order=a.desc", "%22a%22=eq.+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if _, err := parse(raw, listWords); err != nil && fault.CodeOf(err) != fault.InvalidQuery {
			t.Fatalf("fault %v", err)
		}
	})
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"select":"a","filters":[{"column":"a","operator":"in","value":[1,"b"]}],"order":[{"column":"a","direction":"desc"}]}`))
	f.Add([]byte(`{"betweenFilters":[{"column":"a","min":1,"max":"x\"","negated":true}],"orFilters":["a.eq.1"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var d document
		err := route.DecodeStrictly(body, &d)
		if err == nil {
			_, err = d.request()
		}
		if code := fault.CodeOf(err); err != nil && code != fault.InvalidQuery && code != fault.InvalidRequestBody {
			t.Fatalf("%q: %v", body, err)
		}
	})
}

// TestDocumentMeansWhatTheQueryStringMeans compares both ways to say a thing.
func TestDocumentMeansWhatTheQueryStringMeans(t *testing.T) {
	t.Parallel()
	for body, raw := range map[string]string{
		`{"select":"a,b","filters":[{"column":"a","operator":"gt","value":5}],"limit":2,"offset":1,"count":"exact"}`:     "select=a,b&a=gt.5&limit=2&offset=1&count=exact",
		`{"filters":[{"column":"a","operator":"in","value":["x","y,z"]},{"column":"b","operator":"is","value":null}]}`:   `a=in.(x,"y,z")&b=is.null`,
		`{"betweenFilters":[{"column":"a","min":1,"max":2}],"order":[{"column":"a","direction":"desc","nulls":"last"}]}`: "a=gte.1&a=lte.2&order=a.desc.nullslast",
		`{"orFilters":["a.eq.1,b.eq.2"],"andFilters":["(c.eq.3)"],"groupBy":["a"]}`:                                      "or=(a.eq.1,b.eq.2)&and=(c.eq.3)&group_by=a",
		`{"select":"a,r(b)","filters":[{"column":"r.b","operator":"eq","value":true}]}`:                                  "select=a,r(b)&r.b=eq.true",
	} {
		var d document
		if err := route.DecodeStrictly([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		got, err := d.request()
		if err != nil {
			t.Fatal(err)
		}
		want, err := parse(raw, listWords)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v\nwant %+v", body, got, want)
		}
	}
}
