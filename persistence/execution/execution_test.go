package execution

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

const ann = "11111111-1111-4111-8111-111111111111"

type bundle struct {
	*dbtest.Database
	store *Store
	t     *testing.T
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE notes (id serial PRIMARY KEY, body text)`)
	return &bundle{Database: d, store: New(d.DB, d.Tenant), t: t}
}

func (b *bundle) call(params string) Call {
	c := b.User(ann)
	c.Email, c.SessionID = "ann@example.com", "22222222-2222-4222-8222-222222222222"
	return Call{Namespace: "default", Procedure: "p", Params: json.RawMessage(params), Caller: c}
}

func (b *bundle) begin(lease time.Duration) *Claimed {
	b.t.Helper()
	x, err := b.store.Begin(b.t.Context(), b.call(`{"a": 12345678901234567890}`), "node", lease)
	if err != nil {
		b.t.Fatal(err)
	}
	return x
}

func (b *bundle) get(id string) *Record {
	b.t.Helper()
	r, err := b.store.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bundle) notes() (n int) {
	b.t.Helper()
	b.QueryRow(`SELECT count(*) FROM notes`, &n)
	return n
}

func rowsOf(sql string, args ...any) db.Statement { return db.Statement{SQL: sql, Args: args} }

var wide = Limits{Rows: 100, Bytes: 1 << 20}

func TestACallThatCompletes(t *testing.T) {
	b := setup(t)
	x := b.begin(time.Minute)
	if r := b.get(x.Task.ID); r.Status != Running || r.StartedAt == nil || r.CompletedAt != nil || r.UserID != ann || r.Email != "ann@example.com" {
		t.Errorf("begun: %+v", r)
	}
	got, err := b.store.Run(t.Context(), x,
		rowsOf(`WITH w AS (INSERT INTO notes (body) VALUES ('a'), ('b') RETURNING id, 9007199254740993 AS big) SELECT row_to_json(w)::text FROM w LIMIT 101`), true, wide)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"id":1,"big":9007199254740993},{"id":2,"big":9007199254740993}]`
	if string(got.JSON) != want || got.Rows != 2 || got.Truncated {
		t.Errorf("got %s, %+v", got.JSON, got)
	}
	r := b.get(x.Task.ID)
	if r.Status != Completed || string(r.Result) != want || *r.Rows != 2 || r.Millis == nil || r.CompletedAt == nil || string(r.Params) != `{"a": 12345678901234567890}` {
		t.Errorf("ended: %+v", r)
	}
	if b.notes() != 2 {
		t.Error("the rows are not there")
	}
	if err := b.store.Fail(t.Context(), x.Held(), End{Status: Failed}); fault.CodeOf(err) != fault.ClaimLost {
		t.Errorf("failing what has completed: %v", err)
	}
}

func TestRowsAreCutByNumberAndBytes(t *testing.T) {
	b := setup(t)
	for _, test := range []struct {
		limits    Limits
		rows      int64
		truncated bool
	}{
		{Limits{Rows: 3, Bytes: 1 << 20}, 3, false},
		{Limits{Rows: 2, Bytes: 1 << 20}, 2, true},
		{Limits{Rows: 3, Bytes: 250}, 2, true},
		{Limits{Rows: 3, Bytes: 10}, 0, true},
	} {
		x := b.begin(time.Minute)
		got, err := b.store.Run(t.Context(), x, rowsOf(`SELECT json_build_object('n', repeat('x', 90))::text FROM generate_series(1, 3)`), true, test.limits)
		if err != nil {
			t.Fatal(err)
		}
		var rows []any
		if err := json.Unmarshal(got.JSON, &rows); err != nil || int64(len(rows)) != test.rows || got.Rows != test.rows || got.Truncated != test.truncated {
			t.Errorf("%+v: got %d rows, %+v, %v", test.limits, len(rows), got, err)
		}
		if r := b.get(x.Task.ID); r.Truncated != test.truncated || *r.Rows != test.rows {
			t.Errorf("%+v: noted %+v", test.limits, r)
		}
	}
	x := b.begin(time.Minute)
	got, err := b.store.Run(t.Context(), x, rowsOf(`INSERT INTO notes (body) SELECT 'x' FROM generate_series(1, 7)`), false, wide)
	if err != nil || string(got.JSON) != "[]" || got.Rows != 7 {
		t.Errorf("a statement without rows: %+v, %v", got, err)
	}
}

// What a procedure wrote is there exactly when its execution is completed.
func TestACancelledExecutionCannotCommit(t *testing.T) {
	b := setup(t)
	x := b.begin(time.Minute)
	if done, err := b.store.Cancel(t.Context(), x.Task.ID); err != nil || !done {
		t.Fatal(done, err)
	}
	if _, err := b.store.Run(t.Context(), x, rowsOf(`INSERT INTO notes (body) VALUES ('late')`), false, wide); fault.CodeOf(err) != fault.ClaimLost {
		t.Errorf("got %v", err)
	}
	if r := b.get(x.Task.ID); b.notes() != 0 || r.Status != Cancelled || r.ErrorCode != "CANCELED" {
		t.Errorf("%d notes, %+v", b.notes(), r)
	}
	if done, err := b.store.Cancel(t.Context(), x.Task.ID); done || err != nil {
		t.Errorf("cancelled twice: %v, %v", done, err)
	}
}

func TestACallIsRunByOneNodeAfterTheOther(t *testing.T) {
	b := setup(t)
	call := b.call(`{}`)
	id, err := b.store.Enqueue(t.Context(), call, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r := b.get(id); r.Status != Pending || !r.Async || r.StartedAt != nil {
		t.Errorf("enqueued: %+v", r)
	}
	claim := func(node string, lease time.Duration) *Claimed {
		t.Helper()
		for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
			got, err := b.store.Claim(t.Context(), Want{Node: node, Count: 5, Lease: lease})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) > 0 {
				return got[0]
			}
		}
		t.Fatal("nothing to claim")
		return nil
	}
	first := claim("dead", 50*time.Millisecond)
	if got, want := first.Caller, call.Caller; got.Identity() != want.Identity() || got.SessionID != want.SessionID || got.Email != want.Email {
		t.Errorf("it runs for %+v, not for %+v", got, want)
	}
	second := claim("alive", time.Minute)
	if second.Task.ID != id || second.Attempt != 2 {
		t.Errorf("the second node got %+v", second.Task)
	}
	write := rowsOf(`INSERT INTO notes (body) VALUES ('x')`)
	if _, err := b.store.Run(t.Context(), first, write, false, wide); fault.CodeOf(err) != fault.ClaimLost {
		t.Errorf("the dead node: %v", err)
	}
	if err := b.store.Return(t.Context(), first.Held(), 0, false); err != nil {
		t.Error(err)
	}
	if r := b.get(id); r.Status != Running {
		t.Errorf("the dead node made it %s", r.Status)
	}
	if err := b.store.Return(t.Context(), second.Held(), 0, true); err != nil {
		t.Error(err)
	}
	if r := b.get(id); r.Status != Pending {
		t.Errorf("given back it is %s", r.Status)
	}
	third := claim("alive", time.Minute)
	if third.Attempt != 2 {
		t.Errorf("an attempt that was undone counts: %d", third.Attempt)
	}
	if _, err := b.store.Run(t.Context(), third, write, false, wide); err != nil {
		t.Error(err)
	}
	if n := b.notes(); n != 1 {
		t.Errorf("it was done %d times", n)
	}
}

func TestWaitingCallsOfOneCallerAreBounded(t *testing.T) {
	b := setup(t)
	for range 3 {
		if _, err := b.store.Enqueue(t.Context(), b.call(`{}`), 3); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.store.Enqueue(t.Context(), b.call(`{}`), 3); fault.CodeOf(err) != fault.RateLimitExceeded {
		t.Errorf("got %v", err)
	}
	other := b.call(`{}`)
	other.Caller = b.Anonymous()
	if _, err := b.store.Enqueue(t.Context(), other, 3); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	other.Caller = caller.System(b.Tenant)
	if _, err := b.store.Enqueue(t.Context(), other, 0); !errors.Is(err, errSelf) {
		t.Errorf("the server itself: %v", err)
	}
}

func TestCallersReachNothingOfIt(t *testing.T) {
	b := setup(t)
	x := b.begin(time.Minute)
	for _, sql := range []string{
		`SELECT * FROM rpc.executions`, `UPDATE rpc.executions SET result = '[]'`, `SELECT * FROM rpc.schedules`, `SELECT * FROM app.execution_logs`,
	} {
		for name, who := range map[string]caller.Caller{"anon": b.Anonymous(), "user": b.User(ann), "service": b.Service()} {
			switch code := fault.CodeOf(b.DB.Run(t.Context(), who, db.Statement{SQL: sql})); code {
			case fault.InsufficientPermissions, fault.AuthenticationRequired:
			default:
				t.Errorf("%s as %s: %q", sql, name, code)
			}
		}
	}
	// A procedure that completes another's execution, or its own ahead of time.
	for _, held := range []string{"00000000-0000-4000-8000-000000000000", x.Task.ID} {
		err := b.DB.Run(t.Context(), b.User(ann), db.Statement{
			SQL: `SELECT rpc.complete_execution($1, $2, '["forged"]', 1, false)`, Args: []any{x.Task.ID, held}})
		if fault.CodeOf(err) != fault.ClaimLost {
			t.Errorf("with the claim %s: %v", held, err)
		}
	}
	if r := b.get(x.Task.ID); r.Status != Running {
		t.Errorf("it is %s", r.Status)
	}
}

func TestListAndRetention(t *testing.T) {
	b := setup(t)
	x := b.begin(time.Minute)
	if err := b.store.Fail(t.Context(), x.Held(), End{Status: TimedOut, Code: fault.Timeout, Message: "too long"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Reject(t.Context(), b.call(`{"x":1}`), true, fault.New(fault.InvalidInput, "no")); err != nil {
		t.Fatal(err)
	}
	logs := NewLogs(b.DB)
	for _, lines := range [][]Line{{{Level: "info", Message: "one", At: time.Now()}}, {{Level: "warn", Message: "two", At: time.Now()}, {Level: "info", Message: "three", Fields: json.RawMessage(`{"a":1}`), At: time.Now()}}} {
		if err := logs.Append(t.Context(), x.Task.ID, "rpc", lines); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := logs.Read(t.Context(), x.Task.ID, 1, 10)
	if err != nil || len(lines) != 2 || lines[0].Number != 2 || lines[1].Number != 3 || lines[1].Message != "three" || string(lines[1].Fields) != `{"a": 1}` {
		t.Errorf("read %+v, %v", lines, err)
	}
	b.begin(time.Minute)
	for _, test := range []struct {
		f     Filter
		want  int
		total int64
	}{
		{Filter{Limit: 10}, 3, 3}, {Filter{Limit: 2}, 2, 3}, {Filter{Limit: 2, Offset: 2}, 1, 3},
		{Filter{Limit: 10, Status: TimedOut}, 1, 1}, {Filter{Limit: 10, Status: Running}, 1, 1},
		{Filter{Limit: 10, Namespace: "other"}, 0, 0}, {Filter{Limit: 10, Procedure: "p", UserID: ann}, 3, 3},
		{Filter{Limit: 10, UserID: "22222222-2222-4222-8222-222222222222"}, 0, 0}, {Filter{Limit: 10, UserID: "'; DROP"}, 0, 0},
	} {
		list, total, err := b.store.List(t.Context(), test.f)
		if err != nil || len(list) != test.want || total != test.total {
			t.Errorf("%+v: %d of %d, %v", test.f, len(list), total, err)
		}
	}
	b.Exec(`UPDATE rpc.executions SET completed_at = completed_at - interval '2 hours' WHERE status = 'timeout'`)
	if n, err := b.store.Prune(t.Context(), time.Hour); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	if _, err := b.store.Get(t.Context(), x.Task.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
	if lines, err := logs.Read(t.Context(), x.Task.ID, 0, 10); err != nil || len(lines) != 0 {
		t.Errorf("its log is still there: %v, %v", lines, err)
	}
	if other, err := New(b.DB, "33333333-3333-4333-8333-333333333333").Get(t.Context(), b.begin(time.Minute).Task.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("another tenant sees %+v, %v", other, err)
	}
	if _, err := b.store.Get(t.Context(), "nonsense"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// Of all nodes that see a tick come, one fires it, and nobody before its time.
func TestATickIsFiredOnce(t *testing.T) {
	b := setup(t)
	every := Scheduled{"default", "tidy", "@every 1s"}
	next := func(_ string, after time.Time) time.Time { return after.Truncate(time.Second).Add(time.Second) }
	ticks, now, err := b.store.Ticks(t.Context(), []Scheduled{every}, next)
	if err != nil || len(ticks) != 1 || !ticks[0].At.After(now) {
		t.Fatal(ticks, now, err)
	}
	call := Call{Namespace: "default", Procedure: "tidy", Caller: b.Service(), ScheduledAt: ticks[0].At}
	for within, want := range map[time.Duration]int{0: 0, 10 * time.Second: 1} {
		if due, err := Due(t.Context(), b.DB, within); err != nil || len(due) != want || want == 1 && due[0] != b.Tenant {
			t.Errorf("due within %v: %v, %v", within, due, err)
		}
	}
	if ok, err := b.store.Fire(t.Context(), ticks[0], ticks[0].At.Add(time.Second), call); ok || err != nil {
		t.Errorf("fired before its time: %v, %v", ok, err)
	}
	b.Exec(`UPDATE rpc.schedules SET next_at = next_at - interval '1 minute'`)
	if again, _, err := b.store.Ticks(t.Context(), []Scheduled{every}, next); err != nil || len(again) != 1 || !again[0].At.Equal(ticks[0].At.Add(-time.Minute)) {
		t.Fatalf("another node sees %v, %v", again, err)
	} else {
		ticks = again
	}
	fired := make(chan bool)
	for range 6 {
		go func() {
			ok, err := b.store.Fire(t.Context(), ticks[0], now.Add(time.Hour), call)
			if err != nil {
				t.Error(err)
			}
			fired <- ok
		}()
	}
	n := 0
	for range 6 {
		if <-fired {
			n++
		}
	}
	if due, err := Due(t.Context(), b.DB, 0); err != nil || len(due) != 1 || due[0] != b.Tenant {
		t.Errorf("with an execution that waits are due: %v, %v", due, err)
	}
	if list, total, err := b.store.List(t.Context(), Filter{Limit: 10}); n != 1 || total != 1 || err != nil || list[0].ScheduledAt == nil {
		t.Errorf("fired %d times, %d executions, %v", n, total, err)
	}
	if _, _, err := b.store.Ticks(t.Context(), nil, next); err != nil {
		t.Fatal(err)
	}
	var left int
	if b.QueryRow(`SELECT count(*) FROM rpc.schedules`, &left); left != 0 {
		t.Errorf("%d ticks are left of nothing", left)
	}
}

// Notices of functions are heard, and of this transaction only.
func TestNoticesAreHeard(t *testing.T) {
	b := setup(t)
	b.Exec(`CREATE FUNCTION talk(text) RETURNS TABLE (n int, m int) LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'it is %', $1; RAISE WARNING 'beware'; END $$`)
	var heard []string
	ctx := db.WithNotices(t.Context(), func(n db.Notice) { heard = append(heard, n.Severity+" "+n.Message) })
	if _, err := b.store.Run(ctx, b.begin(time.Minute), rowsOf(`SELECT row_to_json(t)::text FROM talk('cold') t`), true, wide); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Run(t.Context(), b.begin(time.Minute), rowsOf(`SELECT row_to_json(t)::text FROM talk('gone') t`), true, wide); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(heard, ", "); got != "NOTICE it is cold, WARNING beware" {
		t.Errorf("heard %s", got)
	}
}

// What nobody runs from the table is not kept at any length: of a call that waits,
// everything is.
func TestLongParametersAreNotKept(t *testing.T) {
	b := setup(t)
	long, short := `{"a":"`+strings.Repeat("x", maxNoted)+`"}`, `{"a":"x"}`
	kept := func(id string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(b.get(id).Params)
	}
	begin := func(params string) (string, error) {
		x, err := b.store.Begin(t.Context(), b.call(params), "node", time.Minute)
		if err != nil {
			return "", err
		}
		return x.Task.ID, nil
	}
	reject := func(params string) (string, error) {
		return b.store.Reject(t.Context(), b.call(params), false, fault.New(fault.InvalidInput, "no"))
	}
	for name, got := range map[string][2]string{
		"begun, long": {kept(begin(long)), "null"}, "begun, short": {kept(begin(short)), short},
		"rejected, long": {kept(reject(long)), "null"}, "rejected, short": {kept(reject(short)), short},
		"waiting, long": {kept(b.store.Enqueue(t.Context(), b.call(long), 0)), long},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: kept %.40s, want %.40s", name, got[0], got[1])
		}
	}
}
