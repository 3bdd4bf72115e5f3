package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// view is what one user has seen of some tables: rows by table and key, kept up
// from the changes that a socket delivers, as an application would. It checks on
// the way what must hold for every single message.
type view struct {
	t     *testing.T
	user  *person
	conn  *websocket.Conn
	allow func(table string, row map[string]any) bool

	mu      sync.Mutex
	tables  map[string]map[string]map[string]any
	counts  map[string]int
	faults  []string
	changed chan struct{}
	ended   chan struct{}
}

// person is an identity of the test: a token, and what SELECT answers with it.
type person struct {
	name, token string
	id, team    string
}

// change is the payload of a postgres_changes message.
type change struct {
	Type      string         `json:"type"`
	Table     string         `json:"table"`
	Record    map[string]any `json:"record"`
	OldRecord map[string]any `json:"old_record"`
	Entered   bool           `json:"entered"`
	Left      bool           `json:"left"`
}

// follow opens a socket as the user, subscribes to the tables and waits for the
// acks. allow says, without the database, whether the user may see a row image.
func follow(t *testing.T, base string, user *person, tables []string, allow func(string, map[string]any) bool) (*view, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(base, "http")+"/realtime", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + user.token}},
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	v := &view{
		t: t, user: user, conn: conn, allow: allow,
		tables: map[string]map[string]map[string]any{}, counts: map[string]int{},
		changed: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	for _, table := range tables {
		v.tables[table] = map[string]map[string]any{}
		message := fmt.Sprintf(`{"type":"subscribe","channel":"table:public.%s"}`, table)
		if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			return nil, err
		}
	}
	for acks := 0; acks < len(tables); {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return nil, err
		}
		var m struct{ Type, Error string }
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, err
		}
		switch m.Type {
		case "ack":
			acks++
		case "error":
			return nil, fmt.Errorf("subscribe as %s: %s", user.name, text)
		case "postgres_changes":
			v.take(text)
		}
	}
	go v.read()
	return v, nil
}

func (v *view) read() {
	defer close(v.ended)
	for {
		_, text, err := v.conn.Read(context.Background())
		if err != nil {
			return
		}
		v.take(text)
	}
}

func (v *view) close() {
	v.conn.CloseNow()
	<-v.ended
}

// take applies one message.
func (v *view) take(text []byte) {
	var m struct {
		Type    string `json:"type"`
		Payload change `json:"payload"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil {
		v.fault("message %s: %v", text, err)
		return
	}
	switch m.Type {
	case "heartbeat", "ack":
		return
	case "postgres_changes":
	default:
		v.fault("unexpected message %s", text)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	c := m.Payload
	rows := v.tables[c.Table]
	if rows == nil {
		v.faultLocked("change of %q, which was not subscribed: %s", c.Table, text)
		return
	}
	v.counts[c.Type]++
	switch c.Type {
	case "INSERT", "UPDATE":
		key := keyOf(c.Record)
		if !v.allow(c.Table, c.Record) {
			v.faultLocked("%s may not see %s", v.user.name, text)
		}
		if c.Type == "UPDATE" && !c.Entered && c.OldRecord != nil && keyOf(c.OldRecord) != key {
			delete(rows, keyOf(c.OldRecord))
		}
		rows[key] = c.Record
	case "DELETE":
		delete(rows, keyOf(c.OldRecord))
		if len(c.OldRecord) > 1 && !c.Left && !v.allow(c.Table, c.OldRecord) {
			v.faultLocked("%s may not see the old row of %s", v.user.name, text)
		}
	case "TRUNCATE":
		clear(rows)
	default:
		v.faultLocked("unknown type in %s", text)
	}
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// keyOf is the primary key of a row of wildSchema: id, and region where there is
// one.
func keyOf(row map[string]any) string {
	if region, ok := row["region"]; ok {
		return fmt.Sprint(row["id"], " ", region)
	}
	return fmt.Sprint(row["id"])
}

func (v *view) fault(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faultLocked(format, args...)
}

func (v *view) faultLocked(format string, args ...any) {
	if len(v.faults) < 10 {
		v.faults = append(v.faults, fmt.Sprintf(format, args...))
	}
}

// load takes the rows that SELECT shows now as the start. Changes that came
// between the acks and this are in it; those that come twice are harmless,
// because the last one of each row wins.
func (v *view) load(base string) error {
	for table := range v.tables {
		rows, err := selectAs(v.t.Context(), base, v.user, table)
		if err != nil {
			return err
		}
		v.mu.Lock()
		for key, row := range rows {
			if _, known := v.tables[table][key]; !known {
				v.tables[table][key] = row
			}
		}
		v.mu.Unlock()
	}
	return nil
}

// has tells whether the view holds a row.
func (v *view) has(table, key string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.tables[table][key]
	return ok
}

// await waits until the row has arrived.
func (v *view) await(table, key string, within time.Duration) bool {
	deadline := time.After(within)
	for !v.has(table, key) {
		select {
		case <-v.changed:
		case <-v.ended:
			return v.has(table, key)
		case <-deadline:
			return false
		}
	}
	return true
}

// compare checks the view against what SELECT answers the same user.
func (v *view) compare(base string) {
	v.t.Helper()
	for table := range v.tables {
		want, err := selectAs(v.t.Context(), base, v.user, table)
		if err != nil {
			v.t.Errorf("select %s as %s: %v", table, v.user.name, err)
			continue
		}
		v.mu.Lock()
		got := v.tables[table]
		wrong := 0
		for key, row := range want {
			if a, b := text(got[key]), text(row); a != b {
				wrong++
				if wrong <= 3 {
					v.t.Errorf("%s, %s %s:\nsaw    %s\nselect %s", v.user.name, table, key, a, b)
				}
			}
		}
		for key, row := range got {
			if _, there := want[key]; !there {
				wrong++
				if wrong <= 3 {
					v.t.Errorf("%s, %s %s: still holds %s, which select does not show", v.user.name, table, key, text(row))
				}
			}
		}
		if wrong > 0 {
			v.t.Errorf("%s, %s: %d rows differ of %d", v.user.name, table, wrong, len(want))
		}
		v.mu.Unlock()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range v.faults {
		v.t.Error(f)
	}
}

func text(row map[string]any) string {
	if row == nil {
		return "nothing"
	}
	b, _ := json.Marshal(row)
	return string(b)
}

// selectAs reads a whole table over REST as the user.
func selectAs(ctx context.Context, base string, user *person, table string) (map[string]map[string]any, error) {
	rows := map[string]map[string]any{}
	for offset := 0; ; offset += 1000 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet,
			fmt.Sprintf("%s/api/v1/tables/%s?order=id.asc&limit=1000&offset=%d", base, table, offset), nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+user.token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		var page []map[string]any
		decoder := json.NewDecoder(response.Body)
		decoder.UseNumber()
		err = decoder.Decode(&page)
		response.Body.Close()
		if response.StatusCode != http.StatusOK || err != nil {
			return nil, fmt.Errorf("status %d: %v", response.StatusCode, err)
		}
		for _, row := range page {
			rows[keyOf(row)] = row
		}
		if len(page) < 1000 {
			return rows, nil
		}
	}
}
