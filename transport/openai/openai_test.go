package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/persistence/fault"
)

const secret = "sk-very-secret-key"

// answering is a server that answers every request as f does.
func answering(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

// protocol answers as OpenAI does: the last vector first, because the numbers count and
// not the order.
func protocol(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Model    string   `json:"model"`
		Input    []string `json:"input"`
		Encoding string   `json:"encoding_format"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Encoding != "float" || len(asked.Input) == 0 {
		http.Error(w, `{"error":{"message":"bad request"}}`, http.StatusBadRequest)
		return
	}
	var items []string
	for i := len(asked.Input) - 1; i >= 0; i-- {
		items = append(items, fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":[%d,-0.25]}`, i, len(asked.Input[i])))
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"object":"list","data":[%s],"model":%q,"usage":{"prompt_tokens":3,"total_tokens":4}}`, strings.Join(items, ","), asked.Model)
}

// TestServices: each kind of service is addressed as it wants to be.
func TestServices(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-of-the-environment")
	t.Setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/")
	t.Setenv("OPENAI_ORG_ID", "org-of-the-environment")
	var seen string
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		seen = fmt.Sprintf("%s %s auth=%q key=%q org=%q", r.Method, r.URL, r.Header.Get("Authorization"), r.Header.Get("api-key"), r.Header.Get("OpenAI-Organization"))
		protocol(w, r)
	})
	for _, c := range []struct {
		name   string
		client *Client
		want   string
	}{
		{"openai", OpenAI(url+"/v1", secret, "org-1"), `POST /v1/embeddings auth="Bearer sk-very-secret-key" key="" org="org-1"`},
		{"compatible without a key", OpenAI(url+"/base/", "", ""), `POST /base/embeddings auth="" key="" org=""`},
		{"azure", Azure(url, secret, "my deployment", ""), `POST /openai/deployments/my%20deployment/embeddings?api-version=2024-02-15-preview auth="" key="sk-very-secret-key" org=""`},
		{"azure by model", Azure(url+"/", secret, "", "2025-01-01"), `POST /openai/deployments/small/embeddings?api-version=2025-01-01 auth="" key="sk-very-secret-key" org=""`},
		{"ollama", Ollama(url), `POST /v1/embeddings auth="" key="" org=""`},
	} {
		e, err := c.client.Embed(t.Context(), "small", []string{"a", "bcd"})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if seen != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, seen, c.want)
		}
		if got := fmt.Sprintf("%v %s %v", e.Vectors, e.Model, *e.Usage); got != "[[1 -0.25] [3 -0.25]] small {3 4}" {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// TestRefusals: what a service says becomes a code, and no secret is in it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	says := func(status int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Should-Retry", "false")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	leak := `{"error":{"message":"Incorrect API key provided: ` + secret + `","code":"invalid_api_key"}}`
	for _, c := range []struct {
		name   string
		handle http.HandlerFunc
		code   fault.Code
		hint   string
	}{
		{"key", says(401, "", leak), fault.ServiceUnavailable, ""},
		{"forbidden", says(403, "", leak), fault.ServiceUnavailable, ""},
		{"text", says(400, "", `{"error":{"message":"maximum context length is 8192 tokens","type":"invalid_request_error"}}`), fault.InvalidInput, "maximum context length is 8192 tokens"},
		{"model", says(404, "", `{"error":{"message":"no such model"}}`), fault.InvalidInput, "no such model"},
		{"long words", says(400, "", `{"error":{"message":"`+strings.Repeat("é", 400)+`"}}`), fault.InvalidInput, strings.Repeat("é", 150)},
		{"busy", says(429, "Retry-After: 1", `{"error":{"message":"slow down"}}`), fault.ServiceUnavailable, ""},
		{"broken", says(500, "", `oops `+secret), fault.ServiceUnavailable, ""},
		{"elsewhere", says(307, "Location: http://127.0.0.1:1/", ``), fault.ServiceUnavailable, ""},
		{"no JSON", says(200, "", `<html>`), fault.ServiceUnavailable, ""},
		{"numbered twice", says(200, "", `{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}`), fault.ServiceUnavailable, ""},
		{"numbered beyond", says(200, "", `{"data":[{"index":7,"embedding":[1]}]}`), fault.ServiceUnavailable, ""},
	} {
		_, err := OpenAI(answering(t, c.handle), secret, "").Embed(t.Context(), "m", []string{"a"})
		f := fault.From(err)
		if f.Code != c.code || f.Hint != c.hint {
			t.Errorf("%s: %v (hint %q), want %s %q", c.name, err, f.Hint, c.code, c.hint)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", err, f), secret) {
			t.Errorf("%s: the key is in %v", c.name, err)
		}
	}
}

func TestWhatMayPassIsRepeated(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 {
			w.Header().Set("Retry-After-Ms", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		protocol(w, r)
	})
	if _, err := OpenAI(url, secret, "").Embed(t.Context(), "m", []string{"a"}); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d attempts", err, asked.Load())
	}
	if _, err := OpenAI("http://127.0.0.1:1/", secret, "").Embed(t.Context(), "m", []string{"a"}); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("nobody there: %v", err)
	}
}

func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 8)
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		// A server only sees that a client left once it has read the body.
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	c := OpenAI(url, secret, "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Embed(ctx, "m", []string{"a"}); fault.CodeOf(err) != fault.Timeout {
		t.Errorf("a deadline: %v", err)
	}
	ctx, leave := context.WithCancel(t.Context())
	<-arrived
	go func() { <-arrived; leave() }()
	if _, err := c.Embed(ctx, "m", []string{"a"}); fault.CodeOf(err) != fault.Canceled {
		t.Errorf("somebody who left: %v", err)
	}
}

func TestAnEndlessAnswerIsNotRead(t *testing.T) {
	t.Parallel()
	b := &boundedBody{ReadCloser: io.NopCloser(strings.NewReader("0123456789")), left: 4}
	text, err := io.ReadAll(b)
	if string(text) != "0123" || err != errAnswerTooLarge {
		t.Errorf("%q, %v", text, err)
	}
}
