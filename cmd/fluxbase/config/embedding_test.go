package config

import (
	"strings"
	"testing"
)

// TestEmbedding: who embeds texts must be reachable, and its model is known.
func TestEmbedding(t *testing.T) {
	for _, c := range []struct {
		name     string
		set      AI
		embedder string
		model    string
		// violation is the key that is wrong; empty for none.
		violation string
	}{
		{"off", AI{EmbeddingProvider: "openai"}, "", "", ""},
		{"no provider", AI{EmbeddingEnabled: true}, "", "", "ai.embedding_provider"},
		{"unknown provider", AI{EmbeddingEnabled: true, EmbeddingProvider: "oracle"}, "oracle", "", "ai.embedding_provider"},
		{"openai without a key", AI{EmbeddingEnabled: true, EmbeddingProvider: "openai"}, "openai", "text-embedding-3-small", "ai.openai_api_key"},
		{"openai", AI{EmbeddingEnabled: true, EmbeddingProvider: "openai", OpenAIAPIKey: "k", EmbeddingModel: "large"}, "openai", "large", ""},
		{"a compatible service", AI{EmbeddingEnabled: true, EmbeddingProvider: "openai", OpenAIBaseURL: "http://localhost:1"}, "openai", "text-embedding-3-small", ""},
		{"the provider of chats", AI{EmbeddingEnabled: true, ProviderType: "ollama"}, "ollama", "nomic-embed-text", ""},
		{"azure without an endpoint", AI{EmbeddingEnabled: true, EmbeddingProvider: "azure", AzureAPIKey: "k"}, "azure", "text-embedding-ada-002", "ai.azure_endpoint"},
		{"a bad address", AI{OllamaEndpoint: "ftp://x"}, "", "", "ai.ollama_endpoint"},
	} {
		l := valid(t)
		a := &l.Config.AI
		limits := *a
		*a = c.set
		a.Enabled = true
		a.EmbeddingMaxTexts, a.EmbeddingMaxTextBytes, a.EmbeddingTimeout, a.EmbeddingWorkers = limits.EmbeddingMaxTexts, limits.EmbeddingMaxTextBytes, limits.EmbeddingTimeout, limits.EmbeddingWorkers
		if got := a.Embedder(); got != c.embedder || got != "" && a.EmbeddingModelOf(got) != c.model {
			t.Errorf("%s: %q with %q, want %q with %q", c.name, got, a.EmbeddingModelOf(got), c.embedder, c.model)
		}
		_, err := l.Config.Validate()
		if (err != nil) != (c.violation != "") || err != nil && !strings.Contains(err.Error(), c.violation) {
			t.Errorf("%s: %v, want a violation of %q", c.name, err, c.violation)
		}
		a.Enabled = false
		if a.Embedder() != "" {
			t.Errorf("%s: texts are embedded though ai is off", c.name)
		}
	}
}
