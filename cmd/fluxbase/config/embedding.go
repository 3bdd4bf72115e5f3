package config

// Embedder is the name of the provider that embeds texts unless a request names another
// one; empty when texts are not embedded.
func (c *AI) Embedder() string {
	switch {
	case !c.Enabled || !c.EmbeddingEnabled:
		return ""
	case c.EmbeddingProvider != "":
		return c.EmbeddingProvider
	}
	return c.ProviderType
}

// usualModels are what providers are asked for when nobody names a model.
var usualModels = map[string]string{"openai": "text-embedding-3-small", "azure": "text-embedding-ada-002", "ollama": "nomic-embed-text"}

// EmbeddingModelOf is the model that a provider is asked for by default.
func (c *AI) EmbeddingModelOf(provider string) string {
	if provider == c.Embedder() && c.EmbeddingModel != "" {
		return c.EmbeddingModel
	}
	return usualModels[provider]
}
