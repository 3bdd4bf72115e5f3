package embedding

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// Provider is a service that embeds texts.
type Provider interface {
	// Embed gives a vector for each text, in order. What the provider refuses is
	// INVALID_INPUT, and that it cannot be used now SERVICE_UNAVAILABLE or TIMEOUT; no
	// error repeats a credential. It ends when ctx does.
	Embed(ctx context.Context, model string, texts []string) (*Embedded, error)
}

// Choice is a provider with the model that it is asked for by default.
type Choice struct {
	Provider Provider
	Model    string
}

// Options are what a worker works with.
type Options struct {
	// Providers are the configured ones by name; Default is the name of the one that is
	// asked unless a message names another. An empty Default is none at all.
	Providers map[string]Choice
	Default   string
	// MaxTexts is how many texts one message may have, MaxTextBytes how long each may
	// be.
	MaxTexts     int
	MaxTextBytes int
	// Timeout bounds one question to a provider, its repetitions included.
	Timeout time.Duration
}

// Worker answers one message at a time. It keeps no state: one value serves all workers
// of a pool.
type Worker struct{ options Options }

// NewWorker makes a worker.
func NewWorker(o Options) *Worker { return &Worker{options: o} }

// Handle answers any message of this package. It blocks until the provider has
// answered.
func (w *Worker) Handle(ctx context.Context, msg any) (any, error) {
	m, ok := msg.(*Embed)
	if !ok {
		return nil, fmt.Errorf("embedding worker does not know %T", msg)
	}
	choice, model, err := w.options.choose(m)
	if err != nil {
		return nil, err
	}
	if err := w.options.check(m.Texts); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.options.Timeout)
	defer cancel()
	embedded, err := choice.Provider.Embed(ctx, model, m.Texts)
	if err != nil {
		return nil, err
	}
	if err := embedded.check(len(m.Texts)); err != nil {
		return nil, err
	}
	if embedded.Model == "" {
		embedded.Model = model
	}
	return embedded, nil
}

// MayChoose tells whether a caller may choose a provider and see which are configured.
func MayChoose(c caller.Caller) bool {
	return c.HasRole(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin, caller.Service)
}

// choose finds the provider and the model that a message means.
func (o *Options) choose(m *Embed) (Choice, string, error) {
	if m.Provider != "" && !MayChoose(m.Caller) {
		return Choice{}, "", fault.New(fault.AdminRequired, "Admin role required").WithHint("Only administrators may choose a provider.")
	}
	if o.Default == "" {
		return Choice{}, "", fault.New(fault.FeatureDisabled, "Embedding service is not configured").
			WithField("feature_key", "ai.embedding_enabled")
	}
	name := m.Provider
	if name == "" {
		name = o.Default
	}
	choice, ok := o.Providers[name]
	if !ok {
		return Choice{}, "", fault.Newf(fault.InvalidInput, "The embedding provider %q is not configured", cut(name))
	}
	if m.Model == "" {
		return choice, choice.Model, nil
	}
	if !isModel(m.Model) {
		return Choice{}, "", fault.Newf(fault.InvalidInput, "%q is not the name of a model", cut(m.Model))
	}
	return choice, m.Model, nil
}

// isModel tells whether a text can name a model: it becomes part of an address with
// some providers.
func isModel(name string) bool {
	const punctuation = "._-:/"
	if len(name) > 100 || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || strings.IndexByte(punctuation, c) < 0) {
			return false
		}
	}
	return name != ""
}

// check judges the texts of a message.
func (o *Options) check(texts []string) error {
	if len(texts) == 0 {
		return fault.New(fault.MissingRequiredField, "text or texts is required")
	}
	if len(texts) > o.MaxTexts {
		return fault.Newf(fault.BatchTooLarge, "%d texts are more than the %d that may be embedded at once", len(texts), o.MaxTexts)
	}
	for i, text := range texts {
		switch {
		case strings.TrimSpace(text) == "":
			return fault.Newf(fault.InvalidInput, "Text %d is empty", i+1)
		case len(text) > o.MaxTextBytes:
			return fault.Newf(fault.InvalidInput, "Text %d is longer than %d bytes", i+1, o.MaxTextBytes)
		case !utf8.ValidString(text):
			return fault.Newf(fault.InvalidInput, "Text %d is not valid UTF-8", i+1)
		}
	}
	return nil
}

// check makes sure that a provider's answer is what Embedded promises.
func (e *Embedded) check(texts int) error {
	if len(e.Vectors) != texts {
		return unusable("%d vectors for %d texts", len(e.Vectors), texts)
	}
	for _, v := range e.Vectors {
		if len(v) == 0 || len(v) != len(e.Vectors[0]) {
			return unusable("vectors of %d and %d numbers", len(e.Vectors[0]), len(v))
		}
		for _, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return unusable("a vector with the number %v", x)
			}
		}
	}
	return nil
}

// unusable is the fault of an answer that breaks the provider's own protocol.
func unusable(format string, args ...any) error {
	return fault.New(fault.ServiceUnavailable, "The embedding provider gave no usable answer").WithCause(fmt.Errorf(format, args...))
}

// cut is the beginning of a text, for messages.
func cut(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
