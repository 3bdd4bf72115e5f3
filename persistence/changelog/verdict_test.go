package changelog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

const alice, bob = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"

// images reads all rows of a table as the log would print them.
func (f *fixture) images(table string) (images []changelog.Image, ids []int) {
	f.t.Helper()
	f.Admin(func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, "SELECT row_to_json(t), id FROM "+table+" t ORDER BY id")
		if err != nil {
			return err
		}
		for rows.Next() {
			var image json.RawMessage
			var id int
			if err := rows.Scan((*[]byte)(&image), &id); err != nil {
				return err
			}
			images, ids = append(images, changelog.Image{JSON: image}), append(ids, id)
		}
		return rows.Err()
	})
	return images, ids
}

// selects gives the ids that a caller gets from SELECT.
func (f *fixture) selects(c caller.Caller, table, where string) (ids []int, err error) {
	err = f.DB.Run(f.ctx, c, db.Statement{SQL: "SELECT id FROM " + table + " WHERE " + where + " ORDER BY id", Read: func(rows pgx.Rows) error {
		ids, err = pgx.CollectRows(rows, pgx.RowTo[int])
		return err
	}})
	return ids, err
}

func (f *fixture) table(name string) *changelog.Table {
	f.t.Helper()
	_, plan, err := f.log.Now(f.ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	table, ok := plan.Named("public", name)
	if !ok {
		f.t.Fatalf("%s is not in the plan", name)
	}
	return table
}

// judge asks the log.
func (f *fixture) judge(t *changelog.Table, images []changelog.Image, questions ...changelog.Question) []changelog.Answer {
	answers, _ := f.log.Judge(f.ctx, t, images, questions)
	return answers
}

func (f *fixture) callers() []caller.Caller {
	with := func(c caller.Caller, claims string) caller.Caller {
		c.Claims = json.RawMessage(claims)
		return c
	}
	return []caller.Caller{
		f.Anonymous(), f.User(alice), f.User(bob), f.Service(),
		with(f.User(alice), `{"sub":"`+alice+`","role":"authenticated","org":"red","teams":["t1","t2"]}`),
		with(f.User(bob), `{"sub":"`+bob+`","role":"authenticated","org":"blue","teams":[]}`),
	}
}

var policies = []string{
	`USING (true)`,
	`USING (false)`,
	`USING (owner = auth.uid())`,
	`TO authenticated USING ((SELECT auth.uid()) = owner)`,
	`TO anon USING (n % 2 = 0)`,
	`USING (org = auth.jwt()->>'org')`,
	`USING (org = current_setting('request.jwt.claims', true)::json->>'org')`,
	`USING (team = ANY (ARRAY(SELECT jsonb_array_elements_text(auth.jwt()->'teams'))))`,
	`USING (EXISTS (SELECT 1 FROM member m WHERE m.uid = auth.uid() AND m.org = docs.org))`,
	`USING (org IN (SELECT member.org FROM member))`,
	`USING (whole_row(docs))`,
	`USING (twice > 20)`,
	`USING (secret IS NOT NULL)`,
	`USING (tags && ARRAY['a','b'] OR data->>'k' = 'v' OR span @> 5 OR "Odd ""name""" IS NULL)`,
	`FOR ALL USING (n < 30)`,
	`FOR UPDATE USING (true)`,
	`USING (n % 7 <> 0 AND length(current_user) > 3)`,
	`USING (ctid IS NOT NULL AND n > 3)`,
	`USING (mood = 'fine' OR at > now() - interval '1 day')`,
}

const docs = `
	CREATE TYPE mood AS ENUM ('fine', 'bad');
	CREATE DOMAIN small AS int CHECK (value < 1000);
	CREATE TABLE docs (id int PRIMARY KEY, owner uuid, n small NOT NULL, org text, team text, gone int, secret text, tags text[], data jsonb, raw json,
		span int4range, mood mood, at timestamptz, amount numeric, f float8, b bytea, "Odd ""name""" text,
		twice int GENERATED ALWAYS AS (n * 2) STORED);
	ALTER TABLE docs DROP COLUMN gone;
	CREATE TABLE member (uid uuid, org text);
	ALTER TABLE member ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON member USING (uid = auth.uid());
	INSERT INTO member VALUES ('` + alice + `', 'red'), ('` + alice + `', 'green'), ('` + bob + `', 'blue');
	CREATE FUNCTION whole_row(d docs) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT d.org = 'red' OR d.n > 40 $$;
	INSERT INTO docs SELECT g, CASE g % 3 WHEN 0 THEN '` + alice + `' WHEN 1 THEN '` + bob + `' END::uuid, g,
		(ARRAY['red','blue','green',NULL])[1 + g % 4], 't' || g % 3, CASE WHEN g % 2 = 0 THEN 's' END, ARRAY['a', 'x' || g], jsonb_build_object('k', CASE WHEN g % 5 = 0 THEN 'v' END),
		'{"k" : "\\"}', int4range(g, g + 3), (ARRAY['fine', 'bad'])[1 + g % 2]::mood, CASE WHEN g % 6 = 0 THEN 'infinity'::timestamptz ELSE '2020-01-01' END,
		CASE WHEN g = 4 THEN 'NaN'::numeric ELSE g / 7.0 END, CASE WHEN g = 9 THEN 'Infinity'::float8 ELSE g * 0.1 END, '\xff00', CASE WHEN g % 2 = 1 THEN 'odd' END
	FROM generate_series(1, 50) g;
	REVOKE ALL ON docs FROM authenticated; GRANT SELECT (id, owner, n, org, tags, "Odd ""name""") ON docs TO authenticated;`

// What a judgement says of an image is what SELECT says of the row, for any
// policies.
func TestVerdictsEqualSelect(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(docs)
	f.enable("docs")
	images, ids := f.images("docs")
	admin := f.connect()
	rapid.Check(t, func(t *rapid.T) {
		sql := "DO $$ DECLARE p name; BEGIN FOR p IN SELECT polname FROM pg_policy WHERE polrelid = 'docs'::regclass LOOP EXECUTE format('DROP POLICY %I ON docs', p); END LOOP; END $$;"
		if rapid.IntRange(0, 9).Draw(t, "rls") == 0 {
			sql += "ALTER TABLE docs DISABLE ROW LEVEL SECURITY;"
		} else {
			sql += "ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"
		}
		for i, p := range rapid.SliceOfN(rapid.SampledFrom(policies), 0, 4).Draw(t, "policies") {
			as := rapid.SampledFrom([]string{"", "", " AS RESTRICTIVE"}).Draw(t, "as")
			sql += fmt.Sprintf("CREATE POLICY p%d ON docs%s %s;", i, as, p)
		}
		if _, err := admin.Exec(f.ctx, sql); err != nil {
			t.Fatal(err)
		}
		_, plan, err := f.log.Now(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		table, _ := plan.Named("public", "docs")
		var questions []changelog.Question
		for _, c := range f.callers() {
			questions = append(questions, changelog.Question{Caller: c})
		}
		answers := f.judge(table, images, questions...)
		for i, q := range questions {
			var got []int
			for n, visible := range answers[i].Visible {
				if visible {
					got = append(got, ids[n])
				}
			}
			want, err := f.selects(q.Caller, "docs", "true")
			if (err != nil) != (answers[i].Err != nil) {
				t.Fatalf("%s\n%s %s: SELECT says %v, the verdict %v", sql, q.Caller.Role, q.Caller.Claims, err, answers[i].Err)
			}
			if err == nil && !slices.Equal(got, want) {
				t.Fatalf("%s\n%s %s: got %v, want %v", sql, q.Caller.Role, q.Caller.Claims, got, want)
			}
		}
	})
}

func TestFiltersAreJudgedWithThePolicies(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(docs + `GRANT SELECT ON docs TO authenticated; ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON docs USING (owner = auth.uid())`)
	f.enable("docs")
	table := f.table("docs")
	images, ids := f.images("docs")
	filters := []struct {
		condition query.Condition
		where     string
	}{
		{&query.Compare{Path: query.Column("n"), Op: query.Greater, Value: "9"}, "n > 9"},
		{&query.Compare{Path: query.Path{Column: "data", Steps: []query.Step{{Key: "k", Text: true}}}, Op: query.Equal, Value: "v"}, "data->>'k' = 'v'"},
		{query.Not{Condition: &query.Compare{Path: query.Column("org"), Op: query.In, Values: []string{"red", "blue"}}}, "NOT org IN ('red', 'blue')"},
		{&query.Compare{Path: query.Column("mood"), Op: query.Equal, Value: "fine"}, "mood = 'fine'"},
		{&query.Compare{Path: query.Column(`Odd "name"`), Op: query.Is, Value: "null"}, `"Odd ""name""" IS NULL`},
	}
	var conditions []query.Condition
	for range 30 { // more than one statement takes
		for _, x := range filters {
			conditions = append(conditions, x.condition)
		}
	}
	for _, c := range []caller.Caller{f.User(alice), f.Service(), f.Anonymous()} {
		a := f.judge(table, images, changelog.Question{Caller: c, Filters: conditions})[0]
		if a.Err != nil {
			t.Fatal(a.Err)
		}
		for i := range conditions {
			var got []int
			for n, matches := range a.Matches[i] {
				if matches {
					got = append(got, ids[n])
				}
			}
			where := filters[i%len(filters)].where
			want, err := f.selects(c, "docs", where)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: got %v, want %v", c.Role, where, got, want)
			}
		}
	}
}

func TestFiltersThatAreRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(docs)
	if _, err := f.log.Enable(f.ctx, "public", "docs", nil, []string{"org"}); err != nil {
		t.Fatal(err)
	}
	table := f.table("docs")
	for column, code := range map[string]fault.Code{"n": "", "secret": fault.UnknownColumn, "org": fault.UnknownColumn, "none": fault.UnknownColumn} {
		condition := query.And{query.Not{Condition: &query.Compare{Path: query.Column(column), Op: query.Equal, Value: "1"}}}
		if err := table.CheckFilter(caller.DatabaseAuthenticated, condition); fault.CodeOf(err) != code {
			t.Errorf("a filter on %s: %v", column, err)
		}
	}
	for value, code := range map[string]fault.Code{"1": "", "one": fault.InvalidInput, "99999999999": fault.InvalidInput} {
		for range 7 { // a plan that forgets the value is made at the sixth time
			err := f.log.CheckValues(f.ctx, table, f.User(alice), &query.Compare{Path: query.Column("n"), Op: query.Equal, Value: value})
			if fault.CodeOf(err) != code {
				t.Fatalf("the value %s: %v", value, err)
			}
		}
	}
}

func TestOneIdentitysPolicyCostsNobodyElse(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, owner uuid); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON a USING (CASE auth.jwt()->>'mode' WHEN 'slow' THEN pg_sleep(3)::text = '' WHEN 'broken' THEN 1 / (id - id) = 1 ELSE true END)`)
	f.enable("a")
	with := func(mode string) changelog.Question {
		c := f.User(alice)
		c.Claims = json.RawMessage(`{"role":"authenticated","mode":"` + mode + `"}`)
		return changelog.Question{Caller: c}
	}
	images := []changelog.Image{{JSON: json.RawMessage(`{"id":1,"owner":null}`)}}
	got := ""
	for _, a := range f.judge(f.table("a"), images, with("well"), with("slow"), with("broken"), with("well")) {
		got += fmt.Sprintf("%v %v;", a.Visible, fault.CodeOf(a.Err))
	}
	if want := "[true] ;[] TIMEOUT;[] "; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, ";[true] ;") {
		t.Errorf("got %s", got)
	}
}

func TestRowsWithoutAnImageAreJudgedAlive(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int, part text, owner uuid, PRIMARY KEY (part, id)); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON a USING (owner = auth.uid()); INSERT INTO a VALUES (1, 'x', '` + alice + `'), (2, 'x', '` + bob + `')`)
	f.enable("a")
	cut := func(id int) changelog.Image {
		return changelog.Image{JSON: json.RawMessage(fmt.Sprintf(`{"part" : "x", "id" : %d}`, id)), Cut: true}
	}
	images := []changelog.Image{cut(2), {JSON: json.RawMessage(`{"id":9,"part":"x","owner":"` + alice + `"}`)}, cut(1), cut(3)}
	filter := &query.Compare{Path: query.Column("id"), Op: query.Less, Value: "5"}
	a := f.judge(f.table("a"), images, changelog.Question{Caller: f.User(alice), Filters: []query.Condition{filter}})[0]
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	if got := fmt.Sprint(a.Visible, a.Matches, a.Live); got != "[false true true false] [[false false true false]] [true false true true]" {
		t.Error(got)
	}
}

// A json column may hold what PostgreSQL cannot unpack.
func TestImagesThatDoNotFitAreJudgedAlive(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, j json, owner uuid); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON a USING (owner = (auth.uid()::text || '')::uuid); INSERT INTO a VALUES (1, '"\u0000"', '` + alice + `'), (2, '"\u0000"', '` + bob + `')`)
	f.enable("a")
	images, _ := f.images("a")
	a := f.judge(f.table("a"), images, changelog.Question{Caller: f.User(alice)})[0]
	if got := fmt.Sprint(a.Visible, a.Live, a.Err); got != "[true false] [true true] <nil>" {
		t.Error(got)
	}
}

func TestCurrentTellsOfEveryChangeOfThePlan(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE other (id int)`)
	f.enable("a")
	for _, sql := range []string{
		`ALTER TABLE a ENABLE ROW LEVEL SECURITY`, `CREATE POLICY p ON a USING (true)`, `ALTER POLICY p ON a USING (false)`, `DROP POLICY p ON a`,
		`REVOKE SELECT ON a FROM anon`, `GRANT SELECT ON a TO anon`, `ALTER TABLE a ADD COLUMN w int`, `ALTER TABLE a RENAME TO b`, `DROP TABLE b`,
	} {
		_, plan, err := f.log.Now(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		f.Exec(`CREATE TABLE IF NOT EXISTS third (); DROP TABLE third; UPDATE other SET id = 1`)
		if current, err := f.log.Current(f.ctx, plan); err != nil || !current {
			t.Fatalf("before %s: %v, %v", sql, current, err)
		}
		f.Exec(sql)
		if current, err := f.log.Current(f.ctx, plan); err != nil || current {
			t.Errorf("after %s: %v, %v", sql, current, err)
		}
	}
}

func TestPlansAreComparedWithoutAnEventTrigger(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY)`)
	f.enable("a")
	f.Exec(`DROP EVENT TRIGGER fluxbase_announce; DROP EVENT TRIGGER fluxbase_announce_drop`)
	if _, err := f.log.Open(f.ctx); err != nil {
		t.Fatal(err)
	}
	r := f.tail()
	f.Exec(`ALTER TABLE a ENABLE ROW LEVEL SECURITY`)
	if current, err := f.log.Current(f.ctx, r.plan); err != nil || current {
		t.Errorf("current: %v, %v", current, err)
	}
	r.next()
	if table, _ := r.plan.Named("public", "a"); !table.RowSecurity {
		t.Error("the change of the plan was not noticed")
	}
}
