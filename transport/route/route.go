// Package route is what the server and the areas of the API agree on: a Route
// says what one method of one path is, who may call it, and which function
// answers; a Request is one call of it.
//
// Each area's package exports its routes as a list. The server puts the lists
// into one table, and that table drives everything: the router, the checks
// before a handler, the limits, the labels of metrics, and the documents.
package route

import (
	"time"

	"github.com/valyala/fasthttp"
)

// Route is one method of one path.
type Route struct {
	// Method is GET, POST, PUT, PATCH or DELETE. HEAD is served by GET, and OPTIONS by
	// the server, unless a route of its own exists.
	Method string
	// Path has its parameters in braces: "/api/v1/tables/{table}"; "{key:*}" takes
	// the rest of the path.
	Path string
	// Access says who may call. The zero value lets nobody in: the server refuses
	// to start with it.
	Access Access
	// Scope is what a key's scopes must cover: "tables:read". Tokens are not
	// bound by scopes. Empty asks for none.
	Scope string
	// Message is a zero value of the message that the request becomes, for
	// documents; nil when it becomes none.
	Message any
	// BodyLimit is the area whose body limit holds; empty is LimitDefault.
	BodyLimit Limit
	// Bucket is the rate limit that counts the call; empty counts none.
	Bucket string
	// Timeout is the request's deadline: 0 is the server's, NoTimeout none.
	Timeout time.Duration
	// Stream leaves the body unread: the handler takes it from
	// Request.BodyStream, where the body limit still holds.
	Stream bool
	// Instance marks routes that belong to the instance and to no tenant:
	// Request.Tenant is nil, and a tenant header is not looked at.
	Instance bool
	// Failure writes an error in a form of the area's own and gives the status; nil
	// for the envelope that all others have.
	Failure func(resp *fasthttp.Response, requestID string, err error) int
	// Doc is what documents say of the route. A route without one is not served:
	// see TestEveryRouteIsDocumented.
	Doc Doc
	// Handle answers. It returns an error instead of writing one; see Request.Fail.
	Handle func(*Request) error
}

// NoTimeout is the Timeout of routes whose answer has no natural end.
const NoTimeout = time.Duration(-1)

// Limit names an area with a body limit of its own; configuration says how many
// bytes it is.
type Limit string

// The areas.
const (
	LimitDefault   Limit = "default"
	LimitREST      Limit = "rest"
	LimitAuth      Limit = "auth"
	LimitRealtime  Limit = "realtime"
	LimitStorage   Limit = "storage"
	LimitBulk      Limit = "bulk"
	LimitRPC       Limit = "rpc"
	LimitGraphQL   Limit = "graphql"
	LimitMCP       Limit = "mcp"
	LimitAdmin     Limit = "admin"
	LimitAI        Limit = "ai"
	LimitWebhooks  Limit = "webhooks"
	LimitAdminSync Limit = "admin_sync"
)
