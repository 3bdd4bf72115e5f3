package rest

import (
	"strings"

	"fluxbase/actors/data"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
	"fluxbase/transport/filter"
	"fluxbase/transport/prefer"
	"fluxbase/transport/route"
)

// demand is what every request says: of what it speaks, in which form the answer
// is wanted, with which preferences, and the query string.
type demand struct {
	// of is a relation or a function.
	of      query.Relation
	format  format
	prefer  prefer.Preferences
	request *request
	// arguments are the parameters of the query string that a function takes.
	arguments []filter.Parameter
}

// asked reads a demand. name is the path's; isArgument, when not nil, tells which
// parameters of the query string are a function's arguments.
func asked(r *route.Request, name string, isArgument func(query.Relation) func(filter.Parameter) bool) (*demand, error) {
	var d demand
	var err error
	if d.of, err = place(r, name); err != nil {
		return nil, err
	}
	if d.format, err = accept(r); err != nil {
		return nil, err
	}
	d.prefer = prefer.Read(prefer.PostgREST, r.Fast().Request.Header.PeekAll("Prefer"))
	if d.prefer.Strict && len(d.prefer.Unknown) > 0 {
		return nil, refuse(400, "PGRST122", "Invalid preferences given with handling=strict").
			withDetails("Invalid preferences: " + strings.Join(d.prefer.Unknown, ", "))
	}
	r.AddHeader("Vary", "Accept, Prefer, Range")
	if d.prefer.Applied != "" {
		r.SetHeader("Preference-Applied", d.prefer.Applied)
	}
	var keep func(filter.Parameter) bool
	if isArgument != nil {
		keep = isArgument(d.of)
	}
	d.request, d.arguments, err = parse(r.RawQuery(), keep)
	return &d, err
}

// terms are the demand's terms for a transaction that answers with rows.
func (d *demand) terms(r *route.Request) *data.Terms {
	return &data.Terms{Form: d.format.rows, Settings: settings(r, &d.prefer), Rollback: d.prefer.Rollback, Explain: d.format.plan}
}

// bound is how many rows a write may change, or a function return; nil for any
// number.
func (d *demand) bound() *sql.Bound {
	switch {
	case d.format.single:
		return &sql.Bound{Least: 1, Most: 1}
	case d.prefer.MaxAffected != nil:
		return &sql.Bound{Most: *d.prefer.MaxAffected}
	}
	return nil
}

// failed words the refusal of another number of rows than the bound.
func (d *demand) failed(err error) error {
	if fault.CodeOf(err) == fault.UnexpectedRows && !d.format.single {
		rows := strings.TrimSuffix(strings.TrimPrefix(describe(err).Details.(string), "The result contains "), " rows")
		return refuse(400, "PGRST124", "Query result exceeds max-affected preference constraint").withDetails("The query affects " + rows + " rows")
	}
	return err
}

// place finds the relation that a request names, in the schema of its profile.
func place(r *route.Request, name string) (query.Relation, error) {
	current := r.Tenant().Catalog.Current()
	header := "Content-Profile"
	if m := r.Method(); m == "GET" || m == "HEAD" {
		header = "Accept-Profile"
	}
	schema := r.Header(header)
	if schema == "" {
		schema = current.DefaultSchema()
	}
	if !current.Exposed(schema) {
		e := refuse(406, "PGRST106", "Invalid schema: "+schema)
		e.Hint = "Only the following schemas are exposed: " + strings.Join(current.Schemas(), ", ")
		return query.Relation{}, e
	}
	if len(current.Schemas()) > 1 {
		r.SetHeader("Content-Profile", schema)
	}
	return query.Relation{Schema: schema, Name: name}, nil
}

// relation is what the catalogue knows of a relation; nil when it knows nothing.
func relation(r *route.Request, name query.Relation) *catalog.Relation {
	rel, _ := r.Tenant().Catalog.Current().Relation(name.Schema, name.Name)
	return rel
}
