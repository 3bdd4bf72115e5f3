package rest

import (
	"mime"
	"strings"

	"fluxbase/persistence/query/sql"
	"fluxbase/transport/route"
)

// planType begins the media type of the plan of a statement:
// application/vnd.pgrst.plan+json; for="text/csv"; options=analyze|verbose.
const planType = "application/vnd.pgrst.plan"

// planned reads an item of an Accept header that asks for a plan. ok is false for
// everything else, and for a plan of a media type or with an option that there is
// not.
func planned(item string) (f format, ok bool) {
	// postgrest-js ends with "options=;" when there are none.
	item = strings.TrimSuffix(strings.TrimRight(item, "; "), "options=")
	name, params, err := mime.ParseMediaType(item)
	if err != nil || !strings.HasPrefix(name, planType) {
		return format{}, false
	}
	e := &sql.Explain{}
	switch name {
	case planType, planType + "+text":
		name = planType + "+text"
	case planType + "+json":
		e.JSON = true
	default:
		return format{}, false
	}
	about := params["for"]
	if about == "" {
		about = "application/json"
	}
	of, known := formats[mediaType(about)]
	if !known {
		return format{}, false
	}
	kind, _, _ := strings.Cut(of.contentType, "; charset")
	f = format{contentType: name + `; for="` + kind + `"`, rows: of.rows, plan: e}
	if options := params["options"]; options != "" {
		for o := range strings.SplitSeq(options, "|") {
			switch strings.ToLower(strings.TrimSpace(o)) {
			case "analyze":
				e.Analyze = true
			case "verbose":
				e.Verbose = true
			case "settings":
				e.Settings = true
			case "buffers":
				e.Buffers = true
			case "wal":
				e.WAL = true
			case "":
			default:
				return format{}, false
			}
		}
		f.contentType += "; options=" + options
	}
	f.contentType += "; charset=utf-8"
	return f, true
}

// showPlan answers with a plan, whatever was asked for beside it.
func (f format) showPlan(r *route.Request, plan []byte) error {
	return r.Raw(200, f.contentType, plan)
}
