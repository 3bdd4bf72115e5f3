package presence

import (
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// audience is who watches a room on this node.
type audience map[kernel.Ref]delivery.Subscriber

// tell sends an event to every watcher, encoded once per dialect; a watcher whose
// connection is gone is dropped.
func (a audience) tell(event *delivery.Presence) {
	frames := map[string]*delivery.Frame{}
	for ref, s := range a {
		frame := frames[s.Codec.Dialect()]
		if frame == nil {
			frame = encode(s.Codec, event)
			frames[s.Codec.Dialect()] = frame
		}
		if ref.Tell(frame) != nil {
			delete(a, ref)
		}
	}
}

func encode(codec delivery.Codec, event *delivery.Presence) *delivery.Frame {
	frame := &delivery.Frame{}
	frame.Bytes, frame.Messages = codec.AppendPresence(nil, event)
	return frame
}
