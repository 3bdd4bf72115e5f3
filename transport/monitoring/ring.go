package monitoring

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// How much the ring keeps of one record.
const (
	maxText   = 4 << 10
	maxFields = 40
)

// Entry is a log record as it is kept and shown.
type Entry struct {
	Time    time.Time
	Level   slog.Level
	Message string
	Fields  map[string]any
	size    int
}

// text gives a field that is text; "" for any other.
func (e *Entry) text(name string) string {
	s, _ := e.Fields[name].(string)
	return s
}

// Ring keeps the latest log records of this process, bounded in number and bytes.
// What looks like a secret is masked before it is kept.
type Ring struct {
	mu         sync.Mutex
	entries    []Entry
	head, used int
	bytes      int
	maxBytes   int
}

// NewRing makes a ring of at most records entries and maxBytes bytes together.
func NewRing(records, maxBytes int) *Ring {
	return &Ring{entries: make([]Entry, max(records, 1)), maxBytes: maxBytes}
}

func (r *Ring) add(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.used > 0 && (r.used == len(r.entries) || r.bytes+e.size > r.maxBytes) {
		oldest := &r.entries[r.head]
		r.bytes -= oldest.size
		*oldest = Entry{}
		r.head = (r.head + 1) % len(r.entries)
		r.used--
	}
	r.entries[(r.head+r.used)%len(r.entries)] = e
	r.used++
	r.bytes += e.size
}

// Query says which entries are wanted. Zero values want all.
type Query struct {
	Level                               *slog.Level
	Category, Component, Search, Tenant string
	From, To                            time.Time
	Limit, Offset                       int
}

// Find gives the wanted entries, the latest first, and how many there are
// without Limit and Offset.
func (r *Ring) Find(q Query) (found []Entry, total int) {
	search := strings.ToLower(q.Search)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := r.used - 1; i >= 0; i-- {
		e := &r.entries[(r.head+i)%len(r.entries)]
		if !q.wants(e, search) {
			continue
		}
		total++
		if total > q.Offset && len(found) < q.Limit {
			found = append(found, *e)
		}
	}
	return found, total
}

func (q *Query) wants(e *Entry, search string) bool {
	switch {
	case q.Level != nil && e.Level != *q.Level,
		!q.From.IsZero() && e.Time.Before(q.From),
		!q.To.IsZero() && e.Time.After(q.To),
		q.Tenant != "" && e.text("tenant_id") != q.Tenant,
		q.Component != "" && e.text("component") != q.Component,
		q.Category != "" && category(e) != q.Category:
		return false
	}
	return search == "" || strings.Contains(strings.ToLower(e.Message), search) ||
		strings.Contains(strings.ToLower(e.text("error")), search)
}

func category(e *Entry) string {
	if c := e.text("category"); c != "" {
		return c
	}
	return "system"
}

// tee hands records to another handler and to the ring.
type tee struct {
	next   slog.Handler
	ring   *Ring
	prefix string
	fields map[string]any
}

// Tee is a handler that keeps in ring whatever next is enabled for.
func Tee(next slog.Handler, ring *Ring) slog.Handler { return &tee{next: next, ring: ring} }

// Enabled implements slog.Handler.
func (t *tee) Enabled(ctx context.Context, level slog.Level) bool { return t.next.Enabled(ctx, level) }

// Handle implements slog.Handler.
func (t *tee) Handle(ctx context.Context, rec slog.Record) error {
	e := Entry{Time: rec.Time, Level: rec.Level, Message: shorten(rec.Message), Fields: make(map[string]any, len(t.fields)+rec.NumAttrs())}
	maps.Copy(e.Fields, t.fields)
	rec.Attrs(func(a slog.Attr) bool {
		keep(e.Fields, t.prefix, a)
		return true
	})
	e.size = 128 + len(e.Message)
	for name, v := range e.Fields {
		e.size += 64 + len(name)
		if s, ok := v.(string); ok {
			e.size += len(s)
		}
	}
	t.ring.add(e)
	return t.next.Handle(ctx, rec)
}

// WithAttrs implements slog.Handler.
func (t *tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *t
	c.next = t.next.WithAttrs(attrs)
	c.fields = maps.Clone(t.fields)
	if c.fields == nil {
		c.fields = make(map[string]any, len(attrs))
	}
	for _, a := range attrs {
		keep(c.fields, t.prefix, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (t *tee) WithGroup(name string) slog.Handler {
	c := *t
	c.next = t.next.WithGroup(name)
	c.prefix = t.prefix + name + "."
	return &c
}

// keep puts an attribute into fields as something that JSON holds and nobody
// changes later.
func keep(fields map[string]any, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			keep(fields, prefix, inner)
		}
		return
	}
	if a.Key == "" || len(fields) >= maxFields {
		return
	}
	name := prefix + a.Key
	switch {
	case secret(a.Key):
		fields[name] = "***"
	case v.Kind() == slog.KindInt64:
		fields[name] = v.Int64()
	case v.Kind() == slog.KindUint64:
		fields[name] = v.Uint64()
	case v.Kind() == slog.KindBool:
		fields[name] = v.Bool()
	case v.Kind() == slog.KindString:
		fields[name] = shorten(v.String())
	default:
		fields[name] = shorten(fmt.Sprint(v.Any()))
	}
}

// secretParts make a name a secret's.
var secretParts = []string{"password", "secret", "token", "authorization", "cookie", "api_key", "apikey", "private_key", "credential"}

func secret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(secretParts, func(part string) bool { return strings.Contains(name, part) })
}

func shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
