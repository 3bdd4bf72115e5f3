package scenario

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/postgres/npmtest"
)

// supabaseTables are what the scenarios of testdata/supabase.mjs use.
const supabaseTables = `
	CREATE TABLE todos (id bigserial PRIMARY KEY, owner uuid NOT NULL DEFAULT auth.uid(), title text NOT NULL,
	  priority int NOT NULL, done boolean NOT NULL DEFAULT false, tags text[], data jsonb);
	ALTER TABLE todos ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON todos USING (owner = auth.uid()) WITH CHECK (owner = auth.uid());
	CREATE TABLE notes (id bigserial PRIMARY KEY, body text);`

// supabase is a node, and whom the scenarios act for.
type supabase struct {
	*servertest.Node
	whole       *testing.T
	database    string
	ann         servertest.User
	environment []string
}

func startSupabase(t *testing.T) *supabase {
	t.Helper()
	folder := npmtest.Install(t, "realtime-js")
	s := &supabase{whole: t, database: dbtest.Create(t)}
	administer(t, s.database, supabaseTables+privatePolicies)
	s.Node = servertest.On(t, s.database)
	s.Want(201, "POST", "/api/v1/admin/realtime/tables", s.ServiceKey, `{"table":"todos"}`)
	ann, ben := s.SignUp("ann@example.com"), s.SignUp("ben@example.com")
	s.ann = ann
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	s.Want(200, "POST", "/api/v1/auth/refresh", "", map[string]string{"refresh_token": ann.RefreshToken}).Decode(t, &granted)
	s.environment = append(os.Environ(), "CLIENTS="+folder, "URL_="+s.URL, "ANON="+s.AnonKey, "SERVICE="+s.ServiceKey,
		"ANN="+ann.AccessToken, "BEN="+ben.AccessToken, "FRESH="+granted.AccessToken)
	return s
}

// brief is a token of a user that soon ends.
func brief(t *testing.T, of string, life time.Duration) string {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(of, claims); err != nil {
		t.Fatal(err)
	}
	claims["exp"] = time.Now().Add(life).Unix()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("kQ7mZ2xT9vB4nR8wY1cL6sD3gH5jF0pA"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// do does what a scenario asks for.
func (s *supabase) do(t *testing.T, what string) {
	t.Helper()
	switch verb, rest, _ := strings.Cut(what, " "); verb {
	case "send":
		for n := range strings.FieldsSeq(rest) {
			administer(t, s.database, fmt.Sprintf(`SELECT realtime.send('{"n":%s}', 'say', 'hall')`, n))
		}
	case "restart":
		address := strings.TrimPrefix(strings.Replace(s.URL, "localhost", "127.0.0.1", 1), "http://")
		s.Stop()
		s.Node = servertest.On(s.whole, s.database, "SERVER_ADDRESS="+address)
	default:
		t.Errorf("the scenario asks for %q", what)
	}
}

// run runs a scenario with a version of the serializer.
func (s *supabase) run(t *testing.T, scenario, version string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const script = "testdata/supabase.mjs"
	// Opened here, so that go test knows that its result depends on it.
	if _, err := os.Stat(script); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "node", script, scenario)
	cmd.Env = append(s.environment[:len(s.environment):len(s.environment)], "VSN="+version, "SHORT="+brief(t, s.ann.AccessToken, 3*time.Second))
	var problems bytes.Buffer
	cmd.Stderr = &problems
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		what, ok := strings.CutPrefix(lines.Text(), "ask ")
		if !ok {
			problems.WriteString(lines.Text() + "\n")
			continue
		}
		s.do(t, what)
		if _, err := io.WriteString(in, "done\n"); err != nil {
			t.Error(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, problems.String())
	}
}

// TestSupabaseClients: the clients of supabase-js, as npm has them, find in a node
// what they know from Supabase.
func TestSupabaseClients(t *testing.T) {
	t.Parallel()
	s := startSupabase(t)
	for _, test := range []struct {
		scenario string
		versions []string
	}{
		{"join", []string{"1.0.0", "2.0.0"}},
		{"changes", []string{"1.0.0", "2.0.0"}},
		{"wildcards", []string{"2.0.0"}},
		{"refusals", []string{"2.0.0"}},
		{"broadcast", []string{"1.0.0", "2.0.0"}},
		{"presence", []string{"1.0.0", "2.0.0"}},
		{"private_", []string{"2.0.0"}},
		{"replay", []string{"1.0.0", "2.0.0"}},
		{"token", []string{"2.0.0"}},
		{"whole", []string{"2.0.0"}},
		{"restart", []string{"2.0.0"}},
	} {
		for _, version := range test.versions {
			t.Run(test.scenario+" "+version, func(t *testing.T) { s.run(t, test.scenario, version) })
		}
	}
}

// TestSupabaseBroadcastOverHTTP: the answers of the two endpoints.
func TestSupabaseBroadcastOverHTTP(t *testing.T) {
	t.Parallel()
	database := dbtest.Create(t)
	administer(t, database, privatePolicies)
	n := servertest.On(t, database)
	ann, ben := n.SignUp("ann@example.com"), n.SignUp("ben@example.com")
	const list, one = "/realtime/v1/api/broadcast", "/realtime/v1/api/broadcast/a%2Fb/events/say"
	receiver, private := openSocket(t, n.SocketURL(ann.AccessToken)), openSocket(t, n.SocketURL(ann.AccessToken))
	receiver.send(`{"type":"subscribe","channel":"a/b"}`)
	receiver.expect(`{"type":"ack"}`)
	private.send(`{"type":"subscribe","channel":"hall","config":{"private":true}}`)
	private.expect(`{"type":"ack"}`)

	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for _, test := range []struct {
		path, token, body, contentType string
		status                         int
		code                           string
	}{
		{list, "", `{}`, "application/json", 401, "MISSING_AUTHENTICATION"},
		{list, "nonsense", `{}`, "application/json", 401, "INVALID_TOKEN"},
		{list, n.AnonKey, ``, "application/json", 422, "UNPROCESSABLE"},
		{list, n.AnonKey, `{"messages":7}`, "application/json", 422, "UNPROCESSABLE"},
		{list, n.AnonKey, `{"messages":[]}`, "application/json", 422, "UNPROCESSABLE"},
		{list, n.AnonKey, `{"messages":[{"topic":"a/b","event":"x","payload":0},{"event":"x"}]}`, "application/json", 422, "UNPROCESSABLE"},
		{list, n.AnonKey, `{"messages":[{"topic":"a/b","payload":0}]}`, "application/json", 422, "UNPROCESSABLE"},
		{list, ben.AccessToken, `{"messages":[{"topic":"a/b","event":"x","payload":0},{"topic":"hall","event":"x","private":true}]}`, "application/json", 403, "ACCESS_DENIED"},
		{list, ann.AccessToken, `{"messages":[{"topic":"a/b","event":"x","payload":{"n":1}},{"topic":"hall","event":"x","payload":2,"private":true}]}`, "application/json", 202, ""},
		{one, n.AnonKey, `{"n":2}`, "application/json; charset=utf-8", 202, ""},
		{one, n.AnonKey, "\x00\xff", "application/octet-stream", 202, ""},
		{one, n.AnonKey, `{"n":2`, "application/json", 422, "UNPROCESSABLE"},
		{one, n.AnonKey, deep, "application/json", 422, "UNPROCESSABLE"},
		{"/realtime/v1/api/broadcast/a%00b/events/x?private=true", ann.AccessToken, `{}`, "application/json", 422, "UNPROCESSABLE"},
		{one, n.AnonKey, `n=2`, "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"},
		{one, n.AnonKey, `{}`, "", 415, "UNSUPPORTED_MEDIA_TYPE"},
		{one + "?persist=true", n.AnonKey, `{}`, "application/json", 422, "UNPROCESSABLE"},
		{one + strings.Repeat("y", 300), n.AnonKey, `{}`, "application/json", 422, "UNPROCESSABLE"},
		{"/realtime/v1/api/broadcast/hall/events/x?private=true", ben.AccessToken, `{}`, "application/json", 403, "ACCESS_DENIED"},
		{"/realtime/v1/api/broadcast/fluxbase:x/events/x", ann.AccessToken, `{}`, "application/json", 403, "ADMIN_REQUIRED"},
	} {
		r := n.Do("POST", test.path, test.token, test.body, "Content-Type", test.contentType)
		if test.code != "" {
			wantFailure(t, r, test.status, test.code)
		} else if r.Status != test.status || len(r.Body) > 0 {
			t.Errorf("%s %s: %d %s", test.path, test.body, r.Status, r.Body)
		}
	}
	for _, want := range []string{`"payload":{"n":1}`, `"payload":{"n":2}`, `"encoding":"base64","payload":"AP8="`} {
		receiver.expect(`{"type":"broadcast","channel":"a/b","payload":{"broadcast":{` + want + `}}}`)
	}
	private.expect(`{"type":"broadcast","channel":"hall","private":true,"payload":{"broadcast":{"event":"x","payload":2}}}`)
}
