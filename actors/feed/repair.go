package feed

import (
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
)

// viewDue says that a notice about a table is due.
type viewDue struct{ table int32 }

// views is when whose view changed last.
type views struct {
	told    map[int32]time.Time
	pending map[int32]bool
}

// viewsChanged notes that the rows of tables changed, which policies of others may
// read. Call it behind the changes themselves. Such a table may be written to often:
// what comes of it is bounded by time.
func (f *feed) viewsChanged(c *kernel.Context, touched map[int32]bool) {
	for id := range touched {
		for _, dependent := range f.plan.Dependents(id) {
			if f.registry.tables[dependent] == 0 || f.views.pending[dependent] {
				continue
			}
			if wait := f.options.ViewEvery - time.Since(f.views.told[dependent]); wait > 0 {
				f.views.pending[dependent] = true
				c.After(wait, viewDue{dependent})
				continue
			}
			f.viewChanged(c, dependent)
		}
	}
}

// viewChanged tells those who see the table by its policies to look again, and sends
// the rows again to those who began with rows.
func (f *feed) viewChanged(c *kernel.Context, id int32) {
	delete(f.views.pending, id)
	t, enabled := f.plan.Table(id)
	if !enabled {
		return
	}
	f.views.told[id] = time.Now()
	if at := f.tables[id]; at != nil {
		// A table that cannot hear it is about to end, and its subscribers to be told.
		_ = at.ref.Tell(table.NotifyView{Plan: f.plan})
	}
	var stale []*subscription
	f.registry.each(id, func(s *subscription) {
		if seesByOthers(t, s.subscriber.Caller) && (s.rows != nil || !s.replay.IsZero()) {
			stale = append(stale, s)
		}
	})
	for _, s := range stale {
		s.stale = true
		f.repair(c, s)
	}
}

// seesByOthers tells whether the policies may read more than the row and the caller:
// those that are decided in memory do not.
func seesByOthers(t *changelog.Table, c caller.Caller) bool {
	if t.View(c.DatabaseRole()).Visibility != changelog.ByPolicy {
		return false
	}
	_, inMemory := t.Predicate(c)
	return !inMemory
}

// repair sends the rows of a live subscription again, if they are not what its caller
// may see any more, and goes on from there. One that began without rows is told.
func (f *feed) repair(c *kernel.Context, s *subscription) {
	t := f.tables[s.tableID]
	if !s.stale || !s.replay.IsZero() || t == nil || f.state != open {
		return
	}
	s.stale = false
	if s.rows == nil {
		s.notify(table.ViewChanged)
		return
	}
	o := f.replayOptions(c, s)
	o.Again = true
	if err := f.startReplay(c, s, o, nil); err != nil {
		s.notify(table.ViewChanged)
		return
	}
	// The rows are of a later moment than all that the table was told so far: they
	// come when it has sent that, and nothing of what follows.
	if err := t.ref.Tell(table.Remove{Subscriber: s.subscriber.Ref, ID: s.shown(), Then: s.replay}); err != nil {
		f.endSubscription(c, s, err)
	}
}
