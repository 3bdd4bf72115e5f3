package openapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"fluxbase/persistence/fault"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

// tenantHeader chooses a tenant for those who may enter several.
var tenantHeader = route.Parameter{Name: "X-FB-Tenant", In: route.InHeader, Description: "The tenant, by its id or slug; the credential's own or the default one if it is left out"}

// builder makes a document of routes. What several operations have alike becomes a
// component.
type builder struct {
	doc     document
	schemas *schema.Components
	ids     map[string]bool
	// named are the names of components by what they are and say; numbers are how many
	// have a name, but for a number behind it.
	named   map[string]string
	numbers map[string]int
}

func newBuilder() *builder {
	b := &builder{
		schemas: schema.NewComponents(), ids: map[string]bool{}, named: map[string]string{}, numbers: map[string]int{},
	}
	b.doc.Paths = map[string]map[string]*operation{}
	b.doc.Components = components{
		Schemas: b.schemas.Schemas(), Responses: map[string]*response{}, Parameters: map[string]*parameter{},
		Headers: map[string]*header{}, SecuritySchemes: credentials,
	}
	return b
}

// add describes a route.
func (b *builder) add(r route.Route) {
	if r.Doc.Hidden {
		return
	}
	path, names := template(r.Path)
	methods := b.doc.Paths[path]
	if methods == nil {
		methods = map[string]*operation{}
		b.doc.Paths[path] = methods
	}
	method := strings.ToLower(r.Method)
	if methods[method] != nil {
		return // a path that a relation's name makes like another's
	}
	d := r.Doc
	o := &operation{
		ID: b.id(r), Tags: []string{d.Tag}, Summary: d.Summary, Description: d.Description,
		Responses: map[string]*response{}, Security: security(r.Access),
	}
	if !slices.Contains(b.doc.Tags, tag{d.Tag}) {
		b.doc.Tags = append(b.doc.Tags, tag{d.Tag})
	}
	for _, name := range names {
		o.Parameters = append(o.Parameters, b.parameter(pathParameter(name, d.Parameters)))
	}
	named := map[string]bool{}
	for _, p := range d.Parameters {
		place := string(p.In) + " " + p.Name
		if p.In != route.InPath && !named[place] {
			named[place] = true
			o.Parameters = append(o.Parameters, b.parameter(p))
		}
	}
	if !r.Instance && r.Access.ReadsCredentials() {
		o.Parameters = append(o.Parameters, b.parameter(tenantHeader))
	}
	if d.Body != nil {
		o.Body = &body{Required: !d.BodyOptional, Content: b.content(d.Body)}
	}
	for status, payload := range d.Answers {
		o.Responses[statusName(status)] = b.answer(status, payload)
	}
	b.addErrors(o, r)
	methods[method] = o
}

// template is a route's path as OpenAPI writes it, and the names of its parameters.
func template(path string) (string, []string) {
	var out strings.Builder
	var names []string
	for {
		before, rest, ok := strings.Cut(path, "{")
		out.WriteString(before)
		if !ok {
			return out.String(), names
		}
		inside, after, _ := strings.Cut(rest, "}")
		name, _, _ := strings.Cut(inside, ":")
		name = strings.TrimSuffix(name, "?")
		out.WriteString("{" + name + "}")
		names, path = append(names, name), after
	}
}

func pathParameter(name string, said []route.Parameter) route.Parameter {
	for _, p := range said {
		if p.In == route.InPath && p.Name == name {
			p.Required = true
			return p
		}
	}
	return route.Parameter{Name: name, In: route.InPath, Required: true}
}

// id names an operation: as its route says, or by method and path. A name that is
// taken gets a number.
func (b *builder) id(r route.Route) string {
	id := r.Doc.ID
	if id == "" {
		id = strings.ToLower(r.Method)
		path := strings.TrimPrefix(r.Path, "/api/v1")
		for word := range strings.FieldsFuncSeq(path, func(c rune) bool { return c != '{' && !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
			if strings.HasPrefix(word, "{") {
				id, word = id+"By", word[1:]
			}
			id += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	free := id
	for n := 2; b.ids[free]; n++ {
		free = id + "_" + strconv.Itoa(n)
	}
	b.ids[free] = true
	return free
}

// parameter makes a component of a parameter.
func (b *builder) parameter(p route.Parameter) *reference {
	form := b.form(p.Schema)
	out := &parameter{Name: p.Name, In: string(p.In), Description: p.Description, Required: p.Required, Schema: form}
	if p.In == route.InQuery && (form.Type == "object" || form.Type == "array") {
		explode := true
		out.Style, out.Explode = "form", &explode
	}
	return component(b, b.doc.Components.Parameters, "parameters", p.Name, out)
}

func (b *builder) header(h route.Parameter) *reference {
	return component(b, b.doc.Components.Headers, "headers", h.Name, &header{Description: h.Description, Schema: b.form(h.Schema)})
}

// odd is what the name of a component cannot have.
var odd = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// component finds what says the same among the components of a kind, or adds it under
// the name, or the name with a number if something else has it.
func component[T any](b *builder, all map[string]T, kind, name string, c T) *reference {
	said, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("%s %s is not JSON: %v", kind, name, err))
	}
	found, ok := b.named[kind+string(said)]
	if !ok {
		found = odd.ReplaceAllString(name, "_")
		counted := kind + found
		if b.numbers[counted]++; b.numbers[counted] > 1 {
			found += "." + strconv.Itoa(b.numbers[counted]) // a name has no dot itself
		}
		b.named[kind+string(said)], all[found] = found, c
	}
	return &reference{"#/components/" + kind + "/" + found}
}

// form is the schema of a parameter.
func (b *builder) form(v any) *schema.Schema {
	if v == nil {
		return schema.Text()
	}
	return b.schemas.Of(v)
}

// content is a payload by media type.
func (b *builder) content(payload any) map[string]media {
	if all, ok := payload.(route.Content); ok {
		out := make(map[string]media, len(all))
		for mediaType, form := range all {
			out[mediaType] = media{b.schemas.Of(form)}
		}
		return out
	}
	return map[string]media{"application/json": {b.schemas.Of(payload)}}
}

func statusName(status int) string {
	if status < 10 {
		return strconv.Itoa(status) + "XX"
	}
	return strconv.Itoa(status)
}

// reasons are what statuses mean, for answers that say no more.
var reasons = map[int]string{
	2: "Done", 101: "The connection speaks another protocol from here on", 200: "Done", 201: "Made", 202: "Taken", 204: "Done, and nothing to tell",
	206: "A part of it", 300: "Several are possible", 304: "It has not changed", 503: "It is not available",
}

func (b *builder) answer(status int, payload any) *response {
	a, ok := payload.(route.Answer)
	if !ok {
		a.Payload = payload
	}
	r := &response{Description: a.Description}
	if r.Description == "" {
		if r.Description = reasons[status]; r.Description == "" {
			r.Description = "Status " + statusName(status)
		}
	}
	if a.Payload != nil {
		r.Content = b.content(a.Payload)
	}
	for _, h := range a.Headers {
		if r.Headers == nil {
			r.Headers = map[string]*reference{}
		}
		r.Headers[h.Name] = b.header(h)
	}
	return b.shared("Answer"+statusName(status), r)
}

// shared is a reference to a response that other operations may have, too.
func (b *builder) shared(name string, r *response) *response {
	return &response{Ref: component(b, b.doc.Components.Responses, "responses", name, r).Ref}
}

// addErrors adds the errors of a route that the handler does not answer itself.
func (b *builder) addErrors(o *operation, r route.Route) {
	form := b.schemas.Of(errorBody)
	if r.Doc.Failure != nil {
		form = b.schemas.Of(r.Doc.Failure)
	}
	byStatus := map[int][]string{}
	for _, code := range slices.Concat(common(r), r.Doc.Faults) {
		status := route.Status(code)
		if !slices.Contains(byStatus[status], string(code)) {
			byStatus[status] = append(byStatus[status], string(code))
		}
	}
	for status, codes := range byStatus {
		name := strconv.Itoa(status)
		if o.Responses[name] == nil {
			o.Responses[name] = b.failure("Error"+name, strings.Join(codes, ", "), form)
		}
	}
	o.Responses["default"] = b.failure("Error", "Another error", form)
}

func (b *builder) failure(name, description string, form *schema.Schema) *response {
	return b.shared(name, &response{Description: description, Content: map[string]media{"application/json": {form}}})
}

// common are the codes that a route may be refused with before its handler, or by
// what handlers have in common.
func common(r route.Route) []fault.Code {
	var codes []fault.Code
	add := func(when bool, more ...fault.Code) {
		if when {
			codes = append(codes, more...)
		}
	}
	add(r.Doc.Body != nil, fault.InvalidRequestBody, fault.JSONTooDeep, fault.PayloadTooLarge)
	add(r.Doc.Body != nil || len(r.Doc.Parameters) > 0, fault.InvalidInput)
	add(r.Access.ReadsCredentials() && !r.Access.Anonymous(), fault.MissingAuthentication)
	add(r.Access.ReadsCredentials(), fault.InvalidToken, fault.ExpiredToken, fault.RevokedToken)
	add(r.Scope != "" || len(r.Access.Required()) > 0, fault.InsufficientPermissions)
	add(!r.Instance, fault.TenantNotFound)
	add(r.Bucket != "" || strings.HasPrefix(r.Path, "/api/"), fault.RateLimitExceeded)
	add(true, fault.InternalError)
	add(r.Message != nil, fault.Overloaded)
	add(r.Message != nil && r.Timeout != route.NoTimeout, fault.Timeout)
	return codes
}
