package postgres

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// folder is a short path that an unprivileged account can enter: t.TempDir is
// neither when the tests run as root.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "fxpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func start(t *testing.T, o Options) *Server {
	t.Helper()
	o.Engine = os.Getenv("FLUXBASE_POSTGRES_ENGINE")
	if o.Logger == nil {
		o.Logger = quiet()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(ctx)
	var v string
	if err := conn.QueryRow(ctx, sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// eventually asks until it is true; the wait is bounded.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// TestLife walks one data folder through everything that happens to a server.
// One cluster serves all steps because initdb is what takes time.
func TestLife(t *testing.T) {
	dir := filepath.Join(folder(t), "postgres")
	outer := t // servers started in a step live on into the next one
	var said []string
	options := Options{Dir: dir, Progress: func(line string) { said = append(said, line) }}
	s := start(t, options)

	t.Run("says what takes time", func(t *testing.T) {
		all := strings.Join(said, "\n")
		if !strings.Contains(all, "initialising database") || !strings.Contains(all, "starting PostgreSQL "+s.binaries.Version) {
			t.Errorf("progress was %q", all)
		}
	})
	t.Run("answers on both addresses, durable and UTF-8", func(t *testing.T) {
		for _, url := range []string{s.URL(), s.SocketURL()} {
			if got := query(t, url, "select current_setting('fsync')||' '||current_setting('server_encoding')||' '||current_user"); got != "on UTF8 postgres" {
				t.Errorf("%s: got %q", url, got)
			}
		}
		if got := query(t, s.URL(), "select upper('ä') || ('b' < 'C')::text"); got != "Äfalse" {
			t.Errorf("case and order: got %q, want Äfalse", got)
		}
	})
	t.Run("wants the password", func(t *testing.T) {
		url := strings.Replace(s.URL(), s.password, "wrong", 1)
		if c, err := pgx.Connect(t.Context(), url); err == nil {
			c.Close(t.Context())
			t.Error("a wrong password was accepted")
		}
		info, err := os.Stat(s.place.passwordFile())
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("password file: %v %v", info.Mode(), err)
		}
	})
	t.Run("does not run as root", func(t *testing.T) {
		info, err := os.Stat(s.place.cluster())
		if err != nil {
			t.Fatal(err)
		}
		if info.Sys().(*syscall.Stat_t).Uid == 0 {
			t.Error("the cluster belongs to root")
		}
	})
	t.Run("refuses a second server", func(t *testing.T) {
		_, err := Start(t.Context(), Options{Dir: dir, Logger: quiet()})
		if !errors.Is(err, ErrLocked) {
			t.Errorf("got %v, want ErrLocked", err)
		}
	})

	execute(t, s.URL(), "create table kept(v text); insert into kept values ('here')")
	url := s.URL()

	t.Run("restarts a killed postmaster at the same address", func(t *testing.T) {
		pid := s.PID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a new postmaster", func() bool { return s.PID() != 0 && s.PID() != pid })
		if got := query(t, url, "select v from kept"); got != "here" {
			t.Errorf("got %q", got)
		}
		if s.Restarts() != 1 {
			t.Errorf("restarts: %d", s.Restarts())
		}
	})
	t.Run("adopts what a killed owner left", func(t *testing.T) {
		// Releasing the lock without a shutdown is all that SIGKILL leaves behind.
		pid := s.PID()
		s.options.KeepRunning = true
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		s = start(outer, options)
		if s.PID() != pid || s.URL() != url {
			t.Errorf("process %d at %s, want %d at %s", s.PID(), s.URL(), pid, url)
		}
		// An adopted one is watched over too.
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a new postmaster", func() bool { return s.PID() != 0 && s.PID() != pid })
		if got := query(t, url, "select v from kept"); got != "here" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("starts after both were killed", func(t *testing.T) {
		pid := s.PID()
		s.options.KeepRunning = true
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s = start(outer, options)
		if got := query(t, s.URL(), "select v from kept"); got != "here" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a recycled process id does not stop it", func(t *testing.T) {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		stale := filepath.Join(s.place.cluster(), "postmaster.pid")
		if err := os.WriteFile(stale, []byte("1\n"+s.place.cluster()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.account.own(stale); err != nil {
			t.Fatal(err)
		}
		s = start(outer, options)
	})
	t.Run("stops cleanly and keeps its port", func(t *testing.T) {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(); err != nil {
			t.Errorf("second stop: %v", err)
		}
		if _, err := os.Stat(filepath.Join(s.place.cluster(), "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("postmaster.pid is still there: %v", err)
		}
		s = start(outer, options)
		if s.URL() != url {
			t.Errorf("address changed from %s to %s", url, s.URL())
		}
	})
	t.Run("refuses another major", func(t *testing.T) {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.place.cluster(), "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), Options{Dir: dir, Logger: quiet()})
		if err == nil || !strings.Contains(err.Error(), "made by PostgreSQL 9") {
			t.Errorf("got %v", err)
		}
	})
}

// TestFolderWithAnOddName starts in folders whose names mean something else in a
// setting, an address or a list.
func TestFolderWithAnOddName(t *testing.T) {
	outer := folder(t)
	for _, name := range []string{"my data", `it's a "dir" $(x)`, "a,b+c%20", `back\slash#?`} {
		dir := filepath.Join(outer, name)
		s := start(t, Options{Dir: dir, Ephemeral: true})
		for _, address := range []string{s.SocketURL(), s.URL()} {
			if got := query(t, address, "select current_setting('fsync')"); got != "off" {
				t.Errorf("%s: fsync is %s", name, got)
			}
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestFolderWithSomethingElse(t *testing.T) {
	dir := folder(t)
	if err := os.MkdirAll(filepath.Join(dir, "cluster", "photos"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir, Logger: quiet()})
	if err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cluster", "photos")); err != nil {
		t.Error(err)
	}
}

func TestEphemeralLeavesNothing(t *testing.T) {
	// A folder whose socket path would not fit into a socket address.
	dir := filepath.Join(folder(t), strings.Repeat("long", 30))
	s := start(t, Options{Dir: dir, Ephemeral: true})
	if got := query(t, s.SocketURL(), "select current_setting('fsync')"); got != "off" {
		t.Errorf("fsync is %s", got)
	}
	sockets := s.place.sockets()
	if strings.HasPrefix(sockets, dir) {
		t.Errorf("socket folder %s is too long", sockets)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, sockets} {
		if _, err := os.Stat(d); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", d, err)
		}
	}
}

func TestLeashCleansUpAfterADeadOwner(t *testing.T) {
	dir := filepath.Join(folder(t), "postgres")
	s := start(t, Options{Dir: dir, Ephemeral: true})
	// What the death of our process does to the pipe.
	s.leash.hold.Close()
	eventually(t, "the folder is gone", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestFolderThatTheAccountCannotEnter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root runs PostgreSQL as somebody else")
	}
	outer := folder(t)
	if err := os.Chmod(outer, 0o700); err != nil {
		t.Fatal(err)
	}
	var said string
	o := Options{Dir: filepath.Join(outer, "postgres"), Engine: os.Getenv("FLUXBASE_POSTGRES_ENGINE"),
		Logger: quiet(), Progress: func(line string) { said += line + "\n" }}
	a, err := findAccount()
	if err != nil {
		t.Fatal(err)
	}
	first, err := settle(o, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(first.dir) })
	if strings.HasPrefix(first.dir, outer) || !strings.Contains(said, first.dir) {
		t.Errorf("settled in %s, said %q", first.dir, said)
	}
	// The choice sticks even when the folder becomes open later.
	if err := os.Chmod(outer, 0o711); err != nil {
		t.Fatal(err)
	}
	again, err := settle(o, a)
	if err != nil || again.dir != first.dir {
		t.Errorf("settled in %s (%v), want %s", again.dir, err, first.dir)
	}
}

func TestFindBinaries(t *testing.T) {
	fake := func(t *testing.T, version string) string {
		dir := t.TempDir()
		for _, name := range []string{"initdb", "postgres"} {
			script := "#!/bin/sh\necho '" + name + " (PostgreSQL) " + version + "'\n"
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for _, c := range []struct {
		name, version string
		major         int
		want, wantErr string
	}{
		{"a release", "17.2", 0, "17.2", ""},
		{"with the distribution's name", "15.18 (Debian 15.18-0+deb12u1)", 15, "15.18", ""},
		{"a beta", "18beta1", 0, "18", ""},
		{"too old", "14.9", 0, "", "15 or newer is needed"},
		{"another major than the data", "17.2", 15, "", "made by PostgreSQL 15"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := FindBinaries(Search{BinDir: fake(t, c.version), Major: c.major})
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Errorf("got %v, want an error with %q", err, c.wantErr)
				}
				return
			}
			if err != nil || b.Version != c.want {
				t.Errorf("got %q (%v), want %q", b.Version, err, c.want)
			}
		})
	}
	if _, err := FindBinaries(Search{BinDir: t.TempDir()}); err == nil {
		t.Error("an empty folder was accepted")
	}
}

func TestLinkLibraries(t *testing.T) {
	root := t.TempDir()
	bin, lib := filepath.Join(root, "native", "bin"), filepath.Join(root, "native", "lib")
	for _, d := range []string{bin, lib} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	list := filepath.Join(root, "native", "pg-symlinks.json")
	write := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(lib, "libx.so.1.2"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(`[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so"}]`)
	for range 2 { // the second time the link is there already
		if err := linkLibraries(bin); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(lib, "libx.so")); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	write(`[{"source":"native/lib/libx.so.1.2","target":"../../outside"}]`)
	if err := linkLibraries(bin); err == nil {
		t.Error("a link outside the package was made")
	}
}
