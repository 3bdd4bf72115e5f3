package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/actors/graphql/operation"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
)

const forumPolicies = `
ALTER TABLE persons ENABLE ROW LEVEL SECURITY;
ALTER TABLE posts ENABLE ROW LEVEL SECURITY;
ALTER TABLE comments ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON persons USING (owner = auth.uid() OR id % 3 = 0);
CREATE POLICY p ON posts USING (owner = auth.uid() OR score > 5);
CREATE POLICY p ON comments USING (owner = auth.uid() OR likes IS NULL OR likes > 3);
`

// row is a row that its caller sees.
type row map[string]any

// world is what a caller sees of all tables, by plain SQL under the caller's role.
type world map[string][]row

func (b *bundle) world(who caller.Caller) world {
	b.Helper()
	w := world{}
	for _, table := range []string{"persons", "posts", "comments", "tags", "post_tags"} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := b.DB.RunRead(ctx, who, db.Statement{SQL: `SELECT coalesce(json_agg(t), '[]') FROM ` + table + ` t`, Read: func(rows pgx.Rows) error {
			for rows.Next() {
				d := json.NewDecoder(bytes.NewReader(rows.RawValues()[0]))
				d.UseNumber()
				var all []row
				if err := d.Decode(&all); err != nil {
					return err
				}
				w[table] = all
			}
			return rows.Err()
		}})
		cancel()
		if err != nil {
			b.Fatal(err)
		}
	}
	return w
}

// link is a relationship by hand: what leads to the rows that belong to one.
type link struct {
	field, table string
	many         bool
	rows         func(w world, r row) []row
}

func toOne(field, table, column string) link {
	return link{field, table, false, func(w world, r row) []row {
		return where(w[table], func(o row) bool { return r[column] != nil && o["id"] == r[column] })
	}}
}

func toMany(field, table, column string) link {
	return link{field, table, true, func(w world, r row) []row {
		return where(w[table], func(o row) bool { return o[column] != nil && o[column] == r["id"] })
	}}
}

func through(field, table, near, far string) link {
	return link{field, table, true, func(w world, r row) []row {
		var out []row
		for _, j := range w["post_tags"] {
			if j[near] == r["id"] {
				out = append(out, where(w[table], func(o row) bool { return o["id"] == j[far] })...)
			}
		}
		return out
	}}
}

var forum = map[string]struct {
	texts, numbers []string
	links          []link
}{
	"persons": {[]string{"name"}, []string{"id", "boss_id"}, []link{
		toOne("boss", "persons", "boss_id"), toMany("persons", "persons", "boss_id"), toMany("posts", "posts", "person_id"), toMany("comments", "comments", "person_id")}},
	"posts": {[]string{"title"}, []string{"id", "score", "person_id"}, []link{
		toOne("person", "persons", "person_id"), toMany("comments", "comments", "post_id"), through("tags", "tags", "post_id", "tag_id")}},
	"comments": {[]string{"body"}, []string{"id", "likes", "post_id", "person_id"}, []link{
		toOne("post", "posts", "post_id"), toOne("person", "persons", "person_id")}},
	"tags": {[]string{"label"}, []string{"id"}, []link{through("posts", "posts", "tag_id", "post_id")}},
}

func where(list []row, match func(row) bool) []row {
	var out []row
	for _, r := range list {
		if match(r) {
			out = append(out, r)
		}
	}
	return out
}

// asked is a part of a random document, and what evaluates it by hand.
type asked struct {
	text string
	// value gives the JSON of the part for a row.
	value func(w world, r row) string
}

// author writes random documents.
type author struct{ *rand.Rand }

func pick[T any](a author, list []T) T { return list[a.IntN(len(list))] }

func camelOf(column string) string {
	parts := strings.Split(column, "_")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
	}
	return strings.Join(parts, "")
}

// truth is what SQL knows: true, false or neither.
type truth int

const (
	no truth = iota
	unknown
	yes
)

// condition writes a random filter of a table; it gives its truth for a row.
func (a author) condition(table string, depth int) (string, func(world, row) truth) {
	t := forum[table]
	switch n := a.IntN(10); {
	case n < 4 || depth == 0:
		column, op, value := pick(a, t.numbers), pick(a, []string{"_eq", "_neq", "_gt", "_lte"}), a.IntN(12)
		return camelOf(column) + op + ": " + strconv.Itoa(value), func(_ world, r row) truth {
			if r[column] == nil {
				return unknown
			}
			v, _ := r[column].(json.Number).Int64()
			return of(map[string]bool{"_eq": v == int64(value), "_neq": v != int64(value), "_gt": v > int64(value), "_lte": v <= int64(value)}[op])
		}
	case n == 4:
		column, null := pick(a, t.numbers), a.IntN(2) == 0
		return fmt.Sprintf("%s_is_null: %t", camelOf(column), null), func(_ world, r row) truth { return of((r[column] == nil) == null) }
	case n == 5:
		column, one, two := pick(a, t.texts), string(rune('a'+a.IntN(4))), string(rune('a'+a.IntN(4)))
		return fmt.Sprintf(`%s_in: ["%s", "%s"]`, column, one, two), func(_ world, r row) truth {
			if r[column] == nil {
				return unknown
			}
			return of(r[column] == one || r[column] == two)
		}
	case n == 6:
		text, inner := a.condition(table, depth-1)
		return "_not: {" + text + "}", func(w world, r row) truth { return yes - inner(w, r) }
	case n == 7:
		one, first := a.condition(table, depth-1)
		two, second := a.condition(table, depth-1)
		if a.IntN(2) == 0 {
			return "_or: [{" + one + "}, {" + two + "}]", func(w world, r row) truth { return max(first(w, r), second(w, r)) }
		}
		return "_and: [{" + one + "}, {" + two + "}]", func(w world, r row) truth { return min(first(w, r), second(w, r)) }
	}
	l := pick(a, t.links)
	text, inner := a.condition(l.table, depth-1)
	count := func(w world, r row, want func(truth) bool) int {
		return len(where(l.rows(w, r), func(o row) bool { return want(inner(w, o)) }))
	}
	switch {
	case l.many && a.IntN(3) == 0:
		return l.field + "_none: {" + text + "}", func(w world, r row) truth { return of(count(w, r, func(t truth) bool { return t == yes }) == 0) }
	case l.many && a.IntN(2) == 0:
		return l.field + "_every: {" + text + "}", func(w world, r row) truth { return of(count(w, r, func(t truth) bool { return t != yes }) == 0) }
	}
	return l.field + ": {" + text + "}", func(w world, r row) truth { return of(count(w, r, func(t truth) bool { return t == yes }) > 0) }
}

func of(b bool) truth {
	if b {
		return yes
	}
	return no
}

// list writes the arguments of a random list in an order that is total, and gives
// what is left of rows.
func (a author) list(table string) (string, func(world, []row) []row) {
	text, steps := "", []func(world, []row) []row{}
	if a.IntN(2) == 0 {
		filter, holds := a.condition(table, 2)
		text += "filter: {" + filter + "}, "
		steps = append(steps, func(w world, list []row) []row {
			return where(list, func(r row) bool { return holds(w, r) == yes })
		})
	}
	direction, column := pick(a, []string{"ASC", "DESC"}), pick(a, forum[table].numbers)
	text += "orderBy: [{" + camelOf(column) + ": " + direction + "_NULLS_LAST}, {id: DESC}]"
	steps = append(steps, func(_ world, list []row) []row {
		list = slices.Clone(list)
		slices.SortFunc(list, func(x, y row) int {
			number := func(v any) int { n, _ := v.(json.Number).Int64(); return int(n) }
			switch a, b := x[column], y[column]; {
			case a == nil && b != nil:
				return 1
			case a != nil && b == nil:
				return -1
			case a != nil && a != b:
				if direction == "DESC" {
					return number(b) - number(a)
				}
				return number(a) - number(b)
			}
			return number(y["id"]) - number(x["id"])
		})
		return list
	})
	if a.IntN(2) == 0 {
		limit, offset := a.IntN(4), a.IntN(3)
		text += fmt.Sprintf(", limit: %d, offset: %d", limit, offset)
		steps = append(steps, func(_ world, list []row) []row {
			list = list[min(offset, len(list)):]
			return list[:min(limit, len(list))]
		})
	}
	return "(" + text + ")", func(w world, list []row) []row {
		for _, s := range steps {
			list = s(w, list)
		}
		return list
	}
}

// object writes what is selected from a row.
func (a author) object(table string, depth int) asked {
	t := forum[table]
	type part struct {
		key string
		asked
	}
	var parts []part
	for i, column := range append([]string{"id"}, pick(a, append(slices.Clone(t.numbers), t.texts...))) {
		key := "k" + strconv.Itoa(i)
		parts = append(parts, part{key, asked{key + ": " + camelOf(column), func(_ world, r row) string { return encode(r[column]) }}})
	}
	for i := range a.IntN(3) {
		if depth == 0 {
			break
		}
		l, key := pick(a, t.links), "r"+strconv.Itoa(i)
		inner := a.object(l.table, depth-1)
		switch {
		case !l.many:
			parts = append(parts, part{key, asked{key + ": " + l.field + " " + inner.text, func(w world, r row) string {
				if found := l.rows(w, r); len(found) > 0 {
					return inner.value(w, found[0])
				}
				return "null"
			}}})
		case a.IntN(3) == 0:
			filter, holds := a.condition(l.table, 1)
			parts = append(parts, part{key, asked{key + ": " + l.field + "Aggregate(filter: {" + filter + "}) { count }", func(w world, r row) string {
				return fmt.Sprintf(`{"count":%d}`, len(where(l.rows(w, r), func(o row) bool { return holds(w, o) == yes })))
			}}})
		default:
			arguments, window := a.list(l.table)
			parts = append(parts, part{key, asked{key + ": " + l.field + arguments + " " + inner.text, func(w world, r row) string {
				return array(w, window(w, l.rows(w, r)), inner)
			}}})
		}
	}
	var text []string
	for _, p := range parts {
		text = append(text, p.text)
	}
	return asked{"{ " + strings.Join(text, " ") + " }", func(w world, r row) string {
		out := make([]string, len(parts))
		for i, p := range parts {
			out[i] = `"` + p.key + `":` + p.value(w, r)
		}
		return "{" + strings.Join(out, ",") + "}"
	}}
}

func array(w world, list []row, of asked) string {
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = of.value(w, r)
	}
	return "[" + strings.Join(out, ",") + "]"
}

func encode(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// TestRandomQueries compares what random queries give under row-level security with
// what is worked out by hand from the rows that plain SQL shows the caller.
// FLUXBASE_TEST_SEED repeats a run.
func TestRandomQueries(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("FLUXBASE_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("FLUXBASE_TEST_SEED=%d", seed)
	a := author{rand.New(rand.NewPCG(seed, 0))}
	b := setup(t, forumDDL+forumPolicies, func(o *Options) { o.Rules.Limits = operation.Limits{} })
	owner := func() string { return pick(a, []string{"NULL", "'" + ann + "'", "'" + bob + "'"}) }
	number := func(most int) string {
		if a.IntN(4) == 0 {
			return "NULL"
		}
		return strconv.Itoa(1 + a.IntN(most))
	}
	var seeds strings.Builder
	for i := 1; i <= 10; i++ {
		fmt.Fprintf(&seeds, "INSERT INTO persons VALUES (%d, '%c', %s, NULL);", i, 'a'+a.IntN(4), owner())
	}
	for i := 1; i <= 10; i++ {
		fmt.Fprintf(&seeds, "UPDATE persons SET boss_id = %s WHERE id = %d;", number(10), i)
	}
	for i := 1; i <= 25; i++ {
		fmt.Fprintf(&seeds, "INSERT INTO posts VALUES (%d, '%c', %s, %d, %s);", i, 'a'+a.IntN(4), number(10), 1+a.IntN(10), owner())
	}
	for i := 1; i <= 60; i++ {
		fmt.Fprintf(&seeds, "INSERT INTO comments VALUES (%d, '%c', %s, %d, %s, %s);", i, 'a'+a.IntN(4), number(10), 1+a.IntN(25), number(10), owner())
	}
	for i := 1; i <= 5; i++ {
		fmt.Fprintf(&seeds, "INSERT INTO tags VALUES (%d, '%c');", i, 'a'+a.IntN(4))
	}
	for range 40 {
		fmt.Fprintf(&seeds, "INSERT INTO post_tags VALUES (%d, %d) ON CONFLICT DO NOTHING;", 1+a.IntN(25), 1+a.IntN(5))
	}
	b.Exec(seeds.String())
	callers := map[string]caller.Caller{"ann": b.User(ann), "bob": b.User(bob), "nobody": b.Anonymous(), "service": b.Service()}
	worlds := map[string]world{}
	for name, who := range callers {
		worlds[name] = b.world(who)
	}
	filled := 0
	for range 150 {
		name := pick(a, []string{"ann", "bob", "nobody", "service"})
		var text, want []string
		for i := range 1 + a.IntN(2) {
			table := pick(a, []string{"persons", "posts", "comments", "tags"})
			arguments, window := a.list(table)
			object, key := a.object(table, 2), "q"+strconv.Itoa(i)
			text = append(text, key+": "+table+arguments+" "+object.text)
			rows := window(worlds[name], worlds[name][table])
			filled += len(rows)
			want = append(want, `"`+key+`":`+array(worlds[name], rows, object))
		}
		query := "{ " + strings.Join(text, " ") + " }"
		got := b.data(callers[name], query, "")
		if w := "{" + strings.Join(want, ",") + "}"; got != w {
			t.Fatalf("%s asks %s\n got %s\nwant %s", name, query, got, w)
		}
	}
	if filled < 100 {
		t.Errorf("only %d rows in all answers: the documents ask for nothing", filled)
	}
}
