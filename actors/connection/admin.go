package connection

import (
	"encoding/json"
	"time"
)

// adminMessage is what admins are told of a connection that came or went.
type adminMessage struct {
	Type        string  `json:"type"`
	ID          string  `json:"id"`
	UserID      *string `json:"user_id"`
	Email       *string `json:"email"`
	RemoteAddr  string  `json:"remote_addr"`
	ConnectedAt string  `json:"connected_at"`
	Timestamp   string  `json:"timestamp"`
}

func adminEvent(event string, c Connection, now time.Time) json.RawMessage {
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	b, err := json.Marshal(adminMessage{
		Type: event, ID: c.ID, UserID: optional(c.UserID), Email: optional(c.Email), RemoteAddr: c.RemoteAddr,
		ConnectedAt: c.ConnectedAt.Format(time.RFC3339), Timestamp: now.UTC().Format(time.RFC3339),
	})
	if err != nil {
		return json.RawMessage("null") // strings always marshal
	}
	return b
}
