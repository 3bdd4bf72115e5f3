package rpc

import (
	"encoding/json"
	"strconv"
	"time"

	"fluxbase/actors/execution"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

// record is an execution as it is shown.
type record struct {
	ID            string          `json:"id"`
	ProcedureID   *string         `json:"procedure_id"`
	ProcedureName string          `json:"procedure_name"`
	Namespace     string          `json:"namespace"`
	Status        store.Status    `json:"status"`
	InputParams   json.RawMessage `json:"input_params,omitempty"`
	Result        json.RawMessage `json:"result,omitempty"`
	Truncated     bool            `json:"truncated,omitempty"`
	ErrorMessage  *string         `json:"error_message,omitempty"`
	ErrorCode     *string         `json:"error_code,omitempty"`
	RowsReturned  *int64          `json:"rows_returned,omitempty"`
	DurationMS    *int64          `json:"duration_ms,omitempty"`
	UserID        *string         `json:"user_id,omitempty"`
	UserRole      string          `json:"user_role"`
	UserEmail     *string         `json:"user_email,omitempty"`
	IsAsync       bool            `json:"is_async"`
	ScheduledAt   *time.Time      `json:"scheduled_at,omitempty"`
	CreatedAt     time.Time       `json:"created_at"`
	StartedAt     *time.Time      `json:"started_at,omitempty"`
	CompletedAt   *time.Time      `json:"completed_at,omitempty"`
}

func view(x *store.Record) record {
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return record{
		ID: x.ID, ProcedureID: text(x.ProcedureID), ProcedureName: x.Procedure, Namespace: x.Namespace, Status: x.Status,
		InputParams: x.Params, Result: x.Result, Truncated: x.Truncated, ErrorMessage: text(x.ErrorMessage), ErrorCode: text(x.ErrorCode),
		RowsReturned: x.Rows, DurationMS: x.Millis, UserID: text(x.UserID), UserRole: x.UserRole, UserEmail: text(x.Email),
		IsAsync: x.Async, ScheduledAt: x.ScheduledAt, CreatedAt: x.CreatedAt, StartedAt: x.StartedAt, CompletedAt: x.CompletedAt,
	}
}

// status answers GET …/executions/{id}.
func status(r *route.Request) error {
	x, err := kernel.Ask[*store.Record](r.Context(), r.Tenant().Executions.Records, &execution.Get{Caller: r.Caller(), ID: r.Param("id")})
	if err != nil {
		return err
	}
	return r.JSON(200, view(x))
}

// list are executions, the newest first, without their parameters and results.
type list struct {
	Executions []record `json:"executions"`
	// Count is how many are shown, Total how many match.
	Count int   `json:"count"`
	Total int64 `json:"total"`
}

// Bounds of lists.
const (
	defaultExecutions = 100
	mostExecutions    = 1000
)

// executions answers GET /admin/rpc/executions.
func executions(r *route.Request) error {
	f := store.Filter{Namespace: r.Query("namespace"), Procedure: r.Query("procedure"), UserID: r.Query("user_id"), Status: store.Status(r.Query("status"))}
	if f.Procedure == "" {
		f.Procedure = r.Query("procedure_name")
	}
	switch f.Status {
	case "", store.Pending, store.Running, store.Completed, store.Failed, store.Cancelled, store.TimedOut:
	default:
		return fault.Newf(fault.InvalidQuery, "Invalid query parameters: unknown status %q", f.Status)
	}
	var err error
	if f.Limit, err = number(r, "limit", defaultExecutions, mostExecutions); err != nil {
		return err
	}
	if f.Offset, err = number(r, "offset", 0, 1<<30); err != nil {
		return err
	}
	found, err := kernel.Ask[*execution.Listed](r.Context(), r.Tenant().Executions.Records, &execution.List{Filter: f})
	if err != nil {
		return err
	}
	out := list{Executions: []record{}, Count: len(found.Records), Total: found.Total}
	for _, x := range found.Records {
		out.Executions = append(out.Executions, view(x))
	}
	return r.JSON(200, out)
}

// number is a parameter of the query that is a count; more than most is cut down.
func number(r *route.Request, name string, standard, most int) (int, error) {
	text := r.Query(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fault.Newf(fault.InvalidQuery, "Invalid query parameters: %s must be a number that is not negative", name)
	}
	return min(n, most), nil
}

// cancel answers POST /admin/rpc/executions/{id}/cancel.
func cancel(r *route.Request) error {
	x, err := kernel.Ask[*store.Record](r.Context(), r.Tenant().Executions.Records, &execution.Cancel{ID: r.Param("id")})
	if err != nil {
		return err
	}
	return r.JSON(200, view(x))
}

// entry is a line of an execution's log.
type entry struct {
	ID            string          `json:"id"`
	Timestamp     time.Time       `json:"timestamp"`
	Category      string          `json:"category"`
	Level         string          `json:"level"`
	Message       string          `json:"message"`
	ExecutionID   string          `json:"execution_id"`
	ExecutionType string          `json:"execution_type"`
	LineNumber    int             `json:"line_number"`
	Fields        json.RawMessage `json:"fields,omitempty"`
}

// log is lines of an execution's log, under both names that clients know them by.
type log struct {
	Entries []entry `json:"entries"`
	Logs    []entry `json:"logs"`
	Count   int     `json:"count"`
}

// mostLines is how many lines are given at a time.
const mostLines = 1000

// lines answers GET …/executions/{id}/logs.
func lines(r *route.Request) error {
	after, err := number(r, "after_line", 0, 1<<30)
	if err == nil && r.Query("after_line") == "" {
		after, err = number(r, "after", 0, 1<<30)
	}
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", mostLines, mostLines)
	if err != nil {
		return err
	}
	id := r.Param("id")
	found, err := kernel.Ask[[]store.Line](r.Context(), r.Tenant().Executions.Records, &execution.ReadLog{Caller: r.Caller(), ID: id, After: after, Limit: limit})
	if err != nil {
		return err
	}
	out := log{Entries: []entry{}, Count: len(found)}
	for _, l := range found {
		out.Entries = append(out.Entries, entry{
			ID: id + ":" + strconv.Itoa(l.Number), Timestamp: l.At, Category: "execution", Level: l.Level, Message: l.Message,
			ExecutionID: id, ExecutionType: l.Kind, LineNumber: l.Number, Fields: l.Fields,
		})
	}
	out.Logs = out.Entries
	return r.JSON(200, out)
}

// The scopes that keys need.
const (
	scopeRead    = "rpc:read"
	scopeExecute = "rpc:execute"
)

// administrators may see and cancel what others called.
var administrators = route.Roles(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin)

const tag = "Procedures"

// running are the routes of calls and of what became of them. timeout bounds a call,
// its wait for a place included.
func running(timeout time.Duration) []route.Route {
	limit := route.Parameter{Name: "limit", In: route.InQuery, Description: "How many at most, 1000 at most", Schema: 0}
	after := []route.Parameter{
		{Name: "after_line", In: route.InQuery, Description: "Only lines behind this number", Schema: 0},
		{Name: "after", In: route.InQuery, Description: "The same as `after_line`", Schema: 0}, limit,
	}
	return []route.Route{
		{
			Method: "POST", Path: "/api/v1/rpc/{namespace}/{name}", Access: route.Optional, Scope: scopeExecute,
			Message: execution.Invoke{}, BodyLimit: route.LimitRPC, Bucket: "rpc", Timeout: timeout, Handle: invoke,
			Doc: route.Doc{
				Tag: tag, Summary: "Call a procedure",
				Description: "Waits for the outcome, also of a procedure that fails, or with `async` for the note that it will run. " +
					"In the namespace `default` a SQL function of schema `public` is called where no procedure has the name.",
				Parameters: []route.Parameter{{Name: "X-Impersonation-Token", In: route.InHeader, Description: "Refused"}},
				Body:       invocation{}, BodyOptional: true,
				Answers: route.Answers{200: outcome{}, 400: route.Answer{
					Description: "The parameters do not fit, which is an outcome, too; or the body cannot be read",
					Payload:     schema.AnyOf(schema.From(outcome{}), &schema.Schema{Ref: "#/components/schemas/Error"}),
				}},
				Faults: []fault.Code{fault.NotFound, fault.AccessDenied, fault.RateLimitExceeded, fault.Overloaded},
			},
		},
		{
			Method: "GET", Path: "/api/v1/rpc/executions/{id}", Access: route.Optional, Scope: scopeRead, Message: execution.Get{}, Handle: status,
			Doc: route.Doc{Tag: tag, Summary: "Read an execution", Answers: route.Answers{200: record{}}, Faults: []fault.Code{fault.NotFound}},
		},
		{
			Method: "GET", Path: "/api/v1/rpc/executions/{id}/logs", Access: route.Optional, Scope: scopeRead, Message: execution.ReadLog{}, Handle: lines,
			Doc: route.Doc{Tag: tag, Summary: "Read the log of an execution", Parameters: after, Answers: route.Answers{200: log{}}, Faults: []fault.Code{fault.NotFound}},
		},
		{
			Method: "GET", Path: "/api/v1/admin/rpc/executions", Access: administrators, BodyLimit: route.LimitAdmin, Message: execution.List{}, Handle: executions,
			Doc: route.Doc{
				Tag: tag, Summary: "List executions", Description: "The newest first, without their parameters and results.",
				Parameters: []route.Parameter{
					{Name: "namespace", In: route.InQuery}, {Name: "procedure", In: route.InQuery},
					{Name: "procedure_name", In: route.InQuery, Description: "The same as `procedure`"},
					{Name: "status", In: route.InQuery}, {Name: "user_id", In: route.InQuery}, limit,
					{Name: "offset", In: route.InQuery, Description: "How many are left out before", Schema: 0},
				},
				Answers: route.Answers{200: list{}}, Faults: []fault.Code{fault.InvalidQuery},
			},
		},
		{
			Method: "GET", Path: "/api/v1/admin/rpc/executions/{id}", Access: administrators, BodyLimit: route.LimitAdmin, Message: execution.Get{}, Handle: status,
			Doc: route.Doc{Tag: tag, Summary: "Read anybody's execution", Answers: route.Answers{200: record{}}, Faults: []fault.Code{fault.NotFound}},
		},
		{
			Method: "GET", Path: "/api/v1/admin/rpc/executions/{id}/logs", Access: administrators, BodyLimit: route.LimitAdmin, Message: execution.ReadLog{}, Handle: lines,
			Doc: route.Doc{Tag: tag, Summary: "Read the log of anybody's execution", Parameters: after, Answers: route.Answers{200: log{}}, Faults: []fault.Code{fault.NotFound}},
		},
		{
			Method: "POST", Path: "/api/v1/admin/rpc/executions/{id}/cancel", Access: administrators, BodyLimit: route.LimitAdmin, Message: execution.Cancel{}, Handle: cancel,
			Doc: route.Doc{
				Tag: tag, Summary: "Cancel an execution", Description: "One that waits or runs, on any node. Nothing of what it did stays.",
				Answers: route.Answers{200: record{}}, Faults: []fault.Code{fault.NotFound, fault.InvalidInput},
			},
		},
	}
}
