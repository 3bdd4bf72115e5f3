package rest

import (
	"net/url"
	"slices"
	"strings"

	"fluxbase/actors/data"
	"fluxbase/persistence/catalog"
	"fluxbase/transport/openapi"
	"fluxbase/transport/openapi/exposed"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

const tag = "Tables for PostgREST's clients"

// Dialect describes what is served here of each relation and function.
var Dialect = openapi.Dialect{Relation: describeRelation, Routine: describeFunction}

// hidden are routes that refuse whoever calls them.
var hidden = route.Doc{Hidden: true}

// shapes are what a relation's rows look like.
type shapes struct {
	tag, title string
	// name is the end of the operations' ids; empty for names made of paths.
	name string
	// schema is the profile to ask for; empty for any, or the default one.
	schema                 string
	row, inserted, changed *schema.Schema
	filters                []route.Parameter
}

var anyRelation = shapes{
	tag: tag, title: "a table", row: schema.Open(), inserted: schema.Open(), changed: schema.Open(),
	filters: []route.Parameter{parameter("filters", schema.Map(schema.Text()), "Conditions: column=operator.value, such as age=gte.18; not. before the operator turns it round")},
}

func describeRelation(v exposed.Relation) []route.Route {
	s := shapes{
		tag: tag + ": " + v.Title(), title: v.Title(), name: strings.ReplaceAll(schema.Name(v.Schema, v.Name), ".", "_"),
		row: v.Row(), inserted: v.Insert(), changed: v.Update(),
		filters: v.Filters(),
	}
	if !v.Default {
		s.schema = v.Schema
	}
	path := "/" + url.PathEscape(v.Name)
	var all []route.Route
	if v.May(catalog.Select) {
		all = append(all, table("GET", path, scopeRead, data.List{}, nil, s.read()))
	}
	if v.May(catalog.Insert) {
		all = append(all, table("POST", path, scopeWrite, data.Create{}, nil, s.create()))
	}
	if v.May(catalog.Update) {
		all = append(all, table("PATCH", path, scopeWrite, data.Update{}, nil, s.update()))
		if v.May(catalog.Insert) && len(v.PrimaryKey) > 0 {
			all = append(all, table("PUT", path, scopeWrite, data.Create{}, nil, s.put()))
		}
	}
	if v.May(catalog.Delete) {
		all = append(all, table("DELETE", path, scopeWrite, data.Delete{}, nil, s.remove()))
	}
	return all
}

func parameter(name string, form any, description string) route.Parameter {
	return route.Parameter{Name: name, In: route.InQuery, Schema: form, Description: description}
}

func header(name, description string) route.Parameter {
	return route.Parameter{Name: name, In: route.InHeader, Description: description}
}

// The parameters that all relations have alike.
var (
	selectParameter   = parameter("select", "", "Columns, computed columns, aggregates and related rows: id,title,author(name). Other columns than all of them make rows of another form")
	orderParameter    = parameter("order", "", "title.asc,created_at.desc.nullslast")
	limitParameter    = parameter("limit", schema.Whole().AtLeast(0), "How many rows")
	offsetParameter   = parameter("offset", schema.Whole().AtLeast(0), "After how many rows")
	orParameter       = parameter("or", "", "(a.eq.1,b.gt.2)")
	andParameter      = parameter("and", "", "(a.eq.1,or(b.gt.2,c.is.null))")
	conflictParameter = parameter("on_conflict", "", "The columns of a unique key; the primary key if it is left out")
	columnsParameter  = parameter("columns", "", "The members of the body that count")
	rangeParameter    = header("Range", "Which rows: 0-9")
	preferParameter   = header("Prefer", "return=representation|minimal|headers-only, resolution=merge-duplicates|ignore-duplicates, missing=default|null, "+
		"count=exact|planned|estimated, tx=commit|rollback, handling=strict|lenient, max-affected=1, timezone=Europe/Berlin")
)

// The headers of answers.
var (
	rangeHeader    = route.Parameter{Name: "Content-Range", Description: "Which rows of how many: 0-9/57, or a star for what is not known"}
	locationHeader = route.Parameter{Name: "Location", Description: "With Prefer: return=headers-only where the new row is"}
	appliedHeader  = route.Parameter{Name: "Preference-Applied", Description: "The preferences that were honoured"}
	headers        = []route.Parameter{rangeHeader, appliedHeader}
)

func (s shapes) doc(verb, summary string, parameters ...route.Parameter) route.Doc {
	d := route.Doc{Tag: s.tag, Summary: summary, Parameters: parameters, Failure: refusal{}}
	if s.name != "" {
		d.ID = "rest_" + verb + "_" + s.name
	}
	return d
}

// profile is the parameter that chooses the schema.
func (s shapes) profile(name string) route.Parameter {
	if s.schema != "" {
		p := header(name, "The schema of the table")
		p.Schema, p.Required = schema.Enum(s.schema), true
		return p
	}
	return header(name, "The schema; the first of those that are exposed if it is left out")
}

func (s shapes) conditions(more ...route.Parameter) []route.Parameter {
	return slices.Concat(more, []route.Parameter{orParameter, andParameter}, s.filters)
}

// forms are rows in all media types.
func forms(row *schema.Schema) route.Content {
	return route.Content{
		"application/json":                  schema.Array(row),
		"application/vnd.pgrst.object+json": row,
		// Members that are null are left out.
		"application/vnd.pgrst.array+json;nulls=stripped":  schema.Array(schema.Open()),
		"application/vnd.pgrst.object+json;nulls=stripped": schema.Open(),
		"text/csv":             schema.Text(),
		"application/geo+json": schema.Open(),
		// The plan in place of the rows, where plans are given.
		"application/vnd.pgrst.plan+text": schema.Text(),
		"application/vnd.pgrst.plan+json": schema.Array(schema.Open()),
	}
}

func (s shapes) rows(description string) route.Answer {
	return route.Answer{Description: description, Headers: headers, Payload: forms(s.row)}
}

// answers are those of a write: nothing, unless rows are asked for.
func (s shapes) answers(statuses ...int) route.Answers {
	a := route.Answers{}
	for _, status := range statuses {
		if status == 204 {
			a[status] = route.Answer{Headers: headers}
			continue
		}
		a[status] = s.rows("With Prefer: return=representation the rows, else nothing")
	}
	return chosen(s.row, a)
}

// chosen adds the statuses that functions, policies and triggers choose by the setting
// response.status, and the one of a request that may mean several relationships.
func chosen(row *schema.Schema, a route.Answers) route.Answers {
	payload := forms(row)
	payload["application/json"] = schema.AnyOf(schema.Array(row), schema.From(refusal{}))
	for _, class := range []int{2, 3} {
		a[class] = route.Answer{Description: "What the database chose as response.status, or raised", Headers: headers, Payload: payload}
	}
	a[300] = route.Answer{Description: "Several relationships or functions could be meant", Payload: refusal{}}
	return a
}

// given is the body of a write in all media types.
func given(form *schema.Schema) route.Content {
	return route.Content{
		"application/json": form, "text/csv": schema.Text(), "application/x-www-form-urlencoded": schema.Map(schema.Text()),
	}
}

func (s shapes) read() route.Doc {
	d := s.doc("read", "Read rows of "+s.title, s.conditions(selectParameter, orderParameter, limitParameter, offsetParameter, rangeParameter, preferParameter, s.profile("Accept-Profile"))...)
	d.Description = "HEAD answers the same without a body."
	d.Answers = chosen(s.row, route.Answers{200: s.rows("All that there is, or nobody asked for a total"), 206: s.rows("A part of them")})
	return d
}

func (s shapes) create() route.Doc {
	d := s.doc("create", "Insert rows into "+s.title, selectParameter, columnsParameter, conflictParameter, preferParameter, s.profile("Content-Profile"))
	d.Body, d.Answers = given(schema.AnyOf(s.inserted, schema.Array(s.inserted))), s.answers(200, 201)
	made := d.Answers[201].(route.Answer)
	made.Headers = append(slices.Clone(made.Headers), locationHeader)
	d.Answers[201] = made
	return d
}

func (s shapes) update() route.Doc {
	d := s.doc("update", "Change rows of "+s.title, s.conditions(selectParameter, orderParameter, limitParameter, columnsParameter, preferParameter, s.profile("Content-Profile"))...)
	d.Description = "Without a condition it changes all rows."
	d.Body, d.Answers = given(schema.AnyOf(s.changed, schema.Array(s.changed))), s.answers(200, 204)
	return d
}

func (s shapes) put() route.Doc {
	d := s.doc("put", "Make or replace a row of "+s.title, slices.Concat([]route.Parameter{selectParameter, columnsParameter, preferParameter, s.profile("Content-Profile")}, s.filters)...)
	d.Description = "The conditions name the row by its whole primary key, with eq."
	d.Body, d.Answers = given(schema.AnyOf(s.inserted, schema.Array(s.inserted))), s.answers(200, 201, 204)
	return d
}

func (s shapes) remove() route.Doc {
	d := s.doc("delete", "Delete rows of "+s.title, s.conditions(selectParameter, orderParameter, limitParameter, preferParameter, s.profile("Content-Profile"))...)
	d.Description = "Without a condition it deletes all rows."
	d.Answers = s.answers(200, 204)
	return d
}
