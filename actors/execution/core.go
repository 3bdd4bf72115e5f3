package execution

import (
	"time"

	"fluxbase/actors/kernel"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/queue"
)

// Limits bound what a node runs for a tenant. Zero fields mean what is said here.
type Limits struct {
	// Sync is how many calls that somebody waits for run at a time: 8. Waiting is how
	// many more may wait for a place: as many again; negative for none.
	Sync, Waiting int
	// Async is how many others run at a time on this node: 4; negative for none.
	Async int
	// PerCaller is how many of one user's run at a time: of those that somebody waits
	// for on this node, of the others on all nodes together: 4. Of the others, those of
	// a key, of anonymous callers and of schedules count together like a user's.
	PerCaller int
	// Pending is how many calls of one caller may wait or run that nobody waits for:
	// 100; negative for any number. It does not hold for service identities.
	Pending int
	// Time bounds each execution, whatever its procedure says: 5 minutes.
	Time time.Duration
	// Result bounds the rows that are given and kept: 1000 and 10 MB.
	Result store.Limits
}

func (l Limits) orDefault() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{{&l.Sync, 8}, {&l.Async, 4}, {&l.PerCaller, 4}, {&l.Pending, 100}, {&l.Result.Bytes, 10 << 20}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if l.Waiting == 0 {
		l.Waiting = l.Sync
	}
	l.Waiting, l.Async, l.Pending = max(l.Waiting, 0), max(l.Async, 0), max(l.Pending, 0)
	if l.Time == 0 {
		l.Time = 5 * time.Minute
	}
	if l.Result.Rows == 0 {
		l.Result.Rows = 1000
	}
	return l
}

// place is what one execution holds of the node.
type place struct {
	lane  string
	async bool
	// request is answered by the execution, or by its end.
	request *kernel.Request
	// claim is nil until it is known.
	claim *queue.Held
}

// waiter is a call that waits for a place.
type waiter struct {
	lane    string
	ready   *ready
	request *kernel.Request
}

// core decides who runs. It is driven by one goroutine and does nothing itself.
type core struct {
	limits   Limits
	running  map[kernel.Ref]*place
	byID     map[string]kernel.Ref
	lanes    map[string]int // of calls that somebody waits for, running and waiting
	sync     int
	async    int
	waiting  []waiter
	draining bool
}

// newCore takes limits that are filled in.
func newCore(l Limits) *core {
	return &core{limits: l, running: map[kernel.Ref]*place{}, byID: map[string]kernel.Ref{}, lanes: map[string]int{}}
}

// admit tells whether a call may run now, is to wait, or is refused. one tells that the
// lane is one person's, and not that of a key which many use.
func (c *core) admit(lane string, one bool) (now bool, err error) {
	c.forsake()
	switch {
	case c.draining:
		return false, kernel.ErrStopped
	case one && c.lanes[lane] >= c.limits.PerCaller:
		return false, fault.Newf(fault.RateLimitExceeded, "%d calls of yours are running already", c.lanes[lane]).WithRetryAfter(time.Second)
	case c.sync < c.limits.Sync && len(c.waiting) == 0:
		return true, nil
	case len(c.waiting) >= c.limits.Waiting:
		return false, kernel.ErrOverloaded
	}
	return false, nil
}

// wait puts a call behind those that wait for a place.
func (c *core) wait(w waiter) {
	c.lanes[w.lane]++
	c.waiting = append(c.waiting, w)
}

// forsake lets go of calls whose callers have gone.
func (c *core) forsake() {
	kept := c.waiting[:0]
	for _, w := range c.waiting {
		if w.request.Context().Err() != nil {
			c.leaveLane(w.lane)
			continue
		}
		kept = append(kept, w)
	}
	clear(c.waiting[len(kept):])
	c.waiting = kept
}

// next is the call whose turn it is, if there is a place.
func (c *core) next() (w waiter, ok bool) {
	c.forsake()
	if c.draining || c.sync >= c.limits.Sync || len(c.waiting) == 0 {
		return waiter{}, false
	}
	w = c.waiting[0]
	c.waiting[0] = waiter{}
	c.waiting = c.waiting[1:]
	c.leaveLane(w.lane)
	return w, true
}

func (c *core) leaveLane(lane string) {
	if c.lanes[lane]--; c.lanes[lane] <= 0 {
		delete(c.lanes, lane)
	}
}

// free is how many executions may be taken that nobody waits for.
func (c *core) free() int {
	if c.draining {
		return 0
	}
	return max(c.limits.Async-c.async, 0)
}

// begin gives an execution its place.
func (c *core) begin(run kernel.Ref, p *place) {
	c.running[run] = p
	if p.async {
		c.async++
	} else {
		c.sync++
		c.lanes[p.lane]++
	}
	if p.claim != nil {
		c.byID[p.claim.ID] = run
	}
}

// hold notes the claim of an execution.
func (c *core) hold(run kernel.Ref, h queue.Held) {
	if p, ok := c.running[run]; ok {
		p.claim = &h
		c.byID[h.ID] = run
	}
}

// end takes the place back; nil when it had none any more.
func (c *core) end(run kernel.Ref) *place {
	p, ok := c.running[run]
	if !ok {
		return nil
	}
	delete(c.running, run)
	if p.claim != nil && c.byID[p.claim.ID] == run {
		delete(c.byID, p.claim.ID)
	}
	if p.async {
		c.async--
	} else {
		c.sync--
		c.leaveLane(p.lane)
	}
	return p
}

// held are the claims to be renewed.
func (c *core) held() []queue.Held {
	var all []queue.Held
	for _, p := range c.running {
		if p.claim != nil {
			all = append(all, *p.claim)
		}
	}
	return all
}
