package route

import (
	"fmt"
	"net/netip"
)

// Ranges is a list of networks.
type Ranges []netip.Prefix

// ParseRanges reads networks ("10.0.0.0/8") and single addresses.
func ParseRanges(what string, texts []string) (Ranges, error) {
	var rs Ranges
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			rs = append(rs, p.Masked())
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is neither an address nor a network", what, text)
		}
		a = a.Unmap()
		rs = append(rs, netip.PrefixFrom(a, a.BitLen()))
	}
	return rs, nil
}

// Contain tells whether one of the networks has the address.
func (rs Ranges) Contain(a netip.Addr) bool {
	for _, p := range rs {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
