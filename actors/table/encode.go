package table

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"

	"fluxbase/actors/delivery"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
)

// frameBytes is about how large a frame of many messages gets.
const frameBytes = 128 << 10

// parcel is a frame and who gets it.
type parcel struct {
	bytes     []byte
	messages  int
	receivers []*group
}

// message is a change as some subscriptions see it.
type message struct {
	entry int
	kind  kind
	ids   []string
	// scopes are those of the subscriptions.
	scopes []changelog.Scope
}

// encoder turns verdicts into parcels.
type encoder struct {
	judged  *judged
	sealer  sealer
	renders map[caller.DatabaseRole]*rendering
	idSets  map[string]uint32
	shares  map[string]*share
	order   []*share
}

// share is the groups that see the same messages in the same form.
type share struct {
	codec     delivery.Codec
	role      caller.DatabaseRole
	messages  []message
	receivers []*group
}

// encode makes the parcels of a judged batch.
func encode(j *judged, s sealer) ([]parcel, error) {
	e := encoder{judged: j, sealer: s, renders: map[caller.DatabaseRole]*rendering{}, idSets: map[string]uint32{}, shares: map[string]*share{}}
	var parcels []parcel
	for _, n := range j.notices {
		parcels = append(parcels, notices(n.group, n.notice))
	}
	for _, g := range j.heard {
		e.add(g, g.messages)
		g.messages = nil
	}
	for _, s := range e.order {
		more, err := e.frames(s)
		if err != nil {
			return nil, err
		}
		parcels = append(parcels, more...)
	}
	return parcels, nil
}

// add puts a group with those who see the same.
func (e *encoder) add(g *group, messages []message) {
	key := make([]byte, 0, len(messages)*9+64)
	for _, m := range messages {
		set := strings.Join(m.ids, "\x00")
		for _, scope := range m.scopes {
			set += string(scope[:])
		}
		number, ok := e.idSets[set]
		if !ok {
			number = uint32(len(e.idSets))
			e.idSets[set] = number
		}
		key = binary.BigEndian.AppendUint32(key, uint32(m.entry))
		key = append(key, byte(m.kind))
		key = binary.BigEndian.AppendUint32(key, number)
	}
	key = append(key, g.asker.role...)
	key = append(key, 0)
	key = append(key, g.codec.Dialect()...)
	s := e.shares[string(key)]
	if s == nil {
		s = &share{codec: g.codec, role: g.asker.role, messages: messages}
		e.shares[string(key)] = s
		e.order = append(e.order, s)
	}
	s.receivers = append(s.receivers, g)
}

// frames encodes the messages of a share once.
func (e *encoder) frames(s *share) ([]parcel, error) {
	r := e.renders[s.role]
	if r == nil {
		r = newRendering(e.judged, s.role)
		e.renders[s.role] = r
	}
	var parcels []parcel
	var current parcel
	for _, m := range s.messages {
		change, err := r.change(m.entry, m.kind)
		if err != nil {
			return nil, err
		}
		change = e.sealer.seal(change, &e.judged.entries[m.entry], e.judged.table, m.scopes)
		current.bytes = s.codec.AppendChange(current.bytes, change, m.ids)
		current.messages++
		if len(current.bytes) >= frameBytes {
			current.receivers = s.receivers
			parcels = append(parcels, current)
			current = parcel{}
		}
	}
	if current.messages > 0 {
		current.receivers = s.receivers
		parcels = append(parcels, current)
	}
	return parcels, nil
}

// notices makes a parcel with a notice for each subscription of a group.
func notices(g *group, n delivery.Notice) parcel {
	p := parcel{receivers: []*group{g}}
	for _, s := range g.subscriptions {
		if n.Code == ViewChanged.Code && s.Repairs {
			continue
		}
		n.SubscriptionID = s.ID
		p.bytes = g.codec.AppendNotice(p.bytes, &n)
		p.messages++
	}
	return p
}

// rendering is a batch as one role may read it.
type rendering struct {
	judged  *judged
	view    *changelog.View
	columns []delivery.Column
	changes map[int]*[truncated + 1]*delivery.Change
}

func newRendering(j *judged, role caller.DatabaseRole) *rendering {
	r := &rendering{judged: j, view: j.table.View(role), changes: map[int]*[truncated + 1]*delivery.Change{}}
	for _, c := range r.view.Columns {
		r.columns = append(r.columns, delivery.Column{Name: c.Name, Type: c.Type})
	}
	return r
}

// change is an entry as the role may read it.
func (r *rendering) change(entry int, k kind) (*delivery.Change, error) {
	made := r.changes[entry]
	if made == nil {
		made = new([truncated + 1]*delivery.Change)
		r.changes[entry] = made
	}
	if made[k] == nil {
		c, err := r.render(&r.judged.entries[entry], k)
		if err != nil {
			return nil, err
		}
		made[k] = c
	}
	return made[k], nil
}

func (r *rendering) render(e *changelog.Entry, k kind) (*delivery.Change, error) {
	t := r.judged.table
	c := &delivery.Change{Schema: t.Schema, Table: t.Name, Columns: r.columns, CommitTimestamp: e.At.UTC()}
	var err error
	switch k {
	case inserted:
		c.Type = delivery.Insert
		c.Truncated = e.NewCut
		c.Record, err = r.readable(e.New)
	case updated, updatedKey, entered:
		c.Type = delivery.Update
		c.Truncated, c.Entered = e.NewCut, k == entered
		if c.Record, err = r.readable(e.New); err != nil {
			return nil, err
		}
		if k == updated {
			c.OldRecord, err = r.readable(e.Old)
		} else if t.HasKey() {
			c.OldRecord, err = r.key(e.Old)
		}
	case left:
		c.Type, c.Left = delivery.Delete, true
		c.OldRecord, err = r.key(e.Old)
	case deleted:
		c.Type, c.Truncated = delivery.Delete, e.OldCut
		c.OldRecord, err = r.readable(e.Old)
	case truncated:
		c.Type = delivery.Truncate
	}
	return c, err
}

// readable is an image without the columns that are not delivered.
func (r *rendering) readable(image json.RawMessage) (json.RawMessage, error) {
	if r.view.Whole {
		return image, nil
	}
	return changelog.Project(image, r.view.Reads)
}

// key is the key of an image as far as it is delivered; of a table without one
// the whole image is the key.
func (r *rendering) key(image json.RawMessage) (json.RawMessage, error) {
	t := r.judged.table
	if !t.HasKey() {
		return r.readable(image)
	}
	return changelog.Project(image, func(column string) bool { return slices.Contains(t.Key, column) && r.view.Reads(column) })
}
