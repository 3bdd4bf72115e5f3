package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"fluxbase/bench/socket"
	"fluxbase/bench/target"
)

// follower is a client that follows a table, and when its connection ends goes on
// from its cursor at whatever node answers.
type follower struct {
	sight sight

	hosts     []string
	token     string
	subscribe map[string]any

	mu          sync.Mutex
	cursor      string
	seen        sightings
	first       chan struct{} // closed by the first acknowledgement
	progress    chan struct{} // says that seen has grown
	connections int
	failed      error
	// ended is how the last connection ended.
	ended error
}

func newFollower(nodes []*target.Node, token string, s sight) *follower {
	f := &follower{sight: s, token: token, seen: sightings{rows: map[int64][]seen{}}, first: make(chan struct{}), progress: make(chan struct{}, 1)}
	for _, n := range nodes {
		f.hosts = append(f.hosts, n.Host)
	}
	f.subscribe = map[string]any{"event": "*", "schema": "public", "table": "bench_crash"}
	if s.filtered {
		f.subscribe["filter"] = "level=gte.5"
	}
	return f
}

// run follows until ctx ends. The error is a refusal that no reconnecting helps
// against: the history could not be resumed.
func (f *follower) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := f.connection(ctx)
		var final *resumeRefused
		refused := errors.As(err, &final)
		f.mu.Lock()
		f.ended = err
		if refused {
			f.failed = err
		}
		f.mu.Unlock()
		if refused {
			return err
		}
		// The nodes may all be down: be patient, and not all at once.
		time.Sleep(20*time.Millisecond + rand.N(100*time.Millisecond))
	}
	return nil
}

// resumeRefused says why a cursor was of no use.
type resumeRefused struct{ message string }

func (r *resumeRefused) Error() string { return "resume refused: " + r.message }

func (f *follower) connection(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := socket.Dial(dialing, "ws://"+f.hosts[rand.N(len(f.hosts))]+"/realtime", f.token)
	if err != nil {
		return err
	}
	over := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if over() {
			_ = conn.Close() // the other end may have closed it
		}
	}()
	f.mu.Lock()
	if f.cursor != "" {
		f.subscribe["cursor"] = f.cursor
	}
	request, err := json.Marshal(map[string]any{"type": "subscribe", "config": f.subscribe})
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if err := conn.Send(request); err != nil {
		return err
	}
	for {
		text, err := conn.Receive(time.Minute)
		if err != nil {
			return err
		}
		if err := f.take(text); err != nil {
			return err
		}
	}
}

// take notes one message together with the cursor behind it.
func (f *follower) take(text []byte) error {
	var m struct {
		Type, Code, Error, Message string
		Payload                    struct {
			Cursor, Type  string
			Entered, Left bool
			Record        *version
			OldRecord     *version `json:"old_record"`
		}
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%w in %s", err, text)
	}
	p := m.Payload
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m.Type {
	case "postgres_changes":
		kind := p.Type
		switch {
		case p.Entered:
			kind += " entered"
		case p.Left:
			kind += " left"
		}
		switch {
		case p.Type == "DELETE" && p.OldRecord != nil:
			f.seen.add(p.OldRecord.ID, seen{kind, 0})
		case p.Record != nil:
			f.seen.add(p.Record.ID, seen{kind, p.Record.V})
		default:
			return fmt.Errorf("a change without a row: %s", text)
		}
		select {
		case f.progress <- struct{}{}:
		default:
		}
	case "ack":
		f.connections++
		if f.connections == 1 {
			close(f.first)
		}
	case "resume_failed":
		if slices.Contains([]string{"too_old", "epoch_changed", "schema_changed", "invalid_cursor"}, m.Code) {
			return &resumeRefused{m.Code + " " + m.Message}
		}
		return errors.New("told to resume: " + string(text))
	case "error":
		return errors.New(m.Code + " " + m.Error)
	}
	if p.Cursor != "" {
		f.cursor = p.Cursor
	}
	return nil
}

// joined waits for the first acknowledgement.
func (f *follower) joined(ctx context.Context) error {
	select {
	case <-f.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(30 * time.Second):
		return errors.New("a client was not acknowledged within 30 s")
	}
}

// wait blocks until count changes were seen, or the deadline.
func (f *follower) wait(ctx context.Context, count int, deadline time.Time) {
	over := time.NewTimer(time.Until(deadline))
	defer over.Stop()
	for {
		f.mu.Lock()
		enough := f.seen.count >= count || f.failed != nil
		f.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-f.progress:
		case <-over.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// comparison is what a client saw beside what it should have seen.
type comparison struct {
	got, lost, extra, disordered int
	// first tells of the first row that differs.
	first string
}

func (f *follower) compare(want sightings) comparison {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := comparison{got: f.seen.count}
	for row := range historyRows + 20 {
		got, wanted := f.seen.rows[int64(row)], want.rows[int64(row)]
		if slices.Equal(got, wanted) {
			continue
		}
		balance := map[seen]int{}
		for _, one := range wanted {
			balance[one]++
		}
		for _, one := range got {
			balance[one]--
		}
		lost, extra := 0, 0
		for _, n := range balance {
			lost, extra = lost+max(n, 0), extra+max(-n, 0)
		}
		if lost == 0 && extra == 0 {
			c.disordered++
		}
		c.lost, c.extra = c.lost+lost, c.extra+extra
		if c.first == "" {
			c.first = fmt.Sprintf("row %d: seen %s, to be seen %s; %d connections, the last one that ended: %v", row, brief(got), brief(wanted), f.connections, f.ended)
		}
	}
	return c
}

// brief shows the last of many.
func brief(all []seen) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", len(all))
	for _, one := range all[max(0, len(all)-8):] {
		fmt.Fprintf(&b, " %s %d,", one.kind, one.version)
	}
	return b.String()
}
