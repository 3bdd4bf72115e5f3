package changelog_test

import (
	"slices"
	"testing"

	"fluxbase/persistence/fault"
)

func TestWhatCannotBeEnabled(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM a; CREATE MATERIALIZED VIEW m AS SELECT * FROM a;
		CREATE TABLE p (id int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT`)
	for _, c := range []struct {
		schema, table   string
		events, exclude []string
		code            fault.Code
	}{
		{"public", "v", nil, nil, fault.ValidationFailed},
		{"public", "m", nil, nil, fault.ValidationFailed},
		{"public", "p1", nil, nil, fault.ValidationFailed},
		{"public", "none", nil, nil, fault.TableNotFound},
		{"auth", "users", nil, nil, fault.ValidationFailed},
		{"realtime", "changes", nil, nil, fault.ValidationFailed},
		{"pg_catalog", "pg_class", nil, nil, fault.ValidationFailed},
		{"public", `a"; DROP TABLE a; --`, nil, nil, fault.InvalidInput},
		{"pub lic", "a", nil, nil, fault.InvalidInput},
		{"public", "a", []string{"TRUNCATE"}, nil, fault.ValidationFailed},
		{"public", "a", []string{"insert"}, nil, fault.ValidationFailed},
		{"public", "a", nil, []string{"none"}, fault.ValidationFailed},
	} {
		if _, err := f.log.Enable(f.ctx, c.schema, c.table, c.events, c.exclude); fault.CodeOf(err) != c.code {
			t.Errorf("%s.%s %v %v: %v", c.schema, c.table, c.events, c.exclude, err)
		}
	}
	if list, err := f.log.List(f.ctx, true); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestTheLifeOfARegistryEntry(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text, w text); CREATE TABLE owned (id int); CREATE ROLE fluxbase_test_somebody_` + f.suffix() + `;
		ALTER TABLE owned OWNER TO fluxbase_test_somebody_` + f.suffix() + `; REVOKE ALL ON owned FROM fluxbase_owner`)
	t.Cleanup(func() {
		f.Exec(`DROP TABLE owned; DROP ROLE fluxbase_test_somebody_` + f.suffix())
	})
	before, err := f.log.Get(f.ctx, "public", "a")
	if err != nil || before.Enabled || before.ID != 0 {
		t.Fatalf("%+v, %v", before, err)
	}
	s, err := f.log.Enable(f.ctx, "public", "a", []string{"DELETE", "INSERT", "INSERT"}, []string{"w"})
	if err != nil || !s.Enabled || !slices.Equal(s.Events, []string{"INSERT", "DELETE"}) || !slices.Equal(s.Excluded, []string{"w"}) {
		t.Fatalf("%+v, %v", s, err)
	}
	var triggers int
	f.QueryRow(`SELECT count(*)::int FROM pg_trigger WHERE tgrelid = 'a'::regclass AND starts_with(tgname::text, $1)`, &triggers, s.TriggerName)
	if triggers != 4 { // insert, delete, truncate, begin
		t.Errorf("%d triggers of the name %s", triggers, s.TriggerName)
	}
	if err := f.log.Alter(f.ctx, "public", "a", nil, nil); fault.CodeOf(err) != fault.ValidationFailed {
		t.Errorf("no updates: %v", err)
	}
	if err := f.log.Alter(f.ctx, "public", "a", nil, []string{}); err != nil {
		t.Fatal(err)
	}
	if s, _ := f.log.Get(f.ctx, "public", "a"); len(s.Excluded) != 0 || len(s.Events) != 2 {
		t.Errorf("%+v", s)
	}
	if err := f.log.Disable(f.ctx, "public", "a"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{f.log.Disable(f.ctx, "public", "a"), f.log.Alter(f.ctx, "public", "a", []string{"INSERT"}, nil)} {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("a disabled table: %v", err)
		}
	}
	f.QueryRow(`SELECT count(*)::int FROM pg_trigger WHERE tgrelid = 'a'::regclass`, &triggers)
	if triggers != 0 {
		t.Errorf("%d triggers are left", triggers)
	}
	enabled, err := f.log.List(f.ctx, false)
	if err != nil || len(enabled) != 0 {
		t.Errorf("%v, %v", enabled, err)
	}
	all, err := f.log.List(f.ctx, true)
	if err != nil || len(all) != 1 || all[0].Enabled {
		t.Errorf("%v, %v", all, err)
	}
	// A table that belongs to somebody else, and its triggers can be removed.
	if _, err := f.log.Enable(f.ctx, "public", "owned", nil, nil); err != nil {
		t.Error(err)
	}
	if err := f.log.Disable(f.ctx, "public", "owned"); err != nil {
		t.Error(err)
	}
}

// suffix is unique to the test's database: roles belong to the server.
func (f *fixture) suffix() string {
	var name string
	f.QueryRow(`SELECT right(current_database(), 16)`, &name)
	return name
}

func TestNothingOfTheLogIsGranted(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var granted []string
	f.QueryRow(`SELECT coalesce(array_agg(r || ' ' || o), '{}') FROM unnest(ARRAY['anon', 'authenticated']) r CROSS JOIN LATERAL (
		SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		 WHERE n.nspname = 'realtime' AND c.relkind IN ('r', 'p') AND has_table_privilege(r, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
		UNION ALL SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		 WHERE n.nspname = 'realtime' AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(r, c.oid, 'USAGE, SELECT, UPDATE') END
		UNION ALL SELECT p.proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		 WHERE (n.nspname = 'realtime' OR p.proname LIKE '%_log_trigger') AND has_function_privilege(r, p.oid, 'EXECUTE')
		   -- Those of channels are for callers.
		   AND p.proname NOT IN ('topic', 'send', 'send_binary', 'broadcast_changes', 'write_trial', 'begin_trial', 'may_read', 'may_write')
		UNION ALL SELECT 'schema realtime_log' WHERE has_schema_privilege(r, 'realtime_log', 'USAGE')) AS t (o)`, &granted)
	if len(granted) > 0 {
		t.Errorf("granted: %q", granted)
	}
}
