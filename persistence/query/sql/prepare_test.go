package sql

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/query"
)

// connect makes a database of its own and gives a connection to it.
func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dbtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	if _, err := conn.Exec(ctx, fixtureDDL); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestPrepare lets PostgreSQL parse every kind of statement with every kind of
// condition, and checks that it takes as many parameters as the plan gives.
func TestPrepare(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	posts := query.Relation{Name: "posts"}
	cmp := func(column string, op query.Operator, value string) *query.Compare {
		return &query.Compare{Path: query.Column(column), Op: op, Value: value}
	}
	member := query.Path{Column: "data", Steps: []query.Step{{Key: "a"}, {Key: "0", Index: true}, {Key: "b", Text: true}}}
	conditions := []query.Condition{
		cmp("id", query.Equal, "1"), cmp("title", query.IsDistinct, "x"), cmp("state", query.Greater, "sad"), cmp("id", query.ILike, "1%"),
		&query.Compare{Path: query.Column("title"), Op: query.Match, Quantifier: query.QuantifyAny, Values: []string{"a"}},
		&query.Compare{Path: query.Column("state"), Op: query.Equal, Quantifier: query.QuantifyAll, Values: []string{"sad"}},
		&query.Compare{Path: query.Column("id"), Op: query.In, Values: []string{"1", "2"}},
		&query.Compare{Path: query.Column("tags"), Op: query.In, Values: []string{"{a}"}},
		&query.Compare{Path: query.Column("tags"), Op: query.In},
		cmp("ok", query.Is, "unknown"), cmp("raw", query.Equal, "{}"), cmp("tags", query.Contains, "(a,b)"), cmp("tags", query.ContainedBy, "{a}"),
		cmp("grid", query.Overlaps, "[1,2]"), cmp("data", query.Contains, `{"a":1}`), cmp("span", query.Adjacent, "[1,2)"), cmp("span", query.NotLeftOf, "[1,2)"),
		&query.Compare{Path: query.Column("words"), Op: query.TextSearch, Language: "english", Value: "a & b"},
		&query.Compare{Path: query.Column("title"), Op: query.WebTextSearch, Language: "german", Value: "a"},
		&query.Compare{Path: query.Column("data"), Op: query.PlainTextSearch, Value: "a"},
		&query.Compare{Path: member, Op: query.GreaterOrEqual, Value: "18"}, &query.Compare{Path: member, Op: query.Equal, Value: "18"},
		&query.Compare{Path: query.Path{Column: "home", Steps: []query.Step{{Key: "zip"}}}, Op: query.Equal, Value: "5"},
		&query.Compare{Path: query.Path{Column: "grid", Steps: []query.Step{{Key: "0", Index: true}}}, Op: query.Equal, Value: "5"},
		query.Or{cmp("id", query.Equal, "1"), query.Not{Condition: query.And{cmp("ok", query.Is, "null"), query.Or{}}}},
	}
	order := []query.Order{{Path: query.Column("raw")}, {Path: member, Desc: true, Nulls: query.NullsLast}}
	fields := query.Projection{query.Star{}, &query.Field{Path: member, Alias: "m"}, &query.Field{Path: query.Column("views"), Alias: "v", Cast: "text"}}
	returning := query.Returning{Rows: true, Fields: fields, Truncate: 3}
	check := func(name string, plan *Plan, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		for i, sql := range []string{plan.SQL, plan.Explain} {
			if sql == "" {
				continue
			}
			args := plan.Args
			if i == 1 {
				args = args[:plan.ExplainArgs]
			}
			rows, err := conn.Query(context.Background(), sql, args...)
			if err == nil {
				if i == 0 {
					expectColumns(t, name, plan, rows.FieldDescriptions())
				}
				rows.Close()
				err = rows.Err()
			}
			if err != nil {
				t.Errorf("%s: %v\n%s\n%v", name, err, sql, args)
			}
		}
	}
	for _, o := range []Options{{}, {Columns: true}, {Columns: true, Form: Records}, {Form: StrippedJSON}} {
		for i, where := range conditions {
			name := fmt.Sprintf("condition %d", i)
			for count := query.CountNone; count <= query.CountEstimated; count++ {
				plan, err := Select(fixture(), &query.Select{From: posts, Where: where, Order: order, Fields: fields, Page: query.Page{Limit: 3, Offset: 1}, Count: count, Truncate: 2}, o)
				check(name+" select", plan, err)
			}
			plan, err := Update(fixture(), &query.Update{Relation: posts, Body: object(`{"title":"x","tags":["a"],"home":{"zip":1}}`), Where: where, Order: order, Page: query.Page{Limit: 1}, Returning: returning}, o)
			check(name+" update", plan, err)
			plan, err = Update(fixture(), &query.Update{Relation: posts, Body: object(`{"title":"x"}`), Where: where, Page: all, Returning: returning}, o)
			check(name+" update", plan, err)
			plan, err = Delete(fixture(), &query.Delete{From: posts, Where: where, Order: order, Page: all, Returning: returning}, o)
			check(name+" delete", plan, err)
			plan, err = Delete(fixture(), &query.Delete{From: posts, Where: where, Page: query.Page{Limit: 2}}, o)
			check(name+" delete", plan, err)
		}
		for i, q := range []query.Insert{
			{Body: object(`{}`)}, {Body: object(`[{},{}]`), Returning: returning},
			{Body: object(`{"title":"a","raw":{"x":1},"span":"[1,2)","state":"sad","home":{"street":"s","zip":1}}`), Returning: returning},
			{Body: object(`[{"title":"a"},{"views":3,"score":1.50}]`), Returning: returning},
			{Body: object(`[{"title":"a"},{"score":3}]`), Missing: query.MissingNull, Returning: query.Returning{Rows: true}},
			{Body: object(`[{"id":1,"title":"a"},{"id":2,"title":"b"}]`), Conflict: query.ConflictMerge, Returning: returning},
			{Body: object(`[{"id":1,"title":"a"},{"title":"b"}]`), Conflict: query.ConflictMerge, Missing: query.MissingDefaultMerge, Returning: query.Returning{Rows: true}},
			{Body: object(`{"id":1}`), Conflict: query.ConflictIgnore},
		} {
			q.Into = posts
			plan, err := Insert(fixture(), &q, o)
			check(fmt.Sprintf("insert %d", i), plan, err)
		}
	}
}

// expectColumns checks that a statement returns the columns that its plan says.
func expectColumns(t *testing.T, name string, plan *Plan, fields []pgconn.FieldDescription) {
	t.Helper()
	columns := plan.columns()
	for i := range max(len(columns), len(fields)) {
		if columns == nil {
			return
		}
		if len(columns) != len(fields) || fields[i].Name != columns[i].Name || columns[i].Type != 0 && fields[i].DataTypeOID != columns[i].Type {
			t.Errorf("%s returns %+v, want %+v\n%s", name, fields, columns, plan.SQL)
			return
		}
	}
}
