package execution

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
)

// Two nodes see the same ticks come; each tick is one execution.
func TestSchedulesOnTwoNodes(t *testing.T) {
	b := setup(t)
	b.define("tidy", `SELECT current_user AS role, $_trigger AS by`).Schedule = "@every 1s"
	scheduler := func(n *node) kernel.Ref {
		service := b.Service()
		ref, err := n.system.Spawn(SchedulerProps("schedules", ScheduleOptions{Store: b.store, Scheduled: b.shelf.scheduled, Caller: service}))
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	first, second := b.node("a", nil), b.node("b", nil)
	scheduler(first)
	ref := scheduler(second)
	count := func() (list []*store.Record) {
		list, _, err := b.store.List(t.Context(), store.Filter{Limit: 100, Status: store.Completed})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for start := time.Now(); len(count()) < 2; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 15*time.Second {
			t.Fatal("no ticks")
		}
	}
	first.shutdown() // the other goes on
	for start := time.Now(); len(count()) < 4; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 15*time.Second {
			t.Fatal("no ticks after a node is gone")
		}
	}
	b.shelf.remove("tidy")
	if err := ref.Tell(Changed{}); err != nil {
		t.Fatal(err)
	}
	seen := map[time.Time]bool{}
	for _, r := range count() {
		if r.ScheduledAt == nil || seen[r.ScheduledAt.UTC()] || r.UserRole != string(caller.Service) {
			t.Errorf("%+v is there twice or for no tick", r)
			continue
		}
		seen[r.ScheduledAt.UTC()] = true
		full, err := b.store.Get(t.Context(), r.ID)
		if err != nil || string(full.Result) != `[{"role":"service_role","by":"cron"}]` {
			t.Errorf("it ran as %s, %v", full.Result, err)
		}
	}
}

func TestMissedTicks(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		schedule        string
		at, now         time.Time
		last, following time.Time
	}{
		{"0 * * * *", day.Add(time.Hour), day.Add(time.Hour + time.Second), day.Add(time.Hour), day.Add(2 * time.Hour)},
		{"0 * * * *", day.Add(time.Hour), day.Add(5*time.Hour + time.Minute), day.Add(5 * time.Hour), day.Add(6 * time.Hour)},
		{"*/10 * * * * *", day, day.Add(100 * 24 * time.Hour), day.Add(100 * 24 * time.Hour), day.Add(100*24*time.Hour + 10*time.Second)},
		{"0 0 1 1 *", day, day.Add(48 * time.Hour), day, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"@every 90s", day, day.Add(4 * time.Minute), day.Add(3 * time.Minute), day.Add(270 * time.Second)},
	} {
		last, following := missed(store.Tick{Scheduled: store.Scheduled{Schedule: test.schedule}, At: test.at}, test.now)
		if !last.Equal(test.last) || !following.Equal(test.following) {
			t.Errorf("%s: last %v, following %v, want %v and %v", test.schedule, last, following, test.last, test.following)
		}
	}
}

// Tenants that are due are opened, again and again, whatever fails.
func TestTenantsThatAreDueAreOpened(t *testing.T) {
	t.Parallel()
	system := kernel.NewSystem(kernel.SystemOptions{Name: "waker", Logger: slog.New(slog.DiscardHandler)})
	opened := make(chan string, 16)
	looks := 0
	if _, err := system.Spawn(WakerProps("waker", WakerOptions{
		Every: time.Millisecond,
		Due: func(context.Context) ([]string, error) {
			if looks++; looks == 2 {
				return nil, fault.New(fault.ServiceUnavailable, "no")
			}
			return []string{"a", "b"}, nil
		},
		Open: func(_ context.Context, id string) error {
			select {
			case opened <- id:
			default:
			}
			if id == "a" {
				return fault.New(fault.TenantNotFound, "no")
			}
			return nil
		},
	})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b", "a", "b"} {
		if got := <-opened; got != want {
			t.Errorf("%s was opened, want %s", got, want)
		}
	}
	if err := system.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
