package rpc

import (
	"bytes"
	"encoding/json"
	"time"

	"fluxbase/actors/data"
	"fluxbase/actors/execution"
	"fluxbase/actors/kernel"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
	"fluxbase/persistence/query"
	"fluxbase/transport/route"
)

// invocation is the body of a call.
type invocation struct {
	// Params is an object; it may be left out.
	Params json.RawMessage `json:"params,omitempty"`
	Async  bool            `json:"async,omitempty"`
}

// outcome answers a call.
type outcome struct {
	ExecutionID string       `json:"execution_id,omitempty"`
	Status      store.Status `json:"status"`
	// Result is the array of rows. Of a SQL function it is what the function gives: a
	// value, a row, or an array.
	Result       json.RawMessage `json:"result,omitempty"`
	RowsReturned *int64          `json:"rows_returned,omitempty"`
	// Truncated tells that there were more rows.
	Truncated  bool   `json:"truncated,omitempty"`
	DurationMS *int64 `json:"duration_ms,omitempty"`
	Error      string `json:"error,omitempty"`
	// Code is the code of the error, Hint and Details are more about it.
	Code    fault.Code `json:"code,omitempty"`
	Hint    string     `json:"hint,omitempty"`
	Details any        `json:"details,omitempty"`
}

// invoke answers POST /rpc/{namespace}/{name}.
func invoke(r *route.Request) error {
	// Whoever sends it wants to act for somebody else: never in its own name instead.
	if r.Header("X-Impersonation-Token") != "" {
		return fault.New(fault.InvalidInput, "X-Impersonation-Token is not supported by this server")
	}
	var body invocation
	if len(bytes.TrimSpace(r.Body())) > 0 {
		if err := r.CheckDepth(r.Body()); err != nil {
			return err
		}
		d := json.NewDecoder(bytes.NewReader(r.Body()))
		d.DisallowUnknownFields()
		if err := d.Decode(&body); err != nil || d.More() {
			return fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint(`The body is {"params": {…}, "async": true|false}, both may be left out.`).WithCause(err)
		}
	}
	if bytes.Equal(body.Params, []byte("null")) {
		body.Params = nil
	}
	namespace, name := r.Param("namespace"), r.Param("name")
	done, err := r.Tenant().Executions.Call(r.Context(), execution.Invoke{
		Caller: r.Caller(), Namespace: namespace, Name: name, Params: body.Params, Async: body.Async,
	})
	if fault.CodeOf(err) == fault.NotFound && namespace == procedure.DefaultNamespace {
		return function(r, name, body, err)
	}
	if err != nil {
		return err
	}
	status := 200
	if done.Rejected {
		status = 400
	}
	return r.JSON(status, shown(done))
}

func shown(done *execution.Outcome) outcome {
	out := outcome{ExecutionID: done.ID, Status: done.Status}
	if done.Status != store.Pending {
		took := done.Took.Milliseconds()
		out.DurationMS = &took
	}
	if done.Status == store.Completed {
		out.Result, out.RowsReturned, out.Truncated = done.Result, &done.Rows, done.Truncated
	}
	if f := done.Err; f != nil {
		out.Error, out.Code, out.Hint, out.Details = f.Message, f.Code, f.Hint, f.Details
	}
	return out
}

// function calls the SQL function public.{name}, where no procedure has the name. It
// is no execution: nothing of it is kept.
func function(r *route.Request, name string, call invocation, missing error) error {
	if len(r.Tenant().Catalog.Current().Routines("public", name)) == 0 {
		return missing
	}
	if call.Async {
		return fault.New(fault.InvalidInput, "A SQL function cannot be called with async").
			WithHint("Only stored procedures can run while nobody waits for them.")
	}
	if call.Params == nil {
		call.Params = json.RawMessage("{}")
	}
	body, err := query.ReadBody(call.Params)
	if err == nil && body.Array {
		err = fault.New(fault.InvalidInput, "params must be an object")
	}
	if err != nil {
		return err
	}
	start := time.Now()
	done, err := kernel.Ask[*data.Called](r.Context(), r.Tenant().Data, &data.Call{
		Caller: r.Caller(),
		Query:  &query.Call{Function: data.Public(name), Body: body, Page: query.Page{Limit: query.NoLimit}, Count: query.CountExact},
	})
	if err != nil {
		return err
	}
	took := time.Since(start).Milliseconds()
	return r.JSON(200, outcome{Status: store.Completed, Result: given(done), RowsReturned: &done.Rows,
		Truncated: done.Total > done.Rows, DurationMS: &took})
}

// given is what a function gave, without the array around it if it gives one thing.
func given(done *data.Called) json.RawMessage {
	switch {
	case done.Set:
		return done.JSON
	case done.Void || done.Rows != 1:
		return json.RawMessage("null")
	}
	text := bytes.TrimSpace(done.JSON)
	return json.RawMessage(text[1 : len(text)-1])
}
