package channel

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// leastHistory is what a home remembers of a channel that has no history, to fill
// the holes of nodes.
const leastHistory = 64

// HistoryLimits bound what a home remembers of a channel. Zero fields mean the
// defaults: 256 messages, 1 MB, five minutes.
type HistoryLimits struct {
	Messages, Bytes int
	Age             time.Duration
	// None: members that come back cannot get what they missed.
	None bool
}

func (l HistoryLimits) orDefault() HistoryLimits {
	if l.None {
		l.Messages = leastHistory
	}
	if l.Messages == 0 {
		l.Messages = 256
	}
	if l.Bytes == 0 {
		l.Bytes = 1 << 20
	}
	if l.Age == 0 {
		l.Age = 5 * time.Minute
	}
	return l
}

// HistoryRule gives the channels whose names match a pattern their limits. In a
// pattern * stands for any text.
type HistoryRule struct {
	Pattern string
	Limits  HistoryLimits
}

func (r HistoryRule) matches(name string) bool {
	parts := strings.Split(r.Pattern, "*")
	if len(parts) == 1 {
		return name == r.Pattern
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}

// limitsOf are those of the first rule that matches.
func (o HomeOptions) limitsOf(name string) HistoryLimits {
	for _, r := range o.Rules {
		if r.matches(name) {
			return r.Limits
		}
	}
	return o.Limits
}

// appendEntry encodes a message for a history outside of the home.
func appendEntry(dst []byte, k kept) []byte {
	dst = binary.AppendVarint(dst, k.at.UnixMilli())
	return appendMessages(dst, []*message{k.message})
}

func readEntry(b []byte) (kept, error) {
	at, n := binary.Varint(b)
	if n <= 0 {
		return kept{}, errors.New("malformed entry of a history")
	}
	r := &reader{b: b[n:]}
	list := r.messages()
	if r.bad || len(r.b) > 0 || len(list) != 1 {
		return kept{}, errors.New("malformed entry of a history")
	}
	return kept{list[0], time.UnixMilli(at)}, nil
}
