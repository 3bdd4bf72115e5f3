package transport

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"fluxbase/transport/metrics"
	"fluxbase/transport/route"
)

// entry is a route with what is known of it before any request.
type entry struct {
	route   route.Route
	metrics *metrics.Route
	limit   int64
	api     bool
}

// table finds the entry of a request.
type table struct {
	router  *router.Router
	methods []string
	entries []*entry
	// failures are the areas with errors in a form of their own, by the path that all
	// routes of the area begin with.
	failures map[string]failure
}

// failure writes an error; see route.Route.
type failure = func(resp *fasthttp.Response, requestID string, err error) int

// matched is the key under which a found route leaves its entry.
type matched struct{}

// newTable registers routes. Routes that are wrong or collide are defects of the
// program, so they panic: at start, not at the first request.
func newTable(routes []route.Route, limits func(route.Limit) int64, m *metrics.HTTP) *table {
	t := &table{router: router.New(), failures: map[string]failure{}}
	seen := make(map[string]string, len(routes))
	for _, r := range routes {
		switch {
		case r.Handle == nil:
			panic(fmt.Sprintf("route %s %s has no handler", r.Method, r.Path))
		case r.Access.Closed():
			panic(fmt.Sprintf("route %s %s does not say who may call it", r.Method, r.Path))
		case !strings.HasPrefix(r.Path, "/"):
			panic(fmt.Sprintf("route %s %q does not start with a slash", r.Method, r.Path))
		}
		shape := r.Method + " " + shapeOf(r.Path)
		if other, ok := seen[shape]; ok {
			panic(fmt.Sprintf("route %s %s is there twice (as %s)", r.Method, r.Path, other))
		}
		seen[shape] = r.Path
		e := &entry{route: r, metrics: m.Route(r.Method, r.Path), limit: limits(r.BodyLimit), api: strings.HasPrefix(r.Path, "/api/")}
		t.entries = append(t.entries, e)
		if begin, _, parameters := strings.Cut(r.Path, "{"); r.Failure != nil && parameters {
			t.failures[begin] = r.Failure
		}
		if !slices.Contains(t.methods, r.Method) {
			t.methods = append(t.methods, r.Method)
		}
		path, names := byPosition(r.Path)
		t.router.Handle(r.Method, path, func(ctx *fasthttp.RequestCtx) {
			for i, name := range names {
				ctx.SetUserValue(name, ctx.UserValue(position(i)))
			}
			ctx.SetUserValue(matched{}, e)
		})
	}
	slices.Sort(t.methods)
	return t
}

// position names a path's parameter by its place.
func position(i int) string {
	if i < len(positions) {
		return positions[i]
	}
	return "p" + strconv.Itoa(i)
}

var positions = [...]string{"p0", "p1", "p2", "p3", "p4", "p5"}

// byPosition is a path with its parameters named by their places, and their own
// names. The router would take parameters of different names in one place for
// different branches, and search only the first one that begins to fit.
func byPosition(path string) (string, []string) {
	var b strings.Builder
	var names []string
	for {
		before, rest, ok := strings.Cut(path, "{")
		b.WriteString(before)
		if !ok {
			return b.String(), names
		}
		inside, after, closed := strings.Cut(rest, "}")
		if !closed {
			panic(fmt.Sprintf("path %q has an open brace", path))
		}
		end := strings.IndexAny(inside, "?:")
		if end < 0 {
			end = len(inside)
		}
		b.WriteString("{" + position(len(names)) + inside[end:] + "}")
		names = append(names, inside[:end])
		path = after
	}
}

// shapeOf is a path with its parameters unnamed: paths of one shape collide.
func shapeOf(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '{' {
			b.WriteByte(path[i])
			continue
		}
		end := strings.IndexByte(path[i:], '}')
		if end < 0 {
			panic(fmt.Sprintf("path %q has an open brace", path))
		}
		name, pattern, _ := strings.Cut(path[i+1:i+end], ":")
		b.WriteString("{" + strings.Repeat("?", strings.Count(name, "?")) + ":" + pattern + "}")
		i += end
	}
	return b.String()
}

// find gives the entry of a request and leaves the path's parameters in ctx; nil
// when there is none. HEAD falls back to GET. A slash at the end is one too many
// or too few, and taken for what was meant.
func (t *table) find(ctx *fasthttp.RequestCtx) *entry {
	method := string(ctx.Method())
	if e := t.lookup(ctx, method); e != nil || method != fasthttp.MethodHead {
		return e
	}
	return t.lookup(ctx, fasthttp.MethodGet)
}

// failure is how errors are written for a path that has no route of its own; nil for
// the form that all have.
func (t *table) failure(path string) failure {
	for begin, write := range t.failures {
		if strings.HasPrefix(path, begin) {
			return write
		}
	}
	return nil
}

func (t *table) lookup(ctx *fasthttp.RequestCtx, method string) *entry {
	path := string(ctx.Request.URI().PathOriginal())
	if path == "" {
		path = "/"
	}
	handler, slash := t.router.Lookup(method, path, ctx)
	if handler == nil && slash {
		if trimmed := strings.TrimSuffix(path, "/"); trimmed != path {
			path = trimmed
		} else {
			path += "/"
		}
		handler, _ = t.router.Lookup(method, path, ctx)
	}
	if handler == nil {
		return nil
	}
	handler(ctx)
	e, _ := ctx.UserValue(matched{}).(*entry)
	return e
}

// allowed lists the methods that the request's path has; nil when it has none.
func (t *table) allowed(ctx *fasthttp.RequestCtx) []string {
	var methods []string
	for _, m := range t.methods {
		if t.lookup(ctx, m) != nil {
			methods = append(methods, m)
		}
	}
	if len(methods) == 0 {
		return nil
	}
	if slices.Contains(methods, fasthttp.MethodGet) && !slices.Contains(methods, fasthttp.MethodHead) {
		methods = append(methods, fasthttp.MethodHead)
	}
	if !slices.Contains(methods, fasthttp.MethodOptions) {
		methods = append(methods, fasthttp.MethodOptions)
	}
	slices.Sort(methods)
	return methods
}
