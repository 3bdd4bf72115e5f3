package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/cluster/certificate"
	"fluxbase/persistence/lease"
)

// ExitFenced is the exit code of a node that lost its lease.
const ExitFenced = 75

// FencedError says why a node must end its process. Its supervisor may start it
// again at once.
type FencedError struct{ Reason string }

func (e *FencedError) Error() string { return "the node left the cluster: " + e.Reason }

// ExitCode is ExitFenced.
func (e *FencedError) ExitCode() int { return ExitFenced }

// Options are what a node is opened with. Durations that are zero get their defaults.
type Options struct {
	System *kernel.System
	Store  *lease.Store
	// Key opens the authority's key; *seal.Key does.
	Key lease.Sealer
	// Secrets, by the names of their settings, must be equal on all nodes; Open
	// fails with a *lease.DifferentError when one is not.
	Secrets map[string][]byte
	// Name is for people; empty takes the id.
	Name string
	// Address is where to listen for other nodes, port 0 for a free one; default
	// 127.0.0.1:0. Advertise is how others reach it, by default the same; a port
	// of 0 or none in it takes the one listened on.
	Address, Advertise string
	// Lease lasts so long (6 s), is renewed every Renew (2 s), and a node that
	// could not for Fence (4 s) is fenced. The list of members is read every Poll
	// (1 s), and when Refresh is called.
	Lease, Renew, Fence, Poll time.Duration
	// Fenced is called once, on a goroutine of its own, when the node must not act
	// any more. It has Lease-Fence to close what clients hold, and then ends the
	// process.
	Fenced func(*FencedError)
	Logger *slog.Logger
}

func (o Options) orDefault() Options {
	for _, d := range []struct {
		value *time.Duration
		none  time.Duration
	}{{&o.Lease, 6 * time.Second}, {&o.Renew, 2 * time.Second}, {&o.Fence, 4 * time.Second}, {&o.Poll, time.Second}} {
		if *d.value == 0 {
			*d.value = d.none
		}
	}
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Cluster is this node's part of the cluster.
type Cluster struct {
	o      Options
	logger *slog.Logger
	id     kernel.NodeID
	ready  chan struct{} // closed when the node is a member

	members *membership
	remote  *remoteLink
	links   *links
	inbound *inbound
	pending pending
	homes   *kernel.Homes
	holds   *holds

	services sync.Map // name → kernel.Ref
	counters counters
	notes    *notes

	life    context.Context // of questions being answered
	endLife context.CancelFunc
	tasks   sync.WaitGroup
	asking  chan struct{} // limits the questions being answered
	left    sync.Once
	leaving sync.RWMutex // held for reading while a task is added
	gone    bool
}

var (
	_ kernel.Members   = (*Cluster)(nil)
	_ kernel.Placement = (*Cluster)(nil)
)

// Open makes this process ready to be a member: it compares the secrets, gets a
// certificate and listens. Kinds and services are registered next, and then comes
// Join: from then on others may ask for them. End it with Leave, joined or not.
func Open(ctx context.Context, o Options) (*Cluster, error) {
	o = o.orDefault()
	if err := o.Store.NoteSecrets(ctx, o.Secrets); err != nil {
		return nil, err
	}
	ca, private, err := o.Store.Authority(ctx, o.Key, certificate.NewAuthority)
	if err != nil {
		return nil, err
	}
	authority, err := certificate.Parse(ca, private)
	if err != nil {
		return nil, fmt.Errorf("the cluster's certificate authority: %w", err)
	}
	// A new id for each run: nobody confuses it with the run before.
	id := strings.ToLower(rand.Text()[:16])
	if o.Name == "" {
		o.Name = id
	}
	c := &Cluster{
		o: o, id: kernel.NodeID(id), logger: o.Logger.With("node", o.Name),
		asking: make(chan struct{}, maxAsking), notes: newNotes(), ready: make(chan struct{}),
	}
	c.life, c.endLife = context.WithCancel(context.Background())
	c.pending.init()
	c.inbound = newInbound(c)
	c.links = newLinks(c)
	c.holds = newHolds(c)
	c.homes = kernel.NewHomes(o.System, c.holds.take, c.holds.ended)
	server, client, err := authority.Node(id)
	if err != nil {
		return nil, err
	}
	if c.remote, err = startRemote(c, server, client); err != nil {
		return nil, err
	}
	c.members = newMembership(c, lease.Node{ID: id, Name: o.Name, Address: c.remote.address})
	return c, nil
}

// Join makes the node a member. When it returns nil the node is known to be alive,
// and Options.Fenced may be called.
func (c *Cluster) Join(ctx context.Context) error {
	if err := c.members.join(ctx); err != nil {
		return fmt.Errorf("join the cluster: %w", err)
	}
	c.holds.start()
	c.links.start()
	c.members.start()
	c.logger.Info("joined the cluster", "id", c.id, "address", c.remote.address, "members", len(c.Nodes()))
	close(c.ready)
	return nil
}

// Leave gives the homes and the lease back and closes the links. It returns when
// nothing runs any more; ctx bounds how long the homes may take to stop.
func (c *Cluster) Leave(ctx context.Context) error {
	var err error
	c.left.Do(func() {
		c.holds.close()
		if !c.members.joined.Load() {
			c.endLife()
			c.remote.stop()
			err = c.members.session.Close(ctx)
			return
		}
		c.homes.Keep(func(string, string) bool { return false })
		for c.homes.Len() > 0 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		c.holds.stop()
		err = c.members.leave(ctx)
		c.leaving.Lock()
		c.gone = true
		c.leaving.Unlock()
		c.endLife()
		c.links.stop()
		c.remote.stop()
		c.tasks.Wait()
	})
	return err
}

// Self implements kernel.Members.
func (c *Cluster) Self() kernel.NodeID { return c.id }

// Nodes implements kernel.Members.
func (c *Cluster) Nodes() []kernel.NodeID { return c.members.view().ids }

// Watch implements kernel.Members.
func (c *Cluster) Watch(f func([]kernel.NodeID)) (cancel func()) { return c.members.watch(f) }

// Refresh reads the list of members soon: the listener calls it when
// lease.Channel rang.
func (c *Cluster) Refresh() { c.members.refresh() }

// RegisterService implements kernel.Placement.
func (c *Cluster) RegisterService(name string, r kernel.Ref) { c.services.Store(name, r) }

// RegisterKind implements kernel.Placement.
func (c *Cluster) RegisterKind(kind string, spawn func(key string, epoch uint64) kernel.Props) {
	c.homes.Register(kind, spawn)
}

// Home implements kernel.Placement.
func (c *Cluster) Home(kind, key string) kernel.NodeID { return c.members.view().home(kind, key) }

// task runs f on a goroutine that Leave waits for; false says that it is too late.
func (c *Cluster) task(f func()) bool {
	c.leaving.RLock()
	defer c.leaving.RUnlock()
	if c.gone {
		return false
	}
	c.tasks.Go(f)
	return true
}

// The reasons why a home is not asked here, to be tried again elsewhere or later.
var (
	errMoved       = errors.New("the home belongs to another node")
	errUnreachable = errors.New("the node cannot be reached")
)
