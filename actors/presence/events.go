package presence

import (
	"encoding/json"

	"fluxbase/actors/delivery"
)

// smallState is the size up to which a lone join or leave carries the whole
// state, too. The sync that follows carries it in any case; in a large room
// sending it twice would double the traffic.
const smallState = 16 << 10

// events turns steps into what watchers are told: a join or leave per step, and
// a sync with the whole state at the end. A state that was replaced is a sync,
// which names its key.
func events(channel string, steps []Change, current json.RawMessage) []delivery.Presence {
	list := make([]delivery.Presence, 0, len(steps)+1)
	for _, s := range steps {
		e := delivery.Presence{Channel: channel}
		switch {
		case s.Old == nil:
			e.Event, e.Key, e.New = delivery.Join, s.New.Key, []json.RawMessage{s.New.State}
		case s.New == nil:
			e.Event, e.Key, e.Left = delivery.Leave, s.Old.Key, []json.RawMessage{s.Old.State}
		default:
			continue
		}
		list = append(list, e)
	}
	if len(steps) == 1 && len(list) == 1 && len(current) <= smallState {
		list[0].Current = current
	}
	sync := delivery.Presence{Channel: channel, Event: delivery.Sync, Current: current}
	if len(steps) == 1 && steps[0].Old != nil && steps[0].New != nil {
		sync.Key = steps[0].New.Key
		sync.New, sync.Left = []json.RawMessage{steps[0].New.State}, []json.RawMessage{steps[0].Old.State}
	}
	return append(list, sync)
}
