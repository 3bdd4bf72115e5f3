package channel

import "time"

// order is a home's state without its actor: it numbers messages, remembers
// them for a while, and knows which nodes have members.
type order struct {
	epoch  uint64
	offset uint64 // of the newest message; the first is 1
	limits HistoryLimits
	// history holds the newest messages, oldest first; the last one has offset.
	history []kept
	bytes   int
	offsets map[string]uint64 // of the identities in history
	nodes   map[string]*watcher
	// heard: somebody asked, or published something that is kept nowhere else.
	heard bool
}

// unheardAge is how long a home remembers messages of the database that nobody asked
// for: as long as they may be published again. The database may write to a topic per
// row, and most have no members.
const unheardAge = 30 * time.Second

type kept struct {
	*message
	at time.Time
}

// watcher is a node with members.
type watcher struct {
	members uint64
	until   time.Time
}

func newOrder(epoch uint64, limits HistoryLimits) *order {
	return &order{epoch: epoch, limits: limits.orDefault(), offsets: map[string]uint64{}, nodes: map[string]*watcher{}}
}

// publish numbers a batch. fresh are the messages that were not known before;
// they have consecutive offsets from first on.
func (o *order) publish(now time.Time, batch []*message) (offsets []uint64, fresh []*message, first uint64) {
	first = o.offset + 1
	offsets = make([]uint64, len(batch))
	for i, m := range batch {
		if known, ok := o.offsets[m.Identity]; ok {
			offsets[i] = known
			continue
		}
		o.offset++
		o.heard = o.heard || m.ID == ""
		offsets[i] = o.offset
		o.offsets[m.Identity] = o.offset
		o.history = append(o.history, kept{m, now})
		o.bytes += m.size()
		fresh = append(fresh, m)
	}
	o.forget(now)
	return offsets, fresh, first
}

// restore takes over what another home numbered.
func (o *order) restore(offset uint64, history []kept) {
	o.offset, o.history = offset, history
	o.heard = o.heard || len(history) > 0
	first := offset - uint64(len(history)) + 1
	for i, k := range history {
		o.bytes += k.size()
		o.offsets[k.Identity] = first + uint64(i)
	}
}

// forget drops what is beyond the limits. The newest message always stays, so
// that a retry of it is recognised.
func (o *order) forget(now time.Time) {
	n := 0
	for ; len(o.history)-n > 1; n++ {
		oldest := o.history[n]
		if len(o.history)-n <= o.limits.Messages && o.bytes <= o.limits.Bytes && now.Sub(oldest.at) <= o.limits.Age {
			break
		}
		o.bytes -= oldest.size()
		delete(o.offsets, oldest.Identity)
	}
	if n > 0 {
		clear(o.history[:n])
		o.history = o.history[n:]
	}
}

// fetch gives the messages from … to, or nothing when one of them is gone.
func (o *order) fetch(from, to uint64) []*message {
	oldest := o.offset - uint64(len(o.history)) + 1
	if from < oldest || to > o.offset || from > to {
		return nil
	}
	out := make([]*message, 0, to-from+1)
	for _, k := range o.history[from-oldest : to-oldest+1] {
		out = append(out, k.message)
	}
	return out
}

// watch notes a node's members until the lease ends; none forgets the node.
func (o *order) watch(node string, members uint64, until time.Time) {
	if members == 0 {
		delete(o.nodes, node)
		return
	}
	o.heard = true
	o.nodes[node] = &watcher{members: members, until: until}
}

// elsewhere counts members on nodes other than one.
func (o *order) elsewhere(node string) (n uint64) {
	for name, w := range o.nodes {
		if name != node {
			n += w.members
		}
	}
	return n
}

// expire forgets nodes whose lease ended and tells whether nobody needs the
// home any more.
func (o *order) expire(now time.Time) (unused bool) {
	for name, w := range o.nodes {
		if now.After(w.until) {
			delete(o.nodes, name)
		}
	}
	o.forget(now)
	age := o.limits.Age
	if !o.heard {
		age = min(age, unheardAge)
	}
	return len(o.nodes) == 0 && (len(o.history) == 0 || now.Sub(o.history[len(o.history)-1].at) > age)
}
