package route

import (
	"bufio"
	"context"
	"io"
	"net/netip"

	"github.com/valyala/fasthttp"

	"fluxbase/actors/credential"
	"fluxbase/persistence/caller"
)

// Verifier tells who a credential is. It runs no query.
type Verifier interface {
	Verify(ctx context.Context, p credential.Presented) (caller.Caller, error)
}

// Tenants finds the tenant of a caller: the one that the credential is bound to,
// or the one that header names, or the default one. It gives the caller back with
// the tenant set.
type Tenants interface {
	Resolve(ctx context.Context, c caller.Caller, header string) (*Tenant, caller.Caller, error)
}

var _ credential.Source = (*Request)(nil)

// Door is the server's side of a Request: what the checks before a handler find
// out goes in here. Handlers never see it. The zero value is ready for Open.
type Door struct{ request Request }

// Opening is what is known of a request before its route.
type Opening struct {
	Fast      *fasthttp.RequestCtx
	RequestID string
	Address   netip.Addr
	Secure    bool
	MaxDepth  int
}

// Open starts with a request, forgetting the last one.
func (d *Door) Open(o Opening) {
	d.request = Request{
		fast: o.Fast, ctx: context.Background(), id: o.RequestID, address: o.Address,
		https: o.Secure, maxDepth: o.MaxDepth, caller: caller.Anonymous(),
	}
}

// Close lets go of everything that the request held.
func (d *Door) Close() { d.request = Request{} }

// Request is what the handler gets.
func (d *Door) Request() *Request { return &d.request }

// SetRoute tells which route was called, and the context that it runs in.
func (d *Door) SetRoute(r *Route, ctx context.Context) {
	d.request.route, d.request.ctx = r, ctx
}

// SetCaller tells who calls.
func (d *Door) SetCaller(c caller.Caller) { d.request.caller = c }

// SetTenant tells where the request goes.
func (d *Door) SetTenant(t *Tenant) { d.request.tenant = t }

// SetBody hands over the body, which nobody else keeps.
func (d *Door) SetBody(body []byte) { d.request.body = body }

// SetBodyStream hands over the reader of a Stream route's body.
func (d *Door) SetBodyStream(body io.Reader) { d.request.stream = body }

// Streamed gives the function that writes the rest of the answer, or nil.
func (d *Door) Streamed() func(context.Context, *bufio.Writer) error {
	if d.request.streamed == nil {
		return nil
	}
	return d.request.streamed.write
}
