package auth

import (
	"time"

	"github.com/valyala/fasthttp"

	"fluxbase/actors/credential"
	"fluxbase/actors/identity"
	"fluxbase/transport/route"
)

// The refresh token goes to nobody but the routes that use it.
const (
	accessPath  = "/"
	refreshPath = "/api/v1/auth"
)

func (h handler) setCookies(r *route.Request, g identity.Granted) {
	h.setCookie(r, credential.AccessCookie, g.AccessToken, accessPath, h.AccessTTL, fasthttp.CookieSameSiteLaxMode)
	h.setCookie(r, credential.RefreshCookie, g.RefreshToken, refreshPath, h.RefreshTTL, fasthttp.CookieSameSiteStrictMode)
}

func (h handler) clearCookies(r *route.Request) {
	h.setCookie(r, credential.AccessCookie, "", accessPath, 0, fasthttp.CookieSameSiteLaxMode)
	h.setCookie(r, credential.RefreshCookie, "", refreshPath, 0, fasthttp.CookieSameSiteStrictMode)
}

// setCookie sets a cookie that no script can read; an empty value deletes it. It
// is Secure also behind a proxy that is not trusted to say how the client came,
// when the public address is known to be https.
func (h handler) setCookie(r *route.Request, name, value, path string, ttl time.Duration, site fasthttp.CookieSameSite) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(name)
	c.SetValue(value)
	c.SetPath(path)
	c.SetHTTPOnly(true)
	c.SetSameSite(site)
	c.SetSecure(h.SecureCookies || r.Secure())
	if value == "" {
		c.SetExpire(fasthttp.CookieExpireDelete)
	} else {
		c.SetMaxAge(int(ttl / time.Second))
	}
	r.Fast().Response.Header.SetCookie(c)
}
