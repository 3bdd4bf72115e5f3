package postgres

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestExecute(t *testing.T) {
	s := start(t, Options{Dir: filepath.Join(folder(t), "postgres"), Ephemeral: true})
	run := func(script string) (string, error) {
		var out strings.Builder
		err := Execute(t.Context(), s.URL(), script, func(r Result) error {
			fmt.Fprint(&out, r.Columns)
			for _, row := range r.Rows {
				for _, v := range row {
					if v == nil {
						out.WriteString(" null")
					} else {
						out.WriteString(" " + *v)
					}
				}
			}
			fmt.Fprintln(&out, "", r.Tag)
			return nil
		})
		return out.String(), err
	}
	if err := s.EnsureDatabase(t.Context(), `odd "name"`); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureDatabase(t.Context(), `odd "name"`); err != nil {
		t.Errorf("a second time: %v", err)
	}
	got, err := run("create table a (x int, y text);\ninsert into a values (1, 'one'), (2, null);\nselect * from a order by x;")
	want := "[] CREATE TABLE\n[] INSERT 0 2\n[x y] 1 one 2 null SELECT 2\n"
	if err != nil || got != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
	if _, err := run("select 1;\n\nselect nothing;"); err == nil || !strings.Contains(err.Error(), "line 3:") {
		t.Errorf("got %v, want an error on line 3", err)
	}
	// One transaction: what went before an error is undone.
	if _, err := run("insert into a values (3, 'three'); select 1/0"); err == nil {
		t.Error("no error")
	}
	if got, err := run("select count(*) from a"); err != nil || !strings.Contains(got, "[count] 2 ") {
		t.Errorf("got %q, %v", got, err)
	}
	refused := errors.New("refused")
	if err := Execute(context.Background(), s.URL(), "select 1", func(Result) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
}
