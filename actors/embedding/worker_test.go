package embedding_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fluxbase/actors/embedding"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// provider answers as it is told, and remembers what it was asked.
type provider struct {
	answer func(ctx context.Context, texts []string) (*embedding.Embedded, error)
	model  string
	texts  []string
}

func (p *provider) Embed(ctx context.Context, model string, texts []string) (*embedding.Embedded, error) {
	p.model, p.texts = model, texts
	return p.answer(ctx, texts)
}

// lengths gives each text a vector of its length.
func lengths(_ context.Context, texts []string) (*embedding.Embedded, error) {
	out := &embedding.Embedded{}
	for _, t := range texts {
		out.Vectors = append(out.Vectors, []float64{float64(len(t)), 1})
	}
	return out, nil
}

func worker(providers map[string]embedding.Choice) *embedding.Worker {
	return embedding.NewWorker(embedding.Options{Providers: providers, Default: "one", MaxTexts: 3, MaxTextBytes: 10, Timeout: time.Second})
}

func TestEmbed(t *testing.T) {
	t.Parallel()
	one, two := &provider{answer: lengths}, &provider{answer: lengths}
	w := worker(map[string]embedding.Choice{"one": {Provider: one, Model: "small"}, "two": {Provider: two, Model: "large"}})
	admin := caller.Caller{Role: caller.InstanceAdmin}
	for _, c := range []struct {
		name string
		msg  embedding.Embed
		want string // provider and model, or a code
	}{
		{"default", embedding.Embed{Texts: []string{"a", "bcd"}}, "one small"},
		{"model", embedding.Embed{Texts: []string{"a"}, Model: "org/model-1.5:latest"}, "one org/model-1.5:latest"},
		{"provider", embedding.Embed{Caller: admin, Texts: []string{"a"}, Provider: "two"}, "two large"},
		{"provider of others", embedding.Embed{Caller: caller.Caller{Role: caller.Authenticated}, Texts: []string{"a"}, Provider: "two"}, "! ADMIN_REQUIRED"},
		{"unknown provider", embedding.Embed{Caller: admin, Texts: []string{"a"}, Provider: "three"}, "! INVALID_INPUT"},
		{"model that leads elsewhere", embedding.Embed{Texts: []string{"a"}, Model: "../../secrets"}, "! INVALID_INPUT"},
		{"model with a query", embedding.Embed{Texts: []string{"a"}, Model: "x?y=z"}, "! INVALID_INPUT"},
		{"long model", embedding.Embed{Texts: []string{"a"}, Model: strings.Repeat("m", 101)}, "! INVALID_INPUT"},
		{"no text", embedding.Embed{}, "! MISSING_REQUIRED_FIELD"},
		{"blank text", embedding.Embed{Texts: []string{"a", " \n"}}, "! INVALID_INPUT"},
		{"long text", embedding.Embed{Texts: []string{"12345678901"}}, "! INVALID_INPUT"},
		{"broken text", embedding.Embed{Texts: []string{"\xff"}}, "! INVALID_INPUT"},
		{"many texts", embedding.Embed{Texts: []string{"a", "b", "c", "d"}}, "! BATCH_TOO_LARGE"},
	} {
		one.model, two.model = "", ""
		reply, err := w.Handle(t.Context(), &c.msg)
		got := "! " + string(fault.CodeOf(err))
		if err == nil {
			got = "one " + one.model
			if two.model != "" {
				got = "two " + two.model
			}
			e := reply.(*embedding.Embedded)
			if len(e.Vectors) != len(c.msg.Texts) || e.Vectors[0][0] != 1 || !strings.HasSuffix(got, " "+e.Model) {
				t.Errorf("%s: %+v", c.name, e)
			}
		} else if one.model+two.model != "" {
			t.Errorf("%s: the provider was asked", c.name)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	none := embedding.NewWorker(embedding.Options{})
	if _, err := none.Handle(t.Context(), &embedding.Embed{Texts: []string{"a"}}); fault.CodeOf(err) != fault.FeatureDisabled {
		t.Errorf("without a provider: %v", err)
	}
}

// TestAnswersThatBreakTheProtocol: what a provider must not say does not get through.
func TestAnswersThatBreakTheProtocol(t *testing.T) {
	t.Parallel()
	for name, vectors := range map[string][][]float64{
		"none": nil, "one too few": {{1}}, "one too many": {{1}, {2}, {3}}, "of different sizes": {{1}, {1, 2}}, "without numbers": {{}, {}},
		"not a number": {{1}, {math.NaN()}}, "infinite": {{1}, {math.Inf(1)}}, "missing": {{1}, nil},
	} {
		p := &provider{answer: func(context.Context, []string) (*embedding.Embedded, error) {
			return &embedding.Embedded{Vectors: vectors}, nil
		}}
		w := worker(map[string]embedding.Choice{"one": {Provider: p}})
		if _, err := w.Handle(t.Context(), &embedding.Embed{Texts: []string{"a", "b"}}); fault.CodeOf(err) != fault.ServiceUnavailable {
			t.Errorf("%s: %v, want SERVICE_UNAVAILABLE", name, err)
		}
	}
}

func TestASilentProviderIsNotWaitedForForever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		p := &provider{answer: func(ctx context.Context, _ []string) (*embedding.Embedded, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}
		w := worker(map[string]embedding.Choice{"one": {Provider: p}})
		_, err := w.Handle(t.Context(), &embedding.Embed{Texts: []string{"a"}})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}
