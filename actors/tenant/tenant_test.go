package tenant

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/tenancy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	defaultID = "00000000-0000-4000-8000-000000000001"
	acmeID    = "00000000-0000-4000-8000-00000000000a"
	newID     = "00000000-0000-4000-8000-00000000000b"
	goneID    = "00000000-0000-4000-8000-00000000000c"
)

// list is a list of tenants that a test may change.
type list struct {
	mu  sync.Mutex
	all []tenancy.Entry
}

func (l *list) All(context.Context) ([]tenancy.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]tenancy.Entry(nil), l.all...), nil
}

func (l *list) set(id string, s tenancy.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.all {
		if l.all[i].ID == id {
			l.all[i].Status = s
		}
	}
}

func newList() *list {
	return &list{all: []tenancy.Entry{
		{ID: defaultID, Slug: "default", Default: true, Status: tenancy.Active},
		{ID: acmeID, Slug: "acme", Status: tenancy.Active},
		{ID: newID, Slug: "new", Status: tenancy.Creating},
		{ID: goneID, Slug: "gone", Status: tenancy.Deleting},
	}}
}

// parts is what the tests' Opener gives.
type parts struct {
	pool   *kernel.Pool
	number int32
}

type bundle struct {
	list           *list
	system         *kernel.System
	opened, closed atomic.Int32
	fail           atomic.Bool
	*Directory[parts]
}

func setup(t *testing.T, idle time.Duration) *bundle {
	t.Helper()
	b := &bundle{list: newList()}
	b.system = kernel.NewSystem(kernel.SystemOptions{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	t.Cleanup(func() {
		if err := b.system.Shutdown(within(t)); err != nil {
			t.Error(err)
		}
		if o, c := b.opened.Load(), b.closed.Load(); o != c {
			t.Errorf("%d tenants were opened and %d closed", o, c)
		}
	})
	var err error
	b.Directory, err = Start(within(t), b.system, Options[parts]{
		List: b.list, IdleAfter: idle, PollEvery: time.Hour,
		Open: func(_ context.Context, info Info, s kernel.Spawner) (parts, func(), error) {
			n := b.opened.Add(1)
			closing := func() { b.closed.Add(1) }
			if b.fail.Load() {
				return parts{}, closing, errors.New("no database")
			}
			pool, err := s.SpawnPool(kernel.PoolProps{Name: "data", Workers: 1, Queue: 1, New: func() kernel.Worker {
				return kernel.WorkerFunc(func(context.Context, any) (any, error) { return info.Slug, nil })
			}})
			return parts{pool, n}, closing, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestFindGoesByBindingThenHeaderThenDefault(t *testing.T) {
	b := setup(t, time.Hour)
	user := caller.Caller{Role: caller.Authenticated, UserID: "u"}
	bound := caller.Caller{Role: caller.Authenticated, UserID: "u", BoundTenant: acmeID}
	service := caller.Caller{Role: caller.Service}
	tenantKey := caller.Caller{Role: caller.TenantService, BoundTenant: acmeID}
	admin := caller.Caller{Role: caller.InstanceAdmin}
	dashboard := caller.Caller{Role: caller.DashboardUser}
	for _, tc := range []struct {
		name   string
		caller caller.Caller
		header string
		want   string
		code   fault.Code
	}{
		{"anonymous", caller.Anonymous(), "", defaultID, ""},
		{"anonymous names an id", caller.Anonymous(), acmeID, acmeID, ""},
		{"anonymous names a slug", caller.Anonymous(), " acme ", acmeID, ""},
		{"anonymous names nobody", caller.Anonymous(), "nobody", "", fault.TenantNotFound},
		{"an id in capitals", caller.Anonymous(), "00000000-0000-4000-8000-00000000000A", acmeID, ""},
		{"a slug in capitals", caller.Anonymous(), "ACME", "", fault.TenantNotFound},
		{"user", user, "", defaultID, ""},
		{"user names the default", user, "default", defaultID, ""},
		{"user names a foreign one", user, "acme", "", fault.AccessDenied},
		{"user names nobody", user, "nobody", "", fault.TenantNotFound},
		{"bound user", bound, "", acmeID, ""},
		{"bound user repeats it", bound, "acme", acmeID, ""},
		{"bound user names another", bound, "default", "", fault.AccessDenied},
		{"bound to one that is gone", caller.Caller{BoundTenant: goneID}, "", "", fault.TenantNotFound},
		{"bound to one that never was", caller.Caller{BoundTenant: "x"}, "", "", fault.TenantNotFound},
		{"global service", service, "", defaultID, ""},
		{"global service names one", service, "acme", acmeID, ""},
		{"tenant key", tenantKey, "", acmeID, ""},
		{"tenant key names another", tenantKey, defaultID, "", fault.AccessDenied},
		{"instance admin names one", admin, "acme", acmeID, ""},
		{"dashboard user names one", dashboard, "acme", "", fault.AccessDenied},
		{"one being made", admin, "new", "", fault.ServiceUnavailable},
		{"one being deleted", admin, "gone", "", fault.TenantNotFound},
	} {
		info, c, err := b.Find(tc.caller, tc.header)
		if fault.CodeOf(err) != tc.code {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.code)
			continue
		}
		if err == nil && (info.ID != tc.want || c.Tenant != tc.want || c.DefaultTenant != (tc.want == defaultID)) {
			t.Errorf("%s: got %s, caller in %s", tc.name, info.ID, c.Tenant)
		}
	}
}

func TestServiceIdentityIsTenantServiceElsewhere(t *testing.T) {
	b := setup(t, time.Hour)
	_, c, err := b.Find(caller.Caller{Role: caller.Service}, "acme")
	if err != nil || c.DatabaseRole() != caller.DatabaseTenantService {
		t.Errorf("got %s, %v", c.DatabaseRole(), err)
	}
}

func TestTenantIsOpenedOnceForAllWhoAsk(t *testing.T) {
	b := setup(t, time.Hour)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			tn, _, err := b.Resolve(within(t), caller.Anonymous(), "")
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := kernel.Ask[string](within(t), tn.Parts.pool, 1); got != "default" && fault.CodeOf(err) != fault.Overloaded {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	all.Wait()
	if n := b.opened.Load(); n != 1 {
		t.Errorf("opened %d times", n)
	}
}

func TestFailedOpeningIsToldAndTriedAgain(t *testing.T) {
	b := setup(t, time.Hour)
	b.fail.Store(true)
	if _, err := b.Open(within(t), acmeID); err == nil || err.Error() != "no database" {
		t.Errorf("got %v", err)
	}
	b.fail.Store(false)
	deadline := time.Now().Add(5 * time.Second)
	for {
		_, err := b.Open(within(t), acmeID)
		if err == nil {
			break
		}
		// The actor that failed may still be on its way out.
		if fault.CodeOf(err) != fault.ServiceUnavailable || time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestIdleTenantIsStoppedUnlessHeldOrDefault(t *testing.T) {
	b := setup(t, 40*time.Millisecond)
	standard, err := b.Open(within(t), defaultID)
	if err != nil {
		t.Fatal(err)
	}
	acme, err := b.Open(within(t), acmeID)
	if err != nil {
		t.Fatal(err)
	}
	release := acme.Hold()
	acme.lastUsed.Store(0)
	select {
	case <-acme.Done():
		t.Fatal("a tenant that is held was stopped")
	case <-time.After(200 * time.Millisecond):
	}
	release()
	release()
	acme.lastUsed.Store(0)
	select {
	case <-acme.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("an idle tenant was not stopped")
	}
	select {
	case <-standard.Done():
		t.Fatal("the default tenant was stopped")
	default:
	}
	again, err := b.Open(within(t), acmeID)
	if err != nil || again == acme || again.Parts.number == acme.Parts.number {
		t.Errorf("got %v, %v", again, err)
	}
}

func TestDeletedTenantIsStopped(t *testing.T) {
	b := setup(t, time.Hour)
	acme, err := b.Open(within(t), acmeID)
	if err != nil {
		t.Fatal(err)
	}
	b.list.set(acmeID, tenancy.Deleting)
	b.Refresh()
	select {
	case <-acme.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("not stopped")
	}
	if _, err := b.Open(within(t), acmeID); fault.CodeOf(err) != fault.TenantNotFound {
		t.Errorf("got %v", err)
	}
}

func BenchmarkResolve(b *testing.B) {
	s := kernel.NewSystem(kernel.SystemOptions{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	defer s.Shutdown(context.Background())
	d, err := Start(b.Context(), s, Options[int]{List: newList(),
		Open: func(context.Context, Info, kernel.Spawner) (int, func(), error) { return 1, nil, nil }})
	if err != nil {
		b.Fatal(err)
	}
	c := caller.Caller{Role: caller.Service}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := d.Resolve(b.Context(), c, "acme"); err != nil {
			b.Fatal(err)
		}
	}
}
