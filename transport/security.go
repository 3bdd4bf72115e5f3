package transport

import "github.com/valyala/fasthttp"

// securityHeaders go with every answer.
var securityHeaders = [...]struct{ name, value []byte }{
	{[]byte("Content-Security-Policy"), []byte("default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'")},
	{[]byte("X-Frame-Options"), []byte("DENY")},
	{[]byte("X-Content-Type-Options"), []byte("nosniff")},
	{[]byte("X-Xss-Protection"), []byte("1; mode=block")},
	{[]byte("Referrer-Policy"), []byte("strict-origin-when-cross-origin")},
	{[]byte("Permissions-Policy"), []byte("geolocation=(), microphone=(), camera=()")},
}

func setSecurityHeaders(h *fasthttp.ResponseHeader, https, debug bool) {
	for i := range securityHeaders {
		h.SetCanonical(securityHeaders[i].name, securityHeaders[i].value)
	}
	if https {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
	if debug {
		h.Set("Cache-Control", "no-store")
	}
}
