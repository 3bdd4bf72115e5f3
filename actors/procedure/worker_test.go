package procedure_test

import (
	"os"
	"path/filepath"
	"testing"

	"fluxbase/actors/procedure"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
	store "fluxbase/persistence/procedure"
)

func TestWorker(t *testing.T) {
	d := dbtest.New(t)
	folder := t.TempDir()
	for name, code := range map[string]string{"a.sql": "-- @fluxbase:public true\nSELECT 1", "b.sql": "SELECT 2"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := procedure.NewWorker(procedure.Options{Store: store.New(d.DB, d.Tenant), Directory: folder})
	ask := func(m any) any {
		t.Helper()
		answer, err := w.Handle(t.Context(), m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		return answer
	}
	if done := ask(procedure.SyncFiles{Caller: caller.Caller{KeyID: "key"}}).(store.Synced); len(done.Created) != 2 || len(done.Errors) != 0 {
		t.Errorf("the files gave %+v", done)
	}
	p := ask(procedure.Get{Namespace: "default", Name: "a"}).(*store.Procedure)
	if p.Query != "SELECT 1" || p.CreatedBy != "key" {
		t.Errorf("stored is %+v", p)
	}
	// Lists have no texts, and the public one none that were switched off.
	if all := ask(procedure.List{}).([]*store.Procedure); len(all) != 2 || all[0].Name != "a" || all[0].Code != "" || all[0].ID != p.ID || !all[0].Enabled {
		t.Errorf("all are %+v", all)
	}
	if public := ask(procedure.ListPublic{Namespace: "default"}).([]*store.Procedure); len(public) != 1 || public[0].Name != "a" {
		t.Errorf("the public ones are %+v", public)
	}
	off := false
	ask(procedure.Alter{Namespace: "default", Name: "a", Change: store.Change{Enabled: &off}})
	if public := ask(procedure.ListPublic{}).([]*store.Procedure); len(public) != 0 {
		t.Errorf("switched off there are %+v", public)
	}
	for _, m := range []any{procedure.Get{Namespace: "default", Name: "c"}, procedure.Alter{Namespace: "other", Name: "a"}, procedure.Delete{Namespace: "default", Name: "c"}} {
		if _, err := w.Handle(t.Context(), m); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%T: %v", m, err)
		}
	}
	if _, err := w.Handle(t.Context(), "nonsense"); err == nil {
		t.Error("an unknown message is answered")
	}
}
