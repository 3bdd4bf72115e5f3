package rest

import (
	"net/url"
	"strings"

	"fluxbase/transport/openapi/exposed"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

// signature is what a function takes and gives.
type signature struct {
	shapes
	description string
	arguments   *schema.Schema
	// result is what it gives; nil for nothing at all.
	result *schema.Schema
}

var anyFunction = signature{
	shapes: shapes{tag: tag, title: "a function"}, arguments: schema.Any(), result: schema.Any(),
}

func describeFunction(f exposed.Function) []route.Route {
	s := signature{
		shapes:      shapes{tag: tag + ": functions", title: f.Title(), name: strings.ReplaceAll(schema.Name(f.Schema, f.Name), ".", "_")},
		description: f.Comment(), arguments: f.Arguments(),
	}
	if !f.Default {
		s.schema = f.Schema
	}
	s.result, _ = f.Result()
	path := "/" + url.PathEscape(f.Name)
	all := []route.Route{function("POST", path, nil, s.post())}
	if f.ReadOnly() {
		all = append(all, function("GET", path, nil, s.get()))
	}
	return all
}

// results are what a call is answered with. A function chooses another status if it
// likes (response.status), or raises one with an error of its own.
func (s signature) results() route.Answers {
	answer := route.Answer{Description: "What it gives", Headers: headers}
	if s.result != nil {
		answer.Payload = route.Content{
			"application/json":                                 schema.AnyOf(s.result, schema.From(refusal{})),
			"application/vnd.pgrst.object+json":                schema.Any(),
			"application/vnd.pgrst.array+json;nulls=stripped":  schema.Any(),
			"application/vnd.pgrst.object+json;nulls=stripped": schema.Any(),
			"text/csv":                        schema.Text(),
			"application/geo+json":            schema.Open(),
			"application/vnd.pgrst.plan+text": schema.Text(),
			"application/vnd.pgrst.plan+json": schema.Array(schema.Open()),
		}
	}
	return route.Answers{2: answer, 3: answer, 300: route.Answer{Description: "Several functions could be meant", Payload: refusal{}}}
}

func (s signature) post() route.Doc {
	d := s.doc("call", "Call "+s.title, selectParameter, orderParameter, limitParameter, offsetParameter, rangeParameter, preferParameter, s.profile("Content-Profile"))
	d.Description, d.BodyOptional = s.description, true
	d.Body = route.Content{
		"application/json": s.arguments, "application/x-www-form-urlencoded": schema.Map(schema.Text()),
		"text/plain": schema.Text(), "text/xml": schema.Text(), "application/octet-stream": schema.Formatted("binary"),
	}
	d.Answers = s.results()
	return d
}

func (s signature) get() route.Doc {
	d := s.doc("ask", "Call "+s.title+" where nothing can be written", selectParameter, orderParameter, limitParameter, offsetParameter, rangeParameter, preferParameter, s.profile("Accept-Profile"),
		parameter("arguments", schema.Map(schema.Text()), "Its arguments, and conditions on the rows that it gives"))
	d.Description, d.Answers = s.description, s.results()
	return d
}
