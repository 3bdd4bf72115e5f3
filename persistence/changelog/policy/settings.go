package policy

import (
	"strings"
	"unicode/utf8"
)

// Settings are what PostgreSQL is told about a caller for its transaction.
type Settings struct {
	// Claims is request.jwt.claims, UserID app.user_id, Role app.role and Tenant
	// app.current_tenant_id; empty is the empty text.
	Claims, UserID, Role, Tenant string

	document document
	read     readState
}

type readState uint8

const (
	unread readState = iota
	readable
	unreadable
)

// claims are the claims as JSON; not decided when they are no JSON, or such JSON
// as is not taken.
func (s *Settings) claims() (document, bool) {
	if s.read == unread {
		var ok bool
		if s.document, ok = parseDocument(s.Claims); ok {
			s.read = readable
		} else {
			s.read = unreadable
		}
	}
	return s.document, s.read == readable
}

// valid tells whether PostgreSQL takes the settings as text.
func (s *Settings) valid() bool {
	for _, text := range []string{s.Claims, s.UserID, s.Role, s.Tenant} {
		if strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) {
			return false
		}
	}
	return true
}

// setting is current_setting(name).
func (s *Settings) setting(name string) (string, bool) {
	switch name {
	case "request.jwt.claims":
		return s.Claims, true
	case "app.user_id":
		return s.UserID, true
	case "app.role":
		return s.Role, true
	case "app.current_tenant_id":
		return s.Tenant, true
	}
	return "", false
}

// Function is a function of schema auth as the database has it.
type Function struct {
	// Body is what PostgreSQL prints of it, Type the type of the result.
	Body string `json:"body"`
	Type string `json:"type"`
	// Roles are those of the callers' roles that may call it.
	Roles []string `json:"roles"`
}

// helper is a function of ours and what it gives.
type helper struct {
	body  string
	typ   string
	calls string // the helper that it stands for or builds on; empty for none
	give  func(*Settings) (datum, bool)
}

// helpers are the functions of persistence/migration/tenant, 0001, by their names
// in schema auth. One that has another body is somebody else's.
var helpers = map[string]helper{
	"jwt": {
		body: `RETURN (COALESCE(NULLIF(current_setting('request.jwt.claims'::text, true), ''::text), '{}'::text))::jsonb`,
		typ:  "jsonb", give: giveJWT,
	},
	"uid": {
		body: `RETURN (COALESCE(NULLIF(current_setting('app.user_id'::text, true), ''::text), "substring"(((NULLIF(current_setting('request.jwt.claims'::text, true), ''::text))::jsonb ->> 'sub'::text), '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$'::text)))::uuid`,
		typ:  "uuid", give: giveUID,
	},
	"role": {
		body: `RETURN COALESCE(NULLIF(current_setting('app.role'::text, true), ''::text), NULLIF(((NULLIF(current_setting('request.jwt.claims'::text, true), ''::text))::jsonb ->> 'role'::text), ''::text), 'anon'::text)`,
		typ:  "text", give: giveRole,
	},
	"current_user_id":   {body: `RETURN auth.uid()`, typ: "uuid", calls: "uid", give: giveUID},
	"current_user_role": {body: `RETURN auth.role()`, typ: "text", calls: "role", give: giveRole},
	"is_authenticated": {body: `RETURN (auth.uid() IS NOT NULL)`, typ: "boolean", calls: "uid",
		give: func(s *Settings) (datum, bool) {
			d, decided := giveUID(s)
			return datum{value: boolValue(d.value.set)}, decided
		}},
	"is_admin": {body: `RETURN (auth.role() = 'admin'::text)`, typ: "boolean", calls: "role",
		give: func(s *Settings) (datum, bool) {
			d, decided := giveRole(s)
			return datum{value: boolValue(d.value.text == "admin")}, decided
		}},
}

// trusted finds a helper that is ours in the database, and that role may call.
func trusted(functions map[string]Function, name, role string) (helper, bool) {
	h, known := helpers[name]
	f, exists := functions[name]
	if !known || !exists || f.Body != h.body || f.Type != h.typ {
		return helper{}, false
	}
	allowed := false
	for _, r := range f.Roles {
		allowed = allowed || r == role
	}
	if h.calls != "" && allowed {
		_, allowed = trusted(functions, h.calls, role)
	}
	return h, allowed
}

func giveJWT(s *Settings) (datum, bool) {
	if s.Claims == "" {
		return datum{value: Value{set: true}, document: map[string]document{}}, true
	}
	d, decided := s.claims()
	return datum{value: Value{set: true}, document: d}, decided
}

func giveUID(s *Settings) (datum, bool) {
	if s.UserID != "" {
		v, decided := parseValue(s.UserID, typeOf{kind: UUID})
		return datum{value: v}, decided
	}
	v, decided := ownClaim(s, "sub")
	if !decided || !isUUID(v.text) {
		return datum{}, decided
	}
	v, decided = parseValue(v.text, typeOf{kind: UUID})
	return datum{value: v}, decided
}

func giveRole(s *Settings) (datum, bool) {
	if s.Role != "" {
		return datum{value: textValue(s.Role)}, true
	}
	v, decided := ownClaim(s, "role")
	if v.text == "" {
		v = textValue("anon")
	}
	return datum{value: v}, decided
}

// ownClaim is nullif(claims, ”)::jsonb ->> name.
func ownClaim(s *Settings, name string) (Value, bool) {
	if s.Claims == "" {
		return Value{}, true
	}
	doc, decided := s.claims()
	if !decided {
		return Value{}, false
	}
	d, _ := member(doc, name)
	return textOf(d)
}
