// Package kerneltest is a cluster of nodes inside one process, for tests of
// actors that have homes: every message between two nodes is encoded and decoded,
// nodes can be killed, and messages can be lost.
package kerneltest

import (
	"context"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// Cluster is what the nodes have in common.
type Cluster struct {
	t     testing.TB
	epoch atomic.Uint64

	mu       sync.Mutex
	nodes    map[kernel.NodeID]*Node
	watchers map[int]func([]kernel.NodeID)
	next     int
	lose     func(from, to kernel.NodeID, msg kernel.Wire) bool
}

// Node is a Placement and Members.
type Node struct {
	System  *kernel.System
	cluster *Cluster
	id      kernel.NodeID
	homes   *kernel.Homes
	mute    atomic.Bool // crashed: what it does while it ends reaches nobody

	mu       sync.Mutex
	services map[string]kernel.Ref
}

var (
	_ kernel.Placement = (*Node)(nil)
	_ kernel.Members   = (*Node)(nil)
)

// New makes an empty cluster.
func New(t testing.TB) *Cluster {
	return &Cluster{t: t, nodes: map[kernel.NodeID]*Node{}, watchers: map[int]func([]kernel.NodeID){}}
}

// Join adds a node. It is killed when the test ends.
func (c *Cluster) Join(id kernel.NodeID) *Node {
	n := &Node{System: kernel.NewSystem(kernel.SystemOptions{Name: string(id), Logger: slog.New(slog.DiscardHandler)}), cluster: c, id: id, services: map[string]kernel.Ref{}}
	n.homes = kernel.NewHomes(n.System, func(context.Context, string, string) (uint64, error) { return c.epoch.Add(1), nil }, nil)
	c.mu.Lock()
	c.nodes[id] = n
	c.mu.Unlock()
	c.changed()
	c.t.Cleanup(func() { c.Kill(id) })
	return n
}

// Kill takes a node away at once, and tells the others.
func (c *Cluster) Kill(id kernel.NodeID) {
	c.mu.Lock()
	n := c.nodes[id]
	delete(c.nodes, id)
	c.mu.Unlock()
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.System.Shutdown(ctx); err != nil {
		c.t.Errorf("node %s: %v", id, err)
	}
	c.changed()
}

// Crash is Kill of a node that has no time to tell the others anything.
func (c *Cluster) Crash(id kernel.NodeID) {
	if n := c.node(id); n != nil {
		n.mute.Store(true)
	}
	c.Kill(id)
}

// Lose drops the told messages that f chooses; nil drops none.
func (c *Cluster) Lose(f func(from, to kernel.NodeID, msg kernel.Wire) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose = f
}

// changed stops homes that live elsewhere now, and tells the watchers.
func (c *Cluster) changed() {
	c.mu.Lock()
	nodes, all := c.ids(), make([]*Node, 0, len(c.nodes))
	for _, n := range c.nodes {
		all = append(all, n)
	}
	watchers := make([]func([]kernel.NodeID), 0, len(c.watchers))
	for _, w := range c.watchers {
		watchers = append(watchers, w)
	}
	c.mu.Unlock()
	for _, n := range all {
		n.homes.Keep(func(kind, key string) bool { return n.Home(kind, key) == n.id })
	}
	for _, w := range watchers {
		w(nodes)
	}
}

func (c *Cluster) ids() []kernel.NodeID {
	var ids []kernel.NodeID
	for id := range c.nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (c *Cluster) node(id kernel.NodeID) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[id]
}

// Self implements kernel.Members.
func (n *Node) Self() kernel.NodeID { return n.id }

// Nodes implements kernel.Members.
func (n *Node) Nodes() []kernel.NodeID {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return n.cluster.ids()
}

// Watch implements kernel.Members.
func (n *Node) Watch(f func([]kernel.NodeID)) (cancel func()) {
	c := n.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.next
	c.next++
	c.watchers[id] = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, id)
	}
}

// RegisterService implements kernel.Placement.
func (n *Node) RegisterService(name string, r kernel.Ref) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.services[name] = r
}

// Tell implements kernel.Placement.
func (n *Node) Tell(to kernel.NodeID, service string, msg kernel.Wire) error {
	target := n.cluster.node(to)
	if target == nil || n.mute.Load() {
		return fault.Newf(fault.ServiceUnavailable, "node %s is gone", to)
	}
	n.cluster.mu.Lock()
	lose := n.cluster.lose
	n.cluster.mu.Unlock()
	if lose != nil && lose(n.id, to, msg) {
		return nil
	}
	msg, err := n.carry(to, msg)
	if err != nil {
		return err
	}
	target.mu.Lock()
	ref := target.services[service]
	target.mu.Unlock()
	return ref.Tell(kernel.FromNode{From: n.id, Msg: msg})
}

// carry encodes and decodes what goes to another node.
func (n *Node) carry(to kernel.NodeID, msg kernel.Wire) (kernel.Wire, error) {
	if to == n.id {
		return msg, nil
	}
	b, err := msg.AppendWire(nil)
	if err != nil {
		return nil, err
	}
	return kernel.DecodeWire(msg.WireKind(), b)
}

// Home implements kernel.Placement: the node with the highest hash.
func (n *Node) Home(kind, key string) (best kernel.NodeID) {
	var most uint64
	for _, id := range n.Nodes() {
		h := fnv.New64a()
		_, _ = h.Write([]byte(string(id) + "\x00" + kind + "\x00" + key)) // never fails
		if sum := h.Sum64(); best == "" || sum > most {
			best, most = id, sum
		}
	}
	return best
}

// RegisterKind implements kernel.Placement.
func (n *Node) RegisterKind(kind string, spawn func(key string, epoch uint64) kernel.Props) {
	n.homes.Register(kind, spawn)
}

// AskHome implements kernel.Placement.
func (n *Node) AskHome(ctx context.Context, kind, key string, msg kernel.Wire) (kernel.Wire, error) {
	for {
		to := n.Home(kind, key)
		if answer, err := n.ask(ctx, to, kind, key, msg); err != errGone && err != kernel.ErrStopped {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, fault.New(fault.Timeout, "the home was not reached")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// errGone is worth another try, like a home that stops.
var errGone = fault.New(fault.ServiceUnavailable, "no such node")

func (n *Node) ask(ctx context.Context, to kernel.NodeID, kind, key string, msg kernel.Wire) (kernel.Wire, error) {
	if n.mute.Load() {
		return nil, fault.New(fault.Canceled, "this node has crashed")
	}
	target := n.cluster.node(to)
	if target == nil {
		return nil, errGone
	}
	msg, err := n.carry(to, msg)
	if err != nil {
		return nil, err
	}
	answer, err := target.homes.Ask(ctx, kind, key, kernel.FromNode{From: n.id, Msg: msg})
	if err != nil {
		return nil, err
	}
	return target.carry(n.id, answer)
}
