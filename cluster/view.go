package cluster

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/lease"
)

// view is who is alive, as read at one moment. It is immutable.
type view struct {
	nodes []lease.Node // by id
	ids   []kernel.NodeID
	seeds []uint64
}

func newView(nodes []lease.Node) *view {
	v := &view{nodes: slices.Clone(nodes)}
	slices.SortFunc(v.nodes, func(a, b lease.Node) int { return cmpString(a.ID, b.ID) })
	for _, n := range v.nodes {
		v.ids = append(v.ids, kernel.NodeID(n.ID))
		v.seeds = append(v.seeds, xxhash.Sum64String(n.ID))
	}
	return v
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (v *view) node(id kernel.NodeID) (lease.Node, bool) {
	if i, ok := slices.BinarySearch(v.ids, id); ok {
		return v.nodes[i], true
	}
	return lease.Node{}, false
}

func (v *view) equal(w *view) bool { return slices.Equal(v.ids, w.ids) }

// home is the member with the highest hash of itself and the home: when a member
// comes or goes, only the homes that it gains or loses move.
func (v *view) home(kind, key string) kernel.NodeID {
	h := xxhash.New()
	_, _ = h.WriteString(kind)
	_, _ = h.Write([]byte{0})
	_, _ = h.WriteString(key)
	hash := h.Sum64()
	var best kernel.NodeID
	var highest uint64
	for i, seed := range v.seeds {
		if score := mix(seed ^ hash); best == "" || score > highest {
			best, highest = v.ids[i], score
		}
	}
	return best
}

// mix spreads every bit over all others (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
