package rest

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"fluxbase/actors/data"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
	"fluxbase/transport/filter"
	"fluxbase/transport/route"
)

// call answers the GET or POST of a function.
func call(r *route.Request) error {
	reads := r.Method() != "POST"
	var isArgument func(query.Relation) func(filter.Parameter) bool
	if reads {
		isArgument = func(function query.Relation) func(filter.Parameter) bool {
			return argumentsOf(r.Tenant().Catalog.Current().Routines(function.Schema, function.Name))
		}
	}
	d, err := asked(r, r.Param("function"), isArgument)
	if err != nil {
		return err
	}
	q := d.request
	message := &query.Call{Function: d.of, Fields: q.fields, Where: q.where, Order: q.order, Count: d.prefer.Count}
	if reads {
		if err := q.ranged(r); err != nil {
			return err
		}
		message.Texts = []query.Text{}
		for _, a := range d.arguments {
			message.Texts = append(message.Texts, query.Text{Name: a.Key, Value: a.Value})
		}
	} else if err := readArguments(r, message); err != nil {
		return err
	}
	message.Page = q.page
	terms := d.terms(r)
	terms.Bound = d.bound()
	done, err := kernel.Ask[*data.Called](r.Context(), r.Tenant().Data, &data.Call{Caller: r.Caller(), ReadOnly: reads, Query: message, Terms: terms})
	if err != nil {
		return d.failed(err)
	}
	return showCalled(r, d.format, done)
}

// argumentsOf tells which parameters of a query string are arguments of a function:
// those that any function of the name has a parameter for, and those that are
// nothing else.
func argumentsOf(routines []*catalog.Routine) func(filter.Parameter) bool {
	words := []string{"select", "order", "limit", "offset", "columns", "on_conflict"}
	return func(p filter.Parameter) bool {
		if slices.ContainsFunc(routines, func(r *catalog.Routine) bool {
			return slices.ContainsFunc(r.Parameters, func(q catalog.Parameter) bool { return q.Name == p.Key && p.Key != "" })
		}) {
			return true
		}
		if _, _, dotted := filter.Head(p.Key); dotted || slices.Contains(words, p.Key) || credentials[p.Key] || filter.IsLogic(p.Key) {
			return false
		}
		_, err := condition(p)
		return err != nil
	}
}

// readArguments reads the arguments of a POST.
func readArguments(r *route.Request, c *query.Call) error {
	raw := r.Body()
	switch {
	case isOneOf(r, "", "application/json", "*/*"):
		if strings.TrimSpace(string(raw)) == "" {
			raw = []byte("{}")
		}
		if !json.Valid(raw) || !utf8.Valid(raw) {
			return fault.New(fault.InvalidRequestBody, "Invalid request body")
		}
		if err := r.CheckDepth(raw); err != nil {
			return err
		}
		c.Raw, c.RawType = raw, "json"
		body, err := query.ReadBody(raw)
		if err == nil && !body.Array {
			c.Body = body
		} else {
			c.Body.Keys = []string{""} // no object: only a function that takes it whole
		}
	case isOneOf(r, "application/x-www-form-urlencoded"):
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			return fault.New(fault.InvalidRequestBody, "Invalid request body").WithCause(err)
		}
		c.Texts = []query.Text{}
		for name, values := range form {
			for _, v := range values {
				c.Texts = append(c.Texts, query.Text{Name: name, Value: v})
			}
		}
	case isOneOf(r, "text/plain"):
		c.Raw, c.RawType = raw, "text"
	case isOneOf(r, "text/xml", "application/xml"):
		c.Raw, c.RawType = raw, "xml"
	case isOneOf(r, "application/octet-stream"):
		c.Raw, c.RawType = raw, "bytea"
	default:
		return refuse(415, "PGRST102", "Content-Type not acceptable: "+r.Header("Content-Type"))
	}
	return nil
}

// showCalled answers with what a function gave: nothing, a value, a row, or an array.
func showCalled(r *route.Request, f format, done *data.Called) error {
	ofRows := f.rows == sql.Records || f.rows == sql.GeoJSON
	switch {
	case f.plan != nil:
		return f.showPlan(r, done.JSON)
	case ofRows && done.Scalar:
		return refuse(406, "PGRST107", "None of these media types are available: "+r.Header("Accept")).withDetails("The function returns no rows.")
	case done.Void:
		status, err := obey(r, done.Response, 204)
		if err != nil {
			return err
		}
		r.Fast().Response.ResetBody()
		r.Fast().Response.SetStatusCode(status)
		r.Fast().Response.Header.SetNoDefaultContentType(true)
		return nil
	case done.Set || ofRows:
		return show(r, f, &done.Page)
	}
	f.single = true // one value or one row
	if done.Rows == 0 {
		done.Rows, done.JSON = 1, []byte("[null]") // a row that a filter took away
	}
	return show(r, f, &done.Page)
}

// misused answers the methods that functions do not have.
func misused(r *route.Request) error {
	return refuse(405, "PGRST101", "Cannot use the "+r.Method()+" method on RPC")
}
