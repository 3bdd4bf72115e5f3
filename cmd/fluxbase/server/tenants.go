package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"fluxbase/actors/data"
	"fluxbase/actors/ddl"
	"fluxbase/actors/identity"
	"fluxbase/actors/kernel"
	"fluxbase/actors/tenant"
	"fluxbase/cmd/fluxbase/config"
	"fluxbase/persistence/account"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/db"
	definitions "fluxbase/persistence/ddl"
	"fluxbase/persistence/message"
	"fluxbase/persistence/procedure"
	"fluxbase/persistence/query"
	"fluxbase/persistence/tenancy"
	"fluxbase/transport/route"
)

// tenantParts is what is brought up for each tenant in use.
type tenantParts struct {
	route    route.Tenant
	database *db.Database
	feed     kernel.Ref
	log      *changelog.Log
	messages *message.Store
	// attendant of the tenant's relay; zero when its database is another's.
	attendant  kernel.Ref
	procedures *procedure.Library
	executions executions
}

// tenants is the directory in the form that transport asks for.
type tenants struct {
	directory *tenant.Directory[*tenantParts]
}

// Resolve implements route.Tenants.
func (t tenants) Resolve(ctx context.Context, c caller.Caller, header string) (*route.Tenant, caller.Caller, error) {
	found, c, err := t.directory.Resolve(ctx, c, header)
	if err != nil {
		return nil, c, err
	}
	return &found.Parts.route, c, nil
}

func (s *Server) openTenants(ctx context.Context) error {
	directory, err := tenant.Start(ctx, s.system, tenant.Options[*tenantParts]{
		List:      tenancy.NewList(s.control),
		Open:      s.openTenant,
		IdleAfter: s.options.Config.Tenants.Pool.EvictionAge,
	})
	if err != nil {
		return err
	}
	s.tenants = tenants{directory}
	s.onStop("executions", s.drainExecutions)
	// The default tenant is wanted by the first request in any case: what is wrong
	// with it stops the start instead of that request.
	_, err = directory.Open(ctx, directory.Default().ID)
	return err
}

func dataLimits(config config.Config) data.Limits {
	c := config.API
	return data.Limits{
		DefaultPageSize: int64(c.DefaultPageSize), MaxPageSize: int64(c.MaxPageSize),
		MaxTotalResults: int64(c.MaxTotalResults), MaxBatchSize: int64(c.MaxBatchSize),
		MaxConditions: c.MaxConditions, MaxListValues: c.MaxListValues, MaxEmbeds: c.MaxEmbeds, MaxEmbedDepth: c.MaxEmbedDepth,
		MaxAffectedRows: int64(c.MaxAffectedRows), MaxCost: c.MaxStatementCost, MaxAnswerBytes: int64(c.MaxAnswerBytes),
		MaxExports: config.Tables.Exports, NoAggregates: !c.AggregatesEnabled,
	}
}

// preRequest is the function that looks at each request first, if there is one.
func preRequest(c config.API) (query.Relation, bool) {
	schema, function, ok := strings.Cut(c.PreRequest, ".")
	return query.Relation{Schema: schema, Name: function}, ok
}

// catalogPoll is how often the schema is looked at where the server may not
// announce changes.
const catalogPoll = 2 * time.Second

// openTenant brings up one tenant. What it spawns stops with the tenant's actor.
func (s *Server) openTenant(ctx context.Context, info tenant.Info, spawn kernel.Spawner) (*tenantParts, func(), error) {
	if info.Database != "" {
		return nil, nil, errors.New("tenants with a database of their own are not served by this version")
	}
	c := s.options.Config
	database := s.control
	schema, err := catalog.Open(ctx, database, catalog.Options{Schemas: c.API.ExposedSchemas, Logger: s.options.Logger})
	if err != nil {
		return nil, nil, err
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	announced, err := schema.Announced(ctx)
	if err != nil {
		stop()
		return nil, nil, err
	}
	if !announced {
		go schema.Poll(watching, catalogPoll)
	}
	p := &tenantParts{
		route:    route.Tenant{ID: info.ID, Slug: info.Slug, Default: info.Default, Catalog: schema, Plans: c.API.PlanEnabled},
		database: database,
		messages: message.New(database),
	}
	unwatch := schema.Watch(func(*catalog.Snapshot) { database.ForgetStatements() })
	closing := func() {
		unwatch()
		stop()
	}
	rows := data.NewWorker(database, schema, dataLimits(c))
	if guard, ok := preRequest(c.API); ok {
		rows.Guard(guard)
	}
	if p.route.Data, err = spawn.SpawnPool(kernel.PoolProps{
		Name: "data", Workers: c.Tables.Workers, Queue: c.Tables.Queue,
		New: func() kernel.Worker { return rows },
	}); err != nil {
		return nil, closing, err
	}
	if info.Default {
		administration := ddl.NewWorker(definitions.New(database, info.ID), schema)
		if p.route.DDL, err = spawn.SpawnPool(kernel.PoolProps{
			Name: "ddl", Workers: 2, Queue: 32,
			New: func() kernel.Worker { return administration },
		}); err != nil {
			return nil, closing, err
		}
	}
	if err = s.openGraphQL(p, spawn); err != nil {
		return nil, closing, err
	}
	if err = s.openEmbedding(p, spawn); err != nil {
		return nil, closing, err
	}
	if err = s.openFeed(ctx, p, database, spawn); err != nil {
		return nil, closing, err
	}
	if err = s.openMessages(p, info, spawn); err != nil {
		return nil, closing, err
	}
	p.procedures = procedure.NewLibrary(procedure.New(database, info.ID), &s.stored)
	if err = s.openProcedures(p, info, spawn); err != nil {
		return nil, closing, err
	}
	if err = s.openExecutions(p, info, spawn); err != nil {
		return nil, closing, err
	}
	people := identity.Options{
		Tenant: info.ID, Store: account.New(database, info.ID), Tokens: s.tokens, Passwords: s.hasher, Revoker: s.revoked,
		Policy: s.passwordPolicy(), SignupDisabled: !c.Auth.SignupEnabled, PasswordLoginDisabled: c.Auth.DisableAppPasswordLogin,
	}
	p.route.Identity, err = spawn.SpawnPool(kernel.PoolProps{
		Name: "identity", Workers: c.Tables.IdentityWorkers, Queue: c.Tables.IdentityQueue,
		New: func() kernel.Worker { return identity.NewWorker(people) },
	})
	return p, closing, err
}
