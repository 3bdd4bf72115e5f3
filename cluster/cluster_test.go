package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/lease"
)

func TestThreeNodesSeeEachOtherAndAgreeOnHomes(t *testing.T) {
	_, nodes := three(t)
	for _, n := range nodes {
		if !slices.Equal(n.Nodes(), nodes[0].Nodes()) || !slices.Contains(n.Nodes(), n.Self()) {
			t.Errorf("%s sees %v", n.Self(), n.Nodes())
		}
	}
	shares := map[kernel.NodeID]int{}
	for i := range 3000 {
		key := fmt.Sprint(i)
		owner := nodes[0].Home("room", key)
		shares[owner]++
		if nodes[1].Home("room", key) != owner || nodes[2].Home("room", key) != owner {
			t.Fatalf("nodes disagree on %s", key)
		}
	}
	for id, n := range shares {
		if n < 800 || n > 1200 {
			t.Errorf("%s has %d of 3000 homes", id, n)
		}
	}
}

func TestTellsArriveInOrder(t *testing.T) {
	_, nodes := three(t)
	const count = 20_000
	for i := range count {
		for {
			err := nodes[0].Tell(nodes[1].Self(), "notes", note(fmt.Sprint(i)))
			if err == nil {
				break
			}
			if fault.CodeOf(err) != fault.Overloaded {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
	}
	for i := range count {
		select {
		case m := <-nodes[1].got:
			if m.Msg != note(fmt.Sprint(i)) || m.From != nodes[0].Self() {
				t.Fatalf("message %d is %+v", i, m)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("message %d never came", i)
		}
	}
	eventually(t, "all is acknowledged", func() bool { return nodes[0].Stats().Waiting == 0 })
	if err := nodes[0].Tell(nodes[0].Self(), "notes", note("self")); err != nil {
		t.Error(err)
	}
	if m := <-nodes[0].got; m.Msg != note("self") {
		t.Errorf("got %+v", m)
	}
}

func TestMessagesLargerThanTheDefaultLimitArrive(t *testing.T) {
	_, nodes := three(t)
	big := note(strings.Repeat("x", 5<<20))
	for range 3 {
		if err := nodes[0].Tell(nodes[1].Self(), "notes", big); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		select {
		case m := <-nodes[1].got:
			if m.Msg != big {
				t.Error("a large message is not what was sent")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a large message did not come")
		}
	}
	if err := nodes[0].Tell(nodes[1].Self(), "notes", note(strings.Repeat("x", maxMessage+1))); fault.CodeOf(err) != fault.PayloadTooLarge {
		t.Errorf("too large a message: %v", err)
	}
}

func TestMessagesThatNobodyUnderstandsAreCountedAndTheLinkGoesOn(t *testing.T) {
	_, nodes := three(t)
	a, b := nodes[0], nodes[1]
	tell := func(service string, w kernel.Wire) {
		t.Helper()
		if err := a.Tell(b.Self(), service, w); err != nil {
			t.Fatal(err)
		}
	}
	tell("notes", riddle{})
	tell("no such service", note("x"))
	tell("notes", trap{})
	l, err := a.links.to(b.Self())
	if err != nil {
		t.Fatal(err)
	}
	a.remote.send(l.to, []byte{1, 0xff, 0xff})
	a.remote.send(l.to, nil)
	a.remote.send(l.to, append([]byte{99}, make([]byte, 8)...))
	tell("notes", note("after"))
	if m := <-b.got; m.Msg != note("after") {
		t.Errorf("got %+v", m)
	}
	st := b.Stats()
	if st.Unknown != 3 || st.Undecodable != 3 || st.Lost != 0 {
		t.Errorf("unknown %d, undecodable %d, lost %d", st.Unknown, st.Undecodable, st.Lost)
	}
	if _, err := a.AskHome(within(t, 2*time.Second), "counter", keyOf(t, b), riddle{}); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("asking a riddle: %v", err)
	}
}

func TestHomeIsAskedFromEverywhere(t *testing.T) {
	_, nodes := three(t)
	var all sync.WaitGroup
	var highest sync.Map
	for _, n := range nodes {
		for i := range 30 {
			all.Go(func() {
				key := fmt.Sprint("room", i)
				_, epoch, _, err := n.count(within(t, 10*time.Second), key)
				if err != nil {
					t.Error(err)
				}
				if before, loaded := highest.LoadOrStore(key, epoch); loaded && before != epoch {
					t.Errorf("%s has epochs %d and %d", key, before, epoch)
				}
			})
		}
	}
	all.Wait()
	homes := 0
	for _, n := range nodes {
		homes += n.Stats().Homes
	}
	if homes != 30 {
		t.Errorf("%d homes live, want 30", homes)
	}
	far := keyOf(t, nodes[2])
	if _, err := nodes[0].AskHome(within(t, 5*time.Second), "counter", far, note("fail")); fault.CodeOf(err) != fault.InternalError {
		t.Errorf("a home that fails: %v", err)
	}
	if _, err := nodes[0].AskHome(within(t, 5*time.Second), "no such kind", far, note("x")); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("an unknown kind: %v", err)
	}
}

func TestEpochRisesWithEachActivation(t *testing.T) {
	_, nodes := three(t)
	key := keyOf(t, nodes[1])
	var last uint64
	for range 10 {
		_, epoch, count, err := nodes[0].count(within(t, 5*time.Second), key)
		if err != nil || epoch <= last || count != 1 {
			t.Fatalf("epoch %d after %d, count %d, %v", epoch, last, count, err)
		}
		last = epoch
		if _, err := nodes[2].AskHome(within(t, 5*time.Second), "counter", key, note("leave")); err != nil {
			t.Fatal(err)
		}
	}
}

// An answer of an older incarnation must not come after one of a newer: under
// joins, leaves and kills, epochs that one asker is answered with never fall.
func TestEpochsNeverFallWhileMembersComeAndGo(t *testing.T) {
	d, nodes := three(t)
	const keys = 20
	var stop atomic.Bool
	var askers sync.WaitGroup
	var answers, failures atomic.Int64
	for _, n := range nodes[:2] {
		for k := range keys {
			askers.Go(func() {
				var lastEpoch uint64
				var lastCount int
				for !stop.Load() {
					_, epoch, count, err := n.count(within(t, 15*time.Second), fmt.Sprint("room", k))
					if err != nil {
						failures.Add(1)
						t.Errorf("room%d: %v", k, err)
						return
					}
					answers.Add(1)
					if epoch < lastEpoch || epoch == lastEpoch && count <= lastCount {
						t.Errorf("room%d: epoch %d count %d after epoch %d count %d", k, epoch, count, lastEpoch, lastCount)
						return
					}
					lastEpoch, lastCount = epoch, count
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
	for i := range 3 {
		fresh := enter(t, d, fmt.Sprint("fresh", i))
		time.Sleep(500 * time.Millisecond)
		if i == 1 {
			// A node that dies takes nothing along but its lease.
			kill(fresh)
			time.Sleep(2500 * time.Millisecond)
			continue
		}
		if err := fresh.Leave(within(t, 10*time.Second)); err != nil {
			t.Error(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	if err := nodes[2].Leave(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	time.Sleep(500 * time.Millisecond)
	stop.Store(true)
	askers.Wait()
	t.Logf("%d answers", answers.Load())
}

// kill stops a node without giving anything back: it renews no more, and its links
// are cut.
func kill(n *testNode) {
	n.members.over.Store(true)
	close(n.members.quit)
	n.members.running.Wait()
	n.members.quit = make(chan struct{})
	n.links.mu.RLock()
	var ids []kernel.NodeID
	for id := range n.links.byID {
		ids = append(ids, id)
	}
	n.links.mu.RUnlock()
	for _, id := range ids {
		n.links.close(id)
	}
	n.remote.remote.Shutdown(false)
}

func TestDeadNodesHomesAreTakenOverWhenItsLeaseRanOut(t *testing.T) {
	_, nodes := three(t)
	key := keyOf(t, nodes[2])
	_, epoch, _, err := nodes[0].count(within(t, 5*time.Second), key)
	if err != nil {
		t.Fatal(err)
	}
	kill(nodes[2])
	began := time.Now()
	node, later, _, err := nodes[0].count(within(t, 10*time.Second), key)
	if err != nil || node == "n3" || later <= epoch {
		t.Errorf("%s answered with epoch %d after %d, %v", node, later, epoch, err)
	}
	took := time.Since(began)
	t.Logf("taken over after %v", took)
	if took > 4*time.Second {
		t.Errorf("taken over after %v", took)
	}
	for _, n := range nodes[:2] {
		eventually(t, "two members", n.sees(2))
	}
}

func TestNodeThatCannotRenewIsFencedBeforeOthersTakeOver(t *testing.T) {
	d, nodes := three(t)
	key := keyOf(t, nodes[2])
	if _, _, _, err := nodes[0].count(within(t, 5*time.Second), key); err != nil {
		t.Fatal(err)
	}
	// Its row cannot be written, as if the way to the database hung.
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Exec(`BEGIN; SELECT FROM platform.cluster_nodes WHERE id = '` + string(nodes[2].Self()) + `' FOR UPDATE; SELECT pg_sleep(4); COMMIT`)
	}()
	var fencedAt, goneAt time.Time
	var both sync.WaitGroup
	both.Go(func() {
		select {
		case e := <-nodes[2].fenced:
			fencedAt = time.Now()
			if e.ExitCode() != ExitFenced {
				t.Errorf("exit code %d", e.ExitCode())
			}
		case <-time.After(10 * time.Second):
			t.Error("never fenced")
		}
	})
	both.Go(func() {
		eventually(t, "others see it gone", nodes[0].sees(2))
		goneAt = time.Now()
	})
	both.Wait()
	if !fencedAt.Before(goneAt) {
		t.Errorf("fenced at %v, gone at %v", fencedAt, goneAt)
	}
	t.Logf("fenced %v before it was gone", goneAt.Sub(fencedAt))
	if _, err := nodes[2].AskHome(within(t, time.Second), "counter", key, note("count")); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("a fenced node still asks: %v", err)
	}
	if err := nodes[2].Tell(nodes[0].Self(), "notes", note("x")); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("a fenced node still tells: %v", err)
	}
	<-done
	// It comes back as somebody else.
	again := enter(t, d, "n3 again")
	eventually(t, "three members", nodes[0].sees(3))
	if again.Self() == nodes[2].Self() || again.remote.address == nodes[2].remote.address {
		t.Error("the new run has the id or the address of the old one")
	}
}

func TestNodeWhoseLeaseWasTakenAwayIsFenced(t *testing.T) {
	d, nodes := three(t)
	d.Exec(`DELETE FROM platform.cluster_nodes WHERE id = $1`, string(nodes[1].Self()))
	select {
	case <-nodes[1].fenced:
	case <-time.After(5 * time.Second):
		t.Error("never fenced")
	}
	eventually(t, "two members", nodes[0].sees(2))
}

func TestLeavingNodeGivesEverythingBackAtOnce(t *testing.T) {
	d, nodes := three(t)
	key := keyOf(t, nodes[2])
	if _, _, _, err := nodes[0].count(within(t, 5*time.Second), key); err != nil {
		t.Fatal(err)
	}
	if err := nodes[2].Leave(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	var rows int
	d.QueryRow(`SELECT (SELECT count(*) FROM platform.cluster_nodes WHERE id = $1) + (SELECT count(*) FROM platform.cluster_homes WHERE node = $1)`, &rows, string(nodes[2].Self()))
	if rows != 0 {
		t.Errorf("%d rows are left", rows)
	}
	nodes[0].Refresh()
	if _, _, _, err := nodes[0].count(within(t, 2*time.Second), key); err != nil {
		t.Error(err)
	}
	if len(nodes[2].fenced) > 0 {
		t.Error("a node that left was fenced")
	}
}

func TestWrongSecretIsNamedAndKeepsTheNodeOut(t *testing.T) {
	d := dbtest.New(t)
	enter(t, d, "first")
	_, err := Open(within(t, 10*time.Second), quick(Options{
		System: newSystem(t), Store: lease.NewStore(d.DB), Key: dbtest.Key, Logger: testLogger(t),
		Secrets: map[string][]byte{"auth.jwt_secret": []byte("another one")},
	}))
	var different *lease.DifferentError
	if !errors.As(err, &different) || !strings.Contains(err.Error(), "auth.jwt_secret") {
		t.Errorf("got %v", err)
	}
}

func TestBrokenLinkIsMadeAgainAndLossesAreCounted(t *testing.T) {
	_, nodes := three(t)
	a, b := nodes[0], nodes[1]
	send := func() error { return a.Tell(b.Self(), "notes", note("x")) }
	if err := send(); err != nil {
		t.Fatal(err)
	}
	<-b.got
	for range 5 {
		a.remote.cut(b.remote.address)
		// What is sent now may be lost, but a link is there again soon.
		eventually(t, "a message arrives again", func() bool {
			if err := send(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-b.got:
				return true
			case <-time.After(50 * time.Millisecond):
				return false
			}
		})
	}
	if st := a.Stats(); st.BrokenLinks < 5 {
		t.Errorf("%d broken links counted", st.BrokenLinks)
	}
	// Nothing that was sent is left uncounted: it arrived or was lost.
	eventually(t, "sent is received or lost", func() bool {
		b.inbound.mu.Lock()
		defer b.inbound.mu.Unlock()
		a.links.mu.RLock()
		defer a.links.mu.RUnlock()
		return b.inbound.from[a.Self()].sequence == a.links.byID[b.Self()].sequence
	})
	t.Logf("%d lost", b.Stats().Lost)
}

func TestWhatWaitsForAPeerIsBounded(t *testing.T) {
	_, nodes := three(t)
	a, b := nodes[0], nodes[1]
	// b acknowledges nothing.
	b.inbound.mu.Lock()
	big := note(strings.Repeat("x", 1<<20))
	var refused error
	for range 20 {
		if refused = a.Tell(b.Self(), "notes", big); refused != nil {
			break
		}
	}
	b.inbound.mu.Unlock()
	if fault.CodeOf(refused) != fault.Overloaded {
		t.Errorf("20 MB for a peer that takes nothing: %v", refused)
	}
	eventually(t, "there is room again", func() bool { return a.Tell(b.Self(), "notes", note("x")) == nil })
}

func TestNothingIsSentToStrangers(t *testing.T) {
	_, nodes := three(t)
	if err := nodes[0].Tell("nobody", "notes", note("x")); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestWatchersAreToldOfChanges(t *testing.T) {
	d, nodes := three(t)
	changes := make(chan int, 10)
	cancel := nodes[0].Watch(func(nodes []kernel.NodeID) { changes <- len(nodes) })
	fourth := enter(t, d, "n4")
	if n := <-changes; n != 4 {
		t.Errorf("%d members", n)
	}
	if err := fourth.Leave(within(t, 5*time.Second)); err != nil {
		t.Error(err)
	}
	if n := <-changes; n != 3 {
		t.Errorf("%d members", n)
	}
	cancel()
	cancel()
}

func TestAddresses(t *testing.T) {
	for _, tc := range []struct {
		listen, advertise, host, advertised string
		port                                int
		fails                               bool
	}{
		{listen: "127.0.0.1:0", host: "127.0.0.1"},
		{listen: "[::1]:7000", host: "[::1]", port: 7000},
		{listen: "0.0.0.0:7000", fails: true},
		{listen: ":7000", fails: true},
		{listen: "0.0.0.0:7000", advertise: "10.0.0.1", host: "0.0.0.0", port: 7000, advertised: "10.0.0.1:7000"},
		{listen: "0.0.0.0:7000", advertise: "node.example:9", host: "0.0.0.0", port: 7000, advertised: "node.example:9"},
		{listen: "nonsense", fails: true},
	} {
		host, port, advertised, err := addresses(tc.listen, tc.advertise)
		if tc.fails != (err != nil) || host != tc.host || port != tc.port && !tc.fails || advertised != tc.advertised {
			t.Errorf("%s, %s: got %s, %d, %s, %v", tc.listen, tc.advertise, host, port, advertised, err)
		}
	}
	host, port, advertised, err := addresses("127.0.0.1:0", "node.example:0")
	if err != nil || host != "127.0.0.1" || port == 0 || advertised != fmt.Sprintf("node.example:%d", port) {
		t.Errorf("got %s, %d, %s, %v", host, port, advertised, err)
	}
}

func TestNodeThatNeverJoinedLeaves(t *testing.T) {
	d := dbtest.New(t)
	c, err := Open(within(t, 10*time.Second), quick(Options{
		System: newSystem(t), Store: lease.NewStore(d.DB), Key: dbtest.Key, Logger: testLogger(t),
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AskHome(within(t, 100*time.Millisecond), "counter", "x", note("count")); fault.CodeOf(err) != fault.Timeout {
		t.Errorf("asking before joining: %v", err)
	}
	if err := c.Tell("somebody", "notes", note("x")); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("telling before joining: %v", err)
	}
	if c.Stats().Fenced {
		t.Error("a node that has not joined is not fenced")
	}
	if err := c.Leave(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
}

func TestNodeInDoubtDoesNothingUntilItsLeaseWasRenewed(t *testing.T) {
	_, nodes := three(t)
	key := keyOf(t, nodes[1])
	nodes[0].members.doubtful.Store(true)
	if err := nodes[0].Tell(nodes[1].Self(), "notes", note("x")); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("a node in doubt tells: %v", err)
	}
	if _, _, _, err := nodes[0].count(within(t, 5*time.Second), key); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	if nodes[0].Stats().Fenced {
		t.Error("doubt is no fence")
	}
}
