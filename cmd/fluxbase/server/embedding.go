package server

import (
	"fluxbase/actors/embedding"
	"fluxbase/actors/kernel"
	"fluxbase/cmd/fluxbase/config"
	"fluxbase/transport/openai"
	"fluxbase/transport/vector"
)

// openEmbedding brings up the pool that waits for the provider of embeddings.
func (s *Server) openEmbedding(p *tenantParts, spawn kernel.Spawner) (err error) {
	c := &s.options.Config.AI
	worker := embedding.NewWorker(embedding.Options{
		Providers: embedders(c), Default: c.Embedder(),
		MaxTexts: c.EmbeddingMaxTexts, MaxTextBytes: int(c.EmbeddingMaxTextBytes), Timeout: c.EmbeddingTimeout,
	})
	p.route.Embedding, err = spawn.SpawnPool(kernel.PoolProps{
		Name: "embedding", Workers: c.EmbeddingWorkers, Queue: c.EmbeddingQueue,
		New: func() kernel.Worker { return worker },
	})
	return err
}

// embedders are the providers whose credentials or addresses are configured.
func embedders(c *config.AI) map[string]embedding.Choice {
	all := map[string]embedding.Choice{}
	if c.OpenAIAPIKey != "" || c.OpenAIBaseURL != "" {
		all["openai"] = embedding.Choice{Provider: openai.OpenAI(c.OpenAIBaseURL, c.OpenAIAPIKey.Reveal(), c.OpenAIOrganization)}
	}
	if c.AzureAPIKey != "" && c.AzureEndpoint != "" {
		deployment := c.AzureDeployment
		if c.Embedder() == "azure" && c.EmbeddingModel != "" {
			deployment = "" // the one of the model: the other is a chat's
		}
		all["azure"] = embedding.Choice{Provider: openai.Azure(c.AzureEndpoint, c.AzureAPIKey.Reveal(), deployment, c.AzureAPIVersion)}
	}
	if c.OllamaModel != "" || c.Embedder() == "ollama" {
		all["ollama"] = embedding.Choice{Provider: openai.Ollama(c.OllamaEndpoint)}
	}
	for name, choice := range all {
		choice.Model = c.EmbeddingModelOf(name)
		all[name] = choice
	}
	return all
}

// vectorOptions say which embedding provider there is.
func vectorOptions(c config.AI) vector.Options {
	provider := c.Embedder()
	if provider == "" {
		return vector.Options{}
	}
	return vector.Options{Provider: provider, Model: c.EmbeddingModelOf(provider)}
}
