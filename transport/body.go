package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"

	"github.com/valyala/fasthttp"

	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// prefetched is how much of a body the server has read when the route is found.
const prefetched = 8 << 10

// firstBuffer is the most memory that a body gets before its bytes are there.
const firstBuffer = 64 << 10

// readBody reads a body of at most limit bytes into memory of its own: messages
// keep parts of it, also when the asker has given up waiting.
func readBody(ctx *fasthttp.RequestCtx, life context.Context, area route.Limit, limit int64) ([]byte, error) {
	length := int64(ctx.Request.Header.ContentLength())
	if length > limit {
		return nil, tooLarge(area, limit)
	}
	stream := ctx.RequestBodyStream()
	if stream == nil {
		if body := ctx.Request.Body(); len(body) > 0 {
			return append([]byte(nil), body...), nil
		}
		return nil, nil
	}
	if length == 0 {
		return nil, nil
	}
	if length < 0 || length > prefetched {
		// A client that trickles its body may take as long as its request has.
		if deadline, ok := life.Deadline(); ok {
			if err := ctx.SetReadDeadline(deadline); err != nil {
				return nil, fault.New(fault.Canceled, "The connection is closed").WithCause(err)
			}
		}
	}
	body, err := readAll(stream, length, limit)
	switch {
	case err != nil:
		return nil, brokenBody(err)
	case int64(len(body)) > limit:
		return nil, tooLarge(area, limit)
	case length > 0 && int64(len(body)) < length:
		return nil, brokenBody(io.ErrUnexpectedEOF)
	}
	return body, nil
}

// readAll reads to the end, or one byte beyond limit. Memory grows with what has
// come, not with what the header promises. length is negative when unknown.
func readAll(stream io.Reader, length, limit int64) ([]byte, error) {
	first := int64(firstBuffer)
	if length > 0 {
		first = min(first, length+1) // one more, to read the end without growing
	}
	body := make([]byte, 0, first)
	for int64(len(body)) <= limit {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		free := body[len(body):cap(body)]
		n, err := stream.Read(free[:min(int64(len(free)), limit+1-int64(len(body)))])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return body, err
		}
	}
	return body, nil
}

// boundedBody is the body of a Stream route. promised is what the header says
// is still to come, negative when it does not say.
type boundedBody struct {
	body                  io.Reader
	left, limit, promised int64
	area                  route.Limit
}

func streamBody(ctx *fasthttp.RequestCtx, area route.Limit, limit int64) (io.Reader, error) {
	length := int64(ctx.Request.Header.ContentLength())
	if length > limit {
		return nil, tooLarge(area, limit)
	}
	stream := ctx.RequestBodyStream()
	if stream == nil {
		stream, length = bytes.NewReader(ctx.Request.Body()), -1
	}
	return &boundedBody{body: stream, left: limit, limit: limit, promised: length, area: area}, nil
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.promised >= 0 {
		b.promised -= int64(n)
	}
	switch {
	case b.left < 0:
		return n - 1, tooLarge(b.area, b.limit)
	case err == io.EOF && b.promised > 0:
		return n, brokenBody(io.ErrUnexpectedEOF)
	case err != nil && err != io.EOF:
		return n, brokenBody(err)
	default:
		return n, err
	}
}

func tooLarge(area route.Limit, limit int64) error {
	return fault.New(fault.PayloadTooLarge, "Payload Too Large").
		WithField("message", "The request body is larger than this endpoint takes.").
		WithHint("Send less at once, or ask the operator to raise server.body_limits." + string(area) + ".").
		WithDetails(map[string]any{"max_bytes": limit, "endpoint_type": area})
}

func brokenBody(err error) error {
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		return fault.New(fault.RequestTimeout, "The request body took too long to arrive").WithCause(err)
	}
	return fault.New(fault.InvalidRequestBody, "The request body ended early").WithCause(err)
}
