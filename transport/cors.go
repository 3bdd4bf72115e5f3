package transport

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// CORS is what browsers on other origins may do.
type CORS struct {
	// Origins are allowed ones ("https://app.example.com"); "*" allows all, and
	// then credentials cannot be allowed.
	Origins []string
	// Methods, Headers and Exposed are lists of names; what the product itself
	// needs is always among the headers.
	Methods, Headers, Exposed []string
	Credentials               bool
	MaxAge                    time.Duration
}

// What the product's own clients send and read.
var (
	productMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	productHeaders = []string{
		"Origin", "Content-Type", "Accept", "Authorization", "X-Request-ID", "X-CSRF-Token",
		"X-Impersonation-Token", "Prefer", "apikey", "clientkey", "x-client-app", "X-FB-Tenant",
		"X-Client-Key", "X-Service-Key", "X-Fluxbase-Branch", "Idempotency-Key", "Range",
	}
	productExposed = []string{
		"Content-Range", "Content-Encoding", "Content-Length", "X-Request-ID", "X-RateLimit-Limit",
		"X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After", "X-Affected-Count",
		"Idempotency-Replayed", "X-Trace-ID", "Location",
	}
)

// cors is CORS as headers, ready to be set.
type cors struct {
	origins                           map[string]struct{}
	all, credentials                  bool
	methods, headers, exposed, maxAge string
}

func newCORS(o CORS) (*cors, error) {
	c := &cors{
		origins:     make(map[string]struct{}, len(o.Origins)),
		credentials: o.Credentials,
		methods:     joinNames(productMethods, o.Methods),
		headers:     joinNames(productHeaders, o.Headers),
		exposed:     joinNames(productExposed, o.Exposed),
		maxAge:      strconv.Itoa(int(o.MaxAge / time.Second)),
	}
	if len(o.Methods) > 0 {
		c.methods = joinNames(o.Methods, []string{"OPTIONS"})
	}
	for _, origin := range o.Origins {
		if origin == "*" {
			c.all = true
			continue
		}
		canonical, ok := canonicalOrigin(origin)
		if !ok {
			return nil, fmt.Errorf("cors: %q is no origin: scheme and host are expected", origin)
		}
		c.origins[canonical] = struct{}{}
	}
	if c.all && c.credentials {
		return nil, fmt.Errorf(`cors: "*" cannot be allowed together with credentials: name the origins, or set allow_credentials to false`)
	}
	return c, nil
}

// joinNames joins two lists without repeating a name.
func joinNames(first, second []string) string {
	names := slices.Clone(first)
	for _, n := range second {
		if !slices.ContainsFunc(names, func(have string) bool { return strings.EqualFold(have, n) }) {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}

// canonicalOrigin is an origin as browsers send it: lower case, no default port.
func canonicalOrigin(text string) (string, bool) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := u.Port(); scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return scheme + "://" + host, true
}

func (c *cors) allows(origin []byte) bool {
	if c.all {
		return true
	}
	_, ok := c.origins[string(origin)]
	return ok
}

// apply sets the headers of an answer. It tells whether the request was a
// preflight, which is answered with that: the routes never see it.
func (c *cors) apply(ctx *fasthttp.RequestCtx) (preflight bool) {
	in, out := &ctx.Request.Header, &ctx.Response.Header
	if !c.all {
		out.Add("Vary", "Origin")
	}
	preflight = ctx.IsOptions() && len(in.Peek("Access-Control-Request-Method")) > 0
	origin := in.Peek("Origin")
	if len(origin) > 0 && c.allows(origin) {
		if c.all {
			out.Set("Access-Control-Allow-Origin", "*")
		} else {
			out.SetBytesV("Access-Control-Allow-Origin", origin)
		}
		if c.credentials {
			out.Set("Access-Control-Allow-Credentials", "true")
		}
		if preflight {
			out.Set("Access-Control-Allow-Methods", c.methods)
			out.Set("Access-Control-Allow-Headers", c.headers)
			out.Set("Access-Control-Max-Age", c.maxAge)
			out.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		} else {
			out.Set("Access-Control-Expose-Headers", c.exposed)
		}
	}
	if preflight {
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	}
	return preflight
}
