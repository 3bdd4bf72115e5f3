package route

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/valyala/fasthttp"
)

const contentJSON = "application/json; charset=utf-8"

// JSON answers with v as JSON. It returns what encoding returned, so that a
// handler can end with it.
func (r *Request) JSON(status int, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	return r.Raw(status, contentJSON, bytes.TrimRight(b.Bytes(), "\n"))
}

// RawJSON answers with text that is JSON already. The response takes it over.
func (r *Request) RawJSON(status int, text []byte) error { return r.Raw(status, contentJSON, text) }

// Raw answers with body as it is. The response takes it over.
func (r *Request) Raw(status int, contentType string, body []byte) error {
	r.fast.Response.SetStatusCode(status)
	r.fast.Response.Header.SetContentType(contentType)
	r.fast.Response.SetBodyRaw(body)
	return nil
}

// Accepted answers 202 without a body.
func (r *Request) Accepted() error {
	r.fast.Response.ResetBody()
	r.fast.Response.SetStatusCode(fasthttp.StatusAccepted)
	return nil
}

// NoContent answers 204.
func (r *Request) NoContent() error {
	r.fast.Response.ResetBody()
	r.fast.Response.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// NotModified answers 304.
func (r *Request) NotModified() error {
	r.fast.Response.ResetBody()
	r.fast.Response.SetStatusCode(fasthttp.StatusNotModified)
	return nil
}

// Redirect answers with status and a Location.
func (r *Request) Redirect(status int, location string) error {
	r.fast.Response.Header.Set("Location", location)
	r.fast.Response.SetStatusCode(status)
	return nil
}

// SetHeader sets a header of the response.
func (r *Request) SetHeader(name, value string) { r.fast.Response.Header.Set(name, value) }

// AddHeader adds a value to a header of the response.
func (r *Request) AddHeader(name, value string) { r.fast.Response.Header.Add(name, value) }

// Cookie is a cookie to set. An empty Value deletes the cookie of that Name and Path.
type Cookie struct {
	Name, Value, Path string
	MaxAge            time.Duration
	SameSite          fasthttp.CookieSameSite
}

// SetCookie sets a cookie that no script can read; it is Secure when the client
// came over TLS.
func (r *Request) SetCookie(cookie Cookie) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(cookie.Name)
	c.SetValue(cookie.Value)
	c.SetPath(cookie.Path)
	c.SetHTTPOnly(true)
	c.SetSameSite(cookie.SameSite)
	c.SetSecure(r.https)
	if cookie.Value == "" {
		c.SetExpire(fasthttp.CookieExpireDelete)
	} else {
		c.SetMaxAge(int(cookie.MaxAge / time.Second))
	}
	r.fast.Response.Header.SetCookie(c)
}

// streamed is an answer that is written after the handler has returned.
type streamed struct {
	write func(ctx context.Context, w *bufio.Writer) error
}

// Stream answers with what write writes, as it writes it; flush w to send. write
// runs after the handler has returned, until it returns or the client is gone,
// which ends ctx and makes writing fail. Routes that stream without end have
// NoTimeout.
func (r *Request) Stream(status int, contentType string, write func(ctx context.Context, w *bufio.Writer) error) error {
	r.fast.Response.SetStatusCode(status)
	r.fast.Response.Header.SetContentType(contentType)
	r.streamed = &streamed{write: write}
	return nil
}
