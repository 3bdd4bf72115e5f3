package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// postmaster is a running postgres process: our child, or one that an earlier
// owner left behind.
type postmaster struct {
	pid  int
	gone chan struct{} // closed when the process has ended
}

// launch starts the postmaster and waits until it answers. While processes of a
// killed predecessor still hold its shared memory, PostgreSQL refuses to start;
// they notice within moments, so that is retried.
//
// The port is chosen here unless the caller says that it is fixed: then clients
// know it already, and a port that is taken is an error.
func (s *Server) launch(ctx context.Context, fixedPort bool) (*postmaster, error) {
	deadline := time.Now().Add(s.options.StartTimeout)
	for attempt := 0; ; attempt++ {
		if fixedPort {
			if !portIsFree(s.place.port) {
				return nil, fmt.Errorf("port %d is taken by another program", s.place.port)
			}
		} else if err := s.place.choosePort(); err != nil {
			return nil, err
		}
		if err := s.writeSettings(); err != nil {
			return nil, err
		}
		if err := s.clearStalePID(); err != nil {
			return nil, err
		}
		p, err := s.spawn()
		if err != nil {
			return nil, err
		}
		if err = s.awaitReady(ctx, p, deadline); err == nil {
			return p, nil
		}
		select {
		case <-p.gone:
		default:
			p.shutdown(10 * time.Second)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if time.Now().After(deadline) || attempt >= 100 || !passing(err) {
			return nil, err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// passing tells whether a failed start is worth repeating: remains of a
// predecessor that is still dying, or a port taken since we looked.
func passing(err error) bool {
	text := err.Error()
	for _, sign := range []string{"pre-existing shared memory block", "could not bind", "already exists"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

func (s *Server) spawn() (*postmaster, error) {
	log, err := os.OpenFile(s.place.startLog(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if err := s.account.own(s.place.startLog()); err != nil {
		return nil, err
	}
	cmd := exec.Command(s.binaries.postgres(), "-D", s.place.cluster())
	cmd.Dir = s.place.dir
	cmd.Env = cleanEnvironment()
	// A file and no pipe: PostgreSQL must be able to outlive us.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = s.account.attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	p := &postmaster{pid: cmd.Process.Pid, gone: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log; that it ended is what counts
		close(p.gone)
	}()
	return p, nil
}

// awaitReady returns when p answers as our cluster, and fails when it ends.
func (s *Server) awaitReady(ctx context.Context, p *postmaster, deadline time.Time) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	var last error
	for {
		if last = s.ping(ctx); last == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL does not answer after %s: %w%s", time.Since(began).Round(time.Second), last, s.logTail())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.gone:
			return fmt.Errorf("PostgreSQL did not start:%s", s.logTail())
		case <-tick.C:
		}
	}
}

// ping connects as superuser and makes sure that the server that answers is the
// one of our cluster: a port number alone proves nothing.
func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var dir string
	if err := conn.QueryRow(ctx, "show data_directory").Scan(&dir); err != nil {
		return err
	}
	if !sameFile(dir, s.place.cluster()) {
		return fmt.Errorf("port %d belongs to the cluster in %s", s.place.port, dir)
	}
	return nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// adopt returns the postmaster of our cluster if one is alive, nil otherwise.
// One that is starting, recovering or shutting down is waited for.
func (s *Server) adopt(ctx context.Context) *postmaster {
	waiting := false
	for deadline := time.Now().Add(s.options.StartTimeout); time.Now().Before(deadline) && ctx.Err() == nil; {
		pid, port := s.readPIDFile()
		if pid == 0 || !isPostmaster(pid) {
			return nil
		}
		s.place.port = port
		if port != 0 && s.ping(ctx) == nil {
			p := &postmaster{pid: pid, gone: make(chan struct{})}
			go p.watch()
			return p
		}
		if !waiting {
			waiting = true
			s.options.Progress(fmt.Sprintf("waiting for PostgreSQL (process %d) …", pid))
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// readPIDFile reads process id and port from postmaster.pid; zeros when there
// is none.
func (s *Server) readPIDFile() (pid, port int) {
	raw, err := os.ReadFile(filepath.Join(s.place.cluster(), "postmaster.pid"))
	if err != nil {
		return 0, 0
	}
	lines := strings.Split(string(raw), "\n")
	pid, _ = strconv.Atoi(strings.TrimSpace(lines[0])) // 0 when it is not there
	if len(lines) > 3 {
		port, _ = strconv.Atoi(strings.TrimSpace(lines[3])) // written a moment later
	}
	return pid, port
}

// clearStalePID removes a postmaster.pid whose number now belongs to some other
// program: PostgreSQL, which only looks at the number, would refuse to start.
func (s *Server) clearStalePID() error {
	pid, _ := s.readPIDFile()
	if pid == 0 || isPostmaster(pid) {
		return nil
	}
	err := os.Remove(filepath.Join(s.place.cluster(), "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// isPostmaster tells whether pid is alive and runs a program named postgres.
func isPostmaster(pid int) bool {
	if !alive(pid) {
		return false
	}
	if raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
		if open < 0 || end < open || end+2 >= len(raw) {
			return false
		}
		return string(raw[open+1:end]) == "postgres" && raw[end+2] != 'Z'
	}
	out, err := exec.Command("ps", "-p", strconv.Itoa(pid), "-o", "comm=").Output()
	return err == nil && filepath.Base(strings.TrimSpace(string(out))) == "postgres"
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// watch closes gone when a process that is not our child ends.
func (p *postmaster) watch() {
	for isPostmaster(p.pid) {
		time.Sleep(250 * time.Millisecond)
	}
	close(p.gone)
}

// shutdown asks for a fast shutdown (sessions are ended, a checkpoint is
// written) and insists when that takes longer than patience.
func (p *postmaster) shutdown(patience time.Duration) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{
		{syscall.SIGINT, patience},
		{syscall.SIGQUIT, 10 * time.Second},
		{syscall.SIGKILL, 10 * time.Second},
	} {
		select {
		case <-p.gone:
			return nil
		default:
		}
		if err := syscall.Kill(p.pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
		select {
		case <-p.gone:
			return nil
		case <-time.After(step.wait):
		}
	}
	return fmt.Errorf("PostgreSQL (process %d) does not stop", p.pid)
}

// logTail is the end of what PostgreSQL said while starting, for errors.
func (s *Server) logTail() string {
	text := tail(s.place.startLog())
	if !s.options.Ephemeral {
		if newest := newestFile(s.place.logs()); newest != "" {
			text += tail(newest) + "\n(more in " + newest + ")"
		}
	}
	return text
}

func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "\n(its log cannot be read: " + err.Error() + ")"
	}
	const keep = 2000
	if len(raw) > keep {
		raw = raw[len(raw)-keep:]
	}
	return "\n" + strings.TrimSpace(string(raw))
}

// newestFile is the file in dir that was written last; "" when there is none.
func newestFile(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var newest string
	var when time.Time
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().After(when) {
			newest, when = filepath.Join(dir, e.Name()), info.ModTime()
		}
	}
	return newest
}
