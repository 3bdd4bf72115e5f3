package auth_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

func TestSignUpAnswersWithASession(t *testing.T) {
	n := open(t)
	a := n.expect(201, "", "POST", "/api/v1/auth/signup",
		`{"email":"Ada@Example.com","password":"`+good+`","user_metadata":{"name":"Ada"},"app_metadata":{"admin":true},"role":"admin"}`,
		// What the SDK sends beside: ignored by public routes, stale or not.
		"apikey: "+n.keys.Anon, bearer("stale.token.here"))
	user, _ := a.body["user"].(map[string]any)
	if user["email"] != "ada@example.com" || user["role"] != "authenticated" || user["email_verified"] != false ||
		fmt.Sprint(user["user_metadata"]) != "map[name:Ada]" || fmt.Sprint(user["app_metadata"]) != "map[]" {
		t.Errorf("user = %v", user)
	}
	if a.body["expires_in"] != 900.0 || a.get("access_token") == "" || a.get("refresh_token") == "" {
		t.Errorf("body = %s", a.text)
	}
	for name, want := range map[string]struct {
		value, path string
		age         int
		site        http.SameSite
	}{
		"fluxbase_access_token":  {a.get("access_token"), "/", 900, http.SameSiteLaxMode},
		"fluxbase_refresh_token": {a.get("refresh_token"), "/api/v1/auth", 604800, http.SameSiteStrictMode},
	} {
		c := a.cookies[name]
		if c == nil || c.Value != want.value || c.Path != want.path || c.MaxAge != want.age || c.SameSite != want.site || !c.HttpOnly {
			t.Errorf("cookie %s = %+v", name, c)
		}
	}
	if strings.Contains(a.text, "password") || strings.Contains(a.text, "argon2") {
		t.Errorf("the answer speaks of the password: %s", a.text)
	}
}

func TestFrontDoorRefuses(t *testing.T) {
	n := open(t)
	in := n.signUp("ada@example.com")
	me := bearer(in.get("access_token"))
	for name, c := range map[string]struct {
		status             int
		code               fault.Code
		method, path, body string
		headers            []string
	}{
		"sign up without body":          {400, fault.InvalidRequestBody, "POST", "/api/v1/auth/signup", ``, nil},
		"sign up with nonsense":         {400, fault.InvalidRequestBody, "POST", "/api/v1/auth/signup", `{"email":1}`, nil},
		"sign up without address":       {400, fault.MissingRequiredField, "POST", "/api/v1/auth/signup", `{"password":"x"}`, nil},
		"sign up without password":      {400, fault.MissingRequiredField, "POST", "/api/v1/auth/signup", `{"email":"x@example.com"}`, nil},
		"sign up again":                 {400, fault.InvalidInput, "POST", "/api/v1/auth/signup", `{"email":"ADA@example.com","password":"` + good + `"}`, nil},
		"sign up weakly":                {400, fault.WeakPassword, "POST", "/api/v1/auth/signup", `{"email":"x@example.com","password":"short"}`, nil},
		"sign up in an unknown tenant":  {404, fault.TenantNotFound, "POST", "/api/v1/auth/signup", `{"email":"x@example.com","password":"` + good + `"}`, []string{"X-FB-Tenant: nowhere"}},
		"sign in wrongly":               {401, fault.InvalidCredentials, "POST", "/api/v1/auth/signin", `{"email":"ada@example.com","password":"wrong"}`, nil},
		"sign in as nobody":             {401, fault.InvalidCredentials, "POST", "/api/v1/auth/signin", `{"email":"nobody@example.com","password":"wrong"}`, nil},
		"sign in as nonsense":           {401, fault.InvalidCredentials, "POST", "/api/v1/auth/signin", `{"email":"\u0000<>","password":"wrong"}`, nil},
		"refresh without token":         {400, fault.MissingRequiredField, "POST", "/api/v1/auth/refresh", ``, nil},
		"refresh with nonsense":         {401, fault.InvalidToken, "POST", "/api/v1/auth/refresh", `{"refresh_token":"x"}`, nil},
		"refresh with an access token":  {401, fault.InvalidToken, "POST", "/api/v1/auth/refresh", `{"refresh_token":"` + in.get("access_token") + `"}`, nil},
		"read nobody":                   {401, fault.MissingAuthentication, "GET", "/api/v1/auth/user", ``, nil},
		"read by a refresh token":       {401, fault.InvalidToken, "GET", "/api/v1/auth/user", ``, []string{bearer(in.get("refresh_token"))}},
		"read by the anon key":          {401, fault.AuthenticationRequired, "GET", "/api/v1/auth/user", ``, []string{"apikey: " + n.keys.Anon}},
		"read by the service key":       {401, fault.AuthenticationRequired, "GET", "/api/v1/auth/user", ``, []string{bearer(n.keys.Service)}},
		"sign out nobody":               {401, fault.MissingAuthentication, "POST", "/api/v1/auth/signout", ``, nil},
		"sign out of the universe":      {400, fault.InvalidInput, "POST", "/api/v1/auth/signout", `{"scope":"universe"}`, []string{me}},
		"change to a bad address":       {400, fault.InvalidInput, "PATCH", "/api/v1/auth/user", `{"email":"x"}`, []string{me}},
		"change to a weak password":     {400, fault.WeakPassword, "PATCH", "/api/v1/auth/user", `{"password":"x"}`, []string{me}},
		"metadata that is no object":    {400, fault.InvalidInput, "PATCH", "/api/v1/auth/user", `{"user_metadata":[1]}`, []string{me}},
		"metadata that no jsonb can be": {400, "", "PATCH", "/api/v1/auth/user", `{"user_metadata":{"a":"\u0000"}}`, []string{me}},
	} {
		a := n.call(c.method, c.path, c.body, c.headers...)
		if a.status != c.status || c.code != "" && a.get("code") != string(c.code) {
			t.Errorf("%s: %d %s; want %d %s", name, a.status, a.text, c.status, c.code)
		}
	}
	weak := n.call("POST", "/api/v1/auth/signup", `{"email":"x@example.com","password":"short"}`)
	if details, _ := weak.body["details"].(map[string]any); fmt.Sprint(details["reasons"]) != "[length]" {
		t.Errorf("weak password: %s", weak.text)
	}
}

// TestNobodyPromotesHimself sends every member that a user has and may not write.
func TestNobodyPromotesHimself(t *testing.T) {
	n := open(t)
	me := bearer(n.signUp("ada@example.com").get("access_token"))
	for _, member := range []string{
		`"role":"admin"`, `"role":"service_role"`, `"email_verified":true`, `"app_metadata":{"admin":true}`,
		`"id":"` + uuid.NewString() + `"`, `"tenant_id":"` + uuid.NewString() + `"`, `"password_hash":"x"`, `"locked_until":null`, `"ROLE":"admin"`,
	} {
		a := n.expect(200, "", "PATCH", "/api/v1/auth/user", `{`+member+`,"user_metadata":{"seen":true}}`, me)
		if a.get("role") != "authenticated" || a.body["email_verified"] != false || fmt.Sprint(a.body["app_metadata"]) != "map[]" || a.get("tenant_id") != n.database.Tenant {
			t.Errorf("%s: %s", member, a.text)
		}
	}
	got := n.expect(200, "", "GET", "/api/v1/auth/user", "", me)
	if fmt.Sprint(got.body["user_metadata"]) != "map[seen:true]" {
		t.Errorf("user_metadata = %v", got.body["user_metadata"])
	}
}

func TestEveryFormOfPresentingAKey(t *testing.T) {
	n := open(t)
	in := n.signUp("ada@example.com")
	user := in.get("access_token")
	id := in.body["user"].(map[string]any)["id"].(string)
	serviceJWT, err := n.tokens.Key("service_role", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	expired, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": id, "exp": time.Now().Add(-time.Minute).Unix()}).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"sub": id, "role": "service_role", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	anon, service := n.keys.Anon, n.keys.Service
	for name, c := range map[string]struct {
		status  int
		role    string // or the code of the refusal
		query   string
		headers []string
	}{
		"nothing":                   {200, "anon", "", nil},
		"anon key, apikey":          {200, "anon", "", []string{"apikey: " + anon}},
		"anon key, query":           {200, "anon", "?apikey=" + anon, nil},
		"anon key, as the SDK":      {200, "anon", "", []string{"apikey: " + anon, bearer(anon)}},
		"service key, apikey":       {200, "service_role", "", []string{"apikey: " + service}},
		"service key, bearer":       {200, "service_role", "", []string{bearer(service)}},
		"service key, header":       {200, "service_role", "", []string{"X-Service-Key: " + service}},
		"service key, scheme":       {200, "service_role", "", []string{"Authorization: ServiceKey " + service}},
		"service key, client key":   {200, "service_role", "", []string{"X-Client-Key: " + service}},
		"service key, clientkey":    {200, "service_role", "", []string{"clientkey: " + service}},
		"service key, ?clientkey":   {200, "service_role", "?clientkey=" + service, nil},
		"service JWT, bearer":       {200, "service_role", "", []string{bearer(serviceJWT)}},
		"service JWT, header":       {200, "service_role", "", []string{"X-Service-Key: " + serviceJWT}},
		"service JWT, clientkey":    {200, "service_role", "", []string{"clientkey: " + serviceJWT}},
		"service JWT, ?token":       {200, "service_role", "?token=" + serviceJWT, nil},
		"user, bearer":              {200, "authenticated", "", []string{bearer(user)}},
		"user, ?token":              {200, "authenticated", "?token=" + user, nil},
		"user, cookie":              {200, "authenticated", "", []string{"Cookie: fluxbase_access_token=" + user}},
		"user beside anon key":      {200, "authenticated", "", []string{"apikey: " + anon, bearer(user)}},
		"user beside service key":   {200, "authenticated", "", []string{"apikey: " + service, bearer(user)}},
		"user over an old cookie":   {200, "authenticated", "", []string{bearer(user), "Cookie: fluxbase_access_token=" + expired}},
		"wrong key":                 {401, "INVALID_TOKEN", "", []string{"apikey: " + anon + "x"}},
		"wrong key in its header":   {401, "INVALID_TOKEN", "", []string{"X-Service-Key: " + user + "x", bearer(user)}},
		"expired beside a good key": {401, "EXPIRED_TOKEN", "", []string{"apikey: " + service, bearer(expired)}},
		"unsigned":                  {401, "INVALID_TOKEN", "", []string{bearer(none)}},
		"nonsense":                  {401, "INVALID_TOKEN", "", []string{bearer("undefined"), "apikey: " + service}},
		"foreign scheme":            {401, "INVALID_TOKEN", "", []string{"Authorization: Basic YTpi"}},
		"refresh token":             {401, "INVALID_TOKEN", "", []string{bearer(in.get("refresh_token"))}},
	} {
		a := n.call("GET", "/whoami"+c.query, "", c.headers...)
		got := a.get("role") + a.get("code")
		if a.status != c.status || got != c.role {
			t.Errorf("%s: %d %s; want %d %s", name, a.status, a.text, c.status, c.role)
		}
		if got == "authenticated" && a.get("user") != id {
			t.Errorf("%s: user %q", name, a.get("user"))
		}
	}
}

func TestCookiesProveNothingToOtherSites(t *testing.T) {
	n := open(t)
	in := n.signUp("ada@example.com")
	access, refresh := "Cookie: fluxbase_access_token="+in.get("access_token"), "Cookie: fluxbase_refresh_token="+in.get("refresh_token")
	n.expect(200, "", "POST", "/whoami", "", access)
	n.expect(200, "", "POST", "/whoami", "", access, "Sec-Fetch-Site: same-origin")
	n.expect(403, fault.AccessDenied, "POST", "/whoami", "", access, "Sec-Fetch-Site: cross-site")
	n.expect(403, fault.AccessDenied, "POST", "/whoami", "", access, "Origin: https://evil.example")
	n.expect(200, "", "POST", "/whoami", "", bearer(in.get("access_token")), "Origin: https://evil.example")
	n.expect(403, fault.AccessDenied, "POST", "/api/v1/auth/refresh", "", refresh, "Sec-Fetch-Site: cross-site")
	a := n.expect(200, "", "POST", "/api/v1/auth/refresh", "", refresh)
	if a.cookies["fluxbase_refresh_token"].Value != a.get("refresh_token") || a.body["user"] != nil {
		t.Errorf("refresh by cookie: %s", a.text)
	}
	a = n.expect(401, fault.InvalidToken, "POST", "/api/v1/auth/refresh", "", "Cookie: fluxbase_refresh_token=broken")
	if c := a.cookies["fluxbase_refresh_token"]; c == nil || c.Value != "" || c.Expires.After(time.Now()) {
		t.Errorf("a failed refresh leaves the cookie: %+v", c)
	}
}

func TestLockout(t *testing.T) {
	n := open(t)
	n.signUp("ada@example.com")
	for _, address := range []string{"ada@example.com", "nobody@example.com"} {
		for range 5 {
			n.expect(401, fault.InvalidCredentials, "POST", "/api/v1/auth/signin", `{"email":"`+address+`","password":"wrong"}`)
		}
		n.expect(403, fault.AccountLocked, "POST", "/api/v1/auth/signin", `{"email":"`+address+`","password":"`+good+`"}`)
	}
}

// TestSignOutHoldsOnOtherNodesWithinASecond has two nodes and no listener: the
// bell makes it faster, never later.
func TestSignOutHoldsOnOtherNodesWithinASecond(t *testing.T) {
	shared := dbtest.Open(t, db.Options{})
	one, two := start(t, shared), start(t, shared)
	in := one.signUp("ada@example.com")
	me := bearer(in.get("access_token"))
	two.expect(200, "", "GET", "/api/v1/auth/user", "", me)
	out := one.expect(200, "", "POST", "/api/v1/auth/signout", "", me)
	signedOut := time.Now()
	if c := out.cookies["fluxbase_access_token"]; c == nil || c.Value != "" {
		t.Errorf("cookies after signing out: %v", out.cookies)
	}
	one.expect(401, fault.RevokedToken, "GET", "/api/v1/auth/user", "", me)
	for two.call("GET", "/api/v1/auth/user", "", me).status != 401 {
		if time.Since(signedOut) > time.Second {
			t.Fatal("the other node still takes the token after a second")
		}
		time.Sleep(10 * time.Millisecond)
	}
	two.expect(401, fault.InvalidToken, "POST", "/api/v1/auth/refresh", `{"refresh_token":"`+in.get("refresh_token")+`"}`)
	// Public routes do not care about what the SDK still sends.
	again := two.expect(200, "", "POST", "/api/v1/auth/signin", `{"email":"ada@example.com","password":"`+good+`"}`, me)
	two.expect(200, "", "GET", "/api/v1/auth/user", "", bearer(again.get("access_token")))
	one.expect(200, "", "POST", "/api/v1/auth/signout?scope=others", "", bearer(again.get("access_token")))
	one.expect(200, "", "GET", "/api/v1/auth/user", "", bearer(again.get("access_token")))
}

// TestNoQueryMerelyToAuthenticate counts the transactions of the database while
// many requests that need none are made with every kind of credential.
func TestNoQueryMerelyToAuthenticate(t *testing.T) {
	n := open(t)
	user := bearer(n.signUp("ada@example.com").get("access_token"))
	commits := func() (count int) {
		// Sessions report what they did at most once a second.
		time.Sleep(1500 * time.Millisecond)
		n.database.QueryRow(`SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()`, &count)
		return count
	}
	const requests = 600
	before := commits()
	for range requests / 3 {
		n.expect(200, "", "GET", "/whoami", "", user)
		n.expect(200, "", "GET", "/whoami", "", "apikey: "+n.keys.Service)
		n.expect(401, fault.InvalidToken, "GET", "/whoami", "", "apikey: fb_gsk_unknown")
	}
	// What is left is the reading of the deny-list, a few times a second, and one
	// look for the unknown key per second.
	if made := commits() - before; made > requests/3 {
		t.Errorf("%d requests made %d transactions", requests, made)
	}
}

func TestConfig(t *testing.T) {
	n := open(t)
	a := n.expect(200, "", "GET", "/api/v1/auth/config", "", bearer("nonsense"))
	var names []string
	for name := range a.body {
		names = append(names, name)
	}
	slices.Sort(names)
	want := "captcha magic_link_enabled mfa_available oauth_providers password_login_enabled password_min_length " +
		"password_require_lowercase password_require_number password_require_special password_require_uppercase " +
		"require_email_verification saml_providers signup_enabled"
	if got := strings.Join(names, " "); got != want || a.body["password_min_length"] != 12.0 || a.body["signup_enabled"] != true {
		t.Errorf("config = %s", a.text)
	}
}

func TestOperators(t *testing.T) {
	n := open(t)
	const path = "/api/v1/admin/"
	setup := func(token string) string {
		return `{"email":"Root@example.com","password":"` + good + `","name":"Root","setup_token":"` + token + `"}`
	}
	if a := n.expect(200, "", "GET", path+"setup/status", ""); a.text != `{"has_admin":false,"needs_setup":true}` {
		t.Errorf("status = %s", a.text)
	}
	n.expect(401, fault.InvalidSetupToken, "POST", path+"setup", setup("guess"))
	n.expect(400, fault.ValidationFailed, "POST", path+"setup", `{"setup_token":"`+setupToken+`"}`)
	a := n.expect(201, "", "POST", path+"setup", setup(setupToken))
	user, _ := a.body["user"].(map[string]any)
	if user["email"] != "root@example.com" || user["role"] != "instance_admin" || user["name"] != "Root" || user["full_name"] != "Root" ||
		user["is_active"] != true || user["is_locked"] != false || a.body["expires_in"] != 86400.0 {
		t.Errorf("setup = %s", a.text)
	}
	n.expect(403, fault.SetupAlreadyCompleted, "POST", path+"setup", setup(setupToken))

	n.expect(401, fault.InvalidCredentials, "POST", path+"login", `{"email":"root@example.com","password":"wrong"}`)
	n.expect(400, fault.MissingRequiredField, "POST", path+"login", `{"email":"root@example.com"}`)
	in := n.expect(200, "", "POST", path+"login", `{"email":"root@example.com","password":"`+good+`"}`)
	me := bearer(in.get("access_token"))
	if a := n.expect(200, "", "GET", path+"me", "", me); !strings.Contains(a.text, `"role":"instance_admin"`) || !strings.Contains(a.text, `"email":"root@example.com"`) {
		t.Errorf("me = %s", a.text)
	}
	n.expect(200, "", "GET", "/service", "", bearer(n.keys.Service))
	n.expect(403, fault.InsufficientPermissions, "GET", path+"me", "", bearer(n.signUp("ada@example.com").get("access_token")))
	n.expect(401, fault.MissingAuthentication, "GET", path+"me", "")
	// An operator is no user of a tenant, and his refresh token none of theirs.
	n.expect(401, fault.InvalidToken, "GET", "/api/v1/auth/user", "", me)
	n.expect(401, fault.InvalidToken, "POST", "/api/v1/auth/refresh", `{"refresh_token":"`+in.get("refresh_token")+`"}`)

	next := n.expect(200, "", "POST", path+"refresh", `{"refresh_token":"`+in.get("refresh_token")+`"}`)
	if next.get("refresh_token") == in.get("refresh_token") {
		t.Error("refreshing did not rotate")
	}
	me = bearer(next.get("access_token"))
	if a := n.expect(200, "", "POST", path+"logout", "", me); a.body["success"] != true {
		t.Errorf("logout = %s", a.text)
	}
	n.expect(401, fault.RevokedToken, "GET", path+"me", "", me)
	n.expect(401, fault.InvalidToken, "POST", path+"refresh", `{"refresh_token":"`+next.get("refresh_token")+`"}`)

	ada := bearer(n.call("POST", "/api/v1/auth/signin", `{"email":"ada@example.com","password":"`+good+`"}`).get("access_token"))
	n.expect(200, "", "POST", path+"logout", "", ada)
	n.expect(401, fault.RevokedToken, "GET", "/api/v1/auth/user", "", ada)
}
