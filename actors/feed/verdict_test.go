package feed_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/query"
)

// Two tables get the same writes. The policies of one are decided in memory and by
// the index, those of the other by PostgreSQL: their followers are told the same,
// whatever was written, also of rows that are too large for the log, and while
// policies and followers change.
func TestBothWaysOfDecidingTellTheSame(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if err := f.log.Configure(f.ctx, 1000); err != nil {
		t.Fatal(err)
	}
	const inSQL = " AND length('x') = 1"
	each := func(sql string) string {
		return strings.ReplaceAll(strings.ReplaceAll(sql, "$T", "a"), "$P", "") + ";" + strings.ReplaceAll(strings.ReplaceAll(sql, "$T", "b"), "$P", inSQL)
	}
	f.Exec(each(`CREATE TABLE $T (id int PRIMARY KEY, owner uuid, org text, n int, ok bool, body text); ALTER TABLE $T ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON $T USING ((owner = auth.uid())$P); CREATE POLICY q ON $T AS RESTRICTIVE USING ((n IS NULL OR n >= 0)$P)`))
	f.enable("a")
	f.enable("b")
	with := func(who, org string) caller.Caller {
		c := f.User(who)
		c.Claims = json.RawMessage(fmt.Sprintf(`{"sub":"%s","role":"authenticated","org":"%s","teams":["%[2]s","green"]}`, who, org))
		return c
	}
	random := rand.New(rand.NewPCG(5, 5))
	filters := []query.Condition{nil, nil, compare("n", query.Greater, "3"), compare("org", query.Equal, "red"),
		&query.Compare{Path: query.Column("n"), Op: query.In, Values: []string{"1", "2"}}, query.Not{Condition: compare("org", query.Like, "r%")}}
	// A pair follows both tables alike.
	type pair struct{ a, b *client }
	var pairs []pair
	follow := func(c caller.Caller, event string, filters ...query.Condition) {
		p := pair{f.client(c), f.client(c)}
		for _, filter := range filters {
			p.a.subscribe("a", event, filter)
			p.b.subscribe("b", event, filter)
		}
		pairs = append(pairs, p)
	}
	follow(f.Service(), "*", nil)
	for i := range 12 {
		c := with([]string{user(1), user(2), user(3)}[i%3], []string{"red", "blue"}[i%2])
		follow(c, []string{"*", "*", "INSERT", "UPDATE", "DELETE"}[i%5], filters[i%len(filters)], filters[random.IntN(len(filters))])
	}
	told := func(c *client) (list []string) {
		for _, e := range c.seen() {
			list = append(list, fmt.Sprintf("%s for %d", e.brief(), len(e.IDs)))
		}
		// One change may be an update to one subscription and a leave to another.
		slices.Sort(list)
		return list
	}
	steps := 25
	if testing.Short() {
		steps = 12
	}
	writes := 0
	var a, b []string
	defer func() {
		if t.Failed() {
			t.Logf("in memory\n\t%s\nby PostgreSQL\n\t%s", strings.Join(a, "\n\t"), strings.Join(b, "\n\t"))
		}
	}()
	for step := range steps {
		id, n := 1+random.IntN(12), random.IntN(8)-1
		owner := []string{"NULL", "'" + user(1) + "'", "'" + user(2) + "'"}[random.IntN(3)]
		org := []string{"NULL", "'red'", "'blue'", "'green'"}[random.IntN(4)]
		sql := []string{
			fmt.Sprintf("INSERT INTO $T VALUES (%d, %s, %s, %d, %t) ON CONFLICT (id) DO UPDATE SET n = excluded.n", id, owner, org, n, step%2 == 0),
			fmt.Sprintf("UPDATE $T SET owner = %s, n = %d WHERE id BETWEEN %d AND %d", owner, n, id, id+4),
			fmt.Sprintf("UPDATE $T SET org = %s, ok = NOT ok WHERE id %% 3 = %d", org, id%3),
			fmt.Sprintf("DELETE FROM $T WHERE id BETWEEN %d AND %d", id, id+1),
			fmt.Sprintf("UPDATE $T SET body = repeat('w', 3000) WHERE id = %d", id),
			fmt.Sprintf("UPDATE $T SET body = NULL WHERE id BETWEEN %d AND %d", id, id+5),
			fmt.Sprintf("DELETE FROM $T WHERE id = %d; INSERT INTO $T VALUES (%[1]d, %s, %s, %d)", id, owner, org, n),
			"TRUNCATE $T",
		}[min(random.IntN(9), 7)]
		switch {
		case step%10 == 4:
			sql += "; ALTER POLICY p ON $T USING ((" + []string{
				"owner = auth.uid() OR org = auth.jwt() ->> 'org'", "(SELECT auth.jwt()) -> 'teams' ? org AND n > 1", "ok", "owner IS NULL OR org = ANY (ARRAY['red', 'green'])", "owner = auth.uid()",
			}[random.IntN(5)] + ")$P)"
		case step%10 == 7:
			i := 1 + random.IntN(len(pairs)-1)
			for _, c := range []*client{pairs[i].a, pairs[i].b} {
				if _, err := kernel.Ask[any](f.ctx, f.feed, feed.Unsubscribe{Subscriber: c.ref}); err != nil {
					t.Fatal(err)
				}
			}
			follow(with(user(1+random.IntN(3)), "red"), "*", filters[random.IntN(len(filters))])
		}
		f.Exec("BEGIN; " + each(sql) + "; INSERT INTO a (id) VALUES (999); INSERT INTO b (id) VALUES (999); DELETE FROM a WHERE id = 999; DELETE FROM b WHERE id = 999; COMMIT")
		writes++
		// The service is told of everything, last of the row 999.
		f.eventually("the step is delivered", func() bool {
			count := func(c *client) (n int) {
				for _, e := range c.seen() {
					if e.Change != nil && e.Change.Type == "DELETE" && strings.Contains(string(e.Change.OldRecord), `"id":999,`) {
						n++
					}
				}
				return n
			}
			return count(pairs[0].a) == writes && count(pairs[0].b) == writes
		})
		for i, p := range pairs {
			f.eventually(fmt.Sprintf("pair %d is told the same after %s", i, sql), func() bool {
				a, b = told(p.a), told(p.b)
				return slices.Equal(a, b)
			})
		}
	}
	total := 0
	for _, p := range pairs[1:] {
		total += len(p.a.seen())
	}
	if v := f.log.Verdicts(); total < steps || v.Memory == 0 || v.SQL == 0 || v.Looked == 0 {
		t.Errorf("%d messages, %+v", total, v)
	}
}
