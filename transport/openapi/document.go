// Package openapi describes the API to programs: an OpenAPI 3.0 document of the
// routes and of the tables, views and functions that a caller may use.
//
// Nothing is written down twice. What a route takes and answers stands in its Doc
// and in the Go types that its handler reads and writes; what a relation looks like
// is in the catalogue. What all routes have in common (credentials, tenants, errors)
// is added here.
package openapi

import "fluxbase/transport/openapi/schema"

// document is an OpenAPI document.
type document struct {
	OpenAPI string `json:"openapi"`
	Info    info   `json:"info"`
	Servers []site `json:"servers"`
	Tags    []tag  `json:"tags"`
	// Paths are operations by path and method.
	Paths      map[string]map[string]*operation `json:"paths"`
	Components components                       `json:"components"`
}

type info struct {
	Title       string  `json:"title"`
	Version     string  `json:"version"`
	Description string  `json:"description"`
	License     license `json:"license"`
}

type license struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

type site struct {
	URL string `json:"url"`
}

type tag struct {
	Name string `json:"name"`
}

type components struct {
	Schemas         map[string]*schema.Schema `json:"schemas"`
	Responses       map[string]*response      `json:"responses,omitempty"`
	Parameters      map[string]*parameter     `json:"parameters,omitempty"`
	Headers         map[string]*header        `json:"headers,omitempty"`
	SecuritySchemes map[string]credential     `json:"securitySchemes"`
}

type operation struct {
	ID          string               `json:"operationId"`
	Tags        []string             `json:"tags"`
	Summary     string               `json:"summary"`
	Description string               `json:"description,omitempty"`
	Parameters  []*reference         `json:"parameters,omitempty"`
	Body        *body                `json:"requestBody,omitempty"`
	Responses   map[string]*response `json:"responses"`
	// Security are the ways in; an empty one needs no credential.
	Security []map[string][]string `json:"security"`
}

// reference is to a component.
type reference struct {
	Ref string `json:"$ref"`
}

type parameter struct {
	Name        string         `json:"name"`
	In          string         `json:"in"`
	Description string         `json:"description,omitempty"`
	Required    bool           `json:"required,omitempty"`
	Style       string         `json:"style,omitempty"`
	Explode     *bool          `json:"explode,omitempty"`
	Schema      *schema.Schema `json:"schema"`
}

type header struct {
	Description string         `json:"description,omitempty"`
	Schema      *schema.Schema `json:"schema"`
}

type body struct {
	Required bool             `json:"required,omitempty"`
	Content  map[string]media `json:"content"`
}

type media struct {
	Schema *schema.Schema `json:"schema"`
}

// response is a Response Object or, with Ref alone, a reference to one.
type response struct {
	Ref         string                `json:"$ref,omitempty"`
	Description string                `json:"description,omitempty"`
	Headers     map[string]*reference `json:"headers,omitempty"`
	Content     map[string]media      `json:"content,omitempty"`
}

// credential is a Security Scheme Object.
type credential struct {
	Type         string `json:"type"`
	Scheme       string `json:"scheme,omitempty"`
	BearerFormat string `json:"bearerFormat,omitempty"`
	In           string `json:"in,omitempty"`
	Name         string `json:"name,omitempty"`
	Description  string `json:"description,omitempty"`
}
