package route

import "fluxbase/persistence/fault"

// Doc is what the API's document says of a route, in the terms of OpenAPI. What
// the route says itself is not repeated here: the parameters of its path, who may
// call it, and the errors that follow from that and from its limits.
type Doc struct {
	// Hidden is for routes that refuse whoever calls them, in words of their own:
	// documents leave them out.
	Hidden bool
	// ID names the operation for programs that are made from the document; empty for
	// a name made of the method and the path.
	ID string
	// Tag names the group that the route is listed in.
	Tag string
	// Summary is one line without a full stop, Description more in Markdown; it may
	// be empty.
	Summary, Description string
	// Parameters are those of the query and the headers, and those of the path of
	// which more is to be said than their names. Of several that have a name in one
	// place the first counts.
	Parameters []Parameter
	// Body is what the request carries, a payload (see Answers); nil for nothing.
	Body any
	// BodyOptional tells that the request may come without its body.
	BodyOptional bool
	// Answers are what the handler answers.
	Answers Answers
	// Faults are the codes that the handler refuses with, beyond those that any
	// route like it has.
	Faults []fault.Code
	// Failure is the payload of errors, for routes that write them in a form of
	// their own; nil for the envelope.
	Failure any
}

// Answers has a payload for every status that the handler itself answers with; the
// numbers 1 to 5 stand for all statuses that begin with that digit.
//
// A payload is nil for no body, a Content, an Answer, or a Go value or a
// *schema.Schema for JSON: of a Go value its type counts, as encoding/json sees it.
type Answers map[int]any

// Answer is a payload with more to say than its form.
type Answer struct {
	Description string
	// Headers are what the answer carries beside its body.
	Headers []Parameter
	Payload any
}

// Content has a payload for each media type.
type Content map[string]any

// Parameter is a parameter of a request, or a header of an answer.
type Parameter struct {
	// Name as it is written; of a header in any case.
	Name string
	In   Place
	// Description is Markdown without a full stop at its end.
	Description string
	// Schema is the form, a Go value or a *schema.Schema; nil for any text.
	Schema any
	// Required is for the query and headers; the path's are always.
	Required bool
}

// Place tells where a parameter stands.
type Place string

// The places.
const (
	InQuery  Place = "query"
	InHeader Place = "header"
	InPath   Place = "path"
)
