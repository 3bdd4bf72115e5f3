package feed_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"fluxbase/actors/feed"
	"fluxbase/persistence/query"
)

// A client that begins with rows has what SELECT gives its user after each step,
// whatever the step was: writes to the table, to the tables that its policies read,
// rows that enter and leave the filter, other connections and other nodes.
func TestRowsAndChangesAreWhatSelectShowsAfterEachStep(t *testing.T) {
	t.Parallel()
	quick := func(o *feed.Options) { o.ViewEvery = 10 * time.Millisecond }
	f := setup(t, quick)
	second := f.node("second", quick)
	f.Exec(`CREATE TABLE team (id int PRIMARY KEY, open bool NOT NULL);
		CREATE TABLE member (team int, who uuid, PRIMARY KEY (team, who));
		GRANT SELECT ON team, member TO authenticated;
		CREATE VIEW joined AS SELECT team, who FROM member JOIN team ON team.id = member.team; GRANT SELECT ON joined TO authenticated;
		CREATE TABLE a (id int PRIMARY KEY, team int, owner uuid, n int NOT NULL); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON a USING (owner = auth.uid());
		CREATE POLICY open ON a USING (EXISTS (SELECT FROM team t WHERE t.id = a.team AND t.open));
		CREATE POLICY joined ON a USING (team IN (SELECT j.team FROM joined j WHERE j.who = auth.uid()));
		INSERT INTO team SELECT g, false FROM generate_series(1, 3) g;
		INSERT INTO a SELECT g, g % 4, NULL, g % 7 FROM generate_series(1, 20) g`)
	for _, table := range []string{"a", "team", "member"} {
		f.enable(table)
	}
	var hoppers []*hopper
	for who := range 3 {
		for k, filter := range []struct {
			condition query.Condition
			where     string
		}{{nil, "true"}, {compare("n", query.Greater, "3"), "n > 3"}} {
			c := f.User(user(who))
			h := &hopper{
				viewer: &viewer{client: f.client(c), where: filter.where, rows: map[string]string{}, loose: true},
				filter: filter.condition, rows: true, random: rand.New(rand.NewPCG(uint64(who), uint64(k))),
			}
			h.nodes = append(h.nodes, f.feed, second)
			h.connect(c)
			hoppers = append(hoppers, h)
		}
	}
	random := rand.New(rand.NewPCG(3, 3))
	steps := 60
	if testing.Short() {
		steps = 15
	}
	for range steps {
		id, team, who := 1+random.IntN(25), 1+random.IntN(3), user(random.IntN(3))
		sql := []string{
			fmt.Sprintf("INSERT INTO a VALUES (%d, %d, NULL, %d) ON CONFLICT (id) DO UPDATE SET n = excluded.n", id, team, random.IntN(7)),
			fmt.Sprintf("UPDATE a SET team = %d, n = n + 1 WHERE id BETWEEN %d AND %d", team, id, id+3),
			fmt.Sprintf("UPDATE a SET owner = '%s' WHERE id = %d", who, id),
			fmt.Sprintf("DELETE FROM a WHERE id = %d", id),
			fmt.Sprintf("UPDATE team SET open = NOT open WHERE id = %d", team),
			fmt.Sprintf("INSERT INTO member VALUES (%d, '%s') ON CONFLICT DO NOTHING", team, who),
			fmt.Sprintf("DELETE FROM member WHERE team = %d AND who = '%s'; UPDATE a SET n = n + 1 WHERE team = %[1]d", team, who),
			"TRUNCATE member",
		}[random.IntN(8)]
		f.Exec(sql)
		if random.IntN(3) == 0 {
			h := hoppers[random.IntN(len(hoppers))]
			h.rows = true
			h.hop()
		}
		for _, h := range hoppers {
			want := h.want()
			f.eventually(fmt.Sprintf("%s WHERE %s has after %s\n\t%v\nand not\n\t%v", h.caller.UserID, h.where, sql, want, h.viewer.rows), func() bool {
				h.replay()
				return t.Failed() || maps.Equal(h.viewer.rows, want)
			})
		}
	}
}
