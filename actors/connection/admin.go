package connection

import (
	"encoding/json"
	"time"
)

// adminEvent is what admins are told of a connection that came or went.
func adminEvent(event string, c Connection, now time.Time) json.RawMessage {
	optional := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	b, err := json.Marshal(map[string]any{
		"type": event, "id": c.ID, "user_id": optional(c.UserID), "email": optional(c.Email),
		"remote_addr": c.RemoteAddr, "connected_at": c.ConnectedAt.Format(time.RFC3339),
		"timestamp": now.UTC().Format(time.RFC3339),
	})
	if err != nil {
		return json.RawMessage("null") // strings and nils always marshal
	}
	return b
}
