// Package graphql is GraphQL over HTTP: it turns requests into the message of
// actors/graphql and its reply into a response, as graphql-over-http has it. Parsing,
// checking and running documents is the actors' business.
package graphql

import (
	"github.com/valyala/fasthttp"

	actor "fluxbase/actors/graphql"
	"fluxbase/persistence/fault"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

// Options say how requests are answered.
type Options struct {
	// Introspection tells whether the schema may be asked for.
	Introspection bool
}

// paths are those of the one endpoint: the API's own, and the one that tools try first.
var paths = []string{"/api/v1/graphql", "/graphql"}

// Routes are the routes of GraphQL.
func Routes(o Options) []route.Route {
	var all []route.Route
	for _, path := range paths {
		all = append(all,
			route.Route{
				Method: "POST", Path: path, Access: route.Optional, BodyLimit: route.LimitGraphQL,
				Message: actor.Execute{}, Failure: writeFailure, Handle: post,
				Doc: route.Doc{
					Tag: "GraphQL", Summary: "Run a GraphQL query or mutation",
					Description: "The schema follows the tables and what the caller's role may do with them. " +
						"Fields of a mutation are done in their order and in one transaction.",
					Body: request{}, Answers: answers(415), Failure: failures{},
				},
			},
			route.Route{
				Method: "GET", Path: path, Access: route.Optional,
				Message: actor.Execute{}, Failure: writeFailure, Handle: get(o),
				Doc: route.Doc{
					Tag: "GraphQL", Summary: "Run a GraphQL query, or read the schema",
					Description: "Without a query the answer is that of the introspection query.",
					Parameters: []route.Parameter{
						{Name: "query", In: route.InQuery, Description: "The document"},
						{Name: "operationName", In: route.InQuery, Description: "The operation to run, of a document with several"},
						{Name: "variables", In: route.InQuery, Description: "A JSON object"},
						{Name: "extensions", In: route.InQuery, Description: "A JSON object; nothing in it has a meaning here"},
					},
					Answers: answers(405), Failure: failures{},
				},
			})
	}
	return all
}

// failures is the form of an answer without data.
type failures struct {
	Errors []failure `json:"errors"`
}

type failure struct {
	Message    string     `json:"message"`
	Locations  []place    `json:"locations,omitempty" doc:"Places in the document."`
	Path       []string   `json:"path,omitempty" doc:"The field of the answer that is null because of it."`
	Extensions extensions `json:"extensions"`
}

type place struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

type extensions struct {
	Code    fault.Code `json:"code"`
	Hint    string     `json:"hint,omitempty"`
	Details any        `json:"details,omitempty"`
}

// answered is the form of an answer of a request that was executed, or was not
// understood by one who asked for application/json.
var answered = &schema.Schema{Type: "object", Properties: schema.Properties{
	{Name: "data", Schema: &schema.Schema{Type: "object", Nullable: true,
		Description: "The answer by the keys of the fields; null when nothing has happened, absent when nothing was executed."}},
	{Name: "errors", Schema: schema.Array(schema.From(failure{}))},
}}

// answers are those of the handlers; also lists the statuses that one method has
// besides.
func answers(also ...int) route.Answers {
	all := route.Answers{200: both(answered)}
	for _, status := range append(also, 400, 403, 406, 500, 503, 504) {
		all[status] = route.Answer{Description: "Why the request was not executed", Payload: both(failures{})}
	}
	return all
}

// both is a payload in either media type.
func both(payload any) route.Content {
	return route.Content{mediaJSON: payload, mediaResponse: payload}
}

// writeFailure answers with err in the form of GraphQL and gives the status.
func writeFailure(resp *fasthttp.Response, _ string, err error) int {
	body, encodeErr := actor.Errors(err)
	if encodeErr != nil {
		f := fault.From(err)
		body, _ = actor.Errors(fault.New(f.Code, f.Message))
	}
	status := route.Status(fault.CodeOf(err))
	contentType := mediaJSON
	if string(resp.Header.ContentType()) == mediaResponse+charset {
		contentType = mediaResponse
	}
	route.WriteFailure(resp, "", err) // for its headers
	resp.SetStatusCode(status)
	resp.Header.SetContentType(contentType + charset)
	resp.SetBodyRaw(body)
	return status
}
