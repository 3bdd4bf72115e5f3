package feed_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// hopper is a viewer whose connection ends again and again; it goes on from its
// cursor, on whatever node.
type hopper struct {
	*viewer
	filter query.Condition
	rows   bool // begins with rows
	nodes  []kernel.Ref
	random *rand.Rand
	hops   int
}

// connect subscribes anew: from the cursor, or with rows when there is none.
func (h *hopper) connect(c caller.Caller) {
	h.t.Helper()
	f := h.f
	h.client, h.taken = f.client(c), 0
	h.feed = h.nodes[h.random.IntN(len(h.nodes))]
	h.codec = lines{fmt.Sprint("lines", h.random.IntN(2))}
	m := feed.Subscribe{Table: "a", Filter: h.filter, Cursor: h.cursor}
	if h.rows {
		m.Snapshot = &delivery.SnapshotRequest{Order: []query.Order{{Path: query.Column("id")}}}
	}
	begun, err := h.ask(m)
	for ; fault.CodeOf(err) == fault.ServiceUnavailable; begun, err = h.ask(m) {
		time.Sleep(20 * time.Millisecond) // the database was away
	}
	if err != nil {
		h.t.Errorf("%s: %v", h.where, err)
		return
	}
	if h.cursor == "" && !h.rows {
		h.cursor = begun.Cursor
	}
}

// hop ends the connection behind some event of those that came.
func (h *hopper) hop() {
	h.t.Helper()
	events := h.seen()
	for _, e := range events[h.taken : h.taken+h.random.IntN(len(events)-h.taken+1)] {
		h.taste(e)
	}
	h.ref.Stop()
	h.hops++
	h.connect(h.caller)
}

// Writers of all kinds, and one transaction that is open all the time; clients that
// lose their connection in the middle of anything and go on from their cursors at
// another node, or begin with rows: each change fits what the client had before, and
// in the end it has what SELECT gives its user.
func TestClientsThatHopMissNothingAndSeeNothingTwice(t *testing.T) {
	t.Parallel()
	small := func(o *feed.Options) { o.Batch.Entries, o.PositionEvery = 50, 200*time.Millisecond }
	f := setup(t, small)
	nodes := []kernel.Ref{f.feed, f.node("second", small)}
	f.wildTable()
	f.Exec(`INSERT INTO a SELECT g, $1, 'red', g, NULL FROM generate_series(1, 20) g`, user(1))
	long := f.connect()
	if _, err := long.Exec(f.ctx, "BEGIN; SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	var hoppers []*hopper
	var viewers []*viewer
	for i, c := range f.wildCallers() {
		for k, filter := range wildFilters {
			h := &hopper{
				viewer: &viewer{client: f.client(c), where: filter.where, rows: map[string]string{}},
				filter: filter.condition, rows: true, nodes: nodes, random: rand.New(rand.NewPCG(uint64(i), uint64(k))),
			}
			h.connect(c)
			hoppers, viewers = append(hoppers, h), append(viewers, h.viewer)
		}
	}
	stop := f.wildWriters()
	end := time.Now().Add(6 * time.Second)
	var hopping sync.WaitGroup
	for i, h := range hoppers {
		hopping.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				time.Sleep(time.Duration(h.random.IntN(600)) * time.Millisecond)
				// Most go on without asking for rows once they have a cursor.
				h.rows = h.cursor == "" || i%4 == 0
				h.hop()
			}
		})
	}
	// The server's own connections are cut, whatever they are doing.
	hopping.Go(func() {
		for time.Now().Before(end) && !t.Failed() {
			time.Sleep(900 * time.Millisecond)
			f.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'fluxbase%'`)
		}
	})
	hopping.Wait()
	stop()
	if _, err := long.Exec(f.ctx, "INSERT INTO a VALUES (1000, NULL, 'red', 0, NULL); COMMIT"); err != nil {
		t.Fatal(err)
	}
	f.wildEnd(viewers)
	hops := 0
	for _, h := range hoppers {
		hops += h.hops
	}
	t.Logf("%d hops", hops)
}
