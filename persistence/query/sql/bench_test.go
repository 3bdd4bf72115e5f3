package sql

import (
	"testing"

	"fluxbase/persistence/query"
)

func BenchmarkSelect(b *testing.B) {
	r := fixture()
	q := &query.Select{From: query.Relation{Schema: "public", Name: "posts"}, Page: query.Page{Limit: 20},
		Fields: query.Projection{&query.Field{Path: query.Column("id")}, &query.Field{Path: query.Column("title")}, &query.Field{Path: query.Column("at")}},
		Where:  query.And{eq("title", "x"), &query.Compare{Path: query.Column("views"), Op: query.Greater, Value: "5"}},
		Order:  []query.Order{{Path: query.Column("at"), Desc: true}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Select(r, q, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsert(b *testing.B) {
	r := fixture()
	q := &query.Insert{Into: query.Relation{Schema: "public", Name: "posts"}, Body: object(`{"title":"a","views":1,"data":{"a":1}}`), Returning: query.Returning{Rows: true}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Insert(r, q, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
