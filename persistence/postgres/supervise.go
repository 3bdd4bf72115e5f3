package postgres

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// The back-off between restarts: quick at first, because every client waits,
// slow when it does not help.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
	// calm is how long a postmaster must have lived to start over at firstPause.
	calm = time.Minute
)

// supervise starts the postmaster again whenever it dies, until Stop.
func (s *Server) supervise() {
	defer close(s.supervised)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	pause := firstPause
	began := time.Now()
	for {
		select {
		case <-s.stop:
			return
		case <-s.process.gone:
		}
		if time.Since(began) > calm {
			pause = firstPause
		}
		s.options.Logger.Error("PostgreSQL ended unexpectedly", "pid", s.process.pid, "restart_in", pause.String())
		if !s.restart(ctx, &pause) {
			return
		}
		began = time.Now()
	}
}

// restart tries until it works or Stop is called; it reports which.
func (s *Server) restart(ctx context.Context, pause *time.Duration) bool {
	s.setProcess(nil)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(*pause):
		}
		*pause = min(*pause*2, longestPause)
		p, err := s.relaunch(ctx)
		if err == nil {
			s.setProcess(p)
			s.options.Logger.Info("PostgreSQL runs again", "pid", p.pid)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.options.Logger.Error("PostgreSQL could not be restarted", "error", err, "retry_in", pause.String())
	}
}

// relaunch looks for binaries first: an adopted postmaster came without, and an
// upgrade of the system may have moved them.
func (s *Server) relaunch(ctx context.Context) (*postmaster, error) {
	if _, err := os.Stat(s.binaries.postgres()); err != nil {
		major, err := clusterMajor(s.place.cluster())
		if err != nil {
			return nil, err
		}
		b, err := FindBinaries(Search{BinDir: s.options.BinDir, Engine: s.options.Engine, Major: major})
		if err != nil {
			return nil, err
		}
		if s.binaries, err = s.account.reach(b); err != nil {
			return nil, err
		}
	}
	return s.launch(ctx, true)
}

func (s *Server) setProcess(p *postmaster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	if p != nil {
		s.restarts++
	}
}

// leash ends an ephemeral postmaster and removes its folders when the process
// that holds it dies, even by SIGKILL: a shell waits for the end of a pipe that
// only we hold open.
type leash struct {
	cmd  *exec.Cmd
	hold *os.File
}

const leashScript = `read _ && exit
kill -INT "$1" 2>/dev/null
while kill -0 "$1" 2>/dev/null; do sleep 0.1; done
rm -rf "$2" "$3"`

func newLeash(pid int, dirs ...string) (*leash, error) {
	if len(dirs) != 2 {
		return nil, errors.New("postgres: a leash needs two folders")
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", leashScript, "sh", strconv.Itoa(pid), dirs[0], dirs[1])
	cmd.Stdin = read
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		write.Close()
		return nil, err
	}
	return &leash{cmd: cmd, hold: write}, nil
}

// release lets go without cleaning up: the caller has done so. A nil leash does
// nothing.
func (l *leash) release() {
	if l == nil {
		return
	}
	_, _ = l.hold.WriteString("released\n") // fails only when the shell is gone already
	l.hold.Close()
	_ = l.cmd.Wait() // it has nothing to tell
}
