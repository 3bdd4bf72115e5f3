package channel

import (
	"reflect"
	"testing"

	"fluxbase/actors/kernel"
)

var wires = []kernel.Wire{
	&publishBatch{Messages: []*message{{Event: "e", MessageID: "m", Sender: "s", Identity: "i", Payload: []byte(`{"a":1}`)}, {Payload: []byte("\x00"), Raw: true, ID: "id"}}},
	&numbered{Epoch: 1 << 60, Offsets: []uint64{1, 2, 300}, Elsewhere: 4},
	&interest{Members: 9},
	&interested{Epoch: 3, Offset: 4},
	&deliver{Key: "t/c", Epoch: 1, Offset: 2, Messages: []*message{{Event: "e", Payload: []byte("1")}}},
	&closed{Key: "t/c", Epoch: 1, Offset: 2},
	&fetch{Epoch: 1, From: 2, To: 3},
	&fetched{Epoch: 1, Offset: 2, Newest: 3, Messages: []*message{}},
}

func TestWireRoundTrip(t *testing.T) {
	for _, w := range wires {
		b, err := w.AppendWire(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := kernel.DecodeWire(w.WireKind(), b)
		if err != nil || !reflect.DeepEqual(back, w) {
			t.Errorf("%#v came back as %#v, %v", w, back, err)
		}
		for n := range b {
			if _, err := kernel.DecodeWire(w.WireKind(), b[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes were taken", w.WireKind(), n, len(b))
			}
		}
	}
}

func FuzzWire(f *testing.F) {
	for i, w := range wires {
		b, err := w.AppendWire(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, b)
	}
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		w, err := kernel.DecodeWire(wires[uint(kind)%uint(len(wires))].WireKind(), b)
		if err != nil {
			return
		}
		if _, err := w.AppendWire(nil); err != nil {
			t.Fatal(err)
		}
	})
}
