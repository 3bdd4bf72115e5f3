package vector

import (
	"fluxbase/actors/embedding"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// embedBody is a request for the vectors of texts.
type embedBody struct {
	Text     *string  `json:"text,omitempty" doc:"A single text"`
	Texts    []string `json:"texts,omitempty" doc:"Several texts"`
	Model    string   `json:"model,omitempty" doc:"The provider's name of the model; the configured one if it is left out"`
	Provider string   `json:"provider,omitempty" doc:"A configured provider, for administrators"`
}

// embedded is the answer.
type embedded struct {
	Embeddings [][]float64 `json:"embeddings" doc:"A vector for each text, in order"`
	Model      string      `json:"model"`
	Dimensions int         `json:"dimensions"`
	Usage      *usage      `json:"usage,omitempty"`
}

// usage is what the provider counted.
type usage struct {
	PromptTokens int64 `json:"prompt_tokens"`
	TotalTokens  int64 `json:"total_tokens"`
}

// embed answers the vectors of texts.
func embed(r *route.Request) error {
	var b embedBody
	if err := route.DecodeStrictly(r.Body(), &b); err != nil {
		return err
	}
	texts := b.Texts
	if b.Text != nil {
		if texts != nil {
			return fault.New(fault.InvalidInput, "Give text or texts, not both")
		}
		texts = []string{*b.Text}
	}
	e, err := ask(r, &embedding.Embed{Caller: r.Caller(), Texts: texts, Model: b.Model, Provider: b.Provider})
	if err != nil {
		return err
	}
	out := embedded{Embeddings: e.Vectors, Model: e.Model, Dimensions: len(e.Vectors[0])}
	if e.Usage != nil {
		out.Usage = &usage{e.Usage.PromptTokens, e.Usage.TotalTokens}
	}
	return r.JSON(200, out)
}

func ask(r *route.Request, m *embedding.Embed) (*embedding.Embedded, error) {
	return kernel.Ask[*embedding.Embedded](r.Context(), r.Tenant().Embedding, m)
}
