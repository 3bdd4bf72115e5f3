package data

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/idempotency"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// limited gives the bundle a worker with other limits.
func (b *bundle) limited(change func(*Limits)) {
	l := DefaultLimits
	change(&l)
	b.worker = NewWorker(b.DB, b.worker.catalog, l)
}

func TestQueriesThatAreTooLarge(t *testing.T) {
	b := setup(t, `CREATE TABLE a (id int PRIMARY KEY, up int REFERENCES a)`)
	b.limited(func(l *Limits) { l.MaxConditions, l.MaxListValues, l.MaxEmbeds, l.MaxEmbedDepth = 3, 5, 2, 2 })
	service := b.Service()
	in := func(n int) query.Condition {
		return &query.Compare{Path: query.Column("id"), Op: query.In, Values: strings.Split(strings.Repeat("1,", n)+"1", ",")[:n]}
	}
	all := func(n int) query.And {
		terms := make(query.And, n)
		for i := range terms {
			terms[i] = eq("id", "1")
		}
		return terms
	}
	up := func(inside ...query.Item) *query.Embed {
		return &query.Embed{Name: "up", Alias: "e", Fields: append(query.Projection{&query.Field{Path: query.Column("id")}}, inside...), Page: query.Page{Limit: query.NoLimit}}
	}
	selected := func(items ...query.Item) *query.Select {
		q := selection("a", nil)
		q.Fields = items
		return q
	}
	named := func(name string) *query.Embed { e := up(); e.Alias = name; return e }
	columns := make(query.Projection, 1001)
	for i := range columns {
		columns[i] = &query.Field{Path: query.Column("id"), Alias: fmt.Sprint("c", i)}
	}
	orders := selection("a", nil)
	for range 100 {
		orders.Order = append(orders.Order, query.Order{Path: query.Column("id")})
	}
	nested := query.Condition(eq("id", "1"))
	for range 64 {
		nested = query.Not{Condition: nested}
	}
	for _, c := range []struct {
		what     string
		fits     *query.Select
		too      *query.Select
		tooLarge bool
	}{
		{"conditions", selection("a", all(3)), selection("a", all(4)), true},
		{"values", selection("a", in(5)), selection("a", in(6)), true},
		{"embeds", selected(named("x"), named("y")), selected(named("x"), named("y"), named("z")), true},
		{"levels of embeds", selected(up(up())), selected(up(up(up()))), true},
		{"columns", selected(columns[:1000]...), selected(columns...), true},
		{"orders", selection("a", nil), orders, true},
		{"levels of conditions", selection("a", nested.(query.Not).Condition), selection("a", nested), true},
	} {
		if _, err := ask[*Page](b, &List{Caller: service, Query: c.fits}); err != nil {
			t.Errorf("%s at the limit: %v", c.what, err)
		}
		refused(b, &List{Caller: service, Query: c.too}, fault.QueryTooLarge)
		refused(b, &Export{Caller: service, Query: c.too, Out: &strings.Builder{}}, fault.QueryTooLarge)
		refused(b, &Get{Caller: service, ID: "1", Query: c.too}, fault.QueryTooLarge)
		refused(b, &Call{Caller: service, Query: &query.Call{Fields: c.too.Fields, Where: c.too.Where, Order: c.too.Order}}, fault.QueryTooLarge)
		returning := query.Returning{Rows: true, Fields: c.too.Fields}
		refused(b, &Update{Caller: service, Query: &query.Update{Relation: from("a"), Body: body(b, `{"up":1}`), Where: c.too.Where, Order: c.too.Order, Returning: returning}}, fault.QueryTooLarge)
		refused(b, &UpdateOne{Caller: service, ID: "1", Query: &query.Update{Relation: from("a"), Body: body(b, `{"up":1}`), Where: c.too.Where, Order: c.too.Order, Returning: returning}}, fault.QueryTooLarge)
		refused(b, &Delete{Caller: service, Query: &query.Delete{From: from("a"), Where: c.too.Where, Order: c.too.Order, Returning: returning}}, fault.QueryTooLarge)
		refused(b, &DeleteOne{Caller: service, ID: "1", Query: &query.Delete{From: from("a"), Where: c.too.Where, Order: c.too.Order, Returning: returning}}, fault.QueryTooLarge)
	}
	refused(b, &Create{Caller: service, Query: &query.Insert{Into: from("a"), Body: body(b, `{"id":1}`), Returning: query.Returning{Rows: true, Fields: columns}}}, fault.QueryTooLarge)
	refused(b, &UpdateEach{Caller: service, Query: &query.UpdateEach{Relation: from("a"), Body: body(b, `[{"id":1,"up":1}]`), Where: all(4)}}, fault.QueryTooLarge)

	b.limited(func(l *Limits) { l.MaxConditions, l.MaxListValues, l.MaxEmbeds, l.MaxEmbedDepth = -1, -1, -1, -1 })
	for _, q := range []*query.Select{selection("a", all(1500)), selection("a", in(20000)), selected(up(up(up(up(up(up(up(up(up())))))))))} {
		if _, err := ask[*Page](b, &List{Caller: service, Query: q}); err != nil {
			t.Errorf("without limits: %v", err)
		}
	}
}

// A write that changes more rows than a caller may change at once changes none.
func TestWritesOfTooManyRows(t *testing.T) {
	b := setup(t, `CREATE TABLE a (id int PRIMARY KEY, v text)`)
	b.limited(func(l *Limits) { l.MaxAffectedRows = 3 })
	user, admin := b.User(ann), b.User(ann)
	admin.Role = caller.TenantAdmin
	none := query.Page{Limit: query.NoLimit}
	upTo := func(id string) query.Condition {
		return &query.Compare{Path: query.Column("id"), Op: query.LessOrEqual, Value: id}
	}
	update := func(c caller.Caller, id string, page query.Page, rows bool) *Update {
		return &Update{Caller: c, Query: &query.Update{Relation: from("a"), Body: body(b, `{"v":"new"}`), Where: upTo(id), Page: page, Returning: query.Returning{Rows: rows}}}
	}
	remove := func(c caller.Caller, id string, page query.Page, rows bool) *Delete {
		return &Delete{Caller: c, Query: &query.Delete{From: from("a"), Where: upTo(id), Page: page, Returning: query.Returning{Rows: rows}}}
	}
	keyed := func(m *Update) *Update {
		m.Key = &idempotency.Key{Scope: sha256.Sum256([]byte(m.Query.Where.(*query.Compare).Value)), Request: sha256.Sum256(nil)}
		return m
	}
	bound := func(m *Update, least, most int64) *Update {
		m.Terms = &Terms{Bound: &sql.Bound{Least: least, Most: most}}
		return m
	}
	several := func(ids ...string) *Delete {
		return &Delete{Caller: user, IDs: ids, Query: &query.Delete{From: from("a"), Page: none}}
	}
	for _, c := range []struct {
		name     string
		msg      any
		affected int64
		code     fault.Code
	}{
		{"as many as may be", update(user, "3", none, true), 3, ""},
		{"without rows", update(user, "3", none, false), 3, ""},
		{"more", update(user, "4", none, true), 0, fault.TooManyRows},
		{"more without rows", update(user, "4", none, false), 0, fault.TooManyRows},
		{"a page of them", update(user, "9", query.Page{Limit: 3}, true), 3, ""},
		{"a larger page", update(user, "9", query.Page{Limit: 4}, true), 0, fault.TooManyRows},
		{"with a key", keyed(update(user, "3", none, true)), 3, ""},
		{"more with a key", keyed(update(user, "4", none, true)), 0, fault.TooManyRows},
		{"more with a key again", keyed(update(user, "4", none, true)), 0, fault.TooManyRows},
		{"with a bound of the client's", bound(update(user, "3", none, true), 0, 3), 3, ""},
		{"beyond the client's bound", bound(update(user, "3", none, true), 0, 2), 0, fault.UnexpectedRows},
		{"within the client's, beyond ours", bound(update(user, "9", none, true), 0, 9), 0, fault.TooManyRows},
		{"as an administrator", update(admin, "9", none, true), 9, ""},
		{"as a service", update(b.Service(), "9", none, true), 9, ""},
		{"a deletion of more", remove(user, "4", none, true), 0, fault.TooManyRows},
		{"a deletion", remove(user, "3", none, false), 3, ""},
		{"a deletion by ids", several("1", "2", "3", "4"), 4, ""},
		{"a deletion by a service", remove(b.Service(), "9", none, false), 9, ""},
	} {
		b.Exec(`TRUNCATE a; INSERT INTO a SELECT g, 'old' FROM generate_series(1, 9) g`)
		w, err := ask[*Written](b, c.msg)
		if fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
			continue
		}
		if err == nil && w.Affected != c.affected {
			t.Errorf("%s: %d rows, want %d", c.name, w.Affected, c.affected)
		}
		var unchanged int64
		b.QueryRow(`SELECT count(*) FROM a WHERE v = 'old'`, &unchanged)
		if unchanged != 9-c.affected {
			t.Errorf("%s: %d rows are as before, want %d", c.name, unchanged, 9-c.affected)
		}
	}
}

func TestAnswersThatAreTooLarge(t *testing.T) {
	b := setup(t, `CREATE TABLE a (id int PRIMARY KEY, v text DEFAULT repeat('x', 1000)); INSERT INTO a SELECT generate_series(1, 100);
		CREATE FUNCTION texts(n int) RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT repeat(''x'', 1000) FROM generate_series(1, n)';
		GRANT EXECUTE ON FUNCTION texts TO service_role`)
	b.limited(func(l *Limits) { l.MaxAnswerBytes = 20_000 })
	service := b.Service()
	page := func(limit int64, count query.Count) *List {
		q := selection("a", nil)
		q.Page, q.Count = query.Page{Limit: limit}, count
		return &List{Caller: service, Query: q}
	}
	for _, count := range []query.Count{query.CountNone, query.CountExact, query.CountPlanned, query.CountEstimated} {
		if got := must[*Page](b, page(19, count)); got.Rows != 19 {
			t.Errorf("count %d: %d rows", count, got.Rows)
		}
		refused(b, page(20, count), fault.AnswerTooLarge)
	}
	records := page(20, query.CountNone)
	records.Terms = &Terms{Form: sql.Records}
	refused(b, records, fault.AnswerTooLarge)
	call := func(n string) *Call {
		return &Call{Caller: service, Query: &query.Call{Function: from("texts"), Texts: []query.Text{{Name: "n", Value: n}}, Page: query.Page{Limit: query.NoLimit}}}
	}
	must[*Called](b, call("19"))
	refused(b, call("20"), fault.AnswerTooLarge)
	var all strings.Builder
	if got := must[*Exported](b, &Export{Caller: service, Query: selection("a", nil), Format: JSON, Out: &all}); got.Rows != 100 || all.Len() < 100_000 {
		t.Errorf("an export is cut: %d rows", got.Rows)
	}
	// A write that is answered so has been done, and says so.
	_, err := ask[*Written](b, &Update{Caller: service, Query: &query.Update{Relation: from("a"), Body: body(b, `{"v":"`+strings.Repeat("y", 1000)+`"}`),
		Where: query.Not{Condition: eq("id", "0")}, Page: query.Page{Limit: query.NoLimit}, Returning: query.Returning{Rows: true}}})
	var changed int
	b.QueryRow(`SELECT count(*) FROM a WHERE v LIKE 'y%'`, &changed)
	if f := fault.From(err); f.Code != fault.AnswerTooLarge || !strings.Contains(f.Hint, "has taken effect") || changed != 100 {
		t.Errorf("%v, %d rows changed", err, changed)
	}
}

// counting counts what it lets through.
type counting struct {
	Database
	runs, reads int
}

func (c *counting) Run(ctx context.Context, who caller.Caller, s ...db.Statement) error {
	c.runs++
	return c.Database.Run(ctx, who, s...)
}

func (c *counting) RunRead(ctx context.Context, who caller.Caller, s ...db.Statement) error {
	c.reads++
	return c.Database.RunRead(ctx, who, s...)
}

func TestStatementsThatCostTooMuch(t *testing.T) {
	b := setup(t, `CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a SELECT g, g FROM generate_series(1, 20000) g; ANALYZE a;
		CREATE FUNCTION dear() RETURNS SETOF a LANGUAGE sql STABLE AS 'SELECT x.* FROM a x, a y ORDER BY x.v + y.v';
		GRANT EXECUTE ON FUNCTION dear TO authenticated`)
	limits := DefaultLimits
	limits.MaxCost = 100 // a scan of the table costs more than 300, the index 8
	counted := &counting{Database: b.DB}
	b.worker = NewWorker(counted, b.worker.catalog, limits)
	user := b.User(ann)
	by := func(column, value string) *List { return &List{Caller: user, Query: selection("a", eq(column, value))} }
	refusedUnrun := func(msg any) {
		t.Helper()
		counted.runs, counted.reads = 0, 0
		refused(b, msg, fault.StatementTooCostly)
		if counted.runs != 0 || counted.reads != 1 {
			t.Errorf("%T: %d reads and %d writes, want the estimate alone", msg, counted.reads, counted.runs)
		}
	}
	none := query.Page{Limit: query.NoLimit}
	refusedUnrun(by("v", "7"))
	refusedUnrun(&Export{Caller: user, Query: selection("a", eq("v", "7")), Out: &strings.Builder{}})
	refusedUnrun(&Call{Caller: user, Query: &query.Call{Function: from("dear"), Page: none}})
	refusedUnrun(&Update{Caller: user, Query: &query.Update{Relation: from("a"), Body: body(b, `{"v":0}`), Where: eq("v", "7"), Page: none}})
	refusedUnrun(&Delete{Caller: user, Query: &query.Delete{From: from("a"), Where: eq("v", "7"), Page: none}})
	var left int
	if b.QueryRow(`SELECT count(*) FROM a WHERE v > 0`, &left); left != 20000 {
		t.Errorf("%d rows are left as they were", left)
	}

	// What is cheap runs, and is not judged again with the same values.
	for _, c := range []struct {
		msg   any
		reads int
	}{{by("id", "7"), 2}, {by("id", "7"), 1}, {by("id", "8"), 2}, {&List{Caller: b.User(bob), Query: selection("a", eq("id", "7"))}, 2},
		{&Get{Caller: user, ID: "7", Query: selection("a", nil)}, 2}} {
		counted.reads = 0
		if _, err := ask[any](b, c.msg); err != nil || counted.reads != c.reads {
			t.Errorf("%+v: %v, %d reads, want %d", c.msg, err, counted.reads, c.reads)
		}
	}
	// A cheap value does not let a dear one in.
	above := func(value string) *List {
		q := selection("a", &query.Compare{Path: query.Column("id"), Op: query.Greater, Value: value})
		q.Order = []query.Order{{Path: query.Column("v")}}
		return &List{Caller: user, Query: q}
	}
	must[*Page](b, above("19990"))
	refused(b, above("1"), fault.StatementTooCostly)
	// Those who look after the data are not judged, nor is anybody for whom the
	// database has another refusal.
	must[*Page](b, &List{Caller: b.Service(), Query: selection("a", eq("v", "7"))})
	refused(b, by("id", "x"), fault.InvalidInput)
}

func TestJudgmentsAreForgotten(t *testing.T) {
	t.Parallel()
	j := NewJudge(nil, 1)
	now := time.Unix(1e9, 0)
	key := func(i int) [sha256.Size]byte { return sha256.Sum256(fmt.Append(nil, i)) }
	j.remember(key(0), now)
	if !j.known(key(0), now.Add(cheapFor-1)) || j.known(key(0), now.Add(cheapFor)) || j.known(key(1), now) {
		t.Error("a judgment holds for another time than a minute, or for another statement")
	}
	for i := range 3 * cheapStatements {
		j.remember(key(i), now)
	}
	if len(j.cheap) > cheapStatements {
		t.Errorf("%d judgments are kept", len(j.cheap))
	}
}
