package server

import (
	"context"
	"fmt"
	"net"
	"strings"

	"fluxbase/cmd/fluxbase/config"
	"fluxbase/persistence/caller"
	"fluxbase/transport"
	"fluxbase/transport/admin"
	"fluxbase/transport/auth"
	"fluxbase/transport/ddl"
	"fluxbase/transport/limit"
	"fluxbase/transport/metrics"
	"fluxbase/transport/monitoring"
	"fluxbase/transport/openapi"
	"fluxbase/transport/realtimeadmin"
	"fluxbase/transport/rest"
	"fluxbase/transport/route"
	"fluxbase/transport/rpc"
	"fluxbase/transport/tables"
	"fluxbase/transport/vector"
)

// front is the HTTP server and the metrics beside it.
type front struct {
	metrics *metrics.Metrics
	http    *transport.Server
	// document describes what http serves.
	document *openapi.API
	url      string
	rpc      rpc.Options
	// metricsURL is empty when the metrics listener is off.
	metricsURL string
}

// openFront listens and serves. It comes last: what answers is ready.
func (s *Server) openFront(context.Context) error {
	c, logger := s.options.Config, s.options.Logger
	var err error
	if s.rpc, err = s.rpcOptions(); err != nil {
		return err
	}
	s.http, err = transport.New(transport.Options{
		Routes:   s.routes(),
		Verifier: s.verifier,
		Tenants:  s.tenants,
		Logger:   logger,
		Limits:   limit.New(rateLimits(c.Security, c.RPC), s.sharedLimits(), logger),
		Metrics:  s.metrics.HTTP,
		CORS: transport.CORS{
			Origins: origins(c), Methods: c.CORS.AllowedMethods, Headers: c.CORS.AllowedHeaders,
			Exposed: c.CORS.ExposedHeaders, Credentials: c.CORS.AllowCredentials, MaxAge: c.CORS.MaxAge,
		},
		BodyLimits:        bodyLimits(c.Server),
		MaxBody:           int64(c.Server.BodyLimit),
		MaxJSONDepth:      c.Server.BodyLimits.MaxJSONDepth,
		ReadHeaderTimeout: c.Server.ReadHeaderTimeout,
		ReadTimeout:       c.Server.ReadTimeout,
		WriteTimeout:      c.Server.WriteTimeout,
		IdleTimeout:       c.Server.IdleTimeout,
		RequestTimeout:    c.Server.RequestTimeout,
		MaxConnections:    c.Server.MaxConnections,
		DrainGrace:        c.Server.DrainGrace,
		AllowedIPRanges:   c.Server.AllowedIPRanges,
		TrustedProxies:    c.Server.TrustedProxies,
		Debug:             c.Debug,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Server.Address)
	if err != nil {
		return fmt.Errorf("server.address: %w", err)
	}
	s.url = reachable(c, listener.Addr())
	go func() {
		if err := s.http.Serve(listener); err != nil {
			s.fail(err)
		}
	}()
	s.onStop("requests", s.drain)
	return s.openMetrics()
}

// routes is everything that the node serves.
func (s *Server) routes() []route.Route {
	c := s.options.Config
	s.document = openapi.New(tables.Dialect, rest.Dialect)
	var all []route.Route
	for _, area := range [][]route.Route{
		auth.Routes(auth.Options{
			SecureCookies:        strings.HasPrefix(c.PublicBaseURL, "https:"),
			AccessTTL:            s.tokens.AccessTTL(),
			RefreshTTL:           s.tokens.RefreshTTL(),
			SignupEnabled:        c.Auth.SignupEnabled,
			PasswordLoginEnabled: !c.Auth.DisableAppPasswordLogin,
			Policy:               s.passwordPolicy(),
		}),
		admin.Routes(s.operators),
		tables.Routes(),
		ddl.Routes(),
		rest.Routes(),
		rpc.Routes(s.rpc),
		s.graphqlRoutes(),
		vector.Routes(vectorOptions(c.AI)),
		realtimeadmin.Routes(s.directory),
		s.gateway.Routes(),
		monitoring.Routes(s.monitoringOptions()),
		s.document.Routes(),
	} {
		all = append(all, area...)
	}
	s.document.Describe(all)
	return all
}

// Document is the API's document of everything in the default tenant.
func (s *Server) Document(ctx context.Context) (*openapi.Document, error) {
	t, err := s.tenants.directory.Open(ctx, s.tenants.directory.Default().ID)
	if err != nil {
		return nil, err
	}
	return s.document.For(caller.System(t.ID), t.Parts.route.Catalog.Current())
}

// origins are the configured ones and our own public address.
func origins(c config.Config) []string {
	all := append([]string(nil), c.CORS.AllowedOrigins...)
	if c.PublicBaseURL != "" {
		all = append(all, strings.TrimSuffix(c.PublicBaseURL, "/"))
	}
	return all
}

func bodyLimits(c config.Server) map[route.Limit]int64 {
	b := c.BodyLimits
	if !b.Enabled {
		return map[route.Limit]int64{route.LimitDefault: int64(c.BodyLimit)}
	}
	return map[route.Limit]int64{
		route.LimitDefault:   int64(b.Default),
		route.LimitREST:      int64(b.REST),
		route.LimitAuth:      int64(b.Auth),
		route.LimitRealtime:  int64(b.Realtime),
		route.LimitStorage:   int64(b.Storage),
		route.LimitBulk:      int64(b.Bulk),
		route.LimitRPC:       int64(b.RPC),
		route.LimitGraphQL:   int64(b.GraphQL),
		route.LimitMCP:       int64(b.MCP),
		route.LimitAdmin:     int64(b.Admin),
		route.LimitAI:        int64(b.AI),
		route.LimitWebhooks:  int64(b.Webhooks),
		route.LimitAdminSync: int64(b.AdminSync),
	}
}

func rateLimits(c config.Security, calls config.RPC) []limit.Rule {
	rules := []limit.Rule{
		{Bucket: "login", Limit: c.AuthLoginRateLimit, Window: c.AuthLoginRateWindow},
		{Bucket: "signup", Limit: c.AuthSignupRateLimit, Window: c.AuthSignupRateWindow},
		{Bucket: "password_reset", Limit: c.AuthResetRateLimit, Window: c.AuthResetRateWindow},
		{Bucket: "magiclink", Limit: c.AuthMagicLinkRateLimit, Window: c.AuthMagicLinkRateWindow},
		{Bucket: "2fa", Limit: c.Auth2FARateLimit, Window: c.Auth2FARateWindow},
		{Bucket: "refresh", Limit: c.AuthRefreshRateLimit, Window: c.AuthRefreshRateWindow, Key: limit.PerToken},
		{Bucket: "admin_setup", Limit: c.AdminSetupRateLimit, Window: c.AdminSetupRateWindow},
		{Bucket: "admin_login", Limit: c.AdminLoginRateLimit, Window: c.AdminLoginRateWindow},
		{Bucket: "migrations", Limit: c.ServiceRoleRateLimit, Window: c.ServiceRoleRateWindow, Key: limit.PerCaller},
	}
	if calls.RateLimit > 0 {
		rules = append(rules, limit.Rule{Bucket: "rpc", Limit: calls.RateLimit, Window: calls.RateWindow, Key: limit.PerCaller})
	}
	if c.EnableGlobalRateLimit {
		rules = append(rules, limit.Rule{Bucket: limit.Global, Limit: c.GlobalRateLimit, Window: c.GlobalRateWindow})
	}
	return rules
}

// reachable is the address that people are told: the configured one, unless the
// port was chosen by the system or differs from the configured default.
func reachable(c config.Config, bound net.Addr) string {
	host, _, err := net.SplitHostPort(c.Server.Address)
	if err != nil || host == "" || net.ParseIP(host).IsUnspecified() {
		host = "localhost"
	}
	tcp, ok := bound.(*net.TCPAddr)
	if !ok {
		return c.BaseURL
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(tcp.Port))
}
