// Package openai speaks to services that embed texts in the protocol of OpenAI: OpenAI
// itself and whatever is compatible with it, Azure's OpenAI and Ollama.
package openai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"fluxbase/actors/embedding"
	"fluxbase/persistence/fault"
)

const (
	// attempts is how often the library repeats a question that failed for reasons that
	// may pass, with growing pauses or those that the service asks for; maxPause is the
	// longest that is waited for.
	attempts = 2
	maxPause = 5 * time.Second
	// maxAnswer is the largest answer that is read.
	maxAnswer = 64 << 20
	// maxMessage is how much of a service's own words is passed on.
	maxMessage = 300
)

// errAnswerTooLarge is for a service that does not stop answering.
var errAnswerTooLarge = errors.New("the answer is too large")

// Client embeds texts by one service. It is safe for concurrent use.
type Client struct {
	service openai.EmbeddingService
	// forModel are further options that depend on the model.
	forModel func(model string) []option.RequestOption
}

var _ embedding.Provider = (*Client)(nil)

// OpenAI is a client of OpenAI, or with a base address of a service that is compatible
// with it. The key may be empty where the service wants none.
func OpenAI(baseURL, key, organization string) *Client {
	if baseURL == "" {
		baseURL = "https://api.openai.com/v1/"
	}
	o := []option.RequestOption{option.WithBaseURL(withSlash(baseURL))}
	if key != "" {
		o = append(o, option.WithAPIKey(key))
	}
	if organization != "" {
		o = append(o, option.WithOrganization(organization))
	}
	return newClient(nil, o...)
}

// Azure is a client of an Azure OpenAI resource. deployment is asked whatever model is
// wanted; empty takes the deployment that is named like the model.
func Azure(endpoint, key, deployment, apiVersion string) *Client {
	if apiVersion == "" {
		apiVersion = "2024-02-15-preview"
	}
	return newClient(func(model string) []option.RequestOption {
		name := deployment
		if name == "" {
			name = model
		}
		return []option.RequestOption{option.WithBaseURL(withSlash(endpoint) + "openai/deployments/" + url.PathEscape(name) + "/")}
	}, option.WithHeader("api-key", key), option.WithQuery("api-version", apiVersion))
}

// Ollama is a client of an Ollama server.
func Ollama(endpoint string) *Client {
	return newClient(nil, option.WithBaseURL(withSlash(endpoint)+"v1/"))
}

func newClient(forModel func(string) []option.RequestOption, o ...option.RequestOption) *Client {
	o = append(o,
		option.WithMaxRetries(attempts), option.WithMaxRetryDelay(maxPause),
		option.WithHTTPClient(&http.Client{Transport: bounded{transport()}, CheckRedirect: noRedirect}))
	// The service alone, unlike the library's client, reads no variables of the
	// environment.
	return &Client{service: openai.NewEmbeddingService(o...), forModel: forModel}
}

// transport keeps connections of its own: closing idle ones is nobody else's business.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		ExpectContinueTimeout: time.Second,
	}
}

// noRedirect: a service that sends elsewhere would be followed with the key.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func withSlash(address string) string { return strings.TrimSuffix(address, "/") + "/" }

// Embed implements embedding.Provider.
func (c *Client) Embed(ctx context.Context, model string, texts []string) (*embedding.Embedded, error) {
	var o []option.RequestOption
	if c.forModel != nil {
		o = c.forModel(model)
	}
	answer, err := c.service.New(ctx, openai.EmbeddingNewParams{
		Model:          model,
		Input:          openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: texts},
		EncodingFormat: openai.EmbeddingNewParamsEncodingFormatFloat,
	}, o...)
	if err != nil {
		return nil, refusal(ctx, err)
	}
	out := &embedding.Embedded{Model: answer.Model, Vectors: make([][]float64, len(answer.Data))}
	for i := range answer.Data {
		// The protocol numbers vectors; a service that does not number them keeps their
		// order.
		at := int64(i)
		if answer.Data[i].JSON.Index.Valid() {
			at = answer.Data[i].Index
		}
		if at < 0 || at >= int64(len(out.Vectors)) || out.Vectors[at] != nil {
			return nil, unavailable(fmt.Errorf("the vectors are numbered wrongly: %d of %d", at, len(out.Vectors)))
		}
		out.Vectors[at] = answer.Data[i].Embedding
	}
	if answer.JSON.Usage.Valid() {
		out.Usage = &embedding.Usage{PromptTokens: answer.Usage.PromptTokens, TotalTokens: answer.Usage.TotalTokens}
	}
	return out, nil
}

// refusal says what an error means to who asked. Addresses and the words of a service
// about credentials stay out of it: they may repeat a key.
func refusal(ctx context.Context, err error) error {
	var refused *openai.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fault.New(fault.Canceled, "The request was cancelled")
	case ctx.Err() != nil:
		return fault.New(fault.Timeout, "The embedding provider did not answer in time")
	case !errors.As(err, &refused):
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the address
		}
		return unavailable(err)
	}
	cause := fmt.Errorf("the provider answered %d %s", refused.StatusCode, refused.Code)
	switch refused.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		message := strings.ToValidUTF8(refused.Message[:min(len(refused.Message), maxMessage)], "")
		return fault.New(fault.InvalidInput, "The embedding provider refused the texts or the model").WithHint(message).WithCause(cause)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.New(fault.ServiceUnavailable, "The embedding provider refused the server's credentials").WithCause(cause)
	case http.StatusTooManyRequests:
		return fault.New(fault.ServiceUnavailable, "The embedding provider is busy").WithRetryAfter(maxPause).WithCause(cause)
	}
	return unavailable(cause)
}

func unavailable(cause error) error {
	return fault.New(fault.ServiceUnavailable, "The embedding provider cannot be used now").WithRetryAfter(maxPause).WithCause(cause)
}

// bounded reads no more of an answer than maxAnswer.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = &boundedBody{ReadCloser: response.Body, left: maxAnswer}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errAnswerTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
