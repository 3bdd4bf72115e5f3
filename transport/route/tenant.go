package route

import (
	"fluxbase/actors/execution"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/catalog"
)

// Tenant is an open tenant as far as requests need it: where its messages go.
type Tenant struct {
	// ID is a uuid; Slug is the name in addresses.
	ID, Slug string
	Default  bool
	// Data and Identity are the pools that answer the messages of actors/data and
	// actors/identity.
	Data, Identity kernel.Target
	// GraphQL is the pool that answers the message of actors/graphql; nil where that is
	// switched off.
	GraphQL kernel.Target
	// Embedding is the pool that answers the messages of actors/embedding.
	Embedding kernel.Target
	// Registrar is the pool that answers what actors/feed is asked about the
	// registry of tables.
	Registrar kernel.Target
	// Procedures is the pool that answers the messages of actors/procedure.
	Procedures kernel.Target
	// DDL is the pool that answers the messages of actors/ddl; nil for a tenant without
	// a database of its own.
	DDL kernel.Target
	// Feed is the actor of actors/feed.
	Feed kernel.Target
	// Executions is where calls of stored procedures go.
	Executions execution.Desk
	// Plans tells that callers may ask for the plans of their statements.
	Plans bool
	// Catalog is what the tenant's database has to offer.
	Catalog *catalog.Catalog
}
