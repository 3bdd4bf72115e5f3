package procedure_test

import (
	"errors"
	"sync"
	"testing"

	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
)

func sync1(t *testing.T, s *procedure.Store, code string) {
	t.Helper()
	report, err := s.Sync(t.Context(), "default", []procedure.Given{{Name: "p", Code: code}}, procedure.SyncOptions{})
	if err != nil || len(report.Errors) > 0 {
		t.Fatalf("%s: %v %+v", code, err, report.Errors)
	}
}

func TestEveryChangeIsAnotherRevision(t *testing.T) {
	d := dbtest.New(t)
	s := procedure.New(d.DB, d.Tenant)
	sync1(t, s, "-- @fluxbase:input b:text, a?:uuid\nSELECT $b, $a")
	first, err := s.Find(t.Context(), "default", "p")
	if err != nil {
		t.Fatal(err)
	}
	if first.Version != 1 || first.ID == "" || first.Revision == 0 || first.Statement.SQL == "" || len(first.Statement.Parameters) != 2 ||
		first.Statement.Parameters[1].Type != procedure.UUIDType || first.Input.String() != "b:text, a?:uuid" || first.Source != procedure.Filesystem {
		t.Errorf("stored as %+v", first)
	}
	sync1(t, s, "SELECT 2")
	second, err := s.Find(t.Context(), "default", "p")
	if err != nil || second.Revision <= first.Revision || second.Version != 2 || second.ID != first.ID || !second.UpdatedAt.After(first.UpdatedAt) || !second.CreatedAt.Equal(first.CreatedAt) {
		t.Errorf("changed it is %+v, %v", second, err)
	}
	sync1(t, s, "-- @fluxbase:version 9\nSELECT 2")
	off := false
	third, err := s.Change(t.Context(), "default", "p", procedure.Change{Enabled: &off}, procedure.Limits{})
	if err != nil || third.Revision <= second.Revision || third.Version != 9 || third.Enabled {
		t.Errorf("changed by hand it is %+v, %v", third, err)
	}
	// What was switched off stays so when its text changes.
	sync1(t, s, "SELECT 3")
	if p, err := s.Find(t.Context(), "default", "p"); err != nil || p.Enabled || p.Version != 10 {
		t.Errorf("with another text it is %+v, %v", p, err)
	}
}

func TestTenantsInOneDatabaseAreApart(t *testing.T) {
	d := dbtest.New(t)
	ours, theirs := procedure.New(d.DB, d.Tenant), procedure.New(d.DB, "22222222-2222-4222-8222-222222222222")
	sync1(t, ours, "SELECT 1")
	sync1(t, theirs, "SELECT 2")
	if p, err := theirs.Find(t.Context(), "default", "p"); err != nil || p.Query != "SELECT 2" {
		t.Errorf("theirs is %+v, %v", p, err)
	}
	if err := theirs.Delete(t.Context(), "default", "p"); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Delete(t.Context(), "default", "p"); !errors.Is(err, procedure.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if p, err := ours.Find(t.Context(), "default", "p"); err != nil || p.Query != "SELECT 1" {
		t.Errorf("ours is %+v, %v", p, err)
	}
}

// No role of the API reads or writes the table, not even service_role.
func TestOnlyTheOwnerReachesTheTable(t *testing.T) {
	d := dbtest.New(t)
	for _, role := range []string{"anon", "authenticated", "service_role", "tenant_service"} {
		for _, privilege := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"} {
			var has bool
			d.QueryRow(`SELECT has_table_privilege($1, 'rpc.procedures', $2)`, &has, role, privilege)
			if has {
				t.Errorf("%s may %s", role, privilege)
			}
		}
	}
}

// Syncs at once do not get in each other's way, and the last one holds.
func TestSyncsWaitForEachOther(t *testing.T) {
	d := dbtest.New(t)
	s := procedure.New(d.DB, d.Tenant)
	sync1(t, s, "SELECT 0")
	var all sync.WaitGroup
	failed := make(chan error, 8)
	for _, code := range []string{"SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4"} {
		all.Go(func() {
			report, err := s.Sync(t.Context(), "default", []procedure.Given{{Name: "p", Code: code}, {Name: "q", Code: code}}, procedure.SyncOptions{DeleteMissing: true})
			if err != nil || len(report.Errors) > 0 {
				failed <- errors.Join(err, errors.New("a sync failed"))
			}
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	stored, err := s.All(t.Context(), "")
	if err != nil || len(stored) != 2 || stored[0].Query != stored[1].Query || stored[0].Version != 5 {
		t.Errorf("stored is %+v, %v", stored, err)
	}
}

func TestWhatIsTooMuchIsRefused(t *testing.T) {
	d := dbtest.New(t)
	s := procedure.New(d.DB, d.Tenant)
	if _, err := s.Sync(t.Context(), "default", make([]procedure.Given, procedure.MaxGiven+1), procedure.SyncOptions{}); fault.CodeOf(err) != fault.BatchTooLarge {
		t.Errorf("too many: %v", err)
	}
	if _, err := s.Sync(t.Context(), "no namespace", nil, procedure.SyncOptions{}); fault.CodeOf(err) != fault.ValidationFailed {
		t.Errorf("a namespace that is none: %v", err)
	}
}

// A statement that another edition of the compiler has made is compiled anew, and one
// that this edition refuses cannot be run.
func TestStatementsOfAnotherEditionAreCompiledAnew(t *testing.T) {
	d := dbtest.New(t)
	s := procedure.New(d.DB, d.Tenant)
	sync1(t, s, "SELECT 1")
	want, err := s.Find(t.Context(), "default", "p")
	if err != nil {
		t.Fatal(err)
	}
	d.Exec(`UPDATE rpc.procedures SET edition = 0, statement = '{"sql":"SELECT secrets"}'`)
	if p, err := s.Find(t.Context(), "default", "p"); err != nil || p.Statement.SQL != want.Statement.SQL || !p.Enabled {
		t.Errorf("compiled anew it is %+v, %v", p, err)
	}
	d.Exec(`UPDATE rpc.procedures SET sql_query = 'SELECT * FROM pg_authid'`)
	if p, err := s.Find(t.Context(), "default", "p"); err != nil || p.Statement.SQL != "" || p.Enabled {
		t.Errorf("what is refused is %+v, %v", p, err)
	}
}

// A library believes what it keeps while the bell can be heard, and until it rings.
func TestALibraryBelievesTheBell(t *testing.T) {
	d := dbtest.New(t)
	s := procedure.New(d.DB, d.Tenant)
	var bell procedure.Bell
	l := procedure.NewLibrary(s, &bell)
	find := func() *procedure.Procedure {
		t.Helper()
		p, err := l.Find(t.Context(), "default", "p")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if _, err := l.Find(t.Context(), "default", "p"); !errors.Is(err, procedure.ErrNotFound) {
		t.Errorf("before there is one: %v", err)
	}
	sync1(t, s, "SELECT 1")
	if first := find(); first == find() {
		t.Error("a library that hears nothing keeps what it has read")
	}
	bell.Heard()
	kept := find()
	sync1(t, s, "SELECT 2")
	if find() != kept {
		t.Error("a library that hears asks again")
	}
	bell.Heard()
	if p := find(); p.Query != "SELECT 2" {
		t.Errorf("after the bell it is %s", p.Query)
	}
	bell.Deaf()
	sync1(t, s, "SELECT 3")
	if p := find(); p.Query != "SELECT 3" {
		t.Errorf("deaf it gives %s", p.Query)
	}
}
