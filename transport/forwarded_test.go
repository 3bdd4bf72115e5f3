package transport

import (
	"net/netip"
	"strings"
	"testing"

	"fluxbase/transport/route"
)

func TestClientAddress(t *testing.T) {
	trusted, err := route.ParseRanges("test", []string{"10.0.0.0/8", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	peer := netip.MustParseAddr("10.0.0.1")
	for _, c := range []struct{ forwarded, real, want string }{
		{"", "", "10.0.0.1"},
		{"", "203.0.113.9", "203.0.113.9"},
		{"203.0.113.9", "198.51.100.1", "203.0.113.9"},
		// What stands left of the nearest foreign hop was written by that hop.
		{"1.1.1.1, 203.0.113.9", "", "203.0.113.9"},
		{"1.1.1.1, 203.0.113.9, 10.2.3.4", "", "203.0.113.9"},
		{"10.9.9.9, 10.2.3.4", "", "10.9.9.9"},
		{"1.1.1.1, rubbish, 10.2.3.4", "", "10.2.3.4"},
		{"rubbish", "203.0.113.9", "10.0.0.1"},
		{"203.0.113.9:4711", "", "203.0.113.9"},
		{"[2001:db8::7]:443", "", "2001:db8::7"},
		{"[2001:db8::7]", "", "2001:db8::7"},
		{"::ffff:203.0.113.9", "", "203.0.113.9"},
		{"fe80::1%eth0", "", "fe80::1"},
	} {
		if got := clientAddress(peer, c.forwarded, c.real, trusted).String(); got != c.want {
			t.Errorf("%q / %q: %s, want %s", c.forwarded, c.real, got, c.want)
		}
	}
}

// Whatever a client writes in front, the hop that our own proxy added decides.
func FuzzClientAddress(f *testing.F) {
	f.Add("1.1.1.1", "1.1.1.1")
	f.Add("10.0.0.1,,", "[::1]:x")
	f.Add("a, b:c, 1.2.3.4:5", "")
	trusted := route.Ranges{netip.MustParsePrefix("10.0.0.0/8")}
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, forged, real string) {
		if a := clientAddress(peer, forged, real, trusted); !a.IsValid() || a.Zone() != "" {
			t.Fatalf("%q %q: %v", forged, real, a)
		}
		if a := clientAddress(peer, forged+", 203.0.113.9", real, trusted); a.String() != "203.0.113.9" {
			t.Fatalf("%q made the client %v", forged, a)
		}
	})
}

func FuzzRequestID(f *testing.F) {
	f.Add([]byte("abc"))
	f.Add([]byte("a\r\nSet-Cookie: x"))
	f.Fuzz(func(t *testing.T, shown []byte) {
		id := requestID(shown)
		if id == "" || len(id) > maxRequestID || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q became %q", shown, id)
		}
	})
}

func FuzzCanonicalOrigin(f *testing.F) {
	f.Add("https://App.Example.com:443")
	f.Add("http://user@host")
	f.Add("null")
	f.Add("https://:443")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := canonicalOrigin(text)
		if !ok {
			return
		}
		if again, ok := canonicalOrigin(c); !ok || again != c {
			t.Fatalf("%q became %q, and that %q (%v)", text, c, again, ok)
		}
	})
}

func TestMaskQuery(t *testing.T) {
	for in, want := range map[string]string{
		"a=1&token=x&b=2":        "a=1&token=***&b=2",
		"APIKEY=x":               "APIKEY=***",
		"%74oken=x":              "%74oken=***",
		"%zz=x":                  "%zz=***",
		"select=id&token":        "select=id&token",
		"refresh_token=a=b=c&x":  "refresh_token=***&x",
		"tokne=fb_gsk_x&id=eq.1": "tokne=***&id=eq.1",
		"to=ken=eyJhbGciOi":      "to=***",
		"fb_anon_x&fb_anon_x=1":  "***&***",
	} {
		if got := maskQuery(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
