package data

import (
	"bytes"
	"errors"
	"io"
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

// Exports whose clients do not read keep no more workers than are theirs.
func TestSlowExportsLeaveWorkersForOthers(t *testing.T) {
	b := setup(t, `CREATE VIEW many AS SELECT n AS id, repeat('x', 1000) AS pad FROM generate_series(1, 9000) n`)
	b.limited(func(l *Limits) { l.MaxExports = 2 })
	export := func(out io.Writer) *Export {
		return &Export{Caller: b.Service(), Out: out, Query: selection("many", nil)}
	}
	var ended []chan error
	var clients []*io.PipeReader
	for range 2 {
		from, to := io.Pipe()
		end := make(chan error, 1)
		go func() { // ends with its pipe
			_, err := b.worker.Handle(t.Context(), export(to))
			end <- errors.Join(err, to.Close())
		}()
		if _, err := io.ReadFull(from, make([]byte, 1)); err != nil { // it is under way
			t.Fatal(err)
		}
		ended, clients = append(ended, end), append(clients, from)
	}
	refused(b, export(io.Discard), fault.Overloaded)
	must[*Page](b, &List{Caller: b.Service(), Query: selection("many", nil)})
	for _, client := range clients {
		if _, err := io.Copy(io.Discard, client); err != nil {
			t.Error(err)
		}
	}
	for _, end := range ended {
		if err := <-end; err != nil {
			t.Error(err)
		}
	}
	must[*Exported](b, export(io.Discard))
}
