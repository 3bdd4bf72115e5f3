package scenario

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// row is a row as JSON has it.
type row = map[string]any

// tie is a relationship of the library, in the test's own words: which rows of
// another table belong to a row.
type tie struct {
	from, name, to string
	one            bool
	match          func(world map[string][]row, parent, child row) bool
}

func same(parent, child string) func(map[string][]row, row, row) bool {
	return func(_ map[string][]row, p, c row) bool { return p[parent] != nil && p[parent] == c[child] }
}

// through matches rows that a visible row of a junction ties together.
func through(junction, near, far string) func(map[string][]row, row, row) bool {
	return func(world map[string][]row, p, c row) bool {
		return slices.ContainsFunc(world[junction], func(j row) bool { return j[near] == p["id"] && j[far] == c["id"] })
	}
}

var ties = []tie{
	{"books", "author", "authors", true, same("author", "id")},
	{"books", "editor", "authors", true, same("editor", "id")},
	{"books", "reviews", "reviews", false, same("id", "book")},
	{"books", "tags", "tags", false, through("book_tags", "book", "tag")},
	{"authors", "books!written_by", "books", false, same("id", "author")},
	{"authors", "books!edited_by", "books", false, same("id", "editor")},
	{"authors", "profiles", "profiles", true, same("id", "id")},
	{"profiles", "authors", "authors", true, same("id", "id")},
	{"reviews", "book", "books", true, same("book", "id")},
	{"tags", "books", "books", false, through("book_tags", "tag", "book")},
	{"staff", "staff", "staff", false, same("id", "boss")},
	{"staff", "boss", "staff", true, same("boss", "id")},
	{"staff", "staff!follows_idol", "staff", false, through("follows", "fan", "idol")},
}

// branch is an embed, or the query itself when it has no tie.
type branch struct {
	tie    tie
	label  string
	inner  bool
	least  int // id=gt.least; 0 for no condition
	desc   bool
	limit  int // -1 for none
	hollow bool
	// null says that parents must have no rows here; notNull that they must.
	null, notNull bool
	branches      []*branch
}

// grow draws a tree over a table.
func grow(r *rand.Rand, table string, depth int) *branch {
	b := &branch{tie: tie{to: table}, limit: -1, desc: r.IntN(2) == 0}
	if r.IntN(3) == 0 {
		b.least = 1 + r.IntN(2)
	}
	if r.IntN(4) == 0 {
		b.limit = r.IntN(3)
	}
	for _, t := range ties {
		if t.from != table || depth == 0 || r.IntN(2) == 0 {
			continue
		}
		e := grow(r, t.to, depth-1)
		e.tie, e.label = t, fmt.Sprint("e", len(b.branches))
		e.inner = r.IntN(4) == 0
		if t.one {
			e.limit = -1
		}
		if !e.inner && r.IntN(4) == 0 {
			e.hollow, e.limit, e.branches = true, -1, nil
			e.null = r.IntN(2) == 0
			e.notNull = !e.null
		}
		b.branches = append(b.branches, e)
	}
	return b
}

// query writes a tree as the parameters of a request.
func (b *branch) query(prefix string, q url.Values) string {
	parts := []string{"id"}
	for _, e := range b.branches {
		join := ""
		if e.inner {
			join = "!inner"
		}
		fields := e.query(prefix+e.label+".", q)
		if e.hollow {
			fields = ""
		}
		parts = append(parts, e.label+":"+e.tie.name+join+"("+fields+")")
		if e.null {
			q.Add(prefix+e.label, "is.null")
		}
		if e.notNull {
			q.Add(prefix+e.label, "not.is.null")
		}
	}
	if b.least > 0 {
		q.Add(prefix+"id", "gt."+strconv.Itoa(b.least))
	}
	direction := "asc"
	if b.desc {
		direction = "desc"
	}
	q.Add(prefix+"order", "id."+direction)
	if b.limit >= 0 {
		q.Add(prefix+"limit", strconv.Itoa(b.limit))
	}
	return strings.Join(parts, ",")
}

// matching are the rows below a parent that fulfil the tree's conditions.
func (b *branch) matching(world map[string][]row, parent row) []row {
	var out []row
	for _, child := range world[b.tie.to] {
		if parent != nil && !b.tie.match(world, parent, child) || b.least > 0 && child["id"].(float64) <= float64(b.least) {
			continue
		}
		if slices.ContainsFunc(b.branches, func(e *branch) bool {
			some := len(e.matching(world, child)) > 0
			return (e.inner || e.notNull) && !some || e.null && some
		}) {
			continue
		}
		out = append(out, child)
	}
	slices.SortFunc(out, func(x, y row) int {
		d := int(x["id"].(float64)) - int(y["id"].(float64))
		if b.desc {
			return -d
		}
		return d
	})
	return out
}

// answer is what a tree shows below a parent.
func (b *branch) answer(world map[string][]row, parent row) []any {
	out := []any{}
	for _, child := range b.matching(world, parent) {
		if b.limit >= 0 && len(out) == b.limit {
			break
		}
		shown := row{"id": child["id"]}
		for _, e := range b.branches {
			rows := e.answer(world, child)
			switch {
			case e.hollow:
			case !e.tie.one:
				shown[e.label] = rows
			case len(rows) > 0:
				shown[e.label] = rows[0]
			default:
				shown[e.label] = nil
			}
		}
		out = append(out, shown)
	}
	return out
}

// TestEmbedsEqualNestedLoops asks for random trees as several people and compares
// each answer with one made by nested loops over the rows that SELECT shows them.
// FLUXBASE_TEST_SEED repeats a run.
func TestEmbedsEqualNestedLoops(t *testing.T) {
	t.Parallel()
	seed := setting(t, "FLUXBASE_TEST_SEED", uint64(time.Now().UnixNano()))
	t.Logf("FLUXBASE_TEST_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	n := startTables(t, embedDDL)
	n.exec(t, embedSeed)
	n.exec(t, `INSERT INTO reviews (book, stars, writer, public)
		SELECT 1 + i % 4, 1 + i % 5, (ARRAY['ann@example.com', 'bob@example.com', 'nobody'])[1 + i % 3], i % 2 = 0 FROM generate_series(1, 20) i;
		INSERT INTO book_tags SELECT b, t FROM generate_series(1, 4) b, generate_series(1, 3) t WHERE (b + t) % 2 = 0 ON CONFLICT DO NOTHING;
		ALTER TABLE tags ENABLE ROW LEVEL SECURITY; CREATE POLICY see ON tags FOR SELECT USING (id < 3 OR auth.role() = 'authenticated');
		ALTER TABLE book_tags ENABLE ROW LEVEL SECURITY; CREATE POLICY see ON book_tags FOR SELECT USING (tag <> 2 OR auth.role() = 'authenticated')`)
	roots := []string{"books", "authors", "reviews", "tags", "staff", "profiles"}
	for _, who := range []string{"service", "ann", "bob", "anon"} {
		world := n.visibleRows(t, who)
		some := 0
		for range 40 {
			tree := grow(r, roots[r.IntN(len(roots))], 3)
			q := url.Values{}
			q.Set("select", tree.query("", q))
			got := n.Do("GET", "/api/v1/tables/"+tree.tie.to+"?"+q.Encode(), n.token(t, who), nil)
			want := tree.answer(world, nil)
			var rows []any
			if err := json.Unmarshal(got.Body, &rows); err != nil {
				t.Fatalf("%s asks for %s: %d %s", who, q, got.Status, got.Body)
			}
			if !reflect.DeepEqual(rows, want) {
				text, _ := json.Marshal(want)
				t.Fatalf("%s asks for %s %v\n got %s\nwant %s", who, tree.tie.to, q, got.Body, text)
			}
			some += len(rows)
		}
		if some == 0 {
			t.Errorf("%s saw nothing at all", who)
		}
	}
}

// visibleRows are all rows that SELECT shows somebody.
func (n *tablesNode) visibleRows(t *testing.T, who string) map[string][]row {
	t.Helper()
	out := map[string][]row{}
	for _, table := range []string{"books", "authors", "reviews", "tags", "staff", "profiles", "book_tags", "follows"} {
		for _, text := range n.selectAs(t, who, `SELECT row_to_json(m.*)::text FROM `+table+` m`) {
			var r row
			if err := json.Unmarshal([]byte(text), &r); err != nil {
				t.Fatal(err)
			}
			out[table] = append(out[table], r)
		}
	}
	return out
}

// selectAs runs a query of one text as somebody.
func (n *tablesNode) selectAs(t *testing.T, who, sql string) []string {
	t.Helper()
	tx, err := n.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	n.become(t, tx, who)
	rows, err := tx.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
