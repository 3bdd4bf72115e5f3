package transport

import (
	"encoding/hex"
	"math/rand/v2"
)

const maxRequestID = 128

// requestID takes over what the client calls its request, when that is short and
// printable, and makes a random UUID otherwise. The id is a name, not a secret:
// it need not come from the kernel.
func requestID(shown []byte) string {
	if len(shown) > 0 && len(shown) <= maxRequestID && printable(shown) {
		return string(shown)
	}
	var raw [16]byte
	a, b := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		raw[i], raw[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], raw[0:4])
	text[8] = '-'
	hex.Encode(text[9:13], raw[4:6])
	text[13] = '-'
	hex.Encode(text[14:18], raw[6:8])
	text[18] = '-'
	hex.Encode(text[19:23], raw[8:10])
	text[23] = '-'
	hex.Encode(text[24:36], raw[10:16])
	return string(text[:])
}

func printable(text []byte) bool {
	for _, c := range text {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}
