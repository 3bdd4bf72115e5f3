package route

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"fluxbase/persistence/fault"
)

// envelope is the body of every error.
type envelope struct {
	Error     string     `json:"error"`
	Code      fault.Code `json:"code"`
	Message   string     `json:"message,omitempty"`
	Hint      string     `json:"hint,omitempty"`
	Details   any        `json:"details,omitempty"`
	RequestID string     `json:"request_id,omitempty"`
}

// Coded is an error of a dialect that has codes of its own.
type Coded interface {
	error
	// ErrorCode is the code as the client gets it.
	ErrorCode() string
}

// CodeOf is the code that an error is known by, for logs: the dialect's, or else the
// table's.
func CodeOf(err error) string {
	var c Coded
	if errors.As(err, &c) {
		return c.ErrorCode()
	}
	return string(fault.CodeOf(err))
}

// WriteFailure answers with err as the table and the envelope have it, and gives
// the status. What the handler wrote before is dropped; headers stay.
func WriteFailure(resp *fasthttp.Response, requestID string, err error) int {
	f := fault.From(err)
	status := Status(f.Code)
	body, encodeErr := encodeFailure(f, requestID)
	if encodeErr != nil {
		// Details that JSON cannot hold must not cost the client the error itself.
		body, _ = encodeFailure(fault.New(f.Code, f.Message), requestID)
	}
	if f.RetryAfter > 0 {
		resp.Header.Set("Retry-After", strconv.Itoa(wholeSeconds(f.RetryAfter)))
	}
	if f.Code == fault.MissingAuthentication || status == fasthttp.StatusUnauthorized {
		resp.Header.Set("WWW-Authenticate", `Bearer realm="fluxbase"`)
	}
	resp.ResetBody()
	resp.Header.Del("Content-Encoding")
	resp.SetStatusCode(status)
	resp.Header.SetContentType(contentJSON)
	resp.SetBodyRaw(body)
	return status
}

func encodeFailure(f *fault.Fault, requestID string) ([]byte, error) {
	body, err := json.Marshal(envelope{
		Error: f.Message, Code: f.Code, Hint: f.Hint, Details: f.Details, RequestID: requestID,
	})
	if err != nil || len(f.Fields) == 0 {
		return body, err
	}
	names := make([]string, 0, len(f.Fields))
	for name := range f.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	body = body[:len(body)-1]
	for _, name := range names {
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.Fields[name])
		if err != nil {
			return nil, err
		}
		body = append(append(append(append(body, ','), key...), ':'), value...)
	}
	return append(body, '}'), nil
}

func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
