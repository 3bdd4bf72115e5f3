package openapi

import "fluxbase/transport/openapi/schema"

// errorBody is the envelope of errors. Some codes come with members of their own.
var errorBody = func() *schema.Schema {
	s := schema.Object(
		schema.Required("error", schema.Text().Described("For people")),
		schema.Required("code", schema.Text().Described("Stable, for programs")),
		schema.Optional("message", schema.Text()),
		schema.Optional("hint", schema.Text()),
		schema.Optional("details", schema.Any()),
		schema.Optional("request_id", schema.Text()),
	)
	s.Additional = schema.Any()
	return s.Named("Error")
}()
