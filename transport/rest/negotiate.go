package rest

import (
	"slices"
	"strings"

	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
	"fluxbase/transport/route"
)

// format is the form of a response.
type format struct {
	contentType string
	rows        sql.Form
	// single asks for exactly one row, as an object.
	single bool
}

const jsonType = "application/json; charset=utf-8"

// formats are the media types that a response can have.
var formats = map[string]format{
	"*/*":                              {contentType: jsonType},
	"application/*":                    {contentType: jsonType},
	"application/json":                 {contentType: jsonType},
	"application/vnd.pgrst.array+json": {contentType: jsonType},
	"application/vnd.pgrst.array+json;nulls=stripped":  {contentType: "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8", rows: sql.StrippedJSON},
	"application/vnd.pgrst.object+json":                {contentType: "application/vnd.pgrst.object+json; charset=utf-8", single: true},
	"application/vnd.pgrst.object":                     {contentType: "application/vnd.pgrst.object+json; charset=utf-8", single: true},
	"application/vnd.pgrst.object+json;nulls=stripped": {contentType: "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8", rows: sql.StrippedJSON, single: true},
	"text/csv": {contentType: "text/csv; charset=utf-8", rows: sql.Records},
}

// accept chooses the first media type of the Accept header that is served.
func accept(r *route.Request) (format, error) {
	header := r.Header("Accept")
	if strings.TrimSpace(header) == "" {
		return formats["*/*"], nil
	}
	for item := range strings.SplitSeq(header, ",") {
		if f, ok := formats[mediaType(item)]; ok {
			return f, nil
		}
	}
	return format{}, refuse(406, "PGRST107", "None of these media types are available: "+header)
}

// mediaType is a media type without its quality and spaces.
func mediaType(item string) string {
	parts := strings.Split(item, ";")
	out := strings.ToLower(strings.TrimSpace(parts[0]))
	for _, p := range parts[1:] {
		p = strings.ToLower(strings.ReplaceAll(p, " ", ""))
		if p == "nulls=stripped" {
			out += ";" + p
		}
	}
	return out
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

// preferred reads the request's Prefer headers.
func preferred(r *route.Request) (preferences, error) {
	var headers []string
	for _, h := range r.Fast().Request.Header.PeekAll("Prefer") {
		headers = append(headers, string(h))
	}
	p, err := prefer(headers)
	if err == nil {
		if applied := p.applied(); applied != "" {
			r.SetHeader("Preference-Applied", applied)
		}
	}
	return p, err
}

// isOneOf tells whether a media type of a request's body is among some.
func isOneOf(r *route.Request, types ...string) bool {
	return slices.Contains(types, mediaType(r.Header("Content-Type")))
}
