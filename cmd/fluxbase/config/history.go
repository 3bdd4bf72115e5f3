package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// HistoryRule is how much of the channels whose names match a pattern is remembered.
// In a pattern * stands for any text.
type HistoryRule struct {
	Pattern string
	// Messages is 0 for no history.
	Messages int
	TTL      time.Duration
}

// HistoryRules are the entries of realtime.history; the first that matches counts.
// An entry is a pattern, a number of messages and a time, with spaces between:
// "chat:* 500 1h".
func (r Realtime) HistoryRules() ([]HistoryRule, error) {
	rules := make([]HistoryRule, 0, len(r.History))
	for _, text := range r.History {
		bad := fmt.Errorf("%q is no rule: write a pattern, a number of messages and a time, like chat:* 500 1h", text)
		fields := strings.Fields(text)
		if len(fields) != 3 {
			return nil, bad
		}
		n, err := strconv.Atoi(fields[1])
		if err != nil || n < 0 {
			return nil, bad
		}
		ttl, err := parseDuration(fields[2])
		if err != nil || ttl < time.Second {
			return nil, bad
		}
		rules = append(rules, HistoryRule{Pattern: fields[0], Messages: n, TTL: ttl})
	}
	return rules, nil
}
