package replay

import (
	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
)

const (
	// shortRound is the number of entries of a round behind which the rest is so
	// little that what the table sends may wait for it.
	shortRound = 200
	// maxRounds is after how many rounds that is taken for true: a table may be
	// written to faster than it is read.
	maxRounds = 5
	// burstBytes is about how much of a snapshot is under way to the connection at
	// one time.
	burstBytes = 128 << 10
)

// stage is what a replay is about to do.
type stage uint8

const (
	// catching: reads up to the present, and sends.
	catching stage = iota
	// attaching: waits until the feed has read as far.
	attaching
	// arriving: attached; reads and sends the last of what comes before the gate.
	arriving
	// arrived: the table sends by itself.
	arrived
	// ended: it could not go on.
	ended
)

// host is what the core makes happen. The actor does it for real, tests record.
type host interface {
	// readRows and readPage end in page or failed, unless another read is asked for
	// before.
	readRows(from place)
	readPage(from place)
	// ready says that nothing behind the place can be missed in silence any more.
	ready(at place)
	// push sends frames. With paced, sent is called when all of them were written.
	push(frames []table.Encoded, paced bool)
	attach(at changelog.Position)
	// release opens the gate.
	release()
	fail(err error)
}

// core is the state of a replay.
type core struct {
	host  host
	stage stage
	// snapshot: it begins with rows, at the place that they show.
	snapshot bool
	told     bool // ready was
	begun    bool // the client knows of the subscription

	// at is behind everything read, base behind everything sent.
	at, base place
	rowsNext bool // the next read is of rows
	reading  bool
	rows     bool // waiting are rows
	waiting  []table.Encoded
	underWay bool

	// present: this round goes up to the present; over: it is done. entries counts
	// what it read, rounds how many there were.
	present, over   bool
	entries, rounds int
}

func newCore(h host, from place, snapshot bool) *core {
	return &core{host: h, at: from, base: from, snapshot: snapshot, rowsNext: snapshot}
}

// read reads what comes next.
func (c *core) read() {
	c.reading = true
	if c.rowsNext {
		c.host.readRows(c.at)
		return
	}
	if c.at.at.Reading.IsZero() && c.stage == catching {
		c.present, c.over, c.entries = true, false, 0
	}
	c.host.readPage(c.at)
}

// page takes what was read.
func (c *core) page(p page) {
	c.reading = false
	begin := c.at
	c.at, c.waiting = p.next, p.frames
	if c.rows = c.rowsNext; c.rows {
		c.rowsNext = false
		begin = c.at
	} else {
		c.entries += p.entries
		c.over = c.at.at.Reading.IsZero()
	}
	if !c.told {
		c.told = true
		c.host.ready(begin)
	}
	c.flow()
}

// begin lets it send.
func (c *core) begin() {
	if !c.begun {
		c.begun = true
		c.flow()
	}
}

// sent goes on when what was pushed is written.
func (c *core) sent() {
	c.underWay = false
	c.flow()
}

// flow does what can be done next.
func (c *core) flow() {
	if !c.begun || !c.told || c.reading || c.underWay || c.stage == attaching || c.stage >= arrived {
		return
	}
	if len(c.waiting) > 0 {
		c.send()
		if c.underWay {
			return
		}
	}
	switch {
	case c.stage == arriving && c.over:
		c.stage = arrived
		c.host.release()
	case c.stage == catching && c.over && c.present:
		if c.rounds++; c.entries < shortRound || c.rounds >= maxRounds {
			c.stage = attaching
			c.host.attach(c.at.at)
			return
		}
		c.read()
	default:
		c.read()
	}
}

// send pushes rows in bursts, and a page of changes whole, so that base says exactly
// what was sent.
func (c *core) send() {
	frames := c.waiting
	if c.rows {
		size := 0
		for n, f := range frames {
			if size += len(f.Bytes); size >= burstBytes {
				frames = frames[:n+1]
				break
			}
		}
	}
	if c.waiting = c.waiting[len(frames):]; len(c.waiting) == 0 {
		c.waiting, c.base = nil, c.at
	}
	// Behind the gate there are changes that keep the feed's window.
	c.underWay = c.stage != arriving
	c.host.push(frames, c.underWay)
}

// attached begins the last round, up to what the table does not send.
func (c *core) attached(until changelog.Snapshot) {
	if c.stage != attaching {
		return
	}
	c.stage, c.over = arriving, until.String() == c.at.at.Seen.String()
	if !c.over {
		c.at.at.Reading = until
	}
	c.base = c.at
	c.flow()
}

// recast forgets what was read for another caller and not sent. What is under way
// stays so. It tells whether the new caller gets rows of its own.
func (c *core) recast() (rows bool) {
	if c.stage >= arrived {
		return false
	}
	again := c.reading || len(c.waiting) > 0
	c.waiting, c.at = nil, c.base
	if c.snapshot && c.stage == catching {
		c.rowsNext, again, rows = true, true, true
	}
	if again {
		c.read()
	}
	return rows
}

func (c *core) failed(err error) {
	if c.stage < arrived {
		c.stage = ended
		c.host.fail(err)
	}
}
