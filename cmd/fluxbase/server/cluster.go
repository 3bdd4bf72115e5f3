package server

import (
	"context"
	"errors"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/cluster"
	"fluxbase/persistence/lease"
	"fluxbase/transport/monitoring"
)

// membership is where things live and who else is there.
type membership struct {
	placement kernel.Placement
	members   kernel.Members
	// joined is nil on a node that is alone.
	joined *cluster.Cluster
}

// The name of the secret that a node alone must share with whoever used the
// database before it: the other ones may be changed while nobody else is there.
const encryptionKey = "encryption_key"

// sharedSecrets are the settings that must be equal on all nodes, by name.
func (s *Server) sharedSecrets() map[string][]byte {
	c := s.options.Config
	all := map[string][]byte{encryptionKey: []byte(c.EncryptionKey.Reveal())}
	if c.Joined() {
		all["auth.jwt_secret"] = []byte(c.Auth.JWTSecret.Reveal())
		all["realtime.cursor_key"] = []byte(c.Realtime.CursorKey.Reveal())
	}
	return all
}

func (s *Server) openCluster(ctx context.Context) error {
	c := s.options.Config.Cluster
	if !s.options.Config.Joined() {
		alone := kernel.Standalone(s.system)
		s.placement, s.members = alone, alone
		return nil
	}
	opened, err := cluster.Open(ctx, cluster.Options{
		System: s.system, Store: lease.NewStore(s.control), Key: s.seal, Secrets: s.sharedSecrets(),
		Name: c.NodeName, Address: c.Address, Advertise: c.AdvertiseAddress,
		Lease: c.Lease, Renew: c.Renew, Fence: c.Fence,
		Fenced: s.fenced, Logger: s.options.Logger,
	})
	if err != nil {
		return err
	}
	s.joined, s.placement, s.members = opened, opened, opened
	s.onStop("membership", opened.Leave)
	return s.watchMembership()
}

// joinCluster makes the node a member, now that it has what others may ask for.
func (s *Server) joinCluster(ctx context.Context) error {
	if s.joined == nil {
		return nil
	}
	return s.joined.Join(ctx)
}

// Members is the number of nodes that are alive, as this one knows.
func (s *Server) Members() int { return len(s.members.Nodes()) }

// fencedDrain is within what a lease has left when its node is fenced: others
// take over after that.
const fencedDrain = time.Second

// fenced closes the sockets before anybody else may act in our place, and then
// ends the node.
func (s *Server) fenced(reason *cluster.FencedError) {
	s.composed.Lock()
	gateway := s.gateway
	s.composed.Unlock()
	var err error = reason
	if gateway != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*fencedDrain)
		defer cancel()
		err = errors.Join(err, gateway.Drain(ctx, fencedDrain/2))
	}
	s.fail(err)
}

// memberOf is a condition of readiness.
func (s *Server) memberOf(context.Context) error {
	if s.joined != nil && s.joined.Stats().Fenced {
		return errors.New("the node left the cluster")
	}
	return nil
}

func (s *Server) clusterFigures() monitoring.Cluster {
	t := s.joined.Stats()
	return monitoring.Cluster{
		Members: t.Members, Homes: t.Homes,
		MessagesSent: t.Sent, MessagesReceived: t.Received, MessagesLost: t.Lost,
	}
}

func (s *Server) watchMembership() error {
	for _, g := range []struct {
		name, help string
		read       func(cluster.Stats) float64
	}{
		{"fluxbase_cluster_members", "Nodes that are alive.", func(t cluster.Stats) float64 { return float64(t.Members) }},
		{"fluxbase_cluster_homes", "Homes that live on this node.", func(t cluster.Stats) float64 { return float64(t.Homes) }},
		{"fluxbase_cluster_messages_sent", "Messages to other nodes since the start.", func(t cluster.Stats) float64 { return float64(t.Sent) }},
		{"fluxbase_cluster_messages_received", "Messages of other nodes since the start.", func(t cluster.Stats) float64 { return float64(t.Received) }},
		{"fluxbase_cluster_messages_lost", "Messages of other nodes that never arrived.", func(t cluster.Stats) float64 { return float64(t.Lost) }},
		{"fluxbase_cluster_lease_age_seconds", "Time since the lease was renewed.", func(t cluster.Stats) float64 { return t.LeaseAge.Seconds() }},
	} {
		if err := s.metrics.Gauge(g.name, g.help, func() float64 { return g.read(s.joined.Stats()) }); err != nil {
			return err
		}
	}
	return nil
}
