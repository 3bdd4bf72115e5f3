package rest

import (
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"fluxbase/actors/data"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
	"fluxbase/transport/prefer"
	"fluxbase/transport/route"
)

// write is the demand of a request that writes.
type write struct{ *demand }

func written(r *route.Request) (write, error) {
	d, err := asked(r, r.Param("table"), nil)
	return write{d}, err
}

// returning says which rows a write reads back.
func (w write) returning(key []string) query.Returning {
	switch {
	case w.prefer.Returning == prefer.ReturnRepresentation:
		return query.Returning{Rows: true, Fields: w.request.fields}
	case w.prefer.Returning == prefer.ReturnHeaders && len(key) > 0:
		var fields query.Projection
		for _, name := range key {
			fields = append(fields, &query.Field{Path: query.Column(name), Cast: "text"})
		}
		return query.Returning{Rows: true, Fields: fields}
	}
	return query.Returning{}
}

// terms are the write's demands on its transaction.
func (w write) terms(r *route.Request) *data.Terms {
	t := w.demand.terms(r)
	if w.prefer.Returning != prefer.ReturnRepresentation {
		t.Form = sql.JSON // of the key, which nobody but us reads
	}
	if m := r.Method(); w.format.single || m == "PATCH" || m == "DELETE" {
		t.Bound = w.bound()
	}
	return t
}

// answer sends what a write did. before is the first part of its Content-Range.
func (w write) answer(r *route.Request, status int, before string, done *data.Written) error {
	if w.format.plan != nil {
		return w.format.showPlan(r, done.JSON)
	}
	representation := w.prefer.Returning == prefer.ReturnRepresentation
	if !representation && status == 200 && r.Method() != "POST" {
		status = 204
	}
	status, err := obey(r, done.Response, status)
	if err != nil {
		return err
	}
	total := "*"
	if w.prefer.Count != query.CountNone {
		total = strconv.FormatInt(done.Affected, 10)
	}
	setUnlessSaid(r, "Content-Range", before+"/"+total)
	if representation {
		return w.format.answer(r, status, done.Labels, done.JSON)
	}
	r.Fast().Response.ResetBody()
	r.Fast().Response.SetStatusCode(status)
	r.Fast().Response.Header.SetNoDefaultContentType(true)
	return nil
}

// create answers a table's POST.
func create(r *route.Request) error {
	w, err := written(r)
	if err != nil {
		return err
	}
	if len(w.request.filters) > 0 || w.request.where != nil {
		return parseFault("failed to parse filter", fault.New(fault.InvalidQuery, "an insert takes no filters"))
	}
	body, err := payload(r, w.request.columns)
	if err != nil {
		return err
	}
	rel := relation(r, w.of)
	conflict := w.prefer.Conflict
	if conflict != query.ConflictFail && len(w.request.conflict) == 0 && rel != nil && len(rel.PrimaryKey) == 0 {
		conflict = query.ConflictFail // nothing can be a duplicate
	}
	target := w.request.conflict
	if conflict == query.ConflictFail {
		target = nil
	}
	return w.insert(r, rel, &query.Insert{Into: w.of, Body: body, Missing: w.prefer.Missing(query.MissingNull), Conflict: conflict, ConflictTarget: target})
}

// insert runs an insert and answers.
func (w write) insert(r *route.Request, rel *catalog.Relation, q *query.Insert) error {
	var key []string
	if rel != nil {
		key = rel.PrimaryKey
	}
	q.Returning = w.returning(key)
	terms := w.terms(r)
	if q.Conflict == query.ConflictMerge {
		if terms.Bound == nil {
			terms.Bound = &sql.Bound{Most: math.MaxInt64}
		}
		terms.Bound.Fresh = true
	}
	done, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.Create{Caller: r.Caller(), Terms: terms, Query: q})
	if err != nil {
		return w.failed(err)
	}
	status := 201
	if terms.Bound != nil && terms.Bound.Fresh && done.Fresh == 0 {
		status = 200
	}
	if w.prefer.Returning == prefer.ReturnHeaders && q.Body.Rows == 1 && w.format.plan == nil {
		if location := location(w.of.Name, key, done.JSON); location != "" {
			r.SetHeader("Location", location)
		}
	}
	return w.answer(r, status, "*", done)
}

// location is the address of the only row of an array that has its key.
func location(table string, key []string, rows []byte) string {
	var all []map[string]*string
	if json.Unmarshal(rows, &all) != nil || len(all) != 1 {
		return ""
	}
	parts := make([]string, len(key))
	for i, name := range key {
		value := all[0][name]
		if value == nil {
			return ""
		}
		parts[i] = url.QueryEscape(name) + "=eq." + url.QueryEscape(*value)
	}
	return "/" + url.PathEscape(table) + "?" + strings.Join(parts, "&")
}

// everything is the condition of a write that has none: PostgREST's clients may
// change whole tables.
var everything = query.And{}

// update answers a table's PATCH.
func update(r *route.Request) error {
	w, err := written(r)
	if err != nil {
		return err
	}
	body, err := payload(r, w.request.columns)
	if err != nil {
		return err
	}
	if body.Array {
		if body.Rows > 1 {
			return refuse(400, "PGRST102", "An update takes one object")
		}
		if body.Rows == 0 {
			body.Keys = nil // nothing is to be changed
		}
		body.JSON = body.JSON[1 : len(body.JSON)-1]
		body.Array = false
	}
	done := &data.Written{JSON: []byte("[]")}
	if len(body.Keys) > 0 {
		where := w.request.where
		if where == nil {
			where = everything
		}
		done, err = kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.Update{Caller: r.Caller(), Terms: w.terms(r), Query: &query.Update{
			Relation: w.of, Body: body, Where: where, Order: w.request.order, Page: w.request.page, Returning: w.returning(nil),
		}})
		if err != nil {
			return w.failed(err)
		}
	} else if w.format.single {
		return notSingle("0")
	}
	before := "*"
	if done.Affected > 0 {
		before = "0-" + strconv.FormatInt(done.Affected-1, 10)
	}
	return w.answer(r, 200, before, done)
}

// remove answers a table's DELETE.
func remove(r *route.Request) error {
	w, err := written(r)
	if err != nil {
		return err
	}
	where := w.request.where
	if where == nil {
		where = everything
	}
	done, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.Delete{Caller: r.Caller(), Terms: w.terms(r), Query: &query.Delete{
		From: w.of, Where: where, Order: w.request.order, Page: w.request.page, Returning: w.returning(nil),
	}})
	if err != nil {
		return w.failed(err)
	}
	return w.answer(r, 200, "*", done)
}

// put answers a table's PUT: one row, addressed by its whole key, is made or
// replaced.
func put(r *route.Request) error {
	w, err := written(r)
	if err != nil {
		return err
	}
	if w.request.paged {
		return refuse(400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT")
	}
	rel := relation(r, w.of)
	if rel == nil {
		return sql.NotFound(w.of)
	}
	body, err := payload(r, w.request.columns)
	if err != nil {
		return err
	}
	if err := w.addressed(rel, body); err != nil {
		return err
	}
	return w.insert(r, rel, &query.Insert{Into: w.of, Body: body, Missing: w.prefer.Missing(query.MissingNull), Conflict: query.ConflictMerge})
}

// addressed checks that a PUT names one row by its key, and that its body is it.
func (w write) addressed(rel *catalog.Relation, body query.Body) error {
	wrong := refuse(405, "PGRST105", "Filters must include all and only primary key columns with 'eq' operators")
	if len(rel.PrimaryKey) == 0 || len(w.request.filters) != len(rel.PrimaryKey) {
		return wrong
	}
	mismatch := refuse(400, "PGRST115", "Payload values do not match URL in primary key column(s)")
	var rows []map[string]json.RawMessage
	raw := body.JSON
	if !body.Array {
		raw = slices.Concat([]byte{'['}, raw, []byte{']'})
	}
	if err := json.Unmarshal(raw, &rows); err != nil || len(rows) != 1 {
		return mismatch
	}
	for _, f := range w.request.filters {
		value, ok := strings.CutPrefix(f.Value, "eq.")
		if !ok || !slices.Contains(rel.PrimaryKey, f.Key) {
			return wrong
		}
		given := string(rows[0][f.Key])
		var text string
		if json.Unmarshal(rows[0][f.Key], &text) == nil {
			given = text
		}
		if given != value {
			return mismatch
		}
	}
	return nil
}
