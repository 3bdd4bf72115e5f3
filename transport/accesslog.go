package transport

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// masked are query parameters whose values never reach a log.
var masked = map[string]bool{
	"token": true, "access_token": true, "refresh_token": true, "id_token": true, "api_key": true, "apikey": true,
	"clientkey": true, "key": true, "secret": true, "password": true, "code": true, "state": true, "signature": true, "sig": true,
}

// log writes one line per request: successes at debug, so that a busy server
// logs what went wrong and nothing else.
func (s *Server) log(x *exchange, status int, took time.Duration) {
	level := slog.LevelDebug
	switch {
	case status >= 500:
		level = slog.LevelError
	case status >= 400:
		level = slog.LevelWarn
	}
	if x.quiet() {
		level = slog.LevelDebug
	}
	ctx := context.Background()
	if !s.o.Logger.Enabled(ctx, level) {
		return
	}
	r := x.door.Request()
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs,
		slog.String("category", "http"),
		slog.String("request_id", r.RequestID()),
		slog.String("method", r.Method()),
		slog.String("path", r.Path()),
		slog.Int("status", status),
		slog.Float64("took_ms", float64(took.Microseconds())/1000),
		slog.String("ip", r.IP()),
	)
	if query := r.RawQuery(); query != "" {
		attrs = append(attrs, slog.String("query", maskQuery(query)))
	}
	if x.entry != nil {
		attrs = append(attrs, slog.String("route", x.entry.route.Path))
	}
	c := r.Caller()
	if c.UserID != "" {
		attrs = append(attrs, slog.String("user_id", c.UserID))
	}
	if c.Tenant != "" {
		attrs = append(attrs, slog.String("tenant_id", c.Tenant))
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("code", route.CodeOf(x.err)))
		if status >= 500 {
			attrs = append(attrs, slog.String("error", whole(x.err)))
		}
	}
	s.o.Logger.LogAttrs(ctx, level, "request", attrs...)
}

// whole is an error with all that lies beneath it.
func whole(err error) string {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.Error()
	}
	return err.Error()
}

// maskQuery hides the values of parameters that are secrets, and whatever looks
// like a credential under another name: a misspelt parameter is no reason to
// write a key into the log.
func maskQuery(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, value, found := strings.Cut(part, "=")
		if !found {
			name, value = "", part
		}
		plain, err := url.QueryUnescape(name)
		switch {
		case credentialLike(name):
			parts[i] = "***"
		case found && (err != nil || masked[strings.ToLower(plain)] || credentialLike(value)):
			parts[i] = name + "=***"
		case credentialLike(value):
			parts[i] = "***"
		}
	}
	return strings.Join(parts, "&")
}

// credentialLike tells a text that holds the beginning of a key of ours or of a
// JSON Web Token.
func credentialLike(text string) bool {
	return strings.Contains(text, "fb_") || strings.Contains(text, "sk_") || strings.Contains(text, "eyJ")
}
