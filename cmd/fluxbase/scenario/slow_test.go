package scenario

import (
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// TestStuckClientResumes: a client that stops reading while one statement writes
// more than a ring holds keeps nobody from anything, is cut, shows up where
// operators look, and gets all it missed with its last cursor.
func TestStuckClientResumes(t *testing.T) {
	t.Parallel()
	const rows = 4000
	n := servertest.Start(t, "REALTIME_RING_BYTES=1MB")
	execAll(t, n.DatabaseURL, `create table notes (id int primary key, v text)`)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes"}`)
	stuck, lively := openSocket(t, n.SocketURL(n.ServiceKey)), openSocket(t, n.SocketURL(n.ServiceKey))
	var last string
	for _, s := range []*socket{stuck, lively} {
		s.send(`{"type":"subscribe","config":{"table":"notes"}}`)
		last = cursorOf(t, s.expect(`{"type":"ack"}`))
	}
	execAll(t, n.DatabaseURL, `insert into notes select g, repeat('x', 4000) from generate_series(1, 4000) g`)
	// next reads a change, which must be that of the row.
	next := func(s *socket, id int) bool {
		t.Helper()
		m, err := s.read()
		if err != nil {
			return false
		}
		if !contains(m, map[string]any{"type": "postgres_changes", "payload": map[string]any{"record": map[string]any{"id": id}}}) {
			t.Fatalf("got %.200v, want row %d", m, id)
		}
		last = cursorOf(t, m)
		return true
	}
	for id := 1; id <= rows; id++ {
		if !next(lively, id) {
			t.Fatalf("the lively client was ended at row %d", id)
		}
	}
	var stats struct {
		Cut []struct {
			ID     string `json:"id"`
			Reason string `json:"reason"`
		} `json:"slow_connections"`
	}
	eventually(t, "the cut is shown", func() bool {
		n.Want(200, "GET", "/api/v1/realtime/stats", n.ServiceKey, nil).Decode(t, &stats)
		return len(stats.Cut) == 1 && stats.Cut[0].Reason == "others were waiting"
	})
	got := 0
	for next(stuck, got+1) {
		got++
	}
	if got == 0 || got == rows {
		t.Fatalf("the stuck client got %d rows", got)
	}
	again := openSocket(t, n.SocketURL(n.ServiceKey))
	again.send(`{"type":"subscribe","config":{"table":"notes","cursor":"%s"}}`, last)
	again.expect(`{"type":"ack"}`)
	for id := got + 1; id <= rows; id++ {
		if !next(again, id) {
			t.Fatalf("ended again at row %d", id)
		}
	}
}
