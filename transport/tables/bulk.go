package tables

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"fluxbase/actors/data"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/transport/filter"
	"fluxbase/transport/route"
)

// selection is a set of rows in a body: by conditions, by ids, or by both.
type selection struct {
	Filters    []filter.Term     `json:"filters,omitempty"`
	OrFilters  []string          `json:"orFilters,omitempty"`
	AndFilters []string          `json:"andFilters,omitempty"`
	IDs        []json.RawMessage `json:"ids,omitempty"`
	Targets    []json.RawMessage `json:"targets,omitempty"`
}

// where adds the selection's conditions to those of the query string.
func (s *selection) where(q *request) error {
	d := document{Filters: s.Filters, OrFilters: s.OrFilters, AndFilters: s.AndFilters}
	all, err := d.conditions()
	if err != nil {
		return err
	}
	inBody := request{fields: q.fields}
	if err := inBody.conditions(all, listWords, map[string]bool{}); err != nil {
		return err
	}
	q.where = query.Conjoin(q.where, inBody.where)
	return nil
}

// ids are the ids as a path has them; nil when the body names none. An array is the
// values of a composite key.
func (s *selection) ids() ([]string, error) {
	raw := s.IDs
	if raw == nil {
		raw = s.Targets
	} else if s.Targets != nil {
		return nil, invalid("ids and targets are the same; give one of them")
	}
	if raw == nil {
		return nil, nil
	}
	out := make([]string, len(raw))
	for i, id := range raw {
		id = bytes.TrimSpace(id)
		var err error
		switch id[0] {
		case '[':
			out[i], err = filter.ListText(id)
			out[i] = strings.TrimSuffix(strings.TrimPrefix(out[i], "("), ")")
		case '{', 'n', 't', 'f':
			err = invalid("an id is a text, a number, or an array of them")
		default:
			out[i], err = filter.PlainText(id)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bulkCreate answers the insert of many rows.
func bulkCreate(r *route.Request, place data.Place) error {
	q, p, err := written(r, createWords)
	if err != nil {
		return err
	}
	body, err := query.ReadBody(r.Body())
	if err != nil {
		return err
	}
	if !body.Array {
		return fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint("A bulk insert takes an array of objects.")
	}
	w, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.Create{Caller: r.Caller(), Key: p.key, Query: &query.Insert{
		Into: place.Relation, Body: body, Columns: q.columns, Missing: p.Missing(query.MissingDefault), Conflict: p.Conflict, ConflictTarget: q.conflict,
		Returning: p.rows(q, true),
	}})
	if err != nil {
		return err
	}
	w.JSON = counted(w)
	return p.answer(r, 201, w)
}

// bulkUpdate answers the change of many rows: each by an object that has its key,
// or all that match by one object.
func bulkUpdate(r *route.Request, place data.Place) error {
	q, p, err := written(r, changeWords&^wordColumns&^wordOrder&^wordPage)
	if err != nil {
		return err
	}
	message, err := bulkChange(r, place, q, p)
	if err != nil {
		return err
	}
	w, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, message)
	if err != nil {
		return err
	}
	w.JSON = counted(w)
	return p.answer(r, 200, w)
}

// bulkUpdateBody changes all rows that match by one object.
type bulkUpdateBody struct {
	Filters    []filter.Term   `json:"filters,omitempty"`
	OrFilters  []string        `json:"orFilters,omitempty"`
	AndFilters []string        `json:"andFilters,omitempty"`
	Data       json.RawMessage `json:"data"`
}

func bulkChange(r *route.Request, place data.Place, q *request, p *preferences) (any, error) {
	if text := bytes.TrimSpace(r.Body()); len(text) > 0 && text[0] == '[' {
		body, err := query.ReadBody(r.Body())
		if err != nil {
			return nil, err
		}
		return &data.UpdateEach{Caller: r.Caller(), Key: p.key, Query: &query.UpdateEach{
			Relation: place.Relation, Body: body, Where: q.where, Returning: p.rows(q, true),
		}}, nil
	}
	var change bulkUpdateBody
	if err := route.DecodeStrictly(r.Body(), &change); err != nil {
		return nil, err
	}
	which := selection{Filters: change.Filters, OrFilters: change.OrFilters, AndFilters: change.AndFilters}
	if err := which.where(q); err != nil {
		return nil, err
	}
	body, err := query.ReadBody(change.Data)
	if err != nil {
		return nil, err
	}
	return &data.Update{Caller: r.Caller(), Key: p.key, Query: &query.Update{
		Relation: place.Relation, Body: body, Where: q.where, Page: query.Page{Limit: query.NoLimit}, Returning: p.rows(q, true),
	}}, nil
}

// bulkRemove answers the removal of many rows, by ids or by conditions.
func bulkRemove(r *route.Request, place data.Place) error {
	q, p, err := written(r, changeWords&^wordColumns&^wordOrder&^wordPage)
	if err != nil {
		return err
	}
	var which selection
	if err := route.DecodeStrictly(r.Body(), &which); err != nil {
		return err
	}
	if err := which.where(q); err != nil {
		return err
	}
	ids, err := which.ids()
	if err != nil {
		return err
	}
	w, err := kernel.Ask[*data.Written](r.Context(), r.Tenant().Data, &data.Delete{Caller: r.Caller(), Key: p.key, IDs: ids, Query: &query.Delete{
		From: place.Relation, Where: q.where, Page: query.Page{Limit: query.NoLimit}, Returning: p.rows(q, true),
	}})
	if err != nil {
		return err
	}
	w.JSON = counted(w)
	return p.answer(r, 200, w)
}

// counted puts the number of rows before the rows; nil stays nil.
func counted(w *data.Written) []byte {
	if w.JSON == nil {
		return nil
	}
	out := make([]byte, 0, len(w.JSON)+40)
	out = append(out, `{"affected":`...)
	out = strconv.AppendInt(out, w.Affected, 10)
	out = append(out, `,"records":`...)
	out = append(out, w.JSON...)
	return append(out, '}')
}
