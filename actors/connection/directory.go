package connection

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"fluxbase/actors/channel"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// AdminChannel carries the events of connections that come and go.
const AdminChannel = "realtime:admin:connections"

// Open asks the Directory to admit a socket. It is answered by the connection
// actor's Ref, or by a fault MAX_CONNECTIONS_REACHED.
type Open struct {
	ID         string
	Caller     caller.Caller
	RemoteAddr string
	// IP is the client's address without port, for the limit of anonymous ones.
	IP       string
	Dialect  Dialect
	Outbox   Outbox
	Services Services
	// Strict connections end when something that their client asked for is refused:
	// it has no way to ask for something else.
	Strict bool
}

// Admission limits the connections of a node. Zero means no limit.
type Admission struct {
	// Total, and per user; per IP for connections without a user.
	Total, PerUser, PerIP int
}

// Connection is what operators see of a connection.
type Connection struct {
	ID          string
	Tenant      string
	UserID      string
	Email       string
	RemoteAddr  string
	ConnectedAt time.Time
}

// List asks for connections of a tenant (all tenants when empty), oldest first.
type List struct {
	Tenant        string
	Search        string
	Limit, Offset int
}

// Listed answers List; Total counts what matched.
type Listed struct {
	Total       int
	Connections []Connection
}

// Find asks for the connections of a tenant's user, or for the one of the ID, oldest
// first and at most Limit; the answer is []Found.
type Find struct {
	Tenant     string
	UserID, ID string
	Limit      int
}

// Found is a connection with its actor and on whose behalf it acts.
type Found struct {
	Connection
	Ref    kernel.Ref
	Caller caller.Caller
}

// Count asks for the Totals of a tenant, of all tenants when it is empty.
type Count struct{ Tenant string }

// Totals are the connections of this node, the tables and channels that they follow,
// and the connections that were cut as too slow since it started.
type Totals struct{ Connections, Subscriptions, Cut int }

// Recheck asks the Directory to end connections whose credential was revoked.
type Recheck struct{}

// Drain ends all connections with 1012, spread over Within so that the clients
// do not return at once. Open is refused from then on. It is answered by the
// number of connections when the last one has been told.
type Drain struct{ Within time.Duration }

// identified says that a connection acts for another caller.
type identified struct {
	ref    kernel.Ref
	caller caller.Caller
}

// drainStep tells the next connections to end.
type drainStep struct{}

// drainSteps is the number of waves of a drain.
const drainSteps = 20

// DirectoryOptions are what a Directory needs.
type DirectoryOptions struct {
	Admission Admission
	Limits    Limits
	// Revoked tells whether a caller's credential was revoked; nil for never.
	Revoked func(caller.Caller) bool
}

// Directory owns the connections of a node.
type Directory struct {
	o       DirectoryOptions
	all     map[kernel.Ref]*registered
	ordered []*registered // by time of opening; holes are nil
	holes   int
	users   map[string]int // by tenant and user
	ips     map[string]int // of connections without a user

	cuts cuts

	draining bool
	drain    *kernel.Request
	waves    [][]kernel.Ref
	pause    time.Duration
	drained  int
}

type registered struct {
	Connection
	ref      kernel.Ref
	caller   caller.Caller
	ip       string
	channels kernel.Ref
	follows  atomic.Int32 // tables and channels, kept by the connection
	at       int          // index in ordered
}

// DirectoryProps describes the node's Directory.
func DirectoryProps(o DirectoryOptions) kernel.Props {
	return kernel.Props{
		Name: "connections",
		New: func() kernel.Actor {
			return &Directory{o: o, all: map[kernel.Ref]*registered{}, users: map[string]int{}, ips: map[string]int{}}
		},
		Limit: 65536,
	}
}

// Receive handles Open, List, Find, ListCuts, Count, Recheck and Drain.
func (d *Directory) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case Open:
		d.open(c, m)
	case identified:
		if r := d.all[m.ref]; r != nil {
			d.count(r, -1)
			r.caller, r.UserID, r.Email = m.caller, m.caller.UserID, m.caller.Email
			d.count(r, 1)
			d.check(r)
		}
	case cutSlow:
		d.cut(m)
	case ListCuts:
		c.Reply(d.cuts.find(m))
	case kernel.Terminated:
		d.closed(m.Ref)
	case List:
		c.Reply(d.list(m))
	case Find:
		c.Reply(d.find(m))
	case Count:
		c.Reply(d.totals(m.Tenant))
	case Recheck:
		for _, r := range d.all {
			d.check(r)
		}
	case Drain:
		d.startDrain(c, m)
	case drainStep:
		d.wave(c)
	}
}

func (d *Directory) open(c *kernel.Context, o Open) {
	switch {
	case d.draining:
		c.Fail(fault.New(fault.Draining, "this node is stopping"))
		return
	case d.full(o):
		c.Fail(fault.New(fault.MaxConnectionsReached, "max_connections_reached"))
		return
	}
	r := &registered{
		Connection: Connection{
			ID: o.ID, Tenant: o.Caller.Tenant, UserID: o.Caller.UserID, Email: o.Caller.Email,
			RemoteAddr: o.RemoteAddr, ConnectedAt: time.Now().UTC(),
		},
		caller: o.Caller, ip: o.IP, channels: o.Services.Channels, at: len(d.ordered),
	}
	ref, err := c.Spawn(props(o, c.Self(), d.o.Limits, r))
	if err != nil {
		c.Fail(err)
		return
	}
	c.Watch(ref)
	r.ref = ref
	d.all[ref] = r
	d.ordered = append(d.ordered, r)
	d.count(r, 1)
	c.Reply(ref)
	// Revoked between the check at the door and now: nobody else would notice.
	d.check(r)
	d.publish(r, "connected")
}

func (d *Directory) full(o Open) bool {
	a := d.o.Admission
	switch {
	case a.Total > 0 && len(d.all) >= a.Total:
		return true
	case o.Caller.UserID != "":
		return a.PerUser > 0 && d.users[o.Caller.Tenant+"/"+o.Caller.UserID] >= a.PerUser
	case o.Caller.Source == caller.SourceServiceKey && o.Caller.Role != caller.Anon:
		return false
	default:
		return a.PerIP > 0 && d.ips[o.IP] >= a.PerIP
	}
}

func (d *Directory) count(r *registered, by int) {
	counter, key := d.users, r.Tenant+"/"+r.UserID
	if r.UserID == "" {
		counter, key = d.ips, r.ip
	}
	if counter[key] += by; counter[key] <= 0 {
		delete(counter, key)
	}
}

func (d *Directory) check(r *registered) {
	if d.o.Revoked != nil && d.o.Revoked(r.caller) {
		d.end(r.ref, End{Code: CloseRevoked, Reason: "access revoked", Fault: fault.New(fault.RevokedToken, "access revoked")})
	}
}

// end tells a connection to end. One that cannot take the message is stopped,
// which ends its socket, too.
func (d *Directory) end(ref kernel.Ref, e End) {
	if ref.Tell(e) != nil {
		ref.Stop()
	}
}

func (d *Directory) cut(m cutSlow) {
	d.cuts.add(Cut{Connection: m.seat.Connection, At: time.Now().UTC(), Reason: m.reason})
}

func (d *Directory) find(m Find) []Found {
	found := []Found{}
	for _, r := range d.ordered {
		if len(found) == m.Limit {
			break
		}
		if r != nil && r.Tenant == m.Tenant && matchesOrAny(m.UserID, r.UserID) && matchesOrAny(m.ID, r.ID) {
			found = append(found, Found{Connection: r.Connection, Ref: r.ref, Caller: r.caller})
		}
	}
	return found
}

func (d *Directory) closed(ref kernel.Ref) {
	r := d.all[ref]
	if r == nil {
		return
	}
	delete(d.all, ref)
	d.count(r, -1)
	d.ordered[r.at] = nil
	if d.holes++; d.holes > 64 && d.holes > len(d.ordered)/2 {
		d.compact()
	}
	d.publish(r, "disconnected")
}

func (d *Directory) compact() {
	kept := d.ordered[:0]
	for _, r := range d.ordered {
		if r != nil {
			r.at = len(kept)
			kept = append(kept, r)
		}
	}
	clear(d.ordered[len(kept):])
	d.ordered, d.holes = kept, 0
}

// publish tells the tenant's admins. Their channel is a courtesy: when it takes
// no message, the connection goes on.
func (d *Directory) publish(r *registered, event string) {
	_ = r.channels.Tell(channel.Publish{
		Key: channel.Key{Tenant: r.Tenant, Name: AdminChannel}, Event: event,
		Payload: adminEvent(event, r.Connection, time.Now()),
	})
}

func (d *Directory) list(l List) Listed {
	var out Listed
	search := strings.ToLower(l.Search)
	for _, r := range d.ordered {
		if r == nil || l.Tenant != "" && r.Tenant != l.Tenant || !matches(r, search) {
			continue
		}
		if out.Total >= l.Offset && len(out.Connections) < l.Limit {
			out.Connections = append(out.Connections, r.Connection)
		}
		out.Total++
	}
	return out
}

func matches(r *registered, search string) bool {
	if search == "" {
		return true
	}
	for _, s := range []string{r.ID, r.RemoteAddr, r.UserID, r.Email} {
		if strings.Contains(strings.ToLower(s), search) {
			return true
		}
	}
	return false
}

func (d *Directory) totals(tenant string) (t Totals) {
	for _, r := range d.all {
		if tenant == "" || r.Tenant == tenant {
			t.Connections++
			t.Subscriptions += int(r.follows.Load())
		}
	}
	for of, n := range d.cuts.counts {
		if tenant == "" || of == tenant {
			t.Cut += n
		}
	}
	return t
}

// startDrain cuts the connections into waves in random order.
func (d *Directory) startDrain(c *kernel.Context, m Drain) {
	if d.draining {
		c.Reply(d.drained)
		return
	}
	d.draining = true
	d.drain = c.Request()
	refs := make([]kernel.Ref, 0, len(d.all))
	for ref := range d.all {
		refs = append(refs, ref)
	}
	rand.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
	size := max((len(refs)+drainSteps-1)/drainSteps, 1)
	if m.Within <= 0 {
		size = max(len(refs), 1)
	}
	for len(refs) > 0 {
		n := min(size, len(refs))
		d.waves = append(d.waves, refs[:n])
		refs = refs[n:]
	}
	d.pause = m.Within / drainSteps
	d.wave(c)
}

func (d *Directory) wave(c *kernel.Context) {
	if len(d.waves) > 0 {
		for _, ref := range d.waves[0] {
			d.end(ref, End{Code: CloseRestart, Reason: "server restarting"})
			d.drained++
		}
		d.waves = d.waves[1:]
	}
	if len(d.waves) > 0 {
		c.After(d.pause, drainStep{})
		return
	}
	if d.drain != nil {
		d.drain.Reply(d.drained)
		d.drain = nil
	}
}
