package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fluxbase/cmd/fluxbase/config"
	"fluxbase/cmd/fluxbase/server"
	"fluxbase/persistence/postgres"
)

// How long a node may take to say its keys, to stop, and to be left dead.
const (
	nodeStart  = 2 * time.Minute
	nodeStop   = 20 * time.Second
	firstPause = 500 * time.Millisecond
	maxPause   = 10 * time.Second
)

func clusterCommand(file *string) *cobra.Command {
	var nodes int
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Run several nodes on this machine",
		Long: "Run several nodes on this machine, on ports one after another. The first node owns the\n" +
			"managed PostgreSQL, which stays up when the node dies; the others use its address and\n" +
			"secrets. A node that ends is started again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if nodes < 1 {
				return &exitError{exitUsage, errors.New("--nodes must be at least 1")}
			}
			l, err := load(*file)
			if err != nil {
				return err
			}
			f, err := newFleet(*file, l, nodes, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			return f.run(cmd.Context())
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", 3, "number of nodes")
	return cmd
}

// fleet is the nodes of one machine.
type fleet struct {
	executable string
	file       string
	config     config.Config
	nodes      int
	output     *lines
}

func newFleet(file string, l *config.Loaded, nodes int, out io.Writer) (*fleet, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &fleet{executable: executable, file: file, config: l.Config, nodes: nodes, output: &lines{out: out}}, nil
}

// run starts the nodes, restarts those that end, and returns when ctx is done
// and everything is stopped, the database included.
func (f *fleet) run(ctx context.Context) error {
	first, err := f.node(0, "")
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	running.Go(func() { f.keep(ctx, first) })
	keys, err := f.awaitKeys(ctx, first)
	if err != nil {
		running.Wait()
		if ctx.Err() != nil {
			err = nil
		}
		return errors.Join(err, f.stopDatabase())
	}
	for i := 1; i < f.nodes; i++ {
		n, err := f.node(i, keys.DatabaseURL)
		if err != nil {
			return err
		}
		running.Go(func() { f.keep(ctx, n) })
	}
	f.output.line(fmt.Sprintf("cluster | %d nodes at %s and the following ports; keys: fluxbase keys, with FLUXBASE_DATA_DIR=%s", f.nodes, keys.URL, first.dataDir))
	running.Wait()
	return f.stopDatabase()
}

// stopDatabase takes the PostgreSQL over that the first node left running, and
// stops it.
func (f *fleet) stopDatabase() error {
	if !f.config.Database.Managed() {
		return nil
	}
	dir := filepath.Join(f.config.DataDir, "postgres")
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	pg, err := postgres.Start(context.Background(), postgres.Options{Dir: dir, BinDir: f.config.Postgres.BinDir, Engine: f.config.Postgres.Engine})
	if err != nil {
		return err
	}
	return pg.Stop()
}

// member is one node: how it is started.
type member struct {
	name    string
	dataDir string
	env     []string
}

// node describes the node of an index. All nodes listen on consecutive ports
// and read the first one's secrets.
func (f *fleet) node(index int, databaseURL string) (member, error) {
	host, port, err := net.SplitHostPort(f.config.Server.Address)
	if err != nil {
		return member{}, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return member{}, fmt.Errorf("server.address needs a port number: %w", err)
	}
	m := member{name: fmt.Sprintf("node%d", index+1), dataDir: f.config.DataDir}
	set := func(name, value string) { m.env = append(m.env, "FLUXBASE_"+name+"="+value) }
	set("CLUSTER_ENABLED", "true")
	set("CLUSTER_NODE_NAME", m.name)
	set("SERVER_ADDRESS", net.JoinHostPort(host, strconv.Itoa(number+index)))
	set("BASE_URL", fmt.Sprintf("http://localhost:%d", number+index))
	set("METRICS_PORT", strconv.Itoa(f.config.Metrics.Port+index))
	if index == 0 {
		set("POSTGRES_KEEP_RUNNING", "true")
		set("DATA_DIR", m.dataDir)
		return m, nil
	}
	m.dataDir = filepath.Join(f.config.DataDir, m.name)
	set("DATA_DIR", m.dataDir)
	set("DATABASE_URL", databaseURL)
	for _, path := range config.GeneratedSecrets() {
		kept := config.SecretFile(f.config.DataDir, path)
		if _, err := os.Stat(kept); err == nil {
			set(strings.ToUpper(strings.ReplaceAll(path, ".", "_"))+"_FILE", kept)
		}
	}
	return m, nil
}

// keep runs a node until ctx is done, again and again.
func (f *fleet) keep(ctx context.Context, m member) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := f.runOnce(ctx, m)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			pause = firstPause
		}
		f.output.line(fmt.Sprintf("%s | ended (%v), starting again in %s", m.name, err, pause))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(pause*2, maxPause)
	}
}

func (f *fleet) runOnce(ctx context.Context, m member) error {
	args := []string{"serve"}
	if f.file != "" {
		args = append(args, "--config", f.file)
	}
	cmd := exec.CommandContext(ctx, f.executable, args...)
	cmd.Env = append(os.Environ(), m.env...)
	// A session of its own: Ctrl-C reaches the nodes through us, in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = nodeStop
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		return errors.Join(err, reader.Close(), writer.Close())
	}
	writer.Close()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		scanner := bufio.NewScanner(reader)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			f.output.line(m.name + " | " + scanner.Text())
		}
	}()
	err = cmd.Wait()
	// A PostgreSQL that outlives the node writes to files, so the pipe ends here.
	reader.SetReadDeadline(time.Now().Add(time.Second))
	<-copied
	reader.Close()
	return err
}

// awaitKeys waits until the first node of this run has written its keys and
// answers.
func (f *fleet) awaitKeys(ctx context.Context, m member) (server.Keys, error) {
	began := time.Now()
	for deadline := began.Add(nodeStart); time.Now().Before(deadline); {
		if info, err := os.Stat(filepath.Join(m.dataDir, "runtime.json")); err == nil && !info.ModTime().Before(began.Truncate(time.Second)) {
			r, err := server.ReadRuntime(m.dataDir)
			if err != nil {
				return server.Keys{}, err
			}
			return r.Keys, nil
		}
		select {
		case <-ctx.Done():
			return server.Keys{}, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return server.Keys{}, fmt.Errorf("%s was not ready within %s", m.name, nodeStart)
}

// lines writes whole lines of many nodes to one place.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *lines) line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.out, text)
}
