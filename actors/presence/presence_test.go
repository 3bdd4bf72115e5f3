package presence

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/kernel/kerneltest"
	"fluxbase/persistence/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var lobby = Key{Tenant: "t", Channel: "lobby"}

// textCodec writes events as words, for tests to read.
type textCodec struct{ delivery.Codec }

func (textCodec) Dialect() string { return "text" }
func (textCodec) AppendPresence(dst []byte, p *delivery.Presence) ([]byte, int) {
	for _, m := range p.Joins {
		if m.PrevRef == "" {
			dst = fmt.Appendf(dst, "join:%s ", m.Key)
		}
	}
	for _, m := range p.Leaves {
		if !slices.ContainsFunc(p.Joins, func(j delivery.Meta) bool { return j.PrevRef == m.Ref }) {
			dst = fmt.Appendf(dst, "leave:%s ", m.Key)
		}
	}
	return append(append(dst, text(p.State())...), ' '), 1
}

// text is a room's state as {"key":[state,…],…}.
func text(state []delivery.KeyMetas) string {
	var keys []string
	for _, k := range state {
		var metas []string
		for _, m := range k.Metas {
			metas = append(metas, string(m.State))
		}
		keys = append(keys, fmt.Sprintf("%q:[%s]", k.Key, strings.Join(metas, ",")))
	}
	return "{" + strings.Join(keys, ",") + "}"
}

// person is a connection that may watch and track.
type person struct {
	t      *testing.T
	ref    kernel.Ref
	node   kernel.NodeID
	router kernel.Ref
	mu     sync.Mutex
	text   string
	told   []any
}

func enter(t *testing.T, n *kerneltest.Node, router kernel.Ref) *person {
	t.Helper()
	p := &person{t: t, node: n.Self(), router: router}
	var err error
	p.ref, err = n.System.Spawn(kernel.Props{
		New: func() kernel.Actor {
			return kernel.Func(func(_ *kernel.Context, msg any) {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.told = append(p.told, msg)
			})
		},
		Intercept: func(msg any) bool {
			f, ok := msg.(*delivery.Frame)
			if ok {
				p.mu.Lock()
				p.text += string(f.Bytes)
				p.mu.Unlock()
			}
			return ok
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *person) tell(msg any) {
	p.t.Helper()
	if err := p.router.Tell(msg); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) watch() {
	p.tell(Watch{Room: lobby, Subscriber: delivery.Subscriber{Ref: p.ref, Codec: textCodec{}}})
}

func (p *person) track(key, state string) {
	p.tell(Track{Room: lobby, Owner: p.ref, Conn: string(p.node) + p.ref.Name(), User: "u", Key: key, State: []byte(state)})
}

// sees waits until the last state that the person was sent is want.
func (p *person) sees(want string) {
	p.t.Helper()
	p.eventually("sees "+want, func() bool { return strings.HasSuffix(p.text, want+" ") })
}

func (p *person) eventually(what string, ok func() bool) {
	p.t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		fine, text := ok(), p.text
		p.mu.Unlock()
		if fine {
			return
		}
		if time.Since(start) > 10*time.Second {
			p.t.Fatalf("never: %s; has %q", what, text)
		}
	}
}

// tracked waits until the room took n states.
func (p *person) tracked(n int) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("tracks %d states", n), func() bool {
		taken := 0
		for _, m := range p.told {
			if t, ok := m.(Tracked); ok && t.Err == nil {
				taken++
			}
		}
		return taken == n
	})
}

func (p *person) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

func router(t *testing.T, n *kerneltest.Node, limits Limits) kernel.Ref {
	t.Helper()
	RegisterHome(n, n, limits)
	ref, err := n.System.Spawn(RouterProps(n, n))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestOneNode(t *testing.T) {
	n := kerneltest.New(t).Join("a")
	r := router(t, n, Limits{PerRoom: 2, Grace: time.Millisecond})
	ann, ben := enter(t, n, r), enter(t, n, r)
	ann.watch()
	ann.track("ann", "1")
	ann.sees(`{"ann":[1]}`)
	if got, want := ann.heard(), `{} join:ann {"ann":[1]} `; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	ben.watch()
	ben.sees(`{"ann":[1]}`)
	ben.track("ann", "2")
	ann.sees(`{"ann":[1,2]}`)
	ben.track("late", "3")
	ben.eventually("is refused", func() bool {
		for _, m := range ben.told {
			if tracked, ok := m.(Tracked); ok && tracked.Key == "late" && fault.CodeOf(tracked.Err) == fault.PresenceLimitReached {
				return true
			}
		}
		return false
	})
	// What a connection tracked goes with it, even if it says nothing.
	ben.ref.Stop()
	ann.sees(`{"ann":[1]}`)
	ann.tell(Untrack{Room: lobby, Owner: ann.ref, Key: "ann"})
	ann.sees(`{}`)
}

// TestThreeNodes: everybody sees the same, wherever they are; a node that dies
// takes its presences with it, and only its own; a room whose home dies goes on
// without a flicker.
func TestThreeNodes(t *testing.T) {
	c := kerneltest.New(t)
	people := map[kernel.NodeID]*person{}
	var order []kernel.NodeID
	var home kernel.NodeID
	for _, id := range []kernel.NodeID{"a", "b", "c"} {
		n := c.Join(id)
		home = n.Home(Kind, lobby.String())
		people[id] = enter(t, n, router(t, n, Limits{Grace: 100 * time.Millisecond}))
		order = append(order, id)
	}
	for _, id := range order {
		people[id].watch()
		people[id].track(string(id), "1")
	}
	for _, id := range order {
		people[id].sees(`{"a":[1],"b":[1],"c":[1]}`)
	}
	// A node that is not the home dies.
	var victim, other kernel.NodeID
	for _, id := range order {
		if id != home {
			victim, other = id, victim
			if other != "" {
				break
			}
		}
	}
	start := time.Now()
	c.Kill(victim)
	rest := strings.NewReplacer(fmt.Sprintf(`"%s":[1],`, victim), "", fmt.Sprintf(`,"%s":[1]`, victim), "").Replace(`{"a":[1],"b":[1],"c":[1]}`)
	people[home].sees(rest)
	people[other].sees(rest)
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the dead node's presences left after %v", took)
	}
	// The home dies: its own presence leaves, the survivor's never does.
	before := people[other].heard()
	c.Kill(home)
	people[other].sees(fmt.Sprintf(`{"%s":[1]}`, other))
	if since := strings.TrimPrefix(people[other].heard(), before); strings.Contains(since, "leave:"+string(other)) {
		t.Errorf("flickered: %q", since)
	}
}

// TestCrash: what a node that crashed had leaves as soon as the node is known to be
// gone, and does not linger.
func TestCrash(t *testing.T) {
	c := kerneltest.New(t)
	a, b := c.Join("a"), c.Join("b")
	nodes := map[kernel.NodeID]*kerneltest.Node{"a": a, "b": b}
	limits := Limits{Grace: time.Hour}
	routers := map[kernel.NodeID]kernel.Ref{"a": router(t, a, limits), "b": router(t, b, limits)}
	home := a.Home(Kind, lobby.String())
	other := map[kernel.NodeID]kernel.NodeID{"a": "b", "b": "a"}[home]
	ann, ben := enter(t, nodes[home], routers[home]), enter(t, nodes[other], routers[other])
	ann.watch()
	ben.track("ben", "1")
	ann.sees(`{"ben":[1]}`)
	c.Crash(other)
	ann.sees(`{}`)
}

// watchHolding signals each state that a home holds since its connection was cut.
func watchHolding(c *kerneltest.Cluster) <-chan struct{} {
	held := make(chan struct{}, 16)
	c.Lose(func(_, _ kernel.NodeID, msg kernel.Wire) bool {
		if m, ok := msg.(*changed); ok && m.Steps[0].New != nil && m.Steps[0].New.lingers() {
			held <- struct{}{}
		}
		return false
	})
	return held
}

// TestComingBack: who is cut and comes back within the grace, wherever that is, is
// not mentioned, unless the state is another one; who leaves does so at once.
func TestComingBack(t *testing.T) {
	c := kerneltest.New(t)
	a, b := c.Join("a"), c.Join("b")
	limits := Limits{Grace: time.Hour}
	ra, rb := router(t, a, limits), router(t, b, limits)
	held := watchHolding(c)
	ann := enter(t, a, ra)
	ann.watch()
	ann.sees(`{}`)
	ben := enter(t, a, ra)
	ben.track("ben", "1")
	ann.sees(`{"ben":[1]}`)
	cut := func() {
		t.Helper()
		ben.ref.Stop()
		<-held
	}
	cut()
	ben = enter(t, a, ra)
	ben.track("ben", "1")
	ben.tracked(1)
	cut()
	ben = enter(t, b, rb)
	ben.track("ben", "1")
	ben.tracked(1)
	cut()
	ben = enter(t, b, rb)
	ben.track("ben", "2")
	ann.sees(`{"ben":[2]}`)
	ben.tell(Leave{Room: lobby, Owner: ben.ref})
	ann.sees(`{}`)
	if got, want := ann.heard(), `{} join:ben {"ben":[1]} {"ben":[2]} leave:ben {} `; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// TestComingBackEarly: who returns before its end was noticed is here twice until then,
// and not for the grace.
func TestComingBackEarly(t *testing.T) {
	c := kerneltest.New(t)
	a, b := c.Join("a"), c.Join("b")
	limits := Limits{Grace: time.Hour}
	ra, rb := router(t, a, limits), router(t, b, limits)
	ann, ben, again := enter(t, a, ra), enter(t, a, ra), enter(t, b, rb)
	ann.watch()
	ben.track("ben", "1")
	ann.sees(`{"ben":[1]}`)
	again.track("ben", "1")
	ann.sees(`{"ben":[1,1]}`)
	ben.ref.Stop()
	ann.sees(`{"ben":[1]}`)
}

// TestLingeringSurvivesTheHome: what lingers moves to a new home, and ends there.
func TestLingeringSurvivesTheHome(t *testing.T) {
	c := kerneltest.New(t)
	limits := Limits{Grace: 3 * time.Second}
	nodes := map[kernel.NodeID]*kerneltest.Node{}
	routers := map[kernel.NodeID]kernel.Ref{}
	for _, id := range []kernel.NodeID{"a", "b"} {
		nodes[id] = c.Join(id)
		routers[id] = router(t, nodes[id], limits)
	}
	home := nodes["a"].Home(Kind, lobby.String())
	stays := kernel.NodeID("a")
	if home == "a" {
		stays = "b"
	}
	held := watchHolding(c)
	ann, ben, cat := enter(t, nodes[stays], routers[stays]), enter(t, nodes[home], routers[home]), enter(t, nodes[home], routers[home])
	ann.watch()
	ben.track("ben", "1")
	ann.sees(`{"ben":[1]}`)
	cat.track("cat", "1")
	ann.sees(`{"ben":[1],"cat":[1]}`)
	before := ann.heard()
	ben.ref.Stop()
	cat.ref.Stop()
	for range 4 { // both nodes hear of both
		<-held
	}
	c.Kill(home)
	ben = enter(t, nodes[stays], routers[stays])
	ben.track("ben", "1")
	ann.sees(`{"ben":[1]}`)
	if got, want := strings.TrimPrefix(ann.heard(), before), `leave:cat {"ben":[1]} `; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// TestLostChangesAreRepaired: a copy that missed a change finds out.
func TestLostChangesAreRepaired(t *testing.T) {
	c := kerneltest.New(t)
	a, b := c.Join("a"), c.Join("b")
	pa, pb := enter(t, a, router(t, a, Limits{})), enter(t, b, router(t, b, Limits{}))
	pa.watch()
	pb.watch()
	pa.track("x", "1")
	pb.sees(`{"x":[1]}`)
	pa.sees(`{"x":[1]}`)
	c.Lose(func(_, _ kernel.NodeID, msg kernel.Wire) bool { _, ok := msg.(*changed); return ok })
	pa.track("y", "1")
	pa.eventually("is tracked", func() bool { return len(pa.told) == 2 })
	c.Lose(nil)
	pa.sees(`{"x":[1],"y":[1]}`)
	pb.sees(`{"x":[1],"y":[1]}`)
}

// TestCrowd: many come and go at once; in the end everybody sees who is left.
func TestCrowd(t *testing.T) {
	c := kerneltest.New(t)
	a, b := c.Join("a"), c.Join("b")
	limits := Limits{Grace: 100 * time.Millisecond}
	ra, rb := router(t, a, limits), router(t, b, limits)
	watcher := enter(t, b, rb)
	watcher.watch()
	var crowd []*person
	for i := range 200 {
		n, r := a, ra
		if i%2 == 0 {
			n, r = b, rb
		}
		p := enter(t, n, r)
		crowd = append(crowd, p)
		p.track(fmt.Sprintf("k%03d", i), "1")
	}
	for i, p := range crowd {
		switch i % 4 {
		case 0:
			p.ref.Stop()
		case 1:
			p.tell(Leave{Room: lobby, Owner: p.ref})
		case 2:
			p.track(fmt.Sprintf("k%03d", i), "2")
		}
	}
	var want []string
	for i := range crowd {
		if i%4 > 1 {
			want = append(want, fmt.Sprintf(`"k%03d":[%d]`, i, map[int]int{2: 2, 3: 1}[i%4]))
		}
	}
	watcher.sees("{" + strings.Join(want, ",") + "}")
}
