package operation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"fluxbase/persistence/fault"
)

// Error is an error of a GraphQL response.
type Error struct {
	Message   string
	Locations []Location
	// Path leads to the field of the answer that failed; nil for none.
	Path []string
	// Fault has the code, and what else is known; its message is not shown.
	Fault *fault.Fault

	rule string
}

// Location is a place in a document, from 1.
type Location struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Error is the message with its code.
func (e *Error) Error() string { return string(e.Fault.Code) + ": " + e.Message }

// Unwrap gives the fault.
func (e *Error) Unwrap() error { return e.Fault }

// MarshalJSON writes the error as the specification has it, with the code in its
// extensions.
func (e *Error) MarshalJSON() ([]byte, error) {
	extensions := make(map[string]any, len(e.Fault.Fields)+3)
	maps.Copy(extensions, e.Fault.Fields)
	extensions["code"] = e.Fault.Code
	if e.Fault.Hint != "" {
		extensions["hint"] = e.Fault.Hint
	}
	if e.Fault.Details != nil {
		extensions["details"] = e.Fault.Details
	}
	return encode(struct {
		Message    string         `json:"message"`
		Locations  []Location     `json:"locations,omitempty"`
		Path       []string       `json:"path,omitempty"`
		Extensions map[string]any `json:"extensions"`
	}{e.Message, e.Locations, e.Path, extensions})
}

// JSON is the errors as a JSON array.
func JSON(errs []*Error) ([]byte, error) { return encode(errs) }

// encode writes JSON that is read by programs and not put into HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// Refusal is why a request is not executed: one error at least.
type Refusal []*Error

// Error is the first error.
func (r Refusal) Error() string { return r[0].Error() }

// Unwrap gives the first error.
func (r Refusal) Unwrap() error { return r[0] }

// Unknown tells whether a name of the document is not in the schema.
func (r Refusal) Unknown() bool {
	for _, e := range r {
		switch e.rule {
		case rules.FieldsOnCorrectTypeRule.Name, rules.KnownTypeNamesRule.Name, rules.KnownArgumentNamesRule.Name, rules.ValuesOfCorrectTypeRule.Name:
			return true
		}
	}
	return false
}

// maxErrors is how many errors of one document are told.
const maxErrors = 10

// refusal makes a Refusal of what the parser or the rules say.
func refusal(code fault.Code, errs ...*gqlerror.Error) Refusal {
	var out Refusal
	for _, e := range errs {
		if len(out) == maxErrors {
			break
		}
		known := &Error{Message: e.Message, Fault: fault.New(code, e.Message), rule: e.Rule}
		for _, l := range e.Locations {
			known.Locations = append(known.Locations, Location{l.Line, l.Column})
		}
		out = append(out, known)
	}
	return out
}

// Failed is what a fault of executing a field is to the client; with a nil field, one
// of the whole operation.
func Failed(err error, field *Selection) *Error {
	f := fault.From(err)
	e := &Error{Message: strings.TrimPrefix(f.Message, "Invalid query parameters: "), Fault: f}
	var known *Error
	if errors.As(err, &known) {
		e = known
	}
	if field != nil {
		e.Locations, e.Path = located(field.Node.Position), []string{field.Key}
	}
	return e
}

func located(p *ast.Position) []Location {
	if p == nil || p.Line == 0 {
		return nil
	}
	return []Location{{p.Line, p.Column}}
}

func failure(code fault.Code, p *ast.Position, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{Message: message, Locations: located(p), Fault: fault.New(code, message)}
}

func badInput(format string, args ...any) *Error {
	return failure(fault.BadUserInput, nil, format, args...)
}

// unknownField refuses a field of an input object that the schema does not have.
func unknownField(where, name string) *Error {
	e := badInput("%s has no field %s", where, name)
	e.rule = rules.ValuesOfCorrectTypeRule.Name
	return e
}

// Refuse makes a Refusal of one fault.
func Refuse(err error) Refusal {
	var many Refusal
	if errors.As(err, &many) {
		return many
	}
	return Refusal{Failed(err, nil)}
}
