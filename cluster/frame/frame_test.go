package frame

import (
	"bytes"
	"math"
	"reflect"
	"testing"
)

func TestDecodeGivesBackWhatAppendWrote(t *testing.T) {
	for _, want := range []Frame{
		{Type: Tell, From: "a", Data: []byte{}},
		{Type: Ask, From: "node-1", Sequence: 1, Offset: math.MaxUint64, ID: 7, Budget: 500, Name: "room", Key: "t:lobby", Kind: "join", Data: []byte("data")},
		{Type: 200, Data: bytes.Repeat([]byte{0xff}, 5<<20)},
	} {
		encoded := want.Append([]byte("before"))
		if n := len(encoded) - len("before"); n > want.Size() {
			t.Errorf("%d bytes, Size says %d", n, want.Size())
		}
		got, err := Decode(encoded[len("before"):])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %.80v, %v, want %.80v", got, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	whole := Frame{Type: Yield, From: "node", Sequence: 300, Offset: 5, ID: 9, Name: "kind", Key: "key", Kind: "k", Data: []byte("x")}
	encoded := whole.Append(nil)
	for n := range encoded {
		f.Add(encoded[:n])
	}
	f.Add([]byte{1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(got.Append(nil))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%x: %v, then %v, %v", b, got, again, err)
		}
	})
}
