package openapi

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/transport/openapi/exposed"
	"fluxbase/transport/route"
)

// description stands before everything else.
const description = `Errors have a stable ` + "`code`" + `. Rows are JSON as PostgreSQL writes it: every digit of a number; a float or numeric that is no number is the text
NaN, Infinity or -Infinity, and an infinite date the text infinity or -infinity.

This document has what its reader may use: with other credentials it is another one.`

// build writes the document of those routes that are admitted, and of the relations
// and functions that the caller may use.
func (a *API) build(s *catalog.Snapshot, c caller.Caller, everything bool, admitted string) ([]byte, error) {
	b := newBuilder()
	b.doc.OpenAPI = "3.0.3"
	b.doc.Info = info{
		Title: "Fluxbase REST API", Version: "1.0.0", Description: description,
		License: license{Name: "MIT", URL: "https://opensource.org/license/mit"},
	}
	b.doc.Servers = []site{{"/"}}
	for i, r := range a.routes {
		if admitted[i] == '1' {
			b.add(r)
		}
	}
	role := c.DatabaseRole()
	for _, r := range a.concrete(s, role, everything) {
		if everything || admits(&r, c) {
			b.add(r)
		}
	}
	slices.SortFunc(b.doc.Tags, func(x, y tag) int { return strings.Compare(x.Name, y.Name) })
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(b.doc); err != nil {
		return nil, err
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

// concrete are the routes of single relations and functions.
func (a *API) concrete(s *catalog.Snapshot, role caller.DatabaseRole, everything bool) []route.Route {
	var all []route.Route
	for _, r := range s.Relations() {
		v := exposed.Of(s, r, role, everything)
		for _, d := range a.dialects {
			if v.Visible() {
				all = append(all, d.Relation(v)...)
			}
		}
	}
	for _, f := range exposed.Functions(s, role, everything) {
		for _, d := range a.dialects {
			if d.Routine != nil {
				all = append(all, d.Routine(f)...)
			}
		}
	}
	return all
}
