package route

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// Request is one call of a route. It is valid until the handler returns (for
// Stream: until its function returns); what it gives out as strings and Body may
// be kept and sent in messages.
type Request struct {
	fast     *fasthttp.RequestCtx
	ctx      context.Context
	route    *Route
	id       string
	address  netip.Addr
	https    bool
	caller   caller.Caller
	tenant   *Tenant
	body     []byte
	stream   io.Reader
	maxDepth int
	streamed *streamed
}

// Context ends when the client hangs up, when the deadline passes, and when the
// request is answered.
func (r *Request) Context() context.Context { return r.ctx }

// Route is the route that was called.
func (r *Request) Route() *Route { return r.route }

// Caller is on whose behalf the request is made, with its tenant set.
func (r *Request) Caller() caller.Caller { return r.caller }

// Tenant is where the request goes; nil for Instance routes.
func (r *Request) Tenant() *Tenant { return r.tenant }

// RequestID names the request in logs, errors and the response.
func (r *Request) RequestID() string { return r.id }

// IP is the client's address: the peer's, or behind trusted proxies the nearest
// hop that is none of them.
func (r *Request) IP() string { return r.address.String() }

// Address is IP as an address.
func (r *Request) Address() netip.Addr { return r.address }

// Secure tells whether the client reached us over TLS, if need be through a
// trusted proxy that says so.
func (r *Request) Secure() bool { return r.https }

// Method is the HTTP method.
func (r *Request) Method() string { return string(r.fast.Method()) }

// Path is the path as sent, without the query.
func (r *Request) Path() string { return string(r.fast.Request.URI().PathOriginal()) }

// Param is a parameter of the path, percent-decoded; "" when the path has none of
// that name.
func (r *Request) Param(name string) string {
	text, _ := r.fast.UserValue(name).(string)
	if strings.IndexByte(text, '%') < 0 {
		return text
	}
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	return text
}

// Query is the first value of a query parameter; "" when there is none.
func (r *Request) Query(name string) string { return string(r.fast.QueryArgs().Peek(name)) }

// QueryAll is every value of a query parameter, in order.
func (r *Request) QueryAll(name string) []string {
	var all []string
	for _, v := range r.fast.QueryArgs().PeekMulti(name) {
		all = append(all, string(v))
	}
	return all
}

// RawQuery is the query as sent, without the question mark.
func (r *Request) RawQuery() string { return string(r.fast.URI().QueryString()) }

// Header is a header of the request; "" when there is none.
func (r *Request) Header(name string) string { return string(r.fast.Request.Header.Peek(name)) }

// Cookie is a cookie of the request; "" when there is none.
func (r *Request) Cookie(name string) string { return string(r.fast.Request.Header.Cookie(name)) }

// Body is the whole body, never nil for a route without Stream unless it is
// empty. It belongs to the handler.
func (r *Request) Body() []byte { return r.body }

// BodyStream reads the body of a Stream route. Reading more than the route's
// limit allows fails with PAYLOAD_TOO_LARGE.
func (r *Request) BodyStream() io.Reader { return r.stream }

// Decode reads the body as JSON into v: INVALID_REQUEST_BODY when it is none or
// has the wrong shape, JSON_TOO_DEEP when it nests too deep.
func (r *Request) Decode(v any) error {
	if len(r.body) == 0 {
		return fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint("The body is empty; JSON is expected.")
	}
	if err := r.CheckDepth(r.body); err != nil {
		return err
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		return fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint(describe(err)).WithCause(err)
	}
	return nil
}

// DecodeStrictly reads one JSON object into a value that knows all of its members: one
// that is not known may be a condition, and must not be left out in silence.
func DecodeStrictly(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.More() {
		err = errFollowed
	}
	if err != nil {
		return fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint(describe(err)).WithCause(err)
	}
	return nil
}

var errFollowed = errors.New("text follows the object")

// CheckDepth refuses JSON that nests deeper than the server allows, for handlers
// that parse a body on their own.
func (r *Request) CheckDepth(text []byte) error {
	if tooDeep(text, r.maxDepth) {
		return fault.Newf(fault.JSONTooDeep, "JSON is nested deeper than %d levels", r.maxDepth)
	}
	return nil
}

// describe says what is wrong with a body without repeating what is in it.
func describe(err error) string {
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	unknown, isUnknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case isUnknown:
		return "The field " + unknown + " is not known."
	case errors.Is(err, errFollowed):
		return "Text follows the object."
	case errors.As(err, &syntax):
		return "The body is not valid JSON."
	case errors.As(err, &shape) && shape.Field != "":
		return "The field " + shape.Field + " has the wrong type: " + shape.Value + "."
	case errors.As(err, &shape):
		return "The body has the wrong shape: " + shape.Value + "."
	default:
		return "The body cannot be read as JSON."
	}
}

// Fast is the server's own request, for what Request does not offer. Nothing of
// it may be kept after the handler has returned.
func (r *Request) Fast() *fasthttp.RequestCtx { return r.fast }
