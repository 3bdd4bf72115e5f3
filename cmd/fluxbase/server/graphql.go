package server

import (
	"fluxbase/actors/data"
	actor "fluxbase/actors/graphql"
	"fluxbase/actors/graphql/operation"
	"fluxbase/actors/kernel"
	"fluxbase/cmd/fluxbase/config"
	"fluxbase/transport/graphql"
	"fluxbase/transport/route"
)

// openGraphQL brings up what answers a tenant's GraphQL requests, in a pool of its own:
// documents take CPU before they take a connection.
func (s *Server) openGraphQL(p *tenantParts, spawn kernel.Spawner) error {
	c := s.options.Config
	if !c.GraphQL.Enabled {
		return nil
	}
	var database data.Database = p.database
	if guard, ok := preRequest(c.API); ok {
		database = data.Guarded(database, guard)
	}
	worker := actor.NewWorker(actor.Options{
		Database: database, Catalog: p.route.Catalog, Limits: dataLimits(c), Rules: graphQLRules(c.GraphQL),
	})
	var err error
	p.route.GraphQL, err = spawn.SpawnPool(kernel.PoolProps{
		Name: "graphql", Workers: c.Tables.Workers, Queue: c.Tables.Queue,
		New: func() kernel.Worker { return worker },
	})
	return err
}

func graphQLRules(c config.GraphQL) operation.Rules {
	return operation.Rules{Introspection: c.Introspection, Limits: operation.Limits{
		MaxDepth: c.MaxDepth, MaxComplexity: c.MaxComplexity, MaxFields: c.MaxFieldsPerLevel, MaxAliases: c.MaxAliasesPerQuery,
		RefuseFragments: !c.AllowFragments,
	}}
}

// graphqlRoutes are those of GraphQL, unless it is switched off.
func (s *Server) graphqlRoutes() []route.Route {
	c := s.options.Config.GraphQL
	if !c.Enabled {
		return nil
	}
	return graphql.Routes(graphql.Options{Introspection: c.Introspection})
}
