package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// readyWithin bounds the start of a node on a fresh data folder: PostgreSQL is
// initialised, started and migrated in it.
const readyWithin = 90 * time.Second

// AddNodes starts further nodes on the first one's database until there are n.
func (t *Target) AddNodes(ctx context.Context, n int) error {
	for len(t.Nodes) < n {
		folder := fmt.Sprintf("%s/node%d", t.folder, len(t.Nodes)+1)
		if _, err := t.startNode(ctx, folder); err != nil {
			return err
		}
	}
	return nil
}

// Kill ends a node at once, as a power cut would.
func (t *Target) Kill(n *Node) error {
	if err := n.command.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-n.ended
	n.PID = 0
	return nil
}

// Ended tells whether the node's process has ended.
func (n *Node) Ended() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

// Restart starts a node that has ended on the folder and the address that it had,
// and waits until it is ready.
func (t *Target) Restart(ctx context.Context, n *Node) error {
	command := exec.Command(n.command.Path, n.command.Args[1:]...)
	command.Env = n.command.Env
	if err := n.run(command); err != nil {
		return err
	}
	return n.ready(ctx)
}

// Close stops what was started and removes its data; a server that ran already
// is left alone.
func (t *Target) Close() error {
	var failed error
	for i := len(t.Nodes) - 1; i >= 0; i-- {
		n := t.Nodes[i]
		if n.command == nil || n.PID == 0 {
			continue
		}
		if err := n.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			failed = errors.Join(failed, err)
		}
		select {
		case <-n.ended:
		case <-time.After(25 * time.Second):
			failed = errors.Join(failed, fmt.Errorf("node %d did not stop within 25 s", i+1), n.command.Process.Kill())
		}
		failed = errors.Join(failed, n.log.Close())
	}
	if t.folder != "" {
		failed = errors.Join(failed, os.RemoveAll(t.folder))
	}
	return failed
}

func (t *Target) startNode(ctx context.Context, folder string) (*Node, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	host, err := freeAddress()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(t.folder, filepath.Base(folder)+".log"))
	if err != nil {
		return nil, err
	}
	command := exec.Command(t.options.Binary, "serve")
	command.Env = append(environment(),
		"FLUXBASE_DATA_DIR="+folder,
		"FLUXBASE_SERVER_ADDRESS="+host,
		"FLUXBASE_METRICS_ENABLED=false",
		"FLUXBASE_AUTH_JWT_SECRET="+t.secret,
		"FLUXBASE_ENCRYPTION_KEY=0123456789abcdefghijklmnopqrstuv",
		"FLUXBASE_REALTIME_CURSOR_KEY=vutsrqponmlkjihgfedcba9876543210",
		"FLUXBASE_REALTIME_MAX_CONNECTIONS=0",
		"FLUXBASE_REALTIME_MAX_CONNECTIONS_PER_USER=0",
		"FLUXBASE_REALTIME_MAX_CONNECTIONS_PER_IP=0",
		"FLUXBASE_REALTIME_LIMITS_MESSAGES_PER_SECOND=0",
		"FLUXBASE_REALTIME_LIMITS_JOINS_PER_SECOND=0",
	)
	if len(t.Nodes) > 0 {
		command.Env = append(command.Env, "FLUXBASE_DATABASE_URL="+t.DatabaseURL)
	}
	command.Env = append(command.Env, t.options.Environment...)
	n := &Node{log: log, URL: "http://" + host, Host: host}
	if err := n.run(command); err != nil {
		return nil, err
	}
	t.Nodes = append(t.Nodes, n)
	if err := n.ready(ctx); err != nil {
		return nil, err
	}
	if len(t.Nodes) > 1 {
		return n, nil
	}
	t.Nodes = nil
	return n, t.readKeys(ctx, folder, n)
}

// run starts the node's process.
func (n *Node) run(command *exec.Cmd) error {
	command.Stdout, command.Stderr = n.log, n.log
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	n.PID, n.command, n.ended = command.Process.Pid, command, ended
	go func() {
		// How it ended is in its log.
		_ = command.Wait()
		close(ended)
	}()
	return nil
}

// ready waits until the node answers, and gives its log when it does not.
func (n *Node) ready(ctx context.Context) error {
	err := waitReady(ctx, n)
	if err == nil {
		return nil
	}
	output, _ := os.ReadFile(n.log.Name())
	return fmt.Errorf("node did not become ready: %w\n%s", err, output)
}

func (t *Target) readKeys(ctx context.Context, folder string, n *Node) error {
	command := exec.CommandContext(ctx, t.options.Binary, "keys")
	command.Env = append(environment(), "FLUXBASE_DATA_DIR="+folder, "FLUXBASE_AUTH_JWT_SECRET="+t.secret)
	output, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("fluxbase keys: %w\n%s", err, exit.Stderr)
		}
		return err
	}
	var keys struct {
		URL         string `json:"url"`
		AnonKey     string `json:"anon_key"`
		ServiceKey  string `json:"service_key"`
		DatabaseURL string `json:"database_url"`
	}
	if err := json.Unmarshal(output, &keys); err != nil {
		return fmt.Errorf("fluxbase keys printed %q: %w", output, err)
	}
	t.AnonKey, t.ServiceKey, t.DatabaseURL = keys.AnonKey, keys.ServiceKey, keys.DatabaseURL
	if n.URL == "" {
		n.URL = strings.TrimSuffix(keys.URL, "/")
		n.Host = strings.TrimPrefix(n.URL, "http://")
	}
	t.Nodes = append(t.Nodes, n)
	return nil
}

func waitReady(ctx context.Context, n *Node) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/ready", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-n.ended:
			return errors.New("it ended")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// environment is ours without settings meant for another server.
func environment() []string {
	var kept []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "FLUXBASE_") {
			kept = append(kept, entry)
		}
	}
	return kept
}
