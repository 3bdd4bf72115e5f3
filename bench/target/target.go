// Package target gives a benchmark its server: one that it starts itself on a
// fresh data folder, or one that runs already.
package target

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"fluxbase/bench/measure"
)

// Options say where the server is.
type Options struct {
	// Binary is the server's executable, used for self-started servers and to ask
	// a running one for its keys.
	Binary string
	// DataDir is the data folder of a running server; empty starts one.
	DataDir string
	// JWTSecret is the running server's token secret (scenarios with many
	// identities sign their own tokens).
	JWTSecret string
	// PID is the running server's process, for CPU and memory figures.
	PID int
	// Environment is added to that of self-started servers.
	Environment []string
}

// Target is a server, or several nodes of one, under measurement.
type Target struct {
	// Nodes are the nodes; the first one owns PostgreSQL when self-started.
	Nodes []*Node
	// AnonKey, ServiceKey and DatabaseURL are as `fluxbase keys` prints them.
	AnonKey, ServiceKey, DatabaseURL string

	options  Options
	secret   string
	folder   string
	postgres int
}

// Node is one server process.
type Node struct {
	// URL is the base URL, Host its host:port.
	URL, Host string
	// PID is the process; 0 when it is not known.
	PID int

	command *exec.Cmd
	log     *os.File
	ended   chan struct{} // closed when the process has ended
}

// Open starts a server, or finds the running one.
func Open(ctx context.Context, o Options) (*Target, error) {
	t := &Target{options: o, secret: o.JWTSecret}
	if o.DataDir != "" {
		if err := t.readKeys(ctx, o.DataDir, &Node{PID: o.PID}); err != nil {
			return nil, err
		}
		return t, t.findPostgres(ctx)
	}
	folder, err := os.MkdirTemp("", "fluxbench")
	if err != nil {
		return nil, err
	}
	t.folder = folder
	// PostgreSQL runs as another user when we are root.
	if err := os.Chmod(folder, 0o711); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	var random [48]byte
	rand.Read(random[:])
	t.secret = base64.RawURLEncoding.EncodeToString(random[:])
	if _, err := t.startNode(ctx, folder+"/node1"); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, t.findPostgres(ctx)
}

// Token signs an access token for a user of the given role.
func (t *Target) Token(user, role string) (string, error) {
	if t.secret == "" {
		return "", errors.New("this scenario signs its own tokens: give --jwt-secret")
	}
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": "fluxbase", "aud": []string{"fluxbase"}, "sub": user, "user_id": user, "role": role,
		"token_type": "access", "iat": now.Unix(), "nbf": now.Unix() - 1, "exp": now.Add(2 * time.Hour).Unix(), "jti": user,
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(t.secret))
}

// Secret is the token secret, for floor servers that check the same tokens.
func (t *Target) Secret() string { return t.secret }

// Call does one JSON request with the service key and decodes the answer.
func (t *Target) Call(ctx context.Context, method, path string, body, answer any) error {
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, t.Nodes[0].URL+path, reader)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+t.ServiceKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// Exec runs SQL as the superuser, each text in a transaction of its own.
func (t *Target) Exec(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, t.DatabaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%w in %s", err, sql)
		}
	}
	return nil
}

// ServerCPU is the CPU time of all nodes so far.
func (t *Target) ServerCPU() time.Duration { return t.servers().CPU() }

// ServerRSS is the resident memory of all nodes.
func (t *Target) ServerRSS() int64 { return t.servers().RSS() }

// PostgresCPU is the CPU time of PostgreSQL and all its processes so far; 0 when
// it runs on another machine.
func (t *Target) PostgresCPU() time.Duration {
	if t.postgres == 0 {
		return 0
	}
	return measure.Tree(t.postgres).CPU()
}

func (t *Target) servers() measure.Processes {
	var pids measure.Processes
	for _, n := range t.Nodes {
		if n.PID != 0 {
			pids = append(pids, n.PID)
		}
	}
	return pids
}

// findPostgres learns the postmaster's process from one of its back ends.
func (t *Target) findPostgres(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, t.DatabaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var backend int
	if err := conn.QueryRow(ctx, "select pg_backend_pid()").Scan(&backend); err != nil {
		return err
	}
	t.postgres = measure.Parent(backend, "postgres")
	return nil
}
