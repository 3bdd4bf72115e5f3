package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fluxbase/cmd/fluxbase/server"
	"fluxbase/persistence/postgres"
)

// asProgram makes the test binary behave as the program, so that the tests can
// run it as a process of its own.
const asProgram = "COMMAND_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// program runs the command line with the given settings.
type program struct {
	t   *testing.T
	dir string
	env []string
}

func newProgram(t *testing.T, settings ...string) *program {
	t.Helper()
	// Short, and open to the account that PostgreSQL runs as.
	dir, err := os.MkdirTemp("/tmp", "fxcmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, dir: filepath.Join(dir, "data")}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "FLUXBASE_") {
			p.env = append(p.env, entry)
		}
	}
	p.env = append(p.env, asProgram+"=1", "FLUXBASE_DATA_DIR="+p.dir, "FLUXBASE_METRICS_ENABLED=false",
		"FLUXBASE_SERVER_ADDRESS=127.0.0.1:"+freePorts(t, 1), "FLUXBASE_POSTGRES_BIN_DIR="+engine(t))
	p.env = append(p.env, settings...)
	return p
}

// engine is the PostgreSQL of the checkout: the program runs outside of it.
func engine(t *testing.T) string {
	t.Helper()
	found, err := postgres.FindBinaries(postgres.Search{Engine: os.Getenv("FLUXBASE_POSTGRES_ENGINE")})
	if err != nil {
		t.Fatal(err)
	}
	return found.Dir
}

// freePorts gives the first of n consecutive free ports.
func freePorts(t *testing.T, n int) string {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		first := l.Addr().(*net.TCPAddr).Port
		l.Close()
		free := first+n < 65536
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+i))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return fmt.Sprint(first)
		}
	}
	t.Fatal("no free ports")
	return ""
}

// run waits for a command to end.
func (p *program) run(stdin string, args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env, cmd.Dir = p.env, filepath.Dir(p.dir)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// process is a command that goes on.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	said bytes.Buffer
	done chan struct{}
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func (p *program) start(args ...string) *process {
	p.t.Helper()
	run := &process{t: p.t, cmd: exec.Command(os.Args[0], args...), done: make(chan struct{})}
	run.cmd.Env, run.cmd.Dir = p.env, filepath.Dir(p.dir)
	run.cmd.Stdout, run.cmd.Stderr = run, run
	// What outlives a killed process must not keep the test's pipe open.
	run.cmd.WaitDelay = time.Second
	if err := run.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = run.cmd.Wait() // the state is looked at by whoever waits for done
		close(run.done)
	}()
	p.t.Cleanup(func() {
		_ = run.cmd.Process.Signal(syscall.SIGTERM)
		run.wait(30 * time.Second)
	})
	return run
}

// say waits until the process has printed text n times.
func (p *process) say(text string, n int) {
	p.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if strings.Count(p.output(), text) >= n {
			return
		}
		select {
		case <-p.done:
			p.t.Fatalf("the process ended:\n%s", p.output())
		default:
		}
	}
	p.t.Fatalf("the process never said %q:\n%s", text, p.output())
}

func (p *process) wait(most time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(most):
		_ = p.cmd.Process.Kill()
		p.t.Errorf("the process does not end:\n%s", p.output())
		<-p.done
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if code := p.wait(30 * time.Second); code != 0 {
		p.t.Errorf("exit code %d:\n%s", code, p.output())
	}
}

func (p *program) keys() server.Keys {
	p.t.Helper()
	out, errs, code := p.run("", "keys")
	if code != 0 {
		p.t.Fatalf("keys: %s", errs)
	}
	var k server.Keys
	if err := json.Unmarshal([]byte(out), &k); err != nil {
		p.t.Fatal(err)
	}
	return k
}

func status(t *testing.T, url string) int {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
	return res.StatusCode
}

func postmaster(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "postgres", "cluster", "postmaster.pid"))
	if err != nil {
		return ""
	}
	pid, _, _ := strings.Cut(string(raw), "\n")
	return pid
}

// TestServe walks the program through a life: first start, use, kill, restart,
// end.
func TestServe(t *testing.T) {
	p := newProgram(t)
	if _, errs, code := p.run("", "keys"); code != 1 || !strings.Contains(errs, "no server has run") {
		t.Errorf("keys before the first start: %d, %s", code, errs)
	}
	s := p.start()
	s.say("Fluxbase is ready", 1)
	k := p.keys()
	for _, value := range []string{k.URL, k.AnonKey, k.ServiceKey, k.SetupToken} {
		if value == "" || strings.Count(s.output(), value) != 1 {
			t.Errorf("%q is shown %d times, want once:\n%s", value, strings.Count(s.output(), value), s.output())
		}
	}
	if strings.Contains(s.output(), k.DatabaseURL) {
		t.Error("the superuser's address is shown")
	}
	if got := status(t, k.URL+"/ready"); got != 200 {
		t.Errorf("/ready: %d", got)
	}
	if out, errs, code := p.run("create table kept (v text);\ninsert into kept values ('here');\nselect v, null as n from kept;", "sql", "-o", "json"); code != 0 || out != `[{"n":null,"v":"here"}]`+"\n" {
		t.Errorf("sql: %d %q %s", code, out, errs)
	}
	if out, _, code := p.run("", "keys", "--field", "anon_key"); code != 0 || strings.TrimSpace(out) != k.AnonKey {
		t.Errorf("keys --field: %d %q", code, out)
	}
	if _, errs, code := p.run("", "serve"); code != 1 || !strings.Contains(errs, "another server is running on this data folder") {
		t.Errorf("a second server: %d %s", code, errs)
	}

	// Killed, the server leaves PostgreSQL alone; the next one takes it over.
	before := postmaster(t, p.dir)
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.wait(10 * time.Second)
	s = p.start("serve")
	s.say("Fluxbase is ready", 1)
	if after := postmaster(t, p.dir); after != before || before == "" {
		t.Errorf("PostgreSQL was %s and is %s", before, after)
	}
	if again := p.keys(); again != k {
		t.Errorf("keys changed:\n%+v\n%+v", k, again)
	}
	if out, _, _ := p.run("", "sql", "select v from kept"); !strings.Contains(out, "here") {
		t.Errorf("the row is gone: %q", out)
	}
	// The way a shell or timeout(1) signals: the process and its group.
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.say("stopping", 1)
	s.stop()
	if pid := postmaster(t, p.dir); pid != "" {
		t.Errorf("PostgreSQL (%s) still runs", pid)
	}
	if got := p.keys(); got != k {
		t.Error("keys does not work while the server is down")
	}
}

// TestCluster: two nodes over one database; one that is killed comes back, and
// PostgreSQL, which it owned, was there all the time.
func TestCluster(t *testing.T) {
	p := newProgram(t)
	port := freePorts(t, 2)
	p.env = append(p.env, "FLUXBASE_SERVER_ADDRESS=127.0.0.1:"+port)
	c := p.start("cluster", "--nodes", "2")
	c.say("Fluxbase is ready", 2)
	first := p.keys()
	r, err := server.ReadRuntime(filepath.Join(p.dir, "node2"))
	if err != nil {
		t.Fatal(err)
	}
	second := r.Keys
	if second.AnonKey != first.AnonKey || second.SetupToken != first.SetupToken || second.URL == first.URL {
		t.Errorf("keys of the nodes:\n%+v\n%+v", first, second)
	}
	before := postmaster(t, p.dir)
	owner, err := server.ReadRuntime(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(owner.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := status(t, second.URL+"/health"); got != 200 {
		t.Errorf("the other node's health: %d", got)
	}
	c.say("Fluxbase is ready", 3)
	if after := postmaster(t, p.dir); after != before || before == "" {
		t.Errorf("PostgreSQL was %s and is %s", before, after)
	}
	if got := status(t, first.URL+"/ready"); got != 200 {
		t.Errorf("/ready of the node that came back: %d", got)
	}
	c.stop()
	if pid := postmaster(t, p.dir); pid != "" {
		t.Errorf("PostgreSQL (%s) still runs", pid)
	}
}

func TestConfigCheck(t *testing.T) {
	p := newProgram(t, "FLUXBASE_DATABASE_URL=postgres://me:hunter2@db.example/app", "FLUXBASE_MISSPELLED=1")
	out, errs, code := p.run("", "config", "check")
	if code != 0 || !strings.Contains(out, "database.url: ********  # FLUXBASE_DATABASE_URL") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if !strings.Contains(errs, "FLUXBASE_MISSPELLED") {
		t.Errorf("no warning: %s", errs)
	}
	if strings.Contains(out+errs, "hunter2") {
		t.Error("a password is shown")
	}
	if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
		t.Errorf("checking made the data folder: %v", err)
	}
	p.env = append(p.env, "FLUXBASE_AUTH_JWT_EXPIRY=soon", "FLUXBASE_SERVER_READ_TIMEOUT=later")
	for _, args := range [][]string{{"config", "check"}, {"serve"}, {}} {
		_, errs, code = p.run("", args...)
		if code != 2 || !strings.Contains(errs, "FLUXBASE_AUTH_JWT_EXPIRY") || !strings.Contains(errs, "FLUXBASE_SERVER_READ_TIMEOUT") {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}

func TestUsage(t *testing.T) {
	p := newProgram(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"version"}, 0, "fluxbase "},
		{[]string{"--help"}, 0, "serve"},
		{[]string{"--nonsense"}, 2, "unknown flag"},
		{[]string{"cluster", "--nodes", "0"}, 2, "--nodes"},
	} {
		out, errs, code := p.run("", c.args...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%v: got %d, %s%s", c.args, code, out, errs)
		}
	}
}
