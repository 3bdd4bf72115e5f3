package vector

import (
	"fluxbase/actors/embedding"
	"fluxbase/transport/route"
)

// capabilities is what a database can do with vectors.
type capabilities struct {
	Enabled bool `json:"enabled" doc:"Vectors can be searched: always, with pgvector or without"`
	*details
}

// details are for administrators.
type details struct {
	Installed         bool   `json:"pgvector_installed"`
	Version           string `json:"pgvector_version,omitempty"`
	EmbeddingEnabled  bool   `json:"embedding_enabled"`
	EmbeddingProvider string `json:"embedding_provider,omitempty"`
	EmbeddingModel    string `json:"embedding_model,omitempty"`
}

// capabilities answers what the tenant's database can do with vectors.
func (h handler) capabilities(r *route.Request) error {
	c := capabilities{Enabled: true}
	if embedding.MayChoose(r.Caller()) {
		// Who asks may just have made the extension.
		catalogue := r.Tenant().Catalog
		if _, err := catalogue.Refresh(r.Context(), catalogue.Current()); err != nil {
			return err
		}
		version, installed := catalogue.Current().Extension("vector")
		c.details = &details{
			Installed: installed, Version: version,
			EmbeddingEnabled: h.options.Provider != "", EmbeddingProvider: h.options.Provider, EmbeddingModel: h.options.Model,
		}
	}
	return r.JSON(200, c)
}
