package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/lease"
)

// childVariable makes the test binary a node of its own: "<url> <name>".
const childVariable = "FLUXBASE_CLUSTER_TEST_NODE"

// child is a node in a process of its own. It writes its id, and ends when it is
// fenced or its standard input ends.
func child() int {
	url, name, _ := strings.Cut(os.Getenv(childVariable), " ")
	ctx := context.Background()
	control, err := db.Open(ctx, db.Options{URL: url, Password: dbtest.Key.Password})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fenced := make(chan *FencedError, 1)
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	system := kernel.NewSystem(kernel.SystemOptions{Logger: logger})
	c, err := Open(ctx, quick(Options{
		System: system, Store: lease.NewStore(control), Key: dbtest.Key, Name: name, Logger: logger,
		Secrets: map[string][]byte{"auth.jwt_secret": []byte("the same everywhere")},
		Fenced:  func(e *FencedError) { fenced <- e },
	}))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	c.RegisterKind("counter", counterProps(name))
	if err := c.Join(ctx); err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("joined", c.Self())
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case e := <-fenced:
		return e.ExitCode()
	case <-ended:
		if err := c.Leave(ctx); err != nil {
			return 1
		}
		return 0
	}
}

// process is a node in a process of its own.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	id    kernel.NodeID
	exit  chan int
}

func startProcess(t *testing.T, d *dbtest.Database, name string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+d.AdminURL+" "+name)
	stdin, err := cmd.StdinPipe()
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
	p := &process{cmd: cmd, stdin: stdin, exit: make(chan int, 1)}
	line, err := bufio.NewReader(out).ReadString('\n')
	id, ok := strings.CutPrefix(strings.TrimSpace(line), "joined ")
	if !ok {
		t.Fatalf("%s says %q, %v", name, line, err)
	}
	p.id = kernel.NodeID(id)
	go func() {
		_ = cmd.Wait()
		p.exit <- cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-p.exit:
		return code
	case <-time.After(15 * time.Second):
		t.Fatal("the process does not end")
		return 0
	}
}

func TestProcessesFormACluster(t *testing.T) {
	d := dbtest.New(t)
	here := enter(t, d, "here")
	one, two := startProcess(t, d, "one"), startProcess(t, d, "two")
	eventually(t, "three members", here.sees(3))
	answered := map[string]bool{}
	for i := range 60 {
		node, _, _, err := here.count(within(t, 5*time.Second), fmt.Sprint("room", i))
		if err != nil {
			t.Fatal(err)
		}
		answered[node] = true
	}
	if len(answered) != 3 {
		t.Errorf("only %v answered", answered)
	}
	one.stdin.Close()
	if code := one.wait(t); code != 0 {
		t.Errorf("a node that leaves exits with %d", code)
	}
	eventually(t, "two members", here.sees(2))
	two.signal(t, syscall.SIGKILL)
	two.wait(t)
	began := time.Now()
	for i := range 60 {
		if _, _, _, err := here.count(within(t, 10*time.Second), fmt.Sprint("room", i)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("all homes answered %v after the kill", time.Since(began))
	eventually(t, "one member", here.sees(1))
}

func TestProcessThatSleptPastItsLeaseExits(t *testing.T) {
	d := dbtest.New(t)
	here := enter(t, d, "here")
	sleeper := startProcess(t, d, "sleeper")
	eventually(t, "two members", here.sees(2))
	key := ""
	for i := 0; key == ""; i++ {
		if k := fmt.Sprint("room", i); here.Home("counter", k) == sleeper.id {
			key = k
		}
	}
	_, epoch, _, err := here.count(within(t, 5*time.Second), key)
	if err != nil {
		t.Fatal(err)
	}
	sleeper.signal(t, syscall.SIGSTOP)
	// Its threads stop one after another.
	time.Sleep(100 * time.Millisecond)
	node, later, _, err := here.count(within(t, 10*time.Second), key)
	if err != nil || node != "here" || later <= epoch {
		t.Errorf("%s answered with epoch %d after %d, %v", node, later, epoch, err)
	}
	sleeper.signal(t, syscall.SIGCONT)
	if code := sleeper.wait(t); code != ExitFenced {
		t.Errorf("it exits with %d, want %d", code, ExitFenced)
	}
	startProcess(t, d, "sleeper")
	eventually(t, "two members", here.sees(2))
}
