package delivery

import "time"

// Evict tells a receiver that is behind that it is too slow: if it holds a frame
// of Window numbered up to Through that is not written, it is cut. With Still it
// stays when it has taken a byte in the last PatienceLimit.
type Evict struct {
	Window  *Window
	Through uint64
	Still   bool
}

// PatienceLimit is how long receivers may keep the others waiting.
const PatienceLimit = 2 * time.Second

// Patience is what receivers at the end of a full window get. One that stands
// still is cut after PatienceLimit. One that is only slow stays while most are as
// far behind as it is, and as long as the window's end moves on by a sixteenth of
// its size in the time that the others have waited.
//
// Call Check every now and then from when the window is full until it says that
// there is no more need. The zero Patience is ready.
type Patience struct {
	checked, moved time.Time
	waited         time.Duration // by most, less the time in which they did not
	passed, before int64         // at moved, and when waited was 0
}

// Check says who is to be cut now, if anybody, and whether it wants to be called
// again in a while.
func (p *Patience) Check(w *Window, now time.Time) (cut *Evict, more bool) {
	oldest, passed, waited := w.front()
	full := w.Full()
	if p.checked.IsZero() {
		*p = Patience{checked: now, moved: now, passed: passed, before: passed}
		return nil, full
	}
	if !full || passed != p.passed {
		p.moved, p.passed = now, passed
	}
	elapsed := now.Sub(p.checked)
	p.checked = now
	if full && waited {
		p.waited += elapsed
	} else if p.waited -= elapsed; p.waited <= 0 {
		p.waited, p.before = 0, passed
	}
	switch {
	case now.Sub(p.moved) >= PatienceLimit:
		cut = &Evict{Window: w, Through: oldest, Still: true}
		p.moved = now
	case p.waited >= PatienceLimit:
		if passed-p.before < w.limit/16 {
			cut = &Evict{Window: w, Through: oldest}
		}
		p.waited, p.before = 0, passed
	}
	if more = full || p.waited > 0; !more {
		*p = Patience{}
	}
	return cut, more
}
