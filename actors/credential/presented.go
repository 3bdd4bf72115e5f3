package credential

import "strings"

// Cookies that carry tokens.
const (
	AccessCookie  = "fluxbase_access_token"
	RefreshCookie = "fluxbase_refresh_token"
)

// Presented is every credential that a request shows, as text. At most one of
// them is looked at: the first that is not empty, in the order of the fields.
//
// A request of the public SDK shows its key as APIKey and either the same key or
// the user's token as Bearer; so Bearer comes before APIKey.
type Presented struct {
	// ServiceKey is X-Service-Key or "Authorization: ServiceKey …".
	ServiceKey string
	// Bearer is "Authorization: Bearer …": a token or an opaque key.
	Bearer string
	// QueryToken is ?token=.
	QueryToken string
	// ClientKey is X-Client-Key, or clientkey as header or query parameter.
	ClientKey string
	// APIKey is apikey as header or query parameter.
	APIKey string
	// Cookie is the access token's cookie.
	Cookie string
	// CrossSite tells that another site made the browser send the request and that
	// it may change something: then the cookie proves nothing.
	CrossSite bool
}

// None tells whether no credential was shown at all.
func (p Presented) None() bool {
	text, _ := p.strongest()
	return text == ""
}

// strongest gives the credential that counts and whether it came as a cookie.
func (p Presented) strongest() (text string, cookie bool) {
	for _, s := range [...]string{p.ServiceKey, p.Bearer, p.QueryToken, p.ClientKey, p.APIKey} {
		if s != "" {
			return s, false
		}
	}
	return p.Cookie, p.Cookie != ""
}

// Source is a request as far as credentials go. A name that is not there gives "".
type Source interface {
	Method() string
	Header(name string) string
	Query(name string) string
	Cookie(name string) string
}

// Extract collects the credentials of a request. It judges none of them.
func Extract(s Source) Presented {
	p := Presented{
		ServiceKey: s.Header("X-Service-Key"),
		QueryToken: s.Query("token"),
		ClientKey:  first(s.Header("X-Client-Key"), s.Header("clientkey"), s.Query("clientkey")),
		APIKey:     first(s.Header("apikey"), s.Query("apikey")),
		Cookie:     s.Cookie(AccessCookie),
	}
	bearer, serviceKey := authorization(s.Header("Authorization"))
	p.Bearer = bearer
	if p.ServiceKey == "" {
		p.ServiceKey = serviceKey
	}
	p.CrossSite = CrossSite(s)
	return p
}

// authorization splits the header by its scheme. Whatever is neither of ours is
// handed on as a bearer's credential, to be refused as a wrong one rather than
// overlooked.
func authorization(header string) (bearer, serviceKey string) {
	header = strings.TrimSpace(header)
	scheme, rest, ok := strings.Cut(header, " ")
	if !ok {
		return header, ""
	}
	rest = strings.TrimSpace(rest)
	switch {
	case rest == "":
		return header, ""
	case strings.EqualFold(scheme, "Bearer"):
		return rest, ""
	case strings.EqualFold(scheme, "ServiceKey"):
		return "", rest
	default:
		return header, ""
	}
}

// CrossSite tells whether another site made a browser send a request that may
// change something (an upgrade to a WebSocket counts). Requests that no browser
// made say nothing about their site and are not cross-site.
func CrossSite(s Source) bool {
	switch s.Method() {
	case "GET", "HEAD", "OPTIONS":
		if s.Header("Upgrade") == "" {
			return false
		}
	}
	switch s.Header("Sec-Fetch-Site") {
	case "same-origin", "same-site", "none":
		return false
	case "":
	default:
		return true
	}
	origin := s.Header("Origin")
	if origin == "" {
		return false
	}
	_, host, ok := strings.Cut(origin, "://")
	return !ok || !strings.EqualFold(host, s.Header("Host"))
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
