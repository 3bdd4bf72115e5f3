package realtime

import (
	"strconv"
	"time"

	"fluxbase/actors/channel"
	"fluxbase/actors/connection"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// Routes are the socket and the HTTP endpoints beside it.
func (g *Gateway) Routes() []route.Route {
	return append([]route.Route{
		// The tenant is found by the handler, which also takes it from the query:
		// browsers cannot set headers on a WebSocket.
		{Method: "GET", Path: "/realtime", Access: route.Optional, Scope: "realtime:connect", Instance: true, Message: connection.Open{}, Doc: connectDoc, Handle: g.connect},
		{Method: "GET", Path: "/realtime/sse", Access: route.Optional, Scope: "realtime:connect", Instance: true, Message: connection.Open{}, Doc: streamDoc, Handle: g.stream},
		{Method: "GET", Path: "/api/v1/realtime/stats", Access: route.Authenticated, Scope: "realtime:connect", Message: connection.List{}, Doc: statsDoc, Handle: g.stats},
		{Method: "POST", Path: "/api/v1/realtime/broadcast", Access: route.Authenticated, Scope: "realtime:broadcast", BodyLimit: route.LimitRealtime, Message: channel.Publish{}, Doc: broadcastDoc, Handle: g.broadcast},
	}, g.phoenixRoutes()...)
}

func (g *Gateway) enabled() error {
	if g.o.Disabled {
		return fault.New(fault.FeatureDisabled, "Feature is not enabled").WithField("feature_key", "app.realtime.enabled")
	}
	return nil
}

func (g *Gateway) connect(r *route.Request) error { return g.open(r, native{}) }

// open makes a WebSocket of a request, for clients that speak to p.
func (g *Gateway) open(r *route.Request, p parser) error {
	if err := g.enabled(); err != nil {
		return err
	}
	key, err := upgradeKey(r)
	if err != nil {
		return err
	}
	who, err := g.peer(r, p)
	if err != nil {
		return err
	}
	g.upgrade(r, key, who)
	return nil
}

// peer tells who makes a request.
func (g *Gateway) peer(r *route.Request, p parser) (peer, error) {
	named := r.Header("X-FB-Tenant")
	if named == "" {
		named = r.Query("tenant")
	}
	tenant, c, err := g.o.Tenants.Resolve(r.Context(), r.Caller(), named)
	if err != nil {
		return peer{}, err
	}
	services, err := g.o.Services(r.Context(), tenant.ID)
	if err != nil {
		return peer{}, err
	}
	return peer{
		caller: c, tenant: named, services: services, parser: p,
		remote: r.Fast().RemoteAddr().String(), ip: r.IP(),
	}, nil
}

// mayAdminister tells whether the caller is one of those who see connections.
func mayAdminister(c caller.Caller) bool {
	return c.HasRole(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin, caller.Service, caller.TenantService)
}

// connectionView is a connection as GET /api/v1/realtime/stats shows it.
type connectionView struct {
	ID          string    `json:"id"`
	UserID      *string   `json:"user_id"`
	Email       *string   `json:"email"`
	RemoteAddr  string    `json:"remote_addr"`
	ConnectedAt time.Time `json:"connected_at"`
}

// cutView is a connection that was cut as too slow lately.
type cutView struct {
	connectionView
	At     time.Time `json:"cut_at"`
	Reason string    `json:"reason"`
}

type statsView struct {
	Total       int              `json:"total_connections"`
	Connections []connectionView `json:"connections"`
	Limit       int              `json:"limit"`
	Offset      int              `json:"offset"`
	// Cuts are the last ones, newest first, at most Limit.
	Cuts []cutView `json:"slow_connections"`
}

func (g *Gateway) stats(r *route.Request) error {
	if err := g.enabled(); err != nil {
		return err
	}
	if !mayAdminister(r.Caller()) {
		return fault.New(fault.AdminRequired, "Admin access required to view realtime stats")
	}
	limit, err := number(r, "limit", 25, 100)
	if err != nil {
		return err
	}
	offset, err := number(r, "offset", 0, 1<<30)
	if err != nil {
		return err
	}
	listed, err := kernel.Ask[connection.Listed](r.Context(), g.o.Directory, connection.List{
		Tenant: r.Caller().Tenant, Search: r.Query("search"), Limit: limit, Offset: offset,
	})
	if err != nil {
		return err
	}
	cuts, err := kernel.Ask[[]connection.Cut](r.Context(), g.o.Directory, connection.ListCuts{Tenant: r.Caller().Tenant})
	if err != nil {
		return err
	}
	view := statsView{
		Total: listed.Total, Connections: make([]connectionView, 0, len(listed.Connections)),
		Cuts: make([]cutView, 0, min(len(cuts), limit)), Limit: limit, Offset: offset,
	}
	for _, c := range listed.Connections {
		view.Connections = append(view.Connections, viewOf(c))
	}
	for _, c := range cuts[:min(len(cuts), limit)] {
		view.Cuts = append(view.Cuts, cutView{connectionView: viewOf(c.Connection), At: c.At, Reason: c.Reason})
	}
	return r.JSON(200, view)
}

func viewOf(c connection.Connection) connectionView {
	return connectionView{
		ID: c.ID, UserID: optional(c.UserID), Email: optional(c.Email), RemoteAddr: c.RemoteAddr, ConnectedAt: c.ConnectedAt,
	}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// number reads a query parameter; values beyond most are cut to it.
func number(r *route.Request, name string, standard, most int) (int, error) {
	text := r.Query(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fault.Newf(fault.InvalidInput, "%s must be a number that is not negative", name)
	}
	return min(n, most), nil
}
