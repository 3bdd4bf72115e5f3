// Package seal keeps secrets: it encrypts what is stored with the
// installation's encryption key, and derives from it the sub-keys that all
// nodes must share without talking to each other.
//
// One key has one purpose. The encryption key itself encrypts nothing; every
// use has a sub-key made by HKDF-SHA256 from the key and the use's name.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// KeySize is the length of an encryption key in bytes.
const KeySize = 32

// Sealed text is version, key id, nonce and ciphertext, in this order.
const (
	version    = 1
	idSize     = 4
	nonceSize  = 12
	headerSize = 1 + idSize + nonceSize
)

// The errors of Open.
var (
	// ErrUnknownKey means that the text was sealed with a key that is neither the
	// current one nor among the retired ones.
	ErrUnknownKey = errors.New("sealed with an unknown encryption key")
	// ErrTampered means that the text, or the context that it was bound to, is
	// not what was sealed.
	ErrTampered = errors.New("sealed text does not authenticate")
)

// Key is an encryption key with those that it replaced. It is immutable and
// safe for use by many goroutines.
type Key struct {
	secret  []byte
	current uint32
	aeads   map[uint32]cipher.AEAD
}

// NewKey takes the current encryption key, of KeySize bytes, and the keys that
// were current before: Seal and Derive use the current one, Open any of them.
func NewKey(current []byte, retired ...[]byte) (*Key, error) {
	k := &Key{aeads: make(map[uint32]cipher.AEAD, 1+len(retired))}
	for i, secret := range append([][]byte{current}, retired...) {
		if len(secret) != KeySize {
			return nil, fmt.Errorf("an encryption key has %d bytes, not %d", KeySize, len(secret))
		}
		id := binary.BigEndian.Uint32(derive(secret, "key id", idSize))
		block, err := aes.NewCipher(derive(secret, "seal", 32))
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			k.secret, k.current = append([]byte(nil), secret...), id
		}
		k.aeads[id] = aead
	}
	return k, nil
}

// Seal encrypts plain and binds it to context: Open succeeds with the same
// context only, so that a sealed value moved to another row or column is
// noticed. The result is 33 bytes longer than plain.
func (k *Key) Seal(plain, context []byte) ([]byte, error) {
	out := make([]byte, headerSize, headerSize+len(plain)+16)
	out[0] = version
	binary.BigEndian.PutUint32(out[1:], k.current)
	nonce := out[1+idSize : headerSize]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return k.aeads[k.current].Seal(out, nonce, plain, bound(out[:1+idSize], context)), nil
}

// Open decrypts what Seal made. It fails with ErrUnknownKey or ErrTampered.
func (k *Key) Open(sealed, context []byte) ([]byte, error) {
	if len(sealed) < headerSize || sealed[0] != version {
		return nil, ErrTampered
	}
	aead, ok := k.aeads[binary.BigEndian.Uint32(sealed[1:])]
	if !ok {
		return nil, ErrUnknownKey
	}
	plain, err := aead.Open(nil, sealed[1+idSize:headerSize], sealed[headerSize:], bound(sealed[:1+idSize], context))
	if err != nil {
		return nil, ErrTampered
	}
	return plain, nil
}

// Current tells whether sealed was made with the current key; what was not
// should be opened and sealed again.
func (k *Key) Current(sealed []byte) bool {
	return len(sealed) >= headerSize && sealed[0] == version && binary.BigEndian.Uint32(sealed[1:]) == k.current
}

// Derive makes a sub-key of n bytes for a purpose. The same encryption key and
// purpose give the same sub-key on every node and at every start; a new
// encryption key gives new ones.
func (k *Key) Derive(purpose string, n int) []byte { return derive(k.secret, purpose, n) }

// Password is the password of a database login, made of letters, digits, "-"
// and "_", so that it can stand in a URL and in SQL as it is.
func (k *Key) Password(login string) string {
	return base64.RawURLEncoding.EncodeToString(k.Derive("login "+login, 24))
}

// Fingerprint is a short public mark of the current key: equal keys have equal
// marks, and a mark does not help to find the key. Nodes compare it to notice
// that they were configured differently.
func (k *Key) Fingerprint() string {
	return base64.RawURLEncoding.EncodeToString(k.Derive("fingerprint", 12))
}

// Equal compares two secrets in a time that depends on nothing but the length
// of given.
func Equal(given, want []byte) bool {
	a, b := sha256.Sum256(given), sha256.Sum256(want)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// bound joins header and context; the header has a fixed length, so that two
// different pairs never join to the same bytes.
func bound(header, context []byte) []byte {
	return append(header[:len(header):len(header)], context...)
}

func derive(secret []byte, purpose string, n int) []byte {
	key, err := hkdf.Key(sha256.New, secret, []byte("fluxbase"), purpose, n)
	if err != nil {
		// Only a length beyond 255 hashes fails, which no caller asks for.
		panic(fmt.Sprintf("derive %q: %v", purpose, err))
	}
	return key
}
