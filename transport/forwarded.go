package transport

import (
	"net"
	"net/netip"
	"strings"

	"fluxbase/transport/route"
)

// peerAddress is the address of the other end of a connection.
func peerAddress(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		if ip, ok := netip.AddrFromSlice(tcp.IP); ok {
			return ip.Unmap()
		}
	}
	if p, err := netip.ParseAddrPort(a.String()); err == nil {
		return p.Addr().Unmap()
	}
	return netip.IPv4Unspecified()
}

// clientAddress finds the client behind trusted proxies: the rightmost hop that
// is none of them. What stands further left was written by the client itself.
// peer must be trusted already.
func clientAddress(peer netip.Addr, forwardedFor, realIP string, trusted route.Ranges) netip.Addr {
	if strings.TrimSpace(forwardedFor) == "" {
		if a, ok := parseHop(realIP); ok {
			return a
		}
		return peer
	}
	nearest := peer
	for rest := forwardedFor; ; {
		comma := strings.LastIndexByte(rest, ',')
		hop, ok := parseHop(rest[comma+1:])
		if !ok {
			return nearest // an unreadable hop ends what can be believed
		}
		nearest = hop
		if comma < 0 || !trusted.Contain(hop) {
			return nearest
		}
		rest = rest[:comma]
	}
}

// parseHop reads an address with or without port and brackets.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if p, err := netip.ParseAddrPort(text); err == nil {
		return p.Addr().Unmap().WithZone(""), true
	}
	if n := len(text); n > 2 && text[0] == '[' && text[n-1] == ']' {
		if a, err := netip.ParseAddr(text[1 : n-1]); err == nil {
			return a.Unmap().WithZone(""), true
		}
	}
	return netip.Addr{}, false
}
