package tables

import (
	"strconv"
	"strings"

	"fluxbase/actors/data"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/idempotency"
	"fluxbase/persistence/query"
	"fluxbase/transport/prefer"
	"fluxbase/transport/route"
)

// create answers a collection's POST.
func create(r *route.Request, place data.Place) error {
	q, p, err := written(r, createWords)
	if err != nil {
		return err
	}
	body, err := query.ReadBody(r.Body())
	if err != nil {
		return err
	}
	w, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.Create{Caller: r.Caller(), Key: p.key, Query: &query.Insert{
		Into: place.Relation, Body: body, Columns: q.columns, Missing: p.Missing(query.MissingDefault), Conflict: p.Conflict, ConflictTarget: q.conflict,
		Returning: p.rows(q, true),
	}})
	if err != nil {
		return err
	}
	status := 201
	if w.Affected == 0 && body.Rows > 0 {
		status = 200 // duplicates that were left as they are
	}
	return p.answer(r, status, w)
}

// update answers a collection's PATCH.
func update(r *route.Request, place data.Place) error {
	q, p, err := written(r, changeWords)
	if err != nil {
		return err
	}
	body, err := query.ReadBody(r.Body())
	if err != nil {
		return err
	}
	w, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.Update{Caller: r.Caller(), Key: p.key, Query: &query.Update{
		Relation: place.Relation, Body: body, Columns: q.columns, Where: q.where, Order: q.order, Page: q.page, Returning: p.rows(q, true),
	}})
	if err != nil {
		return err
	}
	return p.answer(r, 200, w)
}

// updateOne answers a row's PUT and PATCH, which are the same: a column that the
// body does not name stays as it is.
func updateOne(r *route.Request, place data.Place) error {
	q, p, err := written(r, getWords|wordColumns)
	if err != nil {
		return err
	}
	body, err := query.ReadBody(r.Body())
	if err != nil {
		return err
	}
	w, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.UpdateOne{Caller: r.Caller(), Key: p.key, ID: place.ID, Query: &query.Update{
		Relation: place.Relation, Body: body, Columns: q.columns, Where: q.where, Page: query.Page{Limit: query.NoLimit}, Returning: p.rows(q, true),
	}})
	if err != nil {
		return err
	}
	return p.answer(r, 200, w)
}

// remove answers a collection's DELETE.
func remove(r *route.Request, place data.Place) error {
	q, p, err := written(r, changeWords&^wordColumns)
	if err != nil {
		return err
	}
	w, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.Delete{Caller: r.Caller(), Key: p.key, Query: &query.Delete{
		From: place.Relation, Where: q.where, Order: q.order, Page: q.page, Returning: p.rows(q, true),
	}})
	if err != nil {
		return err
	}
	w.JSON = counted(w)
	return p.answer(r, 200, w)
}

// removeOne answers a row's DELETE: nothing, unless the row is asked for.
func removeOne(r *route.Request, place data.Place) error {
	q, p, err := written(r, getWords)
	if err != nil {
		return err
	}
	w, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.DeleteOne{Caller: r.Caller(), Key: p.key, ID: place.ID, Query: &query.Delete{
		From: place.Relation, Where: q.where, Page: query.Page{Limit: query.NoLimit}, Returning: p.rows(q, false),
	}})
	if err != nil {
		return err
	}
	if p.Returning == prefer.ReturnDefault || p.Returning == prefer.ReturnMinimal {
		p.apply(r)
		if w.Replayed {
			r.SetHeader("Idempotency-Replayed", "true")
		}
		return r.NoContent()
	}
	return p.answer(r, 200, w)
}

// idempotencyKey reads the key under which a write is done once; nil without one.
func idempotencyKey(r *route.Request) (*idempotency.Key, error) {
	text := r.Header("Idempotency-Key")
	if text == "" {
		return nil, nil
	}
	if len(text) > idempotency.MaxKey {
		return nil, fault.Newf(fault.InvalidInput, "Idempotency-Key is longer than %d characters", idempotency.MaxKey)
	}
	request := [][]byte{[]byte(r.RawQuery()), r.Body()}
	request = append(request, r.Fast().Request.Header.PeekAll("Prefer")...)
	key := idempotency.NewKey(r.Caller(), text, r.Method(), r.Path(), request...)
	return &key, nil
}

// preferences are what the headers of a request ask for.
type preferences struct {
	prefer.Preferences
	// key is the idempotency key of a write; nil for none.
	key *idempotency.Key
}

// preferred reads the request's Prefer headers.
func preferred(r *route.Request) (*preferences, error) {
	p := &preferences{Preferences: prefer.Read(prefer.Native, r.Fast().Request.Header.PeekAll("Prefer"))}
	if p.Strict && len(p.Unknown) > 0 {
		return nil, fault.Newf(fault.InvalidInput, "Invalid preferences: %s", strings.Join(p.Unknown, ", ")).
			WithHint("handling=strict refuses preferences that are not known.")
	}
	return p, nil
}

// written reads what all writes have: parameters and preferences.
func written(r *route.Request, allowed words) (*request, *preferences, error) {
	q, err := parse(r.RawQuery(), allowed)
	if err != nil {
		return nil, nil, err
	}
	p, err := preferred(r)
	if err != nil {
		return nil, nil, err
	}
	p.key, err = idempotencyKey(r)
	return q, p, err
}

// rows says which rows a write reads back. Without a preference that is the
// method's own habit.
func (p *preferences) rows(q *request, habit bool) query.Returning {
	wanted := p.Returning == prefer.ReturnRepresentation || p.Returning == prefer.ReturnDefault && habit
	return query.Returning{Rows: wanted, Fields: q.fields, Truncate: q.truncate}
}

// answer sends what a write did: the rows, or their number, or nothing.
func (p *preferences) answer(r *route.Request, status int, w *data.Written) error {
	p.apply(r)
	if w.Replayed {
		r.SetHeader("Idempotency-Replayed", "true")
	}
	n := strconv.FormatInt(w.Affected, 10)
	r.SetHeader("Content-Range", "*/"+n)
	r.SetHeader("X-Affected-Count", n)
	switch p.Returning {
	case prefer.ReturnMinimal:
		return r.Raw(status, "text/plain; charset=utf-8", nil)
	case prefer.ReturnHeaders:
		return r.RawJSON(status, []byte(`{"affected":`+n+`}`))
	}
	if w.JSON == nil {
		w.JSON = []byte("null") // a duplicate that was ignored, or a row without its inner embed
	}
	return r.RawJSON(status, w.JSON)
}

// apply tells the client which of its preferences were honoured.
func (p *preferences) apply(r *route.Request) {
	if p.Applied != "" {
		r.SetHeader("Preference-Applied", p.Applied)
	}
}
