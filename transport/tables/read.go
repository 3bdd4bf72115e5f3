package tables

import (
	"strconv"

	"fluxbase/actors/data"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/query"
	"fluxbase/transport/route"
)

// list answers a collection's GET.
func list(r *route.Request, place data.Place) error {
	q, err := parse(r.RawQuery(), listWords)
	if err != nil {
		return err
	}
	return page(r, place, q)
}

// find answers a query in a body.
func find(r *route.Request, place data.Place) error {
	if _, err := parse(r.RawQuery(), 0); err != nil {
		return err
	}
	var d document
	if err := route.DecodeStrictly(r.Body(), &d); err != nil {
		return err
	}
	q, err := d.request()
	if err != nil {
		return err
	}
	return page(r, place, q)
}

// page answers with the rows that a request asks for.
func page(r *route.Request, place data.Place, q *request) error {
	p, err := preferred(r)
	if err != nil {
		return err
	}
	if q.count == query.CountNone {
		q.count = p.Count
	}
	m := &data.List{Caller: r.Caller(), Query: &query.Select{From: place.Relation, Fields: q.fields, Where: q.where, Order: q.order,
		Page: q.page, Count: q.count, Truncate: q.truncate, Group: q.group}}
	rows, err := kernel.Ask[*data.Page](r.Context(), r.Tenant().Data, m)
	if err != nil {
		return err
	}
	p.apply(r)
	r.SetHeader("Content-Range", contentRange(rows.Offset, rows.Rows, rows.Total))
	return r.RawJSON(200, rows.JSON)
}

// get answers a row's GET.
func get(r *route.Request, place data.Place) error {
	q, err := parse(r.RawQuery(), getWords)
	if err != nil {
		return err
	}
	m := &data.Get{Caller: r.Caller(), ID: place.ID, Query: &query.Select{From: place.Relation, Fields: q.fields, Where: q.where, Truncate: q.truncate}}
	record, err := kernel.Ask[*data.Record](r.Context(), r.Tenant().Data, m)
	if err != nil {
		return err
	}
	return r.RawJSON(200, record.JSON)
}

// contentRange writes which rows of how many a page holds; a total that nobody
// asked for is a star, and so is the range of no rows.
func contentRange(offset, rows, total int64) string {
	b := make([]byte, 0, 32)
	if rows == 0 {
		b = append(b, '*')
	} else {
		b = strconv.AppendInt(b, offset, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, offset+rows-1, 10)
	}
	b = append(b, '/')
	if total < 0 {
		return string(append(b, '*'))
	}
	return string(strconv.AppendInt(b, total, 10))
}
