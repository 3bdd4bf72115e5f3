package rest

import (
	"slices"
	"strconv"
	"strings"

	"fluxbase/actors/data"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
	"fluxbase/transport/route"
)

// read answers a table's GET.
func read(r *route.Request) error {
	d, err := asked(r, r.Param("table"), nil)
	if err != nil {
		return err
	}
	q := d.request
	if err := q.ranged(r); err != nil {
		return err
	}
	page, err := kernel.Ask[*data.Page](r.Context(), r.Tenant().Data, &data.List{Caller: r.Caller(), Terms: d.terms(r),
		Query: &query.Select{From: d.of, Fields: q.fields, Where: q.where, Order: q.order, Page: q.page, Count: d.prefer.Count}})
	if err != nil {
		return err
	}
	r.SetHeader("Content-Location", strings.TrimPrefix(r.Path(), base)+queryPart(r))
	return show(r, d.format, page)
}

func queryPart(r *route.Request) string {
	if raw := r.RawQuery(); raw != "" {
		return "?" + raw
	}
	return ""
}

// show answers with a page of rows.
func show(r *route.Request, f format, page *data.Page) error {
	if f.plan != nil {
		return f.showPlan(r, page.JSON)
	}
	if f.single && page.Rows != 1 {
		return notSingle(strconv.FormatInt(page.Rows, 10))
	}
	status := 200
	if page.Total >= 0 {
		switch {
		case page.Offset > page.Total:
			return notSatisfiable("An offset of " + strconv.FormatInt(page.Offset, 10) + " was requested, but there are only " +
				strconv.FormatInt(page.Total, 10) + " rows.")
		case page.Rows < page.Total:
			status = 206
		}
	}
	status, err := obey(r, page.Response, status)
	if err != nil {
		return err
	}
	setUnlessSaid(r, "Content-Range", contentRange(page.Offset, page.Rows, page.Total))
	return f.answer(r, status, page.Labels, page.JSON)
}

// setUnlessSaid sets a header that a function may have set already.
func setUnlessSaid(r *route.Request, name, value string) {
	if len(r.Fast().Response.Header.Peek(name)) == 0 {
		r.SetHeader(name, value)
	}
}

// answer sends rows in the format.
func (f format) answer(r *route.Request, status int, labels []string, rows []byte) error {
	switch {
	case f.rows == sql.Records:
		out := make([]byte, 0, 64+len(rows))
		for i, label := range labels {
			if i > 0 {
				out = append(out, ',')
			}
			if strings.ContainsAny(label, "\",\r\n") {
				label = `"` + strings.ReplaceAll(label, `"`, `""`) + `"`
			}
			out = append(out, label...)
		}
		out = append(out, '\n')
		return r.Raw(status, f.contentType, append(out, rows...))
	case f.rows == sql.GeoJSON:
		return r.Raw(status, f.contentType, slices.Concat([]byte(`{"type" : "FeatureCollection", "features" : `), rows, []byte{'}'}))
	case f.single:
		return r.Raw(status, f.contentType, rows[1:len(rows)-1])
	}
	return r.Raw(status, f.contentType, rows)
}

// contentRange writes which rows of how many a page holds.
func contentRange(offset, rows, total int64) string {
	out := "*/"
	if rows > 0 {
		out = strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+rows-1, 10) + "/"
	}
	if total < 0 {
		return out + "*"
	}
	return out + strconv.FormatInt(total, 10)
}

// ranged narrows the page to the Range header, which counts rows from zero.
func (q *request) ranged(r *route.Request) error {
	return q.narrow(r.Header("Range"), r.Header("Range-Unit"))
}

// narrow is ranged with the values of Range and Range-Unit.
func (q *request) narrow(header, unit string) error {
	if header == "" || unit != "" && unit != "items" {
		return nil
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(header, "items="), "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !ok || err != nil || first < 0 {
		return nil // another unit, as HTTP has it: not for us
	}
	q.page.Offset = max(q.page.Offset, first)
	if to == "" {
		return nil
	}
	last, err := strconv.ParseInt(to, 10, 64)
	if err != nil || last >= 1<<62 {
		return nil
	}
	if last < q.page.Offset {
		return notSatisfiable("The lower boundary must be lower than or equal to the upper boundary in the Range header.")
	}
	if n := last - q.page.Offset + 1; q.page.Limit == query.NoLimit || n < q.page.Limit {
		q.page.Limit = n
	}
	return nil
}
