package transport

import (
	"bytes"
	"strconv"

	"github.com/valyala/fasthttp"
)

// compressFrom is the size of a body from which compressing pays: below, it fits
// into a packet anyway.
const compressFrom = 1400

// gzipLevel is where more work stops to make JSON much smaller.
const gzipLevel = 4

// compress makes the answer smaller when it is large, text, whole, and the client
// takes gzip.
func compress(ctx *fasthttp.RequestCtx) {
	resp := &ctx.Response
	if resp.IsBodyStream() || len(resp.Body()) < compressFrom || len(resp.Header.ContentEncoding()) > 0 ||
		!compressible(resp.Header.ContentType()) || resp.StatusCode() == fasthttp.StatusPartialContent {
		return
	}
	resp.Header.Add("Vary", "Accept-Encoding")
	if !acceptsGzip(ctx.Request.Header.Peek("Accept-Encoding")) {
		return
	}
	packed := fasthttp.AppendGzipBytesLevel(make([]byte, 0, len(resp.Body())/3), resp.Body(), gzipLevel)
	resp.SetBodyRaw(packed)
	resp.Header.SetContentEncoding("gzip")
}

func compressible(contentType []byte) bool {
	if i := bytes.IndexByte(contentType, ';'); i >= 0 {
		contentType = contentType[:i]
	}
	if bytes.HasPrefix(contentType, []byte("text/")) || bytes.HasSuffix(contentType, []byte("json")) || bytes.HasSuffix(contentType, []byte("xml")) {
		return true
	}
	return bytes.Equal(contentType, []byte("application/javascript")) || bytes.Equal(contentType, []byte("application/wasm"))
}

// acceptsGzip reads an Accept-Encoding header. gzip by its own name counts before
// "*", and a weight of 0 refuses.
func acceptsGzip(header []byte) bool {
	star := false
	for part := range bytes.SplitSeq(header, []byte{','}) {
		name, params, _ := bytes.Cut(part, []byte{';'})
		name = bytes.TrimSpace(name)
		named := bytes.EqualFold(name, []byte("gzip"))
		if !named && !bytes.Equal(name, []byte("*")) {
			continue
		}
		if named {
			return positive(params)
		}
		star = positive(params)
	}
	return star
}

func positive(params []byte) bool {
	_, weight, found := bytes.Cut(bytes.ToLower(params), []byte("q="))
	if !found {
		return true
	}
	q, err := strconv.ParseFloat(string(bytes.TrimSpace(weight)), 64)
	return err == nil && q > 0
}
