package server

import (
	"context"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"fluxbase/actors/execution"
	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/actors/relay"
	"fluxbase/actors/tenant"
	"fluxbase/listeners"
	"fluxbase/persistence/db"
	executionstore "fluxbase/persistence/execution"
	"fluxbase/persistence/procedure"
	"fluxbase/persistence/queue"
	"fluxbase/persistence/tenancy"
)

// bells are what the control database rings for, and who is told.
type bells struct {
	listener *listeners.Listener
	reloader kernel.Ref
	// stored rings for the procedures of all tenants that live in the control database.
	stored procedure.Bell
}

func (s *Server) openBells(context.Context) error {
	address, err := s.listenURL()
	if err != nil {
		return err
	}
	s.reloader, err = s.system.Spawn(kernel.Props{Name: "reloader", New: func() kernel.Actor { return &reloader{server: s} }})
	if err != nil {
		return err
	}
	s.listener = listeners.Listen(listeners.Options{
		URL: address,
		Channels: []string{listeners.Changes, listeners.Messages, listeners.Schema, listeners.Revocations, listeners.Keys, listeners.Members, listeners.PostgREST,
			tenancy.Channel, procedure.NotifyChannel, queue.Channel, executionstore.LogChannel},
		Logger: s.options.Logger,
	}, listeners.Handler{
		Up: func() {
			// Whatever rang while nobody listened is looked up.
			s.revoked.ListenerUp()
			s.tenants.directory.Refresh()
			s.tellFeeds(feed.ListenerUp{})
			s.tellAttendants(relay.Rung{})
			s.stored.Heard()
			s.tellSchedulers()
			s.tellRunners(execution.Rung{})
			s.rungLogs("")
			s.reload(reloadKeys{}, reloadSchema{})
		},
		Down: func(error) {
			s.revoked.ListenerDown()
			s.tellFeeds(feed.ListenerDown{})
			s.stored.Deaf()
		},
		Bell: s.rang,
	})
	s.onStop("listener", func(context.Context) error { s.listener.Close(); return nil })
	return nil
}

func (s *Server) rang(channel, payload string) {
	switch channel {
	case listeners.Changes:
		s.tellFeeds(feed.Rung{})
	case listeners.Messages:
		s.tellAttendants(relay.Rung{})
	case listeners.Schema:
		s.reload(reloadSchema{})
	case listeners.PostgREST:
		if payload == "" || payload == "reload schema" { // there is no configuration in the database
			s.reload(reloadSchema{})
		}
	case listeners.Keys:
		s.reload(reloadKeys{})
	case listeners.Members:
		if s.joined != nil {
			s.joined.Refresh()
		}
	case tenancy.Channel:
		s.tenants.directory.Refresh()
	case procedure.NotifyChannel:
		s.stored.Heard()
		s.tellSchedulers()
	case queue.Channel:
		s.tellRunners(execution.Rung{Payload: payload})
	case executionstore.LogChannel:
		s.rungLogs(payload)
	case listeners.Revocations:
		number, err := strconv.ParseInt(payload, 10, 64)
		if err != nil {
			s.options.Logger.Error("a revocation rang without its number", "payload", payload)
			return
		}
		s.revoked.Heard(number)
	}
}

// listenURL signs in as the owner, who may read what rings.
func (s *Server) listenURL() (string, error) {
	return listenAddress(s.source.adminURL, url.UserPassword(db.OwnerLogin, s.seal.Password(db.OwnerLogin)), os.Getenv("PGSSLMODE"))
}

// listenAddress is an address of the pools made fit for the driver that listens.
// The two differ in what an address that does not speak of TLS means: the pools
// prefer it, the listener would insist on it and never be let in by a server that
// has none. And what is meant for the pools' driver is Greek to the listener.
func listenAddress(address string, owner *url.Userinfo, environment string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	u.User = owner
	q := u.Query()
	if q.Get("sslmode") == "" && environment == "" {
		q.Set("sslmode", "prefer")
	}
	for _, name := range driverSettings {
		q.Del(name)
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // a plus is a plus here
	return u.String(), nil
}

// driverSettings are what an address may hold for the pools' driver alone.
var driverSettings = []string{"default_query_exec_mode", "statement_cache_capacity", "description_cache_capacity"}

// reload asks the reloader. A full mailbox holds the same requests already.
func (s *Server) reload(what ...any) {
	for _, m := range what {
		_ = s.reloader.Tell(m)
	}
}

// What the reloader reads again.
type (
	reloadKeys   struct{}
	reloadSchema struct{}
)

// reloader reads again, beside the listener, what the database says has changed,
// and keeps trying while that fails.
type reloader struct{ server *Server }

const (
	reloadTimeout = 30 * time.Second
	reloadAgain   = time.Second
)

// Receive implements kernel.Actor.
func (r *reloader) Receive(c *kernel.Context, msg any) {
	var read func(context.Context) error
	switch msg.(type) {
	case reloadKeys:
		read = r.server.keyring.Reload
	case reloadSchema:
		read = r.server.reloadSchemas
	default:
		return
	}
	c.Go(reloadTimeout, func(ctx context.Context) (any, error) { return nil, read(ctx) },
		func(c *kernel.Context, _ any, err error) {
			if err != nil {
				c.Logger().Warn("a change in the database could not be read, trying again", "error", err)
				c.After(reloadAgain, msg)
			}
		})
}

// reloadSchemas reads the catalogues of the tenants that are open here.
func (s *Server) reloadSchemas(ctx context.Context) (err error) {
	s.tenants.directory.Opened(func(t *tenant.Tenant[*tenantParts]) bool {
		err = t.Parts.route.Catalog.Reload(ctx)
		return err == nil
	})
	return err
}
