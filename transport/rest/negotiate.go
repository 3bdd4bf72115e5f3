package rest

import (
	"slices"
	"strings"

	"fluxbase/persistence/query/sql"
	"fluxbase/transport/route"
)

// format is the form of a response.
type format struct {
	contentType string
	rows        sql.Form
	// single asks for exactly one row, as an object.
	single bool
	// plan, when not nil, asks for the plan of the statement in place of its answer.
	plan *sql.Explain
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
	"text/csv":             {contentType: "text/csv; charset=utf-8", rows: sql.Records},
	"application/geo+json": {contentType: "application/geo+json; charset=utf-8", rows: sql.GeoJSON},
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
		if f, ok := planned(item); ok && r.Tenant().Plans {
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

// isOneOf tells whether a media type of a request's body is among some.
func isOneOf(r *route.Request, types ...string) bool {
	return slices.Contains(types, mediaType(r.Header("Content-Type")))
}
