package rest

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
	"fluxbase/transport/filter"
	"fluxbase/transport/route"
)

// refusal is an error in PostgREST's words.
type refusal struct {
	status int
	// The body has exactly these members.
	Code    string `json:"code"`
	Message string `json:"message"`
	Details any    `json:"details"`
	Hint    any    `json:"hint"`

	headers map[string]string
}

func (r *refusal) Error() string { return r.Code + ": " + r.Message }

// ErrorCode implements route.Coded.
func (r *refusal) ErrorCode() string { return r.Code }

var _ route.Coded = (*refusal)(nil)

func refuse(status int, code, message string) *refusal {
	return &refusal{status: status, Code: code, Message: message}
}

func (r *refusal) withDetails(details any) *refusal { r.Details = details; return r }

// text is a text as an optional member: null when it is empty.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// parseFault says which text was not understood, and in details why.
func parseFault(what string, why error) error {
	f := fault.From(why)
	place := filter.Syntax{Column: 1, Reason: strings.TrimPrefix(f.Message, "Invalid query parameters: ")}
	if known, ok := f.Details.(*filter.Syntax); ok {
		place = *known
	}
	return refuse(400, "PGRST100", `"`+what+`" (line 1, column `+strconv.Itoa(place.Column)+")").withDetails(place.Reason)
}

// asParseFault is parseFault for errors that have no PostgREST form yet.
func asParseFault(what string, err error) error {
	var r *refusal
	if errors.As(err, &r) {
		return err
	}
	return parseFault(what, err)
}

func notEmbedded(name string) error {
	r := refuse(400, "PGRST108", "'"+name+"' is not an embedded resource in this request")
	r.Hint = "Verify that '" + name + "' is included in the 'select' query parameter."
	return r
}

func notSatisfiable(details string) error {
	return refuse(416, "PGRST103", "Requested range not satisfiable").withDetails(details)
}

func notSingle(rows string) error {
	return refuse(406, "PGRST116", "Cannot coerce the result to a single JSON object").withDetails("The result contains " + rows + " rows")
}

// writeFailure answers with err in PostgREST's form.
func writeFailure(resp *fasthttp.Response, _ string, err error) int {
	r := describe(err)
	body, encodeErr := json.Marshal(r)
	if encodeErr != nil {
		body, _ = json.Marshal(refuse(r.status, r.Code, r.Message))
	}
	resp.ResetBody()
	resp.Header.Del("Content-Encoding")
	resp.SetStatusCode(r.status)
	resp.Header.SetContentType("application/json; charset=utf-8")
	resp.Header.Set("Proxy-Status", "PostgREST; error="+r.Code)
	if r.status == 401 {
		resp.Header.Set("WWW-Authenticate", "Bearer")
	}
	if f := fault.From(err); f.RetryAfter > 0 {
		resp.Header.Set("Retry-After", strconv.Itoa(max(1, int(f.RetryAfter.Seconds()))))
	}
	for _, name := range slices.Sorted(maps.Keys(r.headers)) {
		resp.Header.Set(name, r.headers[name])
	}
	resp.SetBodyRaw(body)
	return r.status
}

// describe puts any error into PostgREST's words.
func describe(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	f := fault.From(err)
	if report, ok := f.Details.(*db.Report); ok {
		return fromDatabase(f, report)
	}
	details := f.Details
	switch d := details.(type) {
	case sql.Reason:
		details = d.Reason
	case sql.MissingFunction:
		details = d.Reason
	case sql.MissingRelationship:
		details = d.Reason
	}
	r = refuse(route.Status(f.Code), "", strings.TrimPrefix(f.Message, "Invalid query parameters: "))
	r.Hint = text(f.Hint)
	switch f.Code {
	case fault.TableNotFound:
		r.Code = "PGRST205"
		if name, ok := f.Details.(query.Relation); ok {
			r.Message = "Could not find the table '" + name.String() + "' in the schema cache"
		}
	case fault.UnknownColumn:
		unknown, ok := f.Details.(sql.MissingColumn)
		switch {
		case !ok:
			r.Code = "42703"
		case unknown.Written:
			r.Code, r.Message, r.Hint = "PGRST204", "Could not find the '"+unknown.Column+"' column of '"+unknown.Relation+"' in the schema cache", nil
		default:
			r.Code, r.Message, r.Hint = "42703", "column "+unknown.Relation+"."+unknown.Column+" does not exist", nil
		}
	case fault.RelationshipNotFound:
		r.Code, r.Details = "PGRST200", details
	case fault.AmbiguousRelationship:
		r.status, r.Code, r.Details = 300, "PGRST201", details
	case fault.FunctionNotFound:
		r.Code, r.Details = "PGRST202", details
	case fault.AmbiguousFunction:
		r.status, r.Code = 300, "PGRST203"
	case fault.NotEmbedded:
		r.Code = "PGRST108"
	case fault.InvalidEmbedFilter:
		embed, _ := f.Details.(sql.EmbedName)
		r.Code, r.Message, r.Hint = "PGRST120", "Bad operator on the '"+embed.Embed+"' embedded resource", nil
		r.Details = "Only is null or not is null filters are allowed on embedded resources"
	case fault.AggregatesDisabled:
		r.Code, r.Message, r.Hint = "PGRST123", "Use of aggregate functions is not allowed", nil
	case fault.UnrelatedOrder:
		r.Code, r.Message, r.Details = "PGRST118", "A"+strings.TrimPrefix(r.Message, "a"), details
	case fault.InvalidRequestBody, fault.JSONTooDeep:
		r.Code, r.Message, r.Hint = "PGRST102", "Empty or invalid json", nil
	case fault.MethodNotAllowed, fault.ReadOnlyRelation:
		r.Code = "PGRST117"
	case fault.MissingAuthentication, fault.AuthenticationRequired:
		r.Code, r.Message, r.Hint = "PGRST302", "Anonymous access is disabled", nil
	case fault.ExpiredToken:
		r.Code, r.Message, r.Hint = "PGRST303", "JWT expired", nil
	case fault.InvalidToken, fault.RevokedToken:
		r.Code = "PGRST301"
	case fault.ServiceUnavailable, fault.Draining:
		r.Code = "PGRST000"
	case fault.Overloaded:
		r.Code = "PGRST003"
	case fault.NotFound:
		r.Code, r.Message, r.Hint, r.Details = "PGRST125", "Invalid path specified in request URL", nil, nil
	case fault.InvalidQuery:
		r.Code = "PGRST100"
		if _, notSet := f.Details.(sql.NotSet); notSet {
			r.Code, r.Details = "PGRST128", nil
		}
	case fault.BatchTooLarge, fault.InvalidInput, fault.UnfilteredWrite, fault.PayloadTooLarge:
		r.Code = "PGRST102"
	default:
		r.Code = string(f.Code)
		if r.status >= 500 {
			r.Code = "PGRSTX00"
		}
	}
	return r
}

// states are the SQLSTATEs and classes whose status is not 400. They are PostgREST's
// but for what a client can bring about: a statement that takes too long is 504, one
// that PostgreSQL finds too complex (54) or that names a row twice (21000) is 400.
var states = map[string]int{
	"08": 503, "0L": 403, "0P": 403, "28": 403, "23503": 409, "23505": 409, "25006": 405, "42501": 403, "42883": 404, "42P01": 404,
	"P0001": 400, "53": 503, "53400": 500, "57P01": 503, "09": 500, "25": 500, "2D": 500, "38": 500, "39": 500, "3B": 500, "40": 500,
	"55": 500, "57": 500, "57014": 504, "58": 500, "F0": 500, "HV": 500, "P0": 500, "XX": 500, "42P17": 500,
}

// fromDatabase tells what PostgreSQL said, in its own words.
func fromDatabase(f *fault.Fault, report *db.Report) *refusal {
	r := refuse(400, report.SQLState, report.Message)
	r.Details, r.Hint = text(report.Detail), text(report.Hint)
	state := report.SQLState
	class := state[:min(2, len(state))]
	switch status, known := states[state]; {
	case f.Code == fault.UnexpectedRows:
		return notSingle(report.Detail).(*refusal)
	case f.Code == fault.TooManyRows:
		r.Code = string(f.Code)
	case f.Code == fault.AuthenticationRequired:
		r.status = 401
	case state == "PGRST":
		return raised(report)
	case class == "PT":
		if n, err := strconv.Atoi(state[2:]); err == nil && n >= 200 && n < 600 {
			r.status = n
		}
	case f.Code == fault.InvalidInput && class == "XX": // an extension's way of refusing a value
	case known:
		r.status = status
	default:
		if status, known := states[class]; known {
			r.status = status
		}
	}
	return r
}

// raised is the answer that a function made by RAISE SQLSTATE 'PGRST': its message
// is the body, its detail the status and the headers.
func raised(report *db.Report) *refusal {
	bad := refuse(500, "PGRST121", "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error")
	bad.Hint = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."
	var body struct {
		Code    string  `json:"code"`
		Message string  `json:"message"`
		Details *string `json:"details"`
		Hint    *string `json:"hint"`
	}
	var detail struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
	}
	if json.Unmarshal([]byte(report.Message), &body) != nil || json.Unmarshal([]byte(report.Detail), &detail) != nil ||
		detail.Status < 200 || detail.Status > 599 || detail.Headers == nil {
		return bad
	}
	r := refuse(detail.Status, body.Code, body.Message)
	if body.Details != nil {
		r.Details = *body.Details
	}
	if body.Hint != nil {
		r.Hint = *body.Hint
	}
	r.headers = detail.Headers
	return r
}
