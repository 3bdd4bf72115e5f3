package rest

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"fluxbase/persistence/query"
)

// FuzzParse checks that no query string is answered with anything but one of the
// dialect's own refusals.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"select=a,b(c)&b.c=eq.1", "a=eq.1&or=(b.is.null)&limit=1", "order=a.desc&not.and=(a.in.(1,2))", "columns=a,b&on_conflict=c", "a.b.c=eq.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		_, _, err := parse(raw, nil)
		var r *refusal
		if err != nil && (!errors.As(err, &r) || r.status != 400 && r.status != 416) {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,NULL\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if out, err := fromCSV(raw); err == nil && (out[0] != '[' || out[len(out)-1] != ']') {
			t.Fatalf("%q gives %s", raw, out)
		}
	})
}

// FuzzForm: a form is one object with every name of it, or it is refused.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "a=1&a=2", "%22=%00&=", "a;b", "a=%zz"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := fromForm(raw)
		if err != nil {
			return
		}
		var row map[string]string
		if err := json.Unmarshal(out, &row); err != nil {
			t.Fatalf("%q gives %s: %v", raw, out, err)
		}
		form, err := url.ParseQuery(string(raw))
		if err != nil || len(form) < len(row) {
			t.Fatalf("%q gives %s: %v", raw, out, err)
		}
	})
}

// FuzzRange: a range never widens a page, and never makes one that cannot be.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"0-9", "items=5-", "9-1", "-5", "0-9223372036854775807", "9223372036854775807-9223372036854775807", "1-2-3", " 1 - 2"} {
		f.Add(s, "items", int64(20), int64(3))
	}
	f.Fuzz(func(t *testing.T, header, unit string, limit, offset int64) {
		if limit < query.NoLimit || offset < 0 {
			return
		}
		q := request{page: query.Page{Limit: limit, Offset: offset}}
		err := q.narrow(header, unit)
		var r *refusal
		if err != nil && (!errors.As(err, &r) || r.status != 416) {
			t.Fatalf("%q: %v", header, err)
		}
		if got := q.page; got.Offset < offset || got.Limit < query.NoLimit || limit != query.NoLimit && (got.Limit > limit || got.Limit == query.NoLimit) {
			t.Fatalf("%q makes %+v of limit %d, offset %d", header, got, limit, offset)
		}
	})
}

// FuzzMediaType: what is left of a media type has no quality, no space and no
// capital, whatever it was.
func FuzzMediaType(f *testing.F) {
	for _, s := range []string{"application/json; charset=utf-8", "Application/VND.pgrst.array+json ; nulls = stripped;q=0.5", ";;", "text/csv;nulls=stripped"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, item string) {
		got := mediaType(item)
		if again := mediaType(got); again != got || strings.Contains(got, ";q=") {
			t.Fatalf("%q is %q and then %q", item, got, again)
		}
	})
}

// FuzzPlan: whatever asks for a plan gets the media type of one that can stand in a
// header.
func FuzzPlan(f *testing.F) {
	for _, s := range []string{planType, planType + `+json; for="text/csv"; options=analyze|verbose;`, planType + `+text;for=x`, planType + `; options="a` + "\n" + `b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, item string) {
		got, ok := planned(item)
		if ok && (got.plan == nil || !strings.HasPrefix(got.contentType, planType+"+") || strings.ContainsAny(got.contentType, "\r\n\x00")) {
			t.Fatalf("%q: %+v", item, got)
		}
	})
}
