package realtime

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"fluxbase/actors/connection"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// maxStreamed is the number of subscriptions of a stream: their places come with
// every event, and back in a header.
const maxStreamed = 10

// stream is a connection that only listens.
type stream struct {
	head          []byte // of the answer
	subscriptions []any  // messages of the client that it does not send
	// rewrite is what becomes of events on their way; nil for nothing.
	rewrite func(events []byte) []byte
}

// stream serves GET /realtime/sse.
func (g *Gateway) stream(r *route.Request) error {
	if err := g.enabled(); err != nil {
		return err
	}
	id := r.Header("Last-Event-ID")
	if id == "" {
		id = r.Query("last_event_id")
	}
	last := parsePlaces(id)
	subscriptions, err := streamed(r, last)
	if err != nil {
		return err
	}
	p, err := g.peer(r, sse{})
	if err != nil {
		return err
	}
	s := &stream{subscriptions: subscriptions}
	if len(subscriptions) > 1 {
		c := &combined{}
		for _, subscription := range subscriptions {
			if key := streamKey(subscription); last.of(key) != "" {
				c.set(place{key, last.of(key)})
			}
		}
		s.rewrite = c.rewrite
	}
	r.SetHeader("Content-Type", "text/event-stream")
	r.SetHeader("Cache-Control", "no-cache, no-transform")
	r.SetHeader("X-Accel-Buffering", "no") // nginx would wait for more
	r.HijackAnswer(func(conn net.Conn, head []byte) {
		s.head = append(head, "retry: 2000\n\n"...)
		p.stream = s
		g.serve(conn, nil, p)
	})
	return nil
}

// streamed reads what a stream follows: each channel of the query, where a name
// like table:public.todos is a table, and the table that schema, table, event and
// filter name. Each goes on from its place, if it has one.
func streamed(r *route.Request, last places) ([]any, error) {
	private, err := flag(r, "private")
	if err != nil {
		return nil, err
	}
	snapshot, err := flag(r, "snapshot")
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", 0, 1<<31-1)
	if err != nil {
		return nil, err
	}
	table := config{
		Event: r.Query("event"), Schema: r.Query("schema"), Table: r.Query("table"), Filter: r.Query("filter"),
		Cursor: r.Query("cursor"), Snapshot: snapshot, Order: r.Query("order"), Limit: int64(limit),
	}
	var wanted []*incoming
	for _, name := range r.QueryAll("channel") {
		if name == "" {
			return nil, fault.New(fault.InvalidInput, "channel must not be empty")
		}
		m := &incoming{Channel: name, Config: &config{Private: private}}
		if strings.HasPrefix(name, "table:") {
			m.Config = &config{Event: table.Event, Schema: table.Schema, Filter: table.Filter, Cursor: table.Cursor, Snapshot: snapshot, Order: table.Order, Limit: table.Limit}
		}
		wanted = append(wanted, m)
	}
	if table.Table != "" {
		wanted = append(wanted, &incoming{Config: &table})
	}
	switch {
	case len(wanted) == 0:
		return nil, fault.New(fault.MissingRequiredField, "channel or table is required")
	case len(wanted) > maxStreamed:
		return nil, fault.Newf(fault.InvalidInput, "a stream follows at most %d channels and tables", maxStreamed)
	}
	var all []any
	seen := map[string]bool{}
	for _, m := range wanted {
		s, err := resumed(subscribe(m), last)
		if err != nil {
			return nil, err
		}
		if key := streamKey(s); !seen[key] {
			seen[key] = true
			all = append(all, s)
		}
	}
	return all, nil
}

// resumed lets a subscription go on from its place.
func resumed(s any, last places) (any, error) {
	switch s := s.(type) {
	case connection.SubscribeTable:
		s.ID = streamKey(s)
		if at := last.of(s.ID); at != "" {
			s.Cursor = at
		}
		return s, nil
	case connection.SubscribeChannel:
		s.Recover = parseRecover(last.of(streamKey(s)))
		return s, nil
	case connection.Refuse:
		return nil, fault.New(s.Refused.Code, s.Refused.Message)
	}
	return nil, fmt.Errorf("%T is no subscription", s)
}

// streamKey is the key of a subscription in the places of its stream.
func streamKey(s any) string {
	switch s := s.(type) {
	case connection.SubscribeTable:
		return tableKey(s.Schema, s.Table, s.Event, s.Filter)
	case connection.SubscribeChannel:
		return channelKey(s.Channel, s.Private)
	}
	return ""
}

// flag reads a query parameter that is true or false; false when it is not there.
func flag(r *route.Request, name string) (bool, error) {
	text := r.Query(name)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, fault.Newf(fault.InvalidInput, "%s must be true or false", name)
	}
	return on, nil
}
