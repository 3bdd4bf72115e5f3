package servertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"

	"fluxbase/transport/openapi"
)

// Every answer that a test gets is compared with the node's own OpenAPI document:
// what is not described like that is a mistake of the document or of the answer.

func init() {
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewCallbackValidator(uuid.Validate))
	openapi3filter.RegisterBodyDecoder("application/vnd.pgrst.plan+text", openapi3filter.PlainBodyDecoder)
}

// contract is a document in the form that answers are compared with.
type contract struct {
	doc *openapi3.T
	// paths are the templates, split at their slashes.
	paths map[string][]string
}

// contracts are shared by nodes whose documents are the same.
var contracts sync.Map // ETag → *contract

func contractOf(d *openapi.Document) (*contract, error) {
	if c, ok := contracts.Load(d.ETag); ok {
		return c.(*contract), nil
	}
	doc, err := openapi3.NewLoader().LoadFromData(d.JSON)
	if err != nil {
		return nil, err
	}
	c := &contract{doc: doc, paths: map[string][]string{}}
	for path := range doc.Paths.Map() {
		c.paths[path] = strings.Split(path, "/")
	}
	for _, s := range doc.Components.Schemas {
		shut(s)
	}
	contracts.Store(d.ETag, c)
	return c, nil
}

// shut makes an object that does not say otherwise refuse members that it does not
// have: clients of an open document pass them over, a test of ours does not.
func shut(s *openapi3.SchemaRef) {
	if s == nil || s.Value == nil || s.Ref != "" && s.Value.AdditionalProperties.Has != nil {
		return
	}
	v := s.Value
	if len(v.Properties) > 0 && v.AdditionalProperties.Schema == nil && v.AdditionalProperties.Has == nil {
		no := false
		v.AdditionalProperties.Has = &no
	}
	for _, all := range []openapi3.SchemaRefs{v.AllOf, v.AnyOf, v.OneOf} {
		for _, one := range all {
			if one.Ref == "" {
				shut(one)
			}
		}
	}
	for _, one := range v.Properties {
		if one.Ref == "" {
			shut(one)
		}
	}
	if v.Items != nil && v.Items.Ref == "" {
		shut(v.Items)
	}
}

// find finds the template of a path: the one with the most segments that are no
// parameters. With general, templates of single relations and functions do not
// count.
func (c *contract) find(path, method string, general bool) (template string, operation *openapi3.Operation) {
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	if path == "/" {
		segments = []string{"", ""}
	}
	best := -1
	for candidate, parts := range c.paths {
		literal, ok := match(parts, segments)
		if !ok || literal <= best {
			continue
		}
		o := c.doc.Paths.Value(candidate).GetOperation(method)
		if o == nil || general && slices.ContainsFunc(o.Tags, func(tag string) bool { return strings.Contains(tag, ": ") }) {
			continue
		}
		template, operation, best = candidate, o, literal
	}
	return template, operation
}

// match tells whether a template is a path's, and how many of its segments are no
// parameters.
func match(parts, segments []string) (literal int, ok bool) {
	if len(parts) != len(segments) {
		return 0, false
	}
	for i, part := range parts {
		switch {
		case part == segments[i]:
			literal++
		case !strings.Contains(part, "{") || segments[i] == "":
			return 0, false
		}
	}
	return literal, true
}

// shaped are requests whose answers have rows of a form of their own.
var shaped = regexp.MustCompile(`(^|[&?])(select|group_by|truncate|columns)=|"(select|groupBy|truncate)"`)

// unnumbered is a number that JSON cannot write, or a time without end.
var unnumbered = regexp.MustCompile(`"(-?Infinity|-?infinity|NaN)"`)

// conforms tells what of an answer is not as the document says.
func (n *Node) conforms(req *http.Request, sent []byte, res Response) error {
	d, err := n.Server.Document(req.Context())
	if err != nil {
		return nil // the node has stopped
	}
	c, err := contractOf(d)
	if err != nil {
		return fmt.Errorf("the document cannot be read: %w", err)
	}
	method := req.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	general := shaped.MatchString(req.URL.RawQuery) || shaped.Match(sent) || unnumbered.Match(res.Body) ||
		req.Header.Get("Accept-Profile") != "" || req.Header.Get("Content-Profile") != ""
	template, operation := c.find(req.URL.EscapedPath(), method, general)
	if operation == nil {
		return nil // no route, or one that only refuses
	}
	return c.check(template, operation, req, res)
}

func (c *contract) check(template string, operation *openapi3.Operation, req *http.Request, res Response) error {
	described := operation.Responses.Status(res.Status)
	switch {
	case described == nil && res.Status < 400:
		return fmt.Errorf("%s: the status %d is not described", template, res.Status)
	case described != nil && len(described.Value.Content) == 0 && len(res.Body) > 0:
		return fmt.Errorf("%s: the status %d is described without a body", template, res.Status)
	case len(res.Body) == 0:
		return nil
	}
	header := res.Header.Clone()
	header.Set("Content-Type", strings.Replace(header.Get("Content-Type"), "; charset=utf-8", "", 1))
	err := openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: &routers.Route{
			Spec: c.doc, Path: template, PathItem: c.doc.Paths.Value(template), Method: req.Method, Operation: operation,
		}},
		Status: res.Status, Header: header, Body: io.NopCloser(bytes.NewReader(res.Body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	var wrong *openapi3filter.ResponseError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s: %s: %w", template, wrong.Reason, wrong.Err)
	}
	return err
}
