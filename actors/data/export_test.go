package data

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// brokenPipe takes one write and fails at the next.
type brokenPipe struct{ writes int }

var errBroken = errors.New("nobody reads any more")

func (p *brokenPipe) Write(b []byte) (int, error) {
	if p.writes++; p.writes > 1 {
		return 0, errBroken
	}
	return len(b), nil
}

func TestExportStopsWhenNobodyReads(t *testing.T) {
	b := setup(t, `CREATE VIEW endless AS SELECT generate_series(1, 1000000000) AS n, repeat('x', 100) AS pad`)
	pipe := &brokenPipe{}
	_, err := ask[*Exported](b, &Export{Caller: b.Service(), Out: pipe, Query: &query.Select{From: from("endless"), Page: query.Page{Limit: query.NoLimit}}})
	if !errors.Is(err, errBroken) && fault.CodeOf(err) != fault.Canceled {
		t.Errorf("the export ended with %v", err)
	}
	if pipe.writes != 2 {
		t.Errorf("%d writes, want 2", pipe.writes)
	}
}

func TestExportLimits(t *testing.T) {
	b := setup(t, `CREATE VIEW many AS SELECT n FROM generate_series(1, 12000) n`)
	all := &query.Select{From: from("many"), Page: query.Page{Limit: query.NoLimit}}
	for _, c := range []struct {
		who  string
		want int64
	}{{"user", DefaultLimits.MaxTotalResults}, {"service", 12000}} {
		caller := b.User(ann)
		if c.who == "service" {
			caller = b.Service()
		}
		var out bytes.Buffer
		done := must[*Exported](b, &Export{Caller: caller, Out: &out, Query: all})
		if done.Rows != c.want || int64(strings.Count(out.String(), "\r\n")) != c.want+1 {
			t.Errorf("%s gets %d rows in %d lines, want %d", c.who, done.Rows, strings.Count(out.String(), "\r\n"), c.want)
		}
	}
}
