package server

import (
	"context"
	"time"

	"fluxbase/actors/channel"
	"fluxbase/actors/connection"
	"fluxbase/actors/kernel"
	"fluxbase/actors/presence"
	"fluxbase/actors/relay"
	"fluxbase/actors/revocation"
	"fluxbase/cmd/fluxbase/config"
	"fluxbase/transport/budget"
	"fluxbase/transport/realtime"
)

// sockets are a node's WebSockets and the actors that they talk to.
type sockets struct {
	channels, presence, directory kernel.Ref
	gateway                       *realtime.Gateway
}

// socketDrain is how long the sockets' ends are spread over when the node stops,
// so that not all clients return in the same moment.
const socketDrain = 3 * time.Second

func (s *Server) openSockets(context.Context) error {
	c := s.options.Config.Realtime
	homes, err := s.channelHomes()
	if err != nil {
		return err
	}
	channel.RegisterHome(s.placement, homes)
	rooms := presence.Limits{PerRoom: c.Limits.MaxPresencePerRoom, Grace: c.PresenceGrace}
	if rooms.Grace == 0 {
		rooms.Grace = -1 // none, rather than the default
	}
	presence.RegisterHome(s.placement, s.members, rooms)
	if s.sockets.channels, err = s.system.Spawn(channel.RouterProps(s.placement, s.members)); err != nil {
		return err
	}
	relay.RegisterHome(s.placement, relay.Options{Source: s.relayed, Channels: s.sockets.channels})
	if s.sockets.presence, err = s.system.Spawn(presence.RouterProps(s.placement, s.members)); err != nil {
		return err
	}
	s.directory, err = s.system.Spawn(connection.DirectoryProps(connection.DirectoryOptions{
		Admission: connection.Admission{Total: c.MaxConnections, PerUser: c.MaxConnectionsPerUser, PerIP: c.MaxConnectionsPerIP},
		Limits: connection.Limits{
			Channels: c.Limits.MaxChannels, Subscriptions: c.Limits.MaxSubscriptions, PresenceBytes: int(c.Limits.MaxPresenceBytes),
			PrivateOnly: c.PrivateOnly,
		},
		Revoked: s.verifier.Revoked,
	}))
	if err != nil {
		return err
	}
	// A full mailbox has a Recheck in it already.
	unwatch := s.revoked.Watch(func(revocation.Revoked) { _ = s.directory.Tell(connection.Recheck{}) })
	gateway := realtime.Start(realtime.Options{
		Directory:     s.directory,
		Channels:      s.sockets.channels,
		Tenants:       s.tenants,
		Tokens:        s.verifier,
		Services:      s.servicesOf,
		PrivateOnly:   c.PrivateOnly,
		Disabled:      !s.realtimeServed(),
		QueueBytes:    int(c.ClientQueueBytes),
		QueueMessages: c.ClientMessageQueueSize,
		WriteTimeout:  c.WriteTimeout,
		PingEvery:     c.Limits.HeartbeatInterval / 2,
		PongTimeout:   c.Limits.HeartbeatTimeout,
		Compression:   c.Compression,
		MessageBytes:  int(c.MaxFrameBytes),
		Limits:        clientRates(c.Limits),
		Logger:        s.options.Logger,
	})
	s.composed.Lock()
	s.gateway = gateway
	s.composed.Unlock()
	s.onStop("sockets", func(context.Context) error {
		unwatch()
		s.gateway.Close()
		return nil
	})
	return nil
}

// channelHomes says what the homes of channels remember, and where.
func (s *Server) channelHomes() (channel.HomeOptions, error) {
	c := s.options.Config.Realtime
	o := channel.HomeOptions{
		Limits: channel.HistoryLimits{
			Messages: c.Limits.ChannelHistoryLength, Age: c.Limits.ChannelHistoryTTL, None: c.Limits.ChannelHistoryLength == 0,
		},
	}
	rules, err := c.HistoryRules()
	if err != nil {
		return o, err
	}
	for _, r := range rules {
		o.Rules = append(o.Rules, channel.HistoryRule{
			Pattern: r.Pattern, Limits: channel.HistoryLimits{Messages: r.Messages, Age: r.TTL, None: r.Messages == 0},
		})
	}
	if s.redis != nil {
		o.History = s.redis
	}
	return o, nil
}

// realtimeServed tells whether this node has sockets.
func (s *Server) realtimeServed() bool {
	c := s.options.Config
	return c.Realtime.Enabled && !c.Scaling.DisableRealtime
}

// servicesOf tells what the connections of a tenant talk to.
func (s *Server) servicesOf(ctx context.Context, id string) (connection.Services, error) {
	t, err := s.tenants.directory.Open(ctx, id)
	if err != nil {
		return connection.Services{}, err
	}
	services := connection.Services{
		Channels: s.sockets.channels,
		Presence: s.sockets.presence,
		Tables:   follower{t.Parts.feed},
		Messages: t.Parts.messages,
		Hold:     t.Hold,
	}
	if l := t.Parts.executions.logbook; l != nil {
		services.Logs = l
	}
	return services, nil
}

// clientRates are the configured rates of those who use the sockets.
func clientRates(c config.RealtimeLimits) budget.Limits {
	rates := func(r config.RealtimeRates) budget.Rates {
		return budget.Rates{
			Messages: r.MessagesPerSecond, Joins: r.JoinsPerSecond, Presences: r.PresencePerSecond, Bytes: float64(r.BytesPerSecond),
		}
	}
	connection := rates(config.RealtimeRates{
		MessagesPerSecond: c.MessagesPerSecond, JoinsPerSecond: c.JoinsPerSecond,
		PresencePerSecond: c.PresencePerSecond, BytesPerSecond: c.BytesPerSecond,
	})
	connection.MessageBurst = float64(c.MessageBurst)
	return budget.Limits{Connection: connection, User: rates(c.User), IP: rates(c.IP), Tenant: rates(c.Tenant)}
}
