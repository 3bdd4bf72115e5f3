package presence

import (
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// audience is who watches a room on this node.
type audience map[kernel.Ref]delivery.Subscriber

// tell sends events to every watcher, encoded once per dialect; a watcher whose
// connection is gone is dropped.
func (a audience) tell(events []delivery.Presence) {
	frames := map[string]*delivery.Frame{}
	for ref, s := range a {
		frame := frames[s.Codec.Dialect()]
		if frame == nil {
			frame = encode(s.Codec, events)
			frames[s.Codec.Dialect()] = frame
		}
		if ref.Tell(frame) != nil {
			delete(a, ref)
		}
	}
}

func encode(codec delivery.Codec, events []delivery.Presence) *delivery.Frame {
	frame := &delivery.Frame{Messages: len(events)}
	for i := range events {
		frame.Bytes = codec.AppendPresence(frame.Bytes, &events[i])
	}
	return frame
}
