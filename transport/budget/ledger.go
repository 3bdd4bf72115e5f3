package budget

import (
	"net/netip"
	"sync"
	"time"

	"fluxbase/transport/limit"
)

// sweepSlack is how many budgets may gather between two sweeps beyond twice those
// that the last one left.
const sweepSlack = 256

// Ledger keeps the budgets that clients share. One that nobody holds is forgotten
// when it is full again, and not before: to reconnect brings nothing.
type Ledger struct {
	connection, user, ip, tenant *schedule // nil for no bound

	mu      sync.Mutex
	shared  map[string]*sharedBudget
	sweepAt int
}

type sharedBudget struct {
	budget
	schedule *schedule
	holders  int
}

// NewLedger makes an empty ledger.
func NewLedger(l Limits) *Ledger {
	return &Ledger{
		connection: l.Connection.schedule(), user: l.User.schedule(), ip: l.IP.schedule(), tenant: l.Tenant.schedule(),
		shared: map[string]*sharedBudget{}, sweepAt: sweepSlack,
	}
}

// Client is whom an account is for.
type Client struct {
	Tenant string
	// User is empty for clients without one.
	User string
	// IP is the client's address without port.
	IP string
}

// OpenConnection makes the account of a connection; Close it. It is nil when nothing
// binds the client.
func (l *Ledger) OpenConnection(c Client) *Account {
	a := l.Open(c)
	if l.connection == nil {
		return a
	}
	if a == nil {
		a = &Account{}
	}
	own := source{name: "on this connection", prefix: "realtime.limits.", schedule: l.connection, budget: &budget{}}
	a.sources = append([]source{own}, a.sources...)
	return a
}

// Open is OpenConnection for requests that have no connection of their own.
func (l *Ledger) Open(c Client) *Account {
	a := &Account{}
	if l.user != nil && c.User != "" {
		l.share(a, "user "+c.Tenant+"/"+c.User, source{name: "of this user", prefix: "realtime.limits.user.", schedule: l.user})
	}
	if l.ip != nil {
		l.share(a, "ip "+network(c.IP), source{name: "from this address", prefix: "realtime.limits.ip.", schedule: l.ip})
	}
	if l.tenant != nil {
		l.share(a, "tenant "+c.Tenant, source{name: "of this tenant", prefix: "realtime.limits.tenant.", schedule: l.tenant})
	}
	if len(a.sources) == 0 {
		return nil
	}
	return a
}

func (l *Ledger) share(a *Account, key string, s source) {
	s.budget = l.hold(key, s.schedule)
	a.held = append(a.held, key)
	a.sources = append(a.sources, s)
}

// Rename gives an account to another client: what is its connection's own goes on.
func (l *Ledger) Rename(a *Account, c Client) *Account {
	b := l.OpenConnection(c)
	if a != nil && l.connection != nil {
		b.sources[0].budget = a.sources[0].budget
	}
	l.Close(a)
	return b
}

// Close gives the shared budgets of an account back; nil is no account.
func (l *Ledger) Close(a *Account) {
	if a == nil || len(a.held) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range a.held {
		l.shared[key].holders--
	}
	a.held = nil
}

func (l *Ledger) hold(key string, s *schedule) *budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.shared[key]
	if b == nil {
		if len(l.shared) >= l.sweepAt {
			l.sweep(time.Now())
		}
		b = &sharedBudget{schedule: s}
		l.shared[key] = b
	}
	b.holders++
	return &b.budget
}

func (l *Ledger) sweep(now time.Time) {
	for key, b := range l.shared {
		if b.holders == 0 && b.full(b.schedule, now) {
			delete(l.shared, key)
		}
	}
	l.sweepAt = 2*len(l.shared) + sweepSlack
}

// network is an address as far as it names a customer.
func network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	return limit.Network(a)
}
