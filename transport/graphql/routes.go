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
					Body: request{}, Answers: answers, Failure: response{},
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
					Answers: answers, Failure: response{},
				},
			})
	}
	return all
}

// response is the form of every answer.
type response struct {
	Data   map[string]any `json:"data,omitempty" doc:"The answer by the keys of the fields; null when nothing has happened, absent when nothing was executed."`
	Errors []failure      `json:"errors,omitempty"`
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

var answers = route.Answers{200: route.Content{mediaJSON: answerSchema, mediaResponse: answerSchema}}

var answerSchema = &schema.Schema{Type: "object"}

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
