package tables

import (
	"net/url"
	"slices"
	"strings"

	"fluxbase/actors/data"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// relationView is a relation as administrators see it.
type relationView struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Type   string `json:"type" enum:"table,view,materialized_view"`
	// Path is where the relation is served.
	Path       string       `json:"path"`
	Columns    []columnView `json:"columns"`
	PrimaryKey []string     `json:"primary_key"`
	RLSEnabled bool         `json:"rls_enabled"`
}

type columnView struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Nullable   bool   `json:"nullable"`
	Default    string `json:"default,omitempty"`
	PrimaryKey bool   `json:"primary_key"`
	Comment    string `json:"comment,omitempty"`
}

// relationTypes are what kinds of relations are called; all others are tables.
var relationTypes = map[catalog.Kind]string{catalog.View: "view", catalog.MaterializedView: "materialized_view"}

var indexRoute = route.Route{
	Method: "GET", Path: base, Access: route.Roles(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin), BodyLimit: route.LimitREST, Handle: index,
	Doc: route.Doc{
		Tag: tag, Summary: "List the tables and views that are served", Answers: route.Answers{200: []relationView{}}, Faults: []fault.Code{fault.InvalidQuery},
		Parameters: []route.Parameter{parameter("schema", "", "Only those of these schemas, parted by commas")},
	},
}

// index lists the exposed relations.
func index(r *route.Request) error {
	var wanted []string
	if list := r.Query("schema"); list != "" {
		wanted = strings.Split(list, ",")
	}
	current := r.Tenant().Catalog.Current()
	for _, schema := range wanted {
		if !current.Exposed(schema) {
			return fault.Newf(fault.InvalidQuery, "Schema '%s' is not exposed", schema).
				WithHint("Only the following schemas are exposed: " + strings.Join(current.Schemas(), ", "))
		}
	}
	all := []relationView{}
	for _, relation := range current.Relations() {
		if wanted == nil || slices.Contains(wanted, relation.Schema) {
			all = append(all, show(relation))
		}
	}
	return r.JSON(200, all)
}

func show(relation *catalog.Relation) relationView {
	view := relationView{
		Schema: relation.Schema, Name: relation.Name, Type: relationTypes[relation.Kind], Path: base + pathOf(relation),
		Columns: make([]columnView, 0, len(relation.Columns)), PrimaryKey: append([]string{}, relation.PrimaryKey...), RLSEnabled: relation.RowSecurity,
	}
	if view.Type == "" {
		view.Type = "table"
	}
	for i := range relation.Columns {
		c := &relation.Columns[i]
		view.Columns = append(view.Columns, columnView{
			Name: c.Name, Type: c.TypeName, Nullable: c.Nullable, Default: c.Default,
			PrimaryKey: slices.Contains(relation.PrimaryKey, c.Name), Comment: c.Comment,
		})
	}
	return view
}

// pathOf is the path of a relation below that of all tables.
func pathOf(relation *catalog.Relation) string {
	path := "/" + url.PathEscape(relation.Name)
	if relation.Schema != data.Public(relation.Name).Schema {
		path = "/" + url.PathEscape(relation.Schema) + path
	}
	return path
}
