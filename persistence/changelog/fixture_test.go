package changelog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/changelog"
	"fluxbase/persistence/db/dbtest"
)

// fixture is a database with an open log.
type fixture struct {
	*dbtest.Database
	t   testing.TB
	log *changelog.Log
	ctx context.Context
}

func setup(t testing.TB) *fixture {
	t.Helper()
	d := dbtest.New(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	f := &fixture{Database: d, t: t, log: changelog.New(d.DB), ctx: ctx}
	if _, err := f.log.Open(ctx); err != nil {
		t.Fatal(err)
	}
	return f
}

// connect opens a superuser's connection.
func (f *fixture) connect() *pgx.Conn {
	f.t.Helper()
	c, err := pgx.Connect(f.ctx, f.AdminURL)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func (f *fixture) enable(table string, events ...string) changelog.Status {
	f.t.Helper()
	s, err := f.log.Enable(f.ctx, "public", table, events, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// tail reads the log from where it was made.
type tail struct {
	f       *fixture
	at      changelog.Position
	plan    *changelog.Plan
	limit   changelog.Limit
	running bool
}

func (f *fixture) tail() *tail {
	f.t.Helper()
	at, plan, err := f.log.Now(f.ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return &tail{f: f, at: at, plan: plan}
}

// next reads everything that is there now.
func (r *tail) next() []changelog.Entry {
	r.f.t.Helper()
	var all []changelog.Entry
	for {
		b, err := r.f.log.Read(r.f.ctx, r.at, r.plan, r.limit)
		if err != nil {
			r.f.t.Fatal(err)
		}
		if b.Plan != nil {
			r.plan = b.Plan
		}
		all = append(all, b.Entries...)
		// A position is the same after it was written down.
		if r.at, err = changelog.ParsePosition(b.Next.String()); err != nil {
			r.f.t.Fatal(err)
		}
		r.running = b.Running
		if !b.More {
			return all
		}
	}
}

// rows leaves the markers out.
func rows(entries []changelog.Entry) []changelog.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e changelog.Entry) bool { return e.Type == changelog.Marker })
}

// brief prints an entry for comparisons.
func brief(e changelog.Entry) string {
	s := string(rune(e.Type))
	if e.Old != nil {
		s += " " + string(e.Old)
	}
	if e.New != nil {
		s += " → " + string(e.New)
	}
	if e.NewCut || e.OldCut {
		s += " cut"
	}
	return s
}

func briefs(entries []changelog.Entry) []string {
	out := []string{}
	for _, e := range rows(entries) {
		out = append(out, brief(e))
	}
	return out
}

func (f *fixture) expect(got []changelog.Entry, want ...string) {
	f.t.Helper()
	if g := briefs(got); !slices.Equal(g, want) {
		f.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(g, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// replica applies entries to a copy of a table and complains when an entry does
// not start from what the copy holds.
type replica struct {
	t    testing.TB
	rows map[string]string // key → image
	key  string
	seen map[changelog.Place]bool
}

func newReplica(t testing.TB, key string) *replica {
	return &replica{t: t, rows: map[string]string{}, key: key, seen: map[changelog.Place]bool{}}
}

// canonical makes images comparable: members of partitions may stand in another
// order.
func canonical(image json.RawMessage) (key map[string]any, text string) {
	if err := json.Unmarshal(image, &key); err != nil {
		panic(fmt.Sprintf("%s: %v", image, err))
	}
	b, err := json.Marshal(key)
	if err != nil {
		panic(err)
	}
	return key, string(b)
}

func (r *replica) apply(e changelog.Entry) {
	r.t.Helper()
	if r.seen[e.Place] {
		r.t.Errorf("entry %v came twice", e.Place)
	}
	r.seen[e.Place] = true
	if e.Type == changelog.Truncate {
		clear(r.rows)
		return
	}
	if e.Old != nil {
		row, old := canonical(e.Old)
		key := fmt.Sprint(row[r.key])
		if have, ok := r.rows[key]; !ok || have != old {
			r.t.Errorf("%s (place %v) starts from another row than %q", brief(e), e.Place, have)
		}
		delete(r.rows, key)
	}
	if e.New != nil {
		row, image := canonical(e.New)
		key := fmt.Sprint(row[r.key])
		if have, ok := r.rows[key]; ok {
			r.t.Errorf("%s (place %v) hits the row %q", brief(e), e.Place, have)
		}
		r.rows[key] = image
	}
}

// equals compares the copy with the table.
func (r *replica) equals(f *fixture, table string) {
	r.t.Helper()
	have := map[string]string{}
	f.Admin(func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, "SELECT row_to_json(t)::text FROM "+table+" t")
		if err != nil {
			return err
		}
		images, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, image := range images {
			row, text := canonical(json.RawMessage(image))
			have[fmt.Sprint(row[r.key])] = text
		}
		return err
	})
	if !maps.Equal(have, r.rows) {
		r.t.Errorf("the copy of %s has %d rows, the table %d, or their contents differ", table, len(r.rows), len(have))
	}
}
