package realtime

import (
	"encoding/json"

	"fluxbase/actors/delivery"
)

// smallState is the size up to which a lone join or leave carries the whole state,
// too. The sync that follows carries it in any case; in a large room sending it
// twice would double the traffic.
const smallState = 16 << 10

// AppendPresence appends a join or leave message per meta, and a sync with the
// whole state behind them. A state that was replaced is told by the sync, which
// names its key when it was the only difference.
func (native) AppendPresence(dst []byte, p *delivery.Presence) ([]byte, int) {
	state := appendState(nil, p.State())
	sync := nativePresence{Channel: p.Channel, Private: p.Private, Event: "sync", Current: state}
	if p.Initial {
		return sync.append(dst), 1
	}
	if len(p.Joins) == 1 && len(p.Leaves) == 1 && p.Joins[0].PrevRef == p.Leaves[0].Ref {
		sync.Key, sync.New, sync.Left = p.Joins[0].Key, p.Joins[0].State, p.Leaves[0].State
		return sync.append(dst), 1
	}
	lone := nativePresence{Channel: p.Channel, Private: p.Private}
	if len(p.Joins)+len(p.Leaves) == 1 && len(state) <= smallState {
		lone.Current = state
	}
	messages := 1
	replaced := map[string]bool{}
	for _, m := range p.Joins {
		if m.PrevRef != "" {
			replaced[m.PrevRef] = true
			continue
		}
		lone.Event, lone.Key, lone.New = "join", m.Key, m.State
		dst = lone.append(dst)
		messages++
	}
	lone.New = nil
	for _, m := range p.Leaves {
		if !replaced[m.Ref] {
			lone.Event, lone.Key, lone.Left = "leave", m.Key, m.State
			dst = lone.append(dst)
			messages++
		}
	}
	return sync.append(dst), messages
}

// nativePresence is a presence message; nil members are left out.
type nativePresence struct {
	Channel, Event, Key string
	Private             bool
	New, Left, Current  json.RawMessage
}

func (m *nativePresence) append(dst []byte) []byte {
	dst, start := beginFrame(dst)
	dst = append(dst, `{"type":"presence","channel":`...)
	dst = appendString(dst, m.Channel)
	dst = appendFlag(dst, "private", m.Private)
	dst = append(dst, `,"payload":{"presence":{"event":`...)
	dst = appendString(dst, m.Event)
	dst = appendMember(dst, "key", m.Key)
	if m.New != nil {
		dst = append(append(append(dst, `,"newPresences":[`...), m.New...), ']')
	}
	if m.Left != nil {
		dst = append(append(append(dst, `,"leftPresences":[`...), m.Left...), ']')
	}
	if m.Current != nil {
		dst = appendRaw(dst, "currentPresences", m.Current)
	}
	return endFrame(append(dst, "}}}"...), start, opText)
}

// appendState appends a room's state as clients see it: {"key":[state, …], …}.
func appendState(dst []byte, keys []delivery.KeyMetas) []byte {
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k.Key), ':', '[')
		for j, m := range k.Metas {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, m.State...)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}
