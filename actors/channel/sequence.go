package channel

// sequence is what a node knows of a channel's order: which messages it has
// handed to its members. It decides what may be handed on now.
type sequence struct {
	known         bool
	epoch, offset uint64
	// complete: the home of this epoch has stopped, and its last message was here.
	complete bool
	// waiting are deliveries behind a hole.
	waiting []*deliver
}

// maxWaiting bounds the deliveries kept behind a hole while it is being filled.
const maxWaiting = 256

// verdict says what to do with a delivery.
type verdict int

const (
	drop      verdict = iota // seen already, or of a home that was superseded
	pass                     // hand on now
	hole                     // keep; the history must be asked for what is missing
	newEpoch                 // hand on, and say that messages may be lost
	following                // hand on: nothing was lost, although the epoch is another
)

// start sets the place from which messages are wanted.
func (s *sequence) start(epoch, offset uint64) {
	s.known, s.epoch, s.offset, s.complete = true, epoch, offset, false
}

// end notes that there is nothing in an epoch beyond an offset.
func (s *sequence) end(epoch, offset uint64) {
	s.complete = s.known && s.epoch == epoch && s.offset == offset && len(s.waiting) == 0
}

// take judges a delivery; it trims what was seen already. After pass and
// newEpoch the delivery counts as handed on.
func (s *sequence) take(d *deliver) verdict {
	last := d.Offset + uint64(len(d.Messages)) - 1
	switch {
	case !s.known || d.Epoch < s.epoch || len(d.Messages) == 0:
		return drop
	case d.Epoch > s.epoch:
		nothingLost := s.complete && d.Offset == 1
		s.start(d.Epoch, last)
		s.waiting = nil
		if nothingLost {
			return following
		}
		return newEpoch
	case last <= s.offset:
		return drop
	case d.Offset > s.offset+1:
		return hole
	}
	seen := s.offset + 1 - d.Offset
	d.Messages, d.Offset = d.Messages[seen:], s.offset+1
	s.offset = last
	return pass
}

// missing is the range of the hole before the first waiting delivery.
func (s *sequence) missing() (from, to uint64, ok bool) {
	if len(s.waiting) == 0 {
		return 0, 0, false
	}
	first := s.waiting[0].Offset
	for _, d := range s.waiting {
		first = min(first, d.Offset)
	}
	return s.offset + 1, first - 1, first > s.offset+1
}
