package seal

import (
	"bytes"
	"errors"
	"testing"
)

func key(t testing.TB, fill byte, retired ...[]byte) *Key {
	t.Helper()
	k, err := NewKey(bytes.Repeat([]byte{fill}, KeySize), retired...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealAndOpen(t *testing.T) {
	k := key(t, 1)
	for _, plain := range []string{"", "x", "a longer secret with ünicode"} {
		a, err := k.Seal([]byte(plain), []byte("row 1"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := k.Seal([]byte(plain), []byte("row 1"))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(a, b) {
			t.Errorf("two seals of %q are equal", plain)
		}
		got, err := k.Open(a, []byte("row 1"))
		if err != nil || string(got) != plain {
			t.Errorf("Open = %q, %v; want %q", got, err, plain)
		}
	}
}

func TestOpenRefusesWhatWasChanged(t *testing.T) {
	k := key(t, 1)
	sealed, err := k.Seal([]byte("secret"), []byte("row 1"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad, []byte("row 1")); err == nil {
			t.Errorf("Open accepts a change of byte %d", i)
		}
	}
	for n := range sealed {
		if _, err := k.Open(sealed[:n], []byte("row 1")); err == nil {
			t.Errorf("Open accepts the first %d bytes", n)
		}
	}
	if _, err := k.Open(sealed, []byte("row 2")); !errors.Is(err, ErrTampered) {
		t.Errorf("Open in another context = %v, want ErrTampered", err)
	}
}

func TestRetiredKeysStillOpen(t *testing.T) {
	old := key(t, 1)
	sealed, err := old.Seal([]byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key(t, 2).Open(sealed, nil); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("Open with another key = %v, want ErrUnknownKey", err)
	}
	both := key(t, 2, bytes.Repeat([]byte{1}, KeySize))
	got, err := both.Open(sealed, nil)
	if err != nil || string(got) != "secret" {
		t.Errorf("Open with the retired key = %q, %v", got, err)
	}
	if both.Current(sealed) {
		t.Error("Current is true for text of a retired key")
	}
	fresh, err := both.Seal([]byte("secret"), nil)
	if err != nil || !both.Current(fresh) {
		t.Errorf("Current is false for fresh text (%v)", err)
	}
}

func TestDerivedKeys(t *testing.T) {
	a, b := key(t, 1), key(t, 2)
	if !bytes.Equal(a.Derive("cursor", 32), key(t, 1).Derive("cursor", 32)) {
		t.Error("the same key and purpose give different sub-keys")
	}
	if bytes.Equal(a.Derive("cursor", 32), a.Derive("seal", 32)) || bytes.Equal(a.Derive("cursor", 32), b.Derive("cursor", 32)) {
		t.Error("sub-keys of different purposes or keys are equal")
	}
	if a.Password("one") == a.Password("two") || len(a.Password("one")) != 32 {
		t.Errorf("passwords %q and %q", a.Password("one"), a.Password("two"))
	}
	if a.Fingerprint() == b.Fingerprint() || a.Fingerprint() != key(t, 1).Fingerprint() {
		t.Error("fingerprints do not follow the key")
	}
}

func TestKeySizeIsChecked(t *testing.T) {
	if _, err := NewKey([]byte("short")); err == nil {
		t.Error("NewKey accepts a short key")
	}
	if _, err := NewKey(make([]byte, KeySize), []byte("short")); err == nil {
		t.Error("NewKey accepts a short retired key")
	}
}

func TestEqual(t *testing.T) {
	if !Equal([]byte("a"), []byte("a")) || Equal([]byte("a"), []byte("b")) || Equal(nil, []byte("a")) {
		t.Error("Equal is wrong")
	}
}
