// Package graphql answers GraphQL requests to a tenant's tables.
//
// It is a pool of workers (Worker) that each take one request, check its document
// against the schema of the caller's database role, and run it on the caller's behalf:
// all fields of a query as one statement, those of a mutation as one statement each,
// in their order and in one transaction. A worker keeps schemas and documents that
// were checked, and nothing of a caller.
package graphql

import (
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// Execute is a GraphQL request. The reply is a *Response. A server that cannot answer
// now, or not in time, is an error; a client's mistake is a Response.
type Execute struct {
	Caller caller.Caller
	// Query is the document.
	Query string
	// Operation names the operation to run; empty for the only one.
	Operation string
	// Variables is a JSON object; empty for none.
	Variables []byte
	// ReadOnly refuses mutations, with METHOD_NOT_ALLOWED.
	ReadOnly bool
}

// Response is a GraphQL response.
type Response struct {
	// Body is the response as JSON.
	Body []byte
	// Refused is the code of why the request was not executed; empty for one that was,
	// whatever became of its fields. Without execution there is no member data.
	Refused fault.Code
}
