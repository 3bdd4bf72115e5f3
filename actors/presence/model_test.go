package presence

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// modelSteps is the number of joins, leaves and accidents of TestModel.
const modelSteps = 1_000_000

// reference is the simplest room there is.
type reference map[identity]*expected

type expected struct {
	node, user, state string
	until             time.Time // not zero: it lingers
}

// candidates are the states that a new one of this user and key takes the place of:
// the equal ones, or else all that linger.
func (r reference) candidates(user, key, state string) (all []identity) {
	equal := false
	for id, e := range r {
		if e.until.IsZero() || e.user != user || id.key != key {
			continue
		}
		if (e.state == state) != equal && equal {
			continue
		}
		if e.state == state && !equal {
			equal, all = true, nil
		}
		all = append(all, id)
	}
	return all
}

// others tells whether another connection of the user shows a state under the key.
func (r reference) others(id identity, user string) bool {
	for other, e := range r {
		if other.key == id.key && other.conn != id.conn && e.user == user && e.until.IsZero() {
			return true
		}
	}
	return false
}

// oldest are the states that have lingered longest.
func (r reference) oldest() (all []identity) {
	var first time.Time
	for id, e := range r {
		switch {
		case e.until.IsZero() || !first.IsZero() && e.until.After(first):
		case first.IsZero() || e.until.Before(first):
			first, all = e.until, []identity{id}
		default:
			all = append(all, id)
		}
	}
	return all
}

// world is a home, nodes with connections, and the reference that they must equal.
type world struct {
	t      *testing.T
	random *rand.Rand
	now    time.Time
	serial int
	refs   []kernel.Ref // of connections; idle ones are reused
	home   *room
	limits Limits
	nodes  []*simulated
	want   reference
}

// simulated is a node: what its local actor keeps, without the actor.
type simulated struct {
	name     string
	holdings *holdings
	copy     replica
	clients  []client
	told     map[string]delivery.Meta // what watchers know, by ref
	merged   time.Time                // when the grace after a move is over
}

type client struct {
	ref      kernel.Ref
	id, user string
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("step %d: %s", w.serial, fmt.Sprintf(format, args...))
}

// told checks what steps mean to a node's watchers, and returns the number of
// joins and leaves.
func (w *world) told(n *simulated, steps []Change) (joined, left int) {
	joins, leaves := difference(steps)
	gone := map[string]bool{}
	for _, m := range leaves {
		if n.told[m.Ref].Ref == "" {
			w.fail("%s is told that %s leaves, of whom it never heard", n.name, m.Ref)
		}
		delete(n.told, m.Ref)
		gone[m.Ref] = true
	}
	for _, m := range joins {
		if n.told[m.Ref].Ref != "" || m.PrevRef != "" && !gone[m.PrevRef] {
			w.fail("%s is told that %s joins for %q", n.name, m.Ref, m.PrevRef)
		}
		n.told[m.Ref] = m
	}
	return len(joins), len(leaves)
}

// spread brings the home's steps to the nodes; now and then one does not arrive.
// It returns what watchers were told who missed nothing.
func (w *world) spread(steps []Change) (joined, left int) {
	if len(steps) == 0 {
		return 0, 0
	}
	w.home.seq++
	msg := &changed{Epoch: w.home.epoch, Seq: w.home.seq, Steps: steps}
	for _, n := range w.nodes {
		if w.random.IntN(500) == 0 {
			continue
		}
		was := n.copy.seq
		made, behind := n.copy.take(msg)
		j, l := w.told(n, made)
		if behind {
			w.announce(n)
		} else if was+1 == msg.Seq && n.merged.IsZero() {
			joined, left = j, l
		}
	}
	return joined, left
}

func (w *world) announce(n *simulated) {
	question := &announce{Metas: n.holdings.taken.sorted(), Epoch: n.copy.epoch, Lingering: n.copy.lingering()}
	steps := w.home.announce(w.now, n.name, question)
	w.home.nodes[n.name] = w.now
	moved := n.copy.known && n.copy.epoch < w.home.epoch
	w.spread(steps)
	w.told(n, n.copy.reset(&state{Epoch: w.home.epoch, Seq: w.home.seq, Metas: w.home.roster.sorted()}))
	if moved {
		n.merged = w.now.Add(grace)
	}
}

func (w *world) ask(n *simulated, steps ...Change) (answer *applied, made []Change) {
	answer, made = w.home.apply(w.now, n.name, steps)
	if w.random.IntN(20) == 0 {
		// The answer was lost, and the question asked again.
		var again []Change
		answer, again = w.home.apply(w.now, n.name, steps)
		if len(again) > 0 {
			w.fail("%+v changed the room twice", steps)
		}
	}
	for i, s := range steps {
		n.holdings.settle(s, answer.Refs[i])
	}
	return answer, made
}

func (w *world) track() {
	n := w.nodes[w.random.IntN(len(w.nodes))]
	if len(n.clients) < 4 && w.random.IntN(3) == 0 || len(n.clients) == 0 {
		ref := w.refs[len(w.refs)-1]
		w.refs = w.refs[:len(w.refs)-1]
		n.clients = append(n.clients, client{ref: ref, id: fmt.Sprint(w.serial), user: fmt.Sprint("u", w.random.IntN(4))})
	}
	c := n.clients[w.random.IntN(len(n.clients))]
	id := identity{c.id, fmt.Sprint("k", w.random.IntN(3))}
	state := fmt.Sprint(w.random.IntN(3))
	step := n.holdings.track(Track{Owner: c.ref, Conn: c.id, User: c.user, Key: id.key, State: []byte(state)}, n.name, fmt.Sprint("r", w.serial))
	answer, made := w.ask(n, step)

	joined, left := 1, 0
	before, candidates := w.want[id], w.want.candidates(c.user, id.key, state)
	full := len(w.want) >= w.limits.PerRoom
	switch {
	case before != nil:
		joined, left = 1, 1
		if before.state == state {
			joined, left = 0, 0
		}
	case len(candidates) > 0:
		if len(made) != 1 || made[0].Old == nil || !slices.Contains(candidates, made[0].Old.identity()) {
			w.fail("%+v came back to %+v, want one of %v", id, made, candidates)
		}
		joined, left = 1, 1
		if w.want[candidates[0]].state == state {
			joined, left = 0, 0
		}
		delete(w.want, made[0].Old.identity())
	case full && len(w.want.oldest()) > 0:
		if len(made) != 2 || !slices.Contains(w.want.oldest(), made[0].Old.identity()) {
			w.fail("%+v made room by %+v", id, made)
		}
		joined, left = 1, 1
		delete(w.want, made[0].Old.identity())
	case full:
		if answer.Codes[0] == "" {
			w.fail("a full room took %+v", id)
		}
		return
	}
	if answer.Codes[0] != "" {
		w.fail("refused %+v", id)
	}
	w.want[id] = &expected{node: n.name, user: c.user, state: state}
	j, l := w.spread(made)
	if (j != joined || l != left) && j+l > 0 {
		w.fail("told %d joins and %d leaves, want %d and %d", j, l, joined, left)
	}
}

func (w *world) untrack() {
	n := w.nodes[w.random.IntN(len(w.nodes))]
	if len(n.clients) == 0 {
		return
	}
	c := n.clients[w.random.IntN(len(n.clients))]
	id := identity{c.id, fmt.Sprint("k", w.random.IntN(3))}
	if step, ours := n.holdings.untrack(c.ref, id.key); ours {
		_, made := w.ask(n, step)
		w.spread(made)
	}
	delete(w.want, id)
}

// steal tries to end another node's states.
func (w *world) steal() {
	for id := range w.want {
		if _, made := w.home.apply(w.now, "elsewhere", []Change{{Old: &Meta{Conn: id.conn, Key: id.key}}}); len(made) > 0 {
			w.fail("elsewhere took %+v away", id)
		}
		return
	}
}

func (w *world) disconnect(cut bool) {
	n := w.nodes[w.random.IntN(len(w.nodes))]
	if len(n.clients) == 0 {
		return
	}
	i := w.random.IntN(len(n.clients))
	c := n.clients[i]
	n.clients = slices.Delete(n.clients, i, i+1)
	w.refs = append(w.refs, c.ref)
	_, made := w.ask(n, n.holdings.leave(c.ref, cut)...)
	returned := 0
	for id, e := range w.want {
		switch {
		case id.conn != c.id:
		case cut && w.home.roster.all[id] == nil && w.want.others(id, e.user):
			returned++
			delete(w.want, id)
		case cut:
			e.until, e.node = w.now.Add(w.limits.Grace), ""
		default:
			delete(w.want, id)
		}
	}
	if j, l := w.spread(made); cut && j+l > 0 && (j > 0 || l != returned) {
		w.fail("told %d joins and %d leaves of a connection that was cut just now", j, l)
	}
}

// wait lets time pass, and does what is due.
func (w *world) wait() {
	w.now = w.now.Add(time.Duration(w.random.IntN(3000)) * time.Millisecond)
	maps.DeleteFunc(w.want, func(_ identity, e *expected) bool { return !e.until.IsZero() && !e.until.After(w.now) })
	w.spread(w.home.expire(w.now))
	for _, n := range w.nodes {
		if !n.merged.IsZero() && !n.merged.After(w.now) {
			n.copy.merging, n.merged = false, time.Time{}
			w.announce(n)
		}
		if n.copy.epoch != w.home.epoch || n.copy.seq != w.home.seq || n.holdings.taken.len() != w.home.count(n.name) {
			w.announce(n) // as when the lease is renewed
		}
	}
}

// crash takes a node away, and another one joins.
func (w *world) crash() {
	i := w.random.IntN(len(w.nodes))
	dead := w.nodes[i]
	w.nodes = slices.Delete(w.nodes, i, i+1)
	for _, c := range dead.clients {
		w.refs = append(w.refs, c.ref)
	}
	maps.DeleteFunc(w.want, func(_ identity, e *expected) bool { return e.node == dead.name })
	w.spread(w.home.drop(func(n string) bool { return n != dead.name }))
	w.join()
}

func (w *world) join() {
	n := &simulated{name: fmt.Sprint("n", w.serial), holdings: newHoldings(), copy: replica{roster: newRoster()}, told: map[string]delivery.Meta{}}
	w.nodes = append(w.nodes, n)
	w.announce(n)
}

// move makes a new home that knows nothing. What is theirs the nodes tell it.
func (w *world) move() {
	for _, n := range w.nodes {
		if n.copy.seq != w.home.seq || n.copy.epoch != w.home.epoch {
			w.announce(n) // or what lingers could be known to nobody
		}
	}
	w.home = newRoom(w.home.epoch+1, w.now, w.limits)
	w.random.Shuffle(len(w.nodes), func(i, j int) { w.nodes[i], w.nodes[j] = w.nodes[j], w.nodes[i] })
	for _, n := range w.nodes {
		before, settled := len(n.told), n.merged.IsZero()
		w.announce(n)
		if settled && len(n.told) != before {
			w.fail("a move was seen")
		}
	}
	for _, e := range w.want {
		if !e.until.IsZero() {
			e.until = w.now.Add(w.limits.Grace)
		}
	}
}

// check compares the home with the reference.
func (w *world) check() {
	if len(w.home.roster.all) != len(w.want) {
		w.fail("%d states, want %d\n%s", len(w.home.roster.all), len(w.want), w)
	}
	for id, e := range w.want {
		if m := w.home.roster.all[id]; m == nil || string(m.State) != e.state || m.Node != e.node {
			w.fail("%+v is %+v, want %+v", id, m, e)
		}
	}
}

// checkNodes compares every node that missed nothing with the reference.
func (w *world) checkNodes() {
	for _, n := range w.nodes {
		if n.copy.seq != w.home.seq || n.copy.epoch != w.home.epoch || !n.merged.IsZero() {
			continue
		}
		listed := 0
		for key, list := range n.copy.roster.keys {
			for _, m := range list {
				if listed++; m.Key != key || n.copy.roster.all[m.identity()] != m || string(n.told[m.Ref].State) != string(m.State) {
					w.fail("%s lists %+v and told %+v", n.name, m, n.told[m.Ref])
				}
			}
		}
		if listed != len(w.want) || len(n.told) != listed {
			w.fail("%s has %d states and told %d, want %d", n.name, listed, len(n.told), len(w.want))
		}
	}
}

func (w *world) String() string {
	var b strings.Builder
	for id, e := range w.want {
		fmt.Fprintf(&b, "want %+v %+v\n", id, *e)
	}
	for id, m := range w.home.roster.all {
		fmt.Fprintf(&b, "has  %+v %+v\n", id, *m)
	}
	return b.String()
}

// TestModel: whatever connections, nodes and homes do, the room equals a plain map,
// and what the watchers of each node are told adds up to it. A client that comes
// back within the grace is not mentioned.
func TestModel(t *testing.T) {
	steps := modelSteps
	if raceEnabled {
		steps /= 20
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &world{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Now(), want: reference{},
		limits: Limits{PerRoom: 12, Grace: 5 * time.Second},
	}
	sys := kernel.NewSystem(kernel.SystemOptions{Name: "model"})
	for range 16 {
		ref, err := sys.Spawn(kernel.Props{New: func() kernel.Actor { return kernel.Func(func(*kernel.Context, any) {}) }})
		if err != nil {
			t.Fatal(err)
		}
		w.refs = append(w.refs, ref)
	}
	defer func() {
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	w.home = newRoom(1, w.now, w.limits)
	for range 3 {
		w.serial++
		w.join()
	}
	for ; w.serial < steps; w.serial++ {
		switch n := w.random.IntN(1000); {
		case n < 450:
			w.track()
		case n < 600:
			w.untrack()
		case n < 750:
			w.disconnect(true)
		case n < 850:
			w.disconnect(false)
		case n < 950:
			w.wait()
		case n < 980:
			w.steal()
		case n < 990:
			w.crash()
		default:
			w.move()
		}
		w.check()
		if w.serial%8 == 0 {
			w.checkNodes()
		}
	}
}
