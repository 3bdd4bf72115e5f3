package changelog

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
)

// ErrCursor means that a cursor was not made by us, or not for this tenant or this
// subscription.
var ErrCursor = errors.New("not a cursor of this subscription")

// CursorKeySize is the length of the key that cursors are sealed with.
const CursorKeySize = 32

// maxCursor is how long a cursor may be: snapshots list the transactions that run.
const maxCursor = 64 << 10

// Scope is what a subscription follows, in short: cursors are good for the scopes
// that they were made for.
type Scope [8]byte

// ScopeOf gives the scope of a subscription. filter is a text that is equal for
// equal filters only.
func ScopeOf(schema, table, event, filter string) Scope {
	h := sha256.New()
	for _, part := range []string{schema, table, event, filter} {
		h.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	var s Scope
	copy(s[:], h.Sum(nil))
	return s
}

// Cursor is a place in the log as a client keeps it.
type Cursor struct {
	Position Position
	// Table is the table's id in the registry, Signature the digest of the columns
	// that it has at the position.
	Table     int32
	Signature string
	// Scopes are those of the subscriptions that were told it.
	Scopes []Scope
}

// Cursors seals cursors for clients and opens them again. What one node sealed any
// other opens that has the same key. It is safe for concurrent use.
type Cursors struct {
	key    []byte
	tenant string
	// Each Cursors seals with a key of its own, made from key and salt, so that a
	// counter is enough for a nonce.
	salt    [16]byte
	sealing cipher.AEAD
	count   atomic.Uint64
}

// NewCursors makes the cursors of one tenant. key has CursorKeySize bytes and has no
// other use.
func NewCursors(key []byte, tenant string) (*Cursors, error) {
	if len(key) != CursorKeySize {
		return nil, fmt.Errorf("the key of cursors has %d bytes, not %d", CursorKeySize, len(key))
	}
	c := &Cursors{key: slices.Clone(key), tenant: tenant}
	if _, err := rand.Read(c.salt[:]); err != nil {
		return nil, err
	}
	var err error
	c.sealing, err = c.derive(c.salt[:])
	return c, err
}

func (c *Cursors) derive(salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, c.key, salt, "fluxbase cursor", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// A sealed cursor is version, salt, number and ciphertext, in this order.
const cursorVersion = 1

var cursorText = base64.RawURLEncoding.Strict()

// Seal gives the text of a cursor, which says nothing to whoever has it.
func (c *Cursors) Seal(cursor Cursor) string {
	number := c.count.Add(1)
	b := make([]byte, 0, 192)
	b = append(b, cursorVersion)
	b = append(b, c.salt[:]...)
	b = appendUint(b, number)
	b = c.sealing.Seal(b, nonce(number), cursor.appendBinary(make([]byte, 0, 128)), c.bound())
	return cursorText.EncodeToString(b)
}

// Open reads the text of a cursor that was made for a scope. The error is ErrCursor.
func (c *Cursors) Open(text string, scope Scope) (Cursor, error) {
	if len(text) > maxCursor {
		return Cursor{}, ErrCursor
	}
	b, err := cursorText.DecodeString(text)
	if err != nil {
		return Cursor{}, ErrCursor
	}
	r := reader{rest: b}
	if version := r.bytes(1); r.err != nil || version[0] != cursorVersion {
		return Cursor{}, ErrCursor
	}
	salt, number := r.bytes(len(c.salt)), r.uint()
	if r.err != nil {
		return Cursor{}, ErrCursor
	}
	aead, err := c.derive(salt)
	if err != nil {
		return Cursor{}, ErrCursor
	}
	plain, err := aead.Open(nil, nonce(number), r.rest, c.bound())
	if err != nil {
		return Cursor{}, ErrCursor
	}
	cursor, err := readCursor(plain)
	if err != nil || !slices.Contains(cursor.Scopes, scope) {
		return Cursor{}, ErrCursor
	}
	return cursor, nil
}

func (c *Cursors) bound() []byte { return append([]byte("cursor of "), c.tenant...) }

func nonce(number uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), number) }

// appendBinary writes a cursor in few bytes: there is one in every message.
func (c Cursor) appendBinary(b []byte) []byte {
	p := c.Position
	b = p.Seen.appendBinary(appendDigest(b, p.Epoch))
	if p.Reading.IsZero() {
		b = append(b, 0)
	} else {
		b = p.Reading.appendBinary(append(b, 1))
		b = binary.AppendVarint(b, p.Last.Order)
		b = binary.AppendVarint(b, int64(p.Last.Depth))
		b = binary.AppendVarint(b, p.Last.ID-p.Last.Order)
	}
	b = appendDigest(binary.AppendVarint(b, int64(c.Table)), c.Signature)
	for _, s := range c.Scopes {
		b = append(b, s[:]...)
	}
	return b
}

// readCursor reads what appendBinary wrote.
func readCursor(b []byte) (Cursor, error) {
	r := reader{rest: b}
	var c Cursor
	c.Position.Epoch, c.Position.Seen = r.digest(), r.snapshot()
	if reading := r.bytes(1); r.err == nil && reading[0] != 0 {
		c.Position.Reading = r.snapshot()
		order, depth := r.int(), r.int()
		c.Position.Last = Place{Order: order, Depth: int16(depth), ID: order + r.int()}
	}
	c.Table, c.Signature = int32(r.int()), r.digest()
	for len(r.rest) > 0 && r.err == nil {
		var s Scope
		copy(s[:], r.bytes(len(s)))
		c.Scopes = append(c.Scopes, s)
	}
	return c, r.err
}

// appendDigest writes a text, which takes half of its length if it is a digest in
// hexadecimal digits.
func appendDigest(b []byte, text string) []byte {
	if !isDigest(text) {
		return append(appendUint(b, uint64(len(text))<<1|1), text...)
	}
	b = appendUint(b, uint64(len(text)/2)<<1)
	for i := 0; i < len(text); i += 2 {
		b = append(b, hexDigit(text[i])<<4|hexDigit(text[i+1]))
	}
	return b
}

// isDigest tells whether a text is bytes in hexadecimal digits as we print them.
func isDigest(text string) bool {
	for i := range len(text) {
		if hexDigit(text[i]) > 15 {
			return false
		}
	}
	return len(text)%2 == 0
}

// hexDigit is the value of a digit as we print them, more than 15 for no digit.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}

func appendUint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// reader takes bytes apart. After an error it gives zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil || n > len(r.rest) {
		r.fail(errShort)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) digest() string {
	n := r.uint()
	if n>>1 > uint64(len(r.rest)) {
		r.fail(errShort)
		return ""
	}
	raw := r.bytes(int(n >> 1))
	if n&1 == 1 {
		return string(raw)
	}
	return hex.EncodeToString(raw)
}
