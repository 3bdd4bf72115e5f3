// Package realtimeadmin lets administrators say which tables are followed, and ask
// why somebody gets a change or does not: it turns requests under
// /admin/realtime/tables and /realtime/explain into messages of actors/feed,
// actors/table and actors/connection.
package realtimeadmin

import (
	"time"

	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

const base = "/api/v1/admin/realtime/tables"

// Routes are the routes of this package. directory is the node's
// connection.Directory.
func Routes(directory kernel.Target) []route.Route {
	administrators := route.Roles(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin)
	entry := func(method, path string, message any, handle func(*route.Request) error, doc route.Doc) route.Route {
		return route.Route{Method: method, Path: base + path, Access: administrators, BodyLimit: route.LimitRealtime, Message: message, Doc: doc, Handle: handle}
	}
	return []route.Route{
		{Method: "POST", Path: "/api/v1/realtime/explain", Access: administrators, BodyLimit: route.LimitRealtime, Message: table.Explain{},
			Doc: explainDoc, Handle: explainer{directory}.explain},
		entry("POST", "", feed.EnableTable{}, enable, enableDoc),
		entry("GET", "", feed.ListTables{}, list, listDoc),
		entry("GET", "/{schema}/{table}", feed.GetTable{}, get, getDoc),
		entry("PATCH", "/{schema}/{table}", feed.AlterTable{}, alter, alterDoc),
		entry("DELETE", "/{schema}/{table}", feed.DisableTable{}, disable, disableDoc),
	}
}

// status is how a table is shown. A table that was never enabled has no times.
type status struct {
	ID        int32      `json:"id"`
	Schema    string     `json:"schema"`
	Table     string     `json:"table"`
	Enabled   bool       `json:"realtime_enabled"`
	Events    []string   `json:"events" enum:"INSERT,UPDATE,DELETE"`
	Excluded  []string   `json:"excluded_columns,omitempty"`
	CreatedAt *time.Time `json:"created_at"`
	UpdatedAt *time.Time `json:"updated_at"`
}

func show(s changelog.Status) status {
	out := status{ID: s.ID, Schema: s.Schema, Table: s.Table, Enabled: s.Enabled, Events: s.Events, Excluded: s.Excluded}
	if !s.CreatedAt.IsZero() {
		out.CreatedAt, out.UpdatedAt = &s.CreatedAt, &s.UpdatedAt
	}
	return out
}

func enable(r *route.Request) error {
	var body enableBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	if body.Table == "" {
		return fault.New(fault.MissingRequiredField, "table is required")
	}
	if body.Schema == "" {
		body.Schema = "public"
	}
	s, err := kernel.Ask[changelog.Status](r.Context(), r.Tenant().Registrar, feed.EnableTable{Schema: body.Schema, Table: body.Table, Events: body.Events, Exclude: body.Exclude})
	if err != nil {
		return err
	}
	return r.JSON(201, enabled{s.Schema, s.Table, s.Events, s.TriggerName, s.Excluded})
}

func list(r *route.Request) error {
	var message feed.ListTables
	switch r.Query("enabled") {
	case "", "true":
	case "false":
		message.Disabled = true
	default:
		return fault.New(fault.InvalidInput, "enabled is true or false")
	}
	found, err := kernel.Ask[[]changelog.Status](r.Context(), r.Tenant().Registrar, message)
	if err != nil {
		return err
	}
	tables := make([]status, 0, len(found))
	for _, s := range found {
		tables = append(tables, show(s))
	}
	return r.JSON(200, statuses{tables, len(tables)})
}

func get(r *route.Request) error {
	s, err := kernel.Ask[changelog.Status](r.Context(), r.Tenant().Registrar, feed.GetTable{Schema: r.Param("schema"), Table: r.Param("table")})
	if err != nil {
		return err
	}
	return r.JSON(200, show(s))
}

func alter(r *route.Request) error {
	var body alterBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	return done(r, feed.AlterTable{Schema: r.Param("schema"), Table: r.Param("table"), Events: body.Events, Exclude: body.Exclude}, "Realtime configuration updated")
}

func disable(r *route.Request) error {
	return done(r, feed.DisableTable{Schema: r.Param("schema"), Table: r.Param("table")}, "Realtime disabled for the table")
}

func done(r *route.Request, message any, text string) error {
	if _, err := kernel.Ask[any](r.Context(), r.Tenant().Registrar, message); err != nil {
		return err
	}
	return r.JSON(200, confirmation{true, text})
}
