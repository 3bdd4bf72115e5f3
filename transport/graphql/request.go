package graphql

import (
	"bytes"
	"encoding/json"
	"strings"

	actor "fluxbase/actors/graphql"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// request is what a client asks for.
type request struct {
	Query         *string         `json:"query" doc:"The document."`
	OperationName *string         `json:"operationName,omitempty" doc:"The operation to run, of a document with several."`
	Variables     json.RawMessage `json:"variables,omitempty" doc:"A JSON object."`
	Extensions    json.RawMessage `json:"extensions,omitempty" doc:"A JSON object; nothing in it has a meaning here."`
}

// post answers a request in a body.
func post(r *route.Request) error {
	m, err := accept(r)
	if err != nil {
		return err
	}
	r.SetHeader("Vary", "Accept")
	contentType, _, _ := strings.Cut(r.Header("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(contentType), mediaJSON) {
		return m.failed(r, fault.New(fault.UnsupportedMedia, "A GraphQL request is "+mediaJSON))
	}
	var q request
	if err := r.Decode(&q); err != nil {
		return m.failed(r, err)
	}
	return run(r, m, q, false)
}

// get answers a request in the query string.
func get(o Options) func(*route.Request) error {
	return func(r *route.Request) error {
		m, err := accept(r)
		if err != nil {
			return err
		}
		r.SetHeader("Vary", "Accept")
		args := r.Fast().QueryArgs()
		if !args.Has("query") {
			if !o.Introspection {
				return m.failed(r, fault.New(fault.IntrospectionDisabled, "Introspection is disabled"))
			}
			whole := introspectionQuery
			return run(r, m, request{Query: &whole}, true)
		}
		text := r.Query("query")
		q := request{Query: &text}
		if args.Has("operationName") {
			name := r.Query("operationName")
			q.OperationName = &name
		}
		for name, into := range map[string]*json.RawMessage{"variables": &q.Variables, "extensions": &q.Extensions} {
			if raw := strings.TrimSpace(r.Query(name)); raw != "" {
				if err := r.CheckDepth([]byte(raw)); err != nil {
					return m.failed(r, err)
				}
				*into = json.RawMessage(raw)
			}
		}
		return run(r, m, q, true)
	}
}

// run runs a request and answers.
func run(r *route.Request, m media, q request, readOnly bool) error {
	if q.Query == nil || strings.TrimSpace(*q.Query) == "" {
		return m.failed(r, fault.New(fault.MissingRequiredField, "The request has no query"))
	}
	for name, raw := range map[string]json.RawMessage{"variables": q.Variables, "extensions": q.Extensions} {
		if !isObject(raw) {
			return m.failed(r, fault.New(fault.InvalidRequestBody, name+" must be a JSON object"))
		}
	}
	message := &actor.Execute{Caller: r.Caller(), Query: *q.Query, Variables: q.Variables, ReadOnly: readOnly}
	if q.OperationName != nil {
		message.Operation = *q.OperationName
	}
	answer, err := kernel.Ask[*actor.Response](r.Context(), r.Tenant().GraphQL, message)
	if err != nil {
		if fault.CodeOf(err) == fault.MethodNotAllowed {
			r.SetHeader("Allow", "POST")
		}
		return m.failed(r, err)
	}
	status := 200
	if answer.Refused != "" && !m.lenient {
		status = route.Status(answer.Refused)
	}
	return r.Raw(status, m.name+charset, answer.Body)
}

// failed gives err back after it has noted the form of the answer.
func (m media) failed(r *route.Request, err error) error {
	r.Fast().Response.Header.SetContentType(m.name + charset)
	return err
}

// isObject tells whether raw is nothing, null, or JSON that begins like an object.
func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || bytes.Equal(raw, []byte("null")) || raw[0] == '{' && json.Valid(raw)
}

// introspectionQuery is what tools ask for to learn the schema.
const introspectionQuery = `query IntrospectionQuery {
  __schema {
    description
    queryType { name }
    mutationType { name }
    subscriptionType { name }
    types { ...FullType }
    directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description specifiedByURL isOneOf
  fields(includeDeprecated: true) {
    name description
    args(includeDeprecated: true) { ...InputValue }
    type { ...TypeRef }
    isDeprecated deprecationReason
  }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type {
  kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }
}`
