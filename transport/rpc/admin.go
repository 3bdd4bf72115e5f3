package rpc

import (
	"bytes"
	"encoding/json"

	"fluxbase/actors/kernel"
	actor "fluxbase/actors/procedure"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
	"fluxbase/transport/route"
)

const adminBase = "/api/v1/admin/rpc"

// authors may read and write all procedures.
var authors = route.Roles(caller.Admin, caller.InstanceAdmin)

func adminRoutes() []route.Route {
	entry := func(method, path string, message any, handle func(*route.Request) error, doc route.Doc) route.Route {
		doc.Tag = tag
		return route.Route{Method: method, Path: adminBase + path, Access: authors, BodyLimit: route.LimitAdmin, Message: message, Handle: handle, Doc: doc}
	}
	missing := []fault.Code{fault.NotFound}
	return []route.Route{
		entry("GET", "/namespaces", actor.ListNamespaces{}, listNamespaces, route.Doc{
			Summary: "List the namespaces that hold procedures", Answers: route.Answers{200: namespaceList{}}}),
		entry("GET", "/procedures", actor.List{}, listAll, route.Doc{
			Summary:    "List all procedures",
			Parameters: []route.Parameter{{Name: "namespace", In: route.InQuery, Description: "Only those of this namespace"}},
			Answers:    route.Answers{200: procedureList{}}}),
		entry("GET", "/procedures/{namespace}/{name}", actor.Get{}, get, route.Doc{
			Summary: "Show a procedure", Answers: route.Answers{200: detail{}}, Faults: missing}),
		entry("PUT", "/procedures/{namespace}/{name}", actor.Alter{}, alter, route.Doc{
			Summary:     "Change how a procedure is run",
			Description: "What is changed stays until a sync brings another text of the procedure.",
			Body:        change{}, Answers: route.Answers{200: detail{}},
			Faults: []fault.Code{fault.NotFound, fault.ValidationFailed, fault.Conflict}}),
		entry("DELETE", "/procedures/{namespace}/{name}", actor.Delete{}, remove, route.Doc{
			Summary: "Delete a procedure", Answers: route.Answers{200: done{}}, Faults: missing}),
	}
}

type namespaceList struct {
	Namespaces []string `json:"namespaces"`
}

type done struct {
	Message string `json:"message"`
}

func listNamespaces(r *route.Request) error {
	names, err := kernel.Ask[[]string](r.Context(), r.Tenant().Procedures, actor.ListNamespaces{})
	if err != nil {
		return err
	}
	return r.JSON(200, namespaceList{notNull(names)})
}

func listAll(r *route.Request) error {
	found, err := kernel.Ask[[]*procedure.Procedure](r.Context(), r.Tenant().Procedures, actor.List{Namespace: r.Query("namespace")})
	if err != nil {
		return err
	}
	return answerList(r, found)
}

func get(r *route.Request) error {
	p, err := kernel.Ask[*procedure.Procedure](r.Context(), r.Tenant().Procedures, actor.Get{Namespace: r.Param("namespace"), Name: r.Param("name")})
	if err != nil {
		return err
	}
	return r.JSON(200, describe(p))
}

// change is the body of PUT. A schedule that is null or empty is none; require_role is
// what the SDK calls require_roles, and may be one role.
type change struct {
	Description      *string         `json:"description,omitempty"`
	Enabled          *bool           `json:"enabled,omitempty"`
	Public           *bool           `json:"is_public,omitempty"`
	RequireRoles     *[]string       `json:"require_roles,omitempty"`
	RequireRole      json.RawMessage `json:"require_role,omitempty" doc:"A role or a list of roles, for require_roles"`
	MaxExecutionTime *float64        `json:"max_execution_time_seconds,omitempty"`
	AllowedTables    *[]string       `json:"allowed_tables,omitempty"`
	AllowedSchemas   *[]string       `json:"allowed_schemas,omitempty"`
	Schedule         json.RawMessage `json:"schedule,omitempty" doc:"A text; null or empty for none"`
}

func (c change) read() (procedure.Change, error) {
	out := procedure.Change{
		Description: c.Description, Enabled: c.Enabled, Public: c.Public, RequireRoles: c.RequireRoles,
		MaxExecutionTime: c.MaxExecutionTime, AllowedTables: c.AllowedTables, AllowedSchemas: c.AllowedSchemas,
	}
	var none string
	switch {
	case c.Schedule == nil:
	case bytes.Equal(c.Schedule, []byte("null")):
		out.Schedule = &none
	case json.Unmarshal(c.Schedule, &out.Schedule) != nil:
		return out, fault.New(fault.InvalidRequestBody, "schedule is a text or null")
	}
	if c.RequireRole != nil && out.RequireRoles == nil {
		roles := []string{}
		var one *string
		switch {
		case json.Unmarshal(c.RequireRole, &one) == nil:
			if one != nil && *one != "" {
				roles = append(roles, *one)
			}
		case json.Unmarshal(c.RequireRole, &roles) != nil:
			return out, fault.New(fault.InvalidRequestBody, "require_role is a role or a list of roles")
		}
		out.RequireRoles = &roles
	}
	return out, nil
}

func alter(r *route.Request) error {
	var body change
	if err := r.Decode(&body); err != nil {
		return err
	}
	c, err := body.read()
	if err != nil {
		return err
	}
	p, err := kernel.Ask[*procedure.Procedure](r.Context(), r.Tenant().Procedures, actor.Alter{Namespace: r.Param("namespace"), Name: r.Param("name"), Change: c})
	if err != nil {
		return err
	}
	return r.JSON(200, describe(p))
}

func remove(r *route.Request) error {
	if _, err := kernel.Ask[actor.Deleted](r.Context(), r.Tenant().Procedures, actor.Delete{Namespace: r.Param("namespace"), Name: r.Param("name")}); err != nil {
		return err
	}
	return r.JSON(200, done{"Procedure deleted successfully"})
}
