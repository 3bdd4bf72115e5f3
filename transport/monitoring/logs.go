package monitoring

import (
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"time"

	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// Pages of log entries.
const (
	defaultEntries = 100
	maxEntries     = 1000
	defaultSpan    = time.Hour
)

// shown is an entry as clients read it.
type shown struct {
	Timestamp time.Time      `json:"timestamp"`
	Level     string         `json:"level"`
	Message   string         `json:"message"`
	Module    string         `json:"module,omitempty"`
	Error     string         `json:"error,omitempty"`
	Fields    map[string]any `json:"fields,omitempty"`
}

// logs gives the latest records of this node.
func (h *handler) logs(r *route.Request) error {
	tenant, err := administers(r.Caller(), "logs")
	if err != nil {
		return err
	}
	if h.Logs == nil {
		return r.JSON(200, page{Message: "Logs are not kept", Logs: []shown{}})
	}
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	q.Tenant = tenant
	entries, total := h.Logs.Find(q)
	list := make([]shown, 0, len(entries))
	for _, e := range entries {
		list = append(list, show(e))
	}
	return r.JSON(200, page{Logs: list, Total: total, Limit: q.Limit, Offset: q.Offset, HasMore: q.Offset+len(list) < total})
}

func show(e Entry) shown {
	s := shown{
		Timestamp: e.Time.UTC(), Level: strings.ToLower(e.Level.String()), Message: e.Message,
		Module: e.text("component"), Error: e.text("error"), Fields: maps.Clone(e.Fields),
	}
	delete(s.Fields, "component")
	delete(s.Fields, "error")
	return s
}

func readQuery(r *route.Request) (Query, error) {
	q := Query{
		Category: r.Query("category"), Component: r.Query("component"), Search: r.Query("search"),
		Limit: defaultEntries, From: time.Now().Add(-defaultSpan),
	}
	if text := r.Query("level"); text != "" {
		var level slog.Level
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return q, fault.New(fault.InvalidInput, "level must be debug, info, warn or error")
		}
		q.Level = &level
	}
	for name, to := range map[string]*time.Time{"start_time": &q.From, "end_time": &q.To} {
		if text := r.Query(name); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return q, fault.Newf(fault.InvalidInput, "%s must be an RFC 3339 time", name)
			}
			*to = at
		}
	}
	for name, to := range map[string]*int{"limit": &q.Limit, "offset": &q.Offset} {
		if text := r.Query(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return q, fault.Newf(fault.InvalidInput, "%s must be a number of 0 or more", name)
			}
			*to = n
		}
	}
	q.Limit = min(q.Limit, maxEntries)
	return q, nil
}
