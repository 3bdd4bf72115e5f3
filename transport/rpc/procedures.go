package rpc

import (
	"time"

	"fluxbase/actors/kernel"
	actor "fluxbase/actors/procedure"
	"fluxbase/persistence/procedure"
	"fluxbase/transport/route"
)

func procedureRoutes() []route.Route {
	return []route.Route{{
		Method: "GET", Path: "/api/v1/rpc/procedures", Access: route.Optional, Scope: "rpc:read", BodyLimit: route.LimitRPC,
		Message: actor.ListPublic{}, Handle: listPublic,
		Doc: route.Doc{
			Tag: tag, Summary: "List the public procedures",
			Parameters: []route.Parameter{{Name: "namespace", In: route.InQuery, Description: "Only those of this namespace; `default` and nothing mean all"}},
			Answers:    route.Answers{200: procedureList{}},
		},
	}}
}

// summary is how a procedure is shown in lists.
type summary struct {
	ID               string    `json:"id" format:"uuid"`
	Name             string    `json:"name"`
	Namespace        string    `json:"namespace"`
	Description      string    `json:"description"`
	AllowedTables    []string  `json:"allowed_tables" doc:"None for all tables of the allowed schemas"`
	AllowedSchemas   []string  `json:"allowed_schemas"`
	MaxExecutionTime float64   `json:"max_execution_time_seconds"`
	RequireRoles     []string  `json:"require_roles"`
	Public           bool      `json:"is_public"`
	DisableLogs      bool      `json:"disable_execution_logs"`
	Schedule         *string   `json:"schedule"`
	Enabled          bool      `json:"enabled"`
	Version          int       `json:"version"`
	Source           string    `json:"source" enum:"filesystem,api"`
	CreatedAt        time.Time `json:"created_at"`
	UpdatedAt        time.Time `json:"updated_at"`
}

// detail is a procedure with its text.
type detail struct {
	summary
	SQL       string             `json:"sql_query"`
	Code      string             `json:"original_code"`
	Input     *map[string]string `json:"input_schema" doc:"Names, with a question mark where optional, and types; null takes anything"`
	Output    *map[string]string `json:"output_schema"`
	CreatedBy *string            `json:"created_by"`
}

type procedureList struct {
	Procedures []summary `json:"procedures"`
	Count      int       `json:"count"`
}

func summarise(p *procedure.Procedure) summary {
	return summary{
		ID: p.ID, Name: p.Name, Namespace: p.Namespace, Description: p.Description,
		AllowedTables: notNull(p.AllowedTables), AllowedSchemas: notNull(p.AllowedSchemas),
		MaxExecutionTime: p.MaxExecutionTime.Seconds(), RequireRoles: notNull(p.RequireRoles),
		Public: p.Public, DisableLogs: p.DisableLogs, Schedule: optional(p.Schedule), Enabled: p.Enabled,
		Version: p.Version, Source: string(p.Source), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}

func describe(p *procedure.Procedure) detail {
	return detail{
		summary: summarise(p), SQL: p.Query, Code: p.Code,
		Input: fields(p.Input), Output: fields(p.Output), CreatedBy: optional(p.CreatedBy),
	}
}

func fields(s procedure.Schema) *map[string]string {
	if !s.Typed {
		return nil
	}
	m := make(map[string]string, len(s.Fields))
	for _, f := range s.Fields {
		name := f.Name
		if f.Optional {
			name += "?"
		}
		m[name] = f.Word
	}
	return &m
}

// notNull is never null in JSON.
func notNull(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func answerList(r *route.Request, found []*procedure.Procedure) error {
	out := procedureList{Procedures: make([]summary, len(found)), Count: len(found)}
	for i, p := range found {
		out.Procedures[i] = summarise(p)
	}
	return r.JSON(200, out)
}

func listPublic(r *route.Request) error {
	found, err := kernel.Ask[[]*procedure.Procedure](r.Context(), r.Tenant().Procedures, actor.ListPublic{Namespace: r.Query("namespace")})
	if err != nil {
		return err
	}
	return answerList(r, found)
}
