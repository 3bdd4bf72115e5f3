package execution

import (
	"context"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/procedure"
)

// ScheduleOptions are what a Scheduler needs.
type ScheduleOptions struct {
	Store *store.Store
	// Scheduled gives the procedures that are enabled and have a schedule.
	Scheduled func(context.Context) ([]*procedure.Procedure, error)
	// Caller is on whose behalf they run.
	Caller caller.Caller
	// Look is how often the schedules are read when nothing rings; zero means a
	// minute.
	Look time.Duration
}

// shortestWait keeps a node whose clock is fast from asking without a pause.
const shortestWait = 20 * time.Millisecond

// SchedulerProps describe the Scheduler of a tenant, which takes Changed. One runs on
// every node. A tick is fired by whoever moves its row in the database on: one node,
// once, so that no node is the leader and none has to take over. Ticks that came while
// no node was up are made up for by one execution, for the last of them. An execution
// does not wait for the one of the tick before.
func SchedulerProps(name string, o ScheduleOptions) kernel.Props {
	if o.Look == 0 {
		o.Look = time.Minute
	}
	return kernel.Props{Name: name, New: func() kernel.Actor { return &scheduler{o: &o} }, Limit: 64}
}

type scheduler struct {
	o       *ScheduleOptions
	timer   *kernel.Timer
	reading bool
	again   bool
}

type dueNow struct{}

// Receive implements kernel.Actor.
func (s *scheduler) Receive(c *kernel.Context, msg any) {
	switch msg.(type) {
	case kernel.Started, Changed, dueNow:
		s.step(c)
	}
}

// step fires what is due and sleeps until the next tick.
func (s *scheduler) step(c *kernel.Context) {
	if s.reading {
		s.again = true
		return
	}
	s.reading, s.again = true, false
	s.timer.Cancel()
	c.Go(storeTimeout, func(ctx context.Context) (any, error) { return s.fire(ctx) },
		func(c *kernel.Context, res any, err error) {
			s.reading = false
			wait := s.o.Look
			if err != nil {
				c.Logger().Warn("schedules cannot be read, trying again", "error", err)
				wait = time.Second
			} else {
				wait = min(wait, res.(time.Duration))
			}
			if s.again {
				s.step(c)
				return
			}
			s.timer = c.After(max(wait, shortestWait), dueNow{})
		})
}

// fire starts what is due and gives the time until the next tick.
func (s *scheduler) fire(ctx context.Context) (wait time.Duration, err error) {
	procedures, err := s.o.Scheduled(ctx)
	if err != nil {
		return 0, err
	}
	ids := make(map[store.Scheduled]string, len(procedures))
	wanted := make([]store.Scheduled, 0, len(procedures))
	for _, p := range procedures {
		w := store.Scheduled{Namespace: p.Namespace, Name: p.Name, Schedule: p.Schedule}
		wanted = append(wanted, w)
		ids[w] = p.ID
	}
	ticks, now, err := s.o.Store.Ticks(ctx, wanted, next)
	if err != nil {
		return 0, err
	}
	wait = s.o.Look
	for _, t := range ticks {
		if t.At.After(now) {
			wait = min(wait, t.At.Sub(now))
			continue
		}
		last, following := missed(t, now)
		if following.IsZero() {
			continue
		}
		call := store.Call{ProcedureID: ids[t.Scheduled], Namespace: t.Namespace, Procedure: t.Name, Caller: s.o.Caller, ScheduledAt: last}
		if _, err := s.o.Store.Fire(ctx, t, following, call); err != nil {
			return 0, err
		}
		wait = min(wait, following.Sub(now))
	}
	return wait, nil
}

// next is the first tick of a schedule after a moment; zero for none.
func next(schedule string, after time.Time) time.Time {
	s, err := procedure.ParseSchedule(schedule)
	if err != nil {
		return time.Time{} // stored ones can be read; what cannot is never due
	}
	return s.Next(after).UTC()
}

// lookBack bounds the ticks that are counted over to find the last one.
const lookBack = 24 * time.Hour

// missed gives the last tick up to now and the first one behind it.
func missed(t store.Tick, now time.Time) (last, following time.Time) {
	last = t.At
	from := last
	if now.Sub(from) > lookBack {
		from = now.Add(-lookBack)
	}
	for following = next(t.Schedule, from); !following.IsZero() && !following.After(now); following = next(t.Schedule, following) {
		last = following
	}
	return last, following
}
