// Package postgres runs a PostgreSQL server for people who have none: it finds
// the binaries, makes the cluster in the data folder, starts the postmaster,
// watches over it, and stops it.
//
// What a caller can rely on:
//
//   - One owner. A lock keeps a second server out of the same folder.
//   - Crash safety in both directions. A postmaster that outlived its owner is
//     adopted by the next Start; one that dies is started again with back-off.
//   - The major version is fixed when the cluster is made. Start refuses
//     binaries of another major instead of letting PostgreSQL fail obscurely.
//   - No root. When the caller is root, PostgreSQL runs as an unprivileged
//     account; if that account cannot enter the data folder, the cluster goes
//     to a folder that it can enter, and the data folder remembers which.
//
// Only the binaries initdb and postgres are needed: no psql, pg_ctl or pg_dump.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Superuser is the name of the role that initdb makes.
const Superuser = "postgres"

// Options say where and how to run PostgreSQL.
type Options struct {
	// Dir is the folder that will hold the cluster and everything around it.
	// Required. It is made when it is not there.
	Dir string
	// BinDir holds initdb and postgres. Empty searches; see FindBinaries.
	BinDir string
	// Engine limits the search to "system" or "npm" binaries; empty or "auto"
	// takes whichever is found first.
	Engine string
	// Ephemeral is for tests: no fsync, no supervision, and the whole folder is
	// removed when the server stops or the calling process dies.
	Ephemeral bool
	// KeepRunning makes Stop leave PostgreSQL running, to be adopted by the
	// next Start on the same folder.
	KeepRunning bool
	// Progress is told, in words for a terminal, what takes time. May be nil.
	Progress func(string)
	// Logger hears about restarts. Nil means slog.Default.
	Logger *slog.Logger
	// StartTimeout bounds one start of the postmaster, crash recovery included;
	// zero means two minutes.
	StartTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 2 * time.Minute
	}
	return o
}

// Server is a running PostgreSQL that belongs to this process.
type Server struct {
	options  Options
	place    place
	account  account
	binaries Binaries
	lock     *os.File
	password string

	mu       sync.Mutex
	process  *postmaster
	restarts int
	stopping bool

	supervised chan struct{} // closed when the supervisor has ended
	stop       chan struct{} // closed by Stop
	leash      *leash
}

// Start makes the cluster if there is none, starts or adopts its postmaster,
// and returns when it accepts connections. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Dir == "" {
		return nil, errors.New("postgres: no folder given")
	}
	o = o.withDefaults()
	acc, err := findAccount()
	if err != nil {
		return nil, err
	}
	where, err := settle(o, acc)
	if err != nil {
		return nil, err
	}
	lock, err := takeLock(where.lockFile())
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, place: where, account: acc, lock: lock, stop: make(chan struct{}), supervised: make(chan struct{})}
	if err := s.bringUp(ctx); err != nil {
		lock.Close()
		return nil, err
	}
	if o.Ephemeral {
		close(s.supervised)
	} else {
		go s.supervise()
	}
	return s, nil
}

// bringUp takes a locked folder to a server that answers.
func (s *Server) bringUp(ctx context.Context) error {
	major, err := clusterMajor(s.place.cluster())
	if err != nil {
		return err
	}
	if major != 0 {
		if s.password, err = readPassword(s.place.passwordFile()); err != nil {
			return err
		}
		// A postmaster that still runs needs no binaries and no initdb.
		if adopted := s.adopt(ctx); adopted != nil {
			s.options.Progress(fmt.Sprintf("using the PostgreSQL that is already running (process %d)", adopted.pid))
			s.process = adopted
			return nil
		}
	}
	s.binaries, err = FindBinaries(Search{BinDir: s.options.BinDir, Engine: s.options.Engine, Major: major})
	if err != nil {
		return err
	}
	if s.binaries, err = s.account.reach(s.binaries); err != nil {
		return err
	}
	if major == 0 {
		s.options.Progress("initialising database in " + s.place.dir + " …")
		if s.password, err = s.initialise(ctx); err != nil {
			return err
		}
	}
	s.options.Progress("starting PostgreSQL " + s.binaries.Version + " …")
	p, err := s.launch(ctx, false)
	if err != nil {
		return err
	}
	s.process = p
	if s.options.Ephemeral {
		if s.leash, err = newLeash(p.pid, s.place.dir, s.place.sockets()); err != nil {
			p.shutdown(10 * time.Second)
			return err
		}
	}
	return nil
}

// URL is the superuser's address over the loopback interface, good for any
// client on this machine. The database is "postgres". It stays the same while
// the server lives.
func (s *Server) URL() string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(Superuser, s.password),
		Host:     "127.0.0.1:" + strconv.Itoa(s.place.port),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SocketURL is the superuser's address over the Unix socket, which costs less
// per round trip. Only root and the account that runs PostgreSQL may use it.
func (s *Server) SocketURL() string {
	q := url.Values{"host": {s.place.sockets()}, "port": {strconv.Itoa(s.place.port)}, "sslmode": {"disable"}}
	// A plus is a plus in an address of PostgreSQL, not a space as in a form.
	query := strings.ReplaceAll(q.Encode(), "+", "%20")
	u := url.URL{Scheme: "postgres", User: url.UserPassword(Superuser, s.password), Path: "/postgres", RawQuery: query}
	return u.String()
}

// Dir is the folder where the cluster is: Options.Dir, or another one when the
// unprivileged account could not enter that.
func (s *Server) Dir() string { return s.place.dir }

// PID is the postmaster's process id; 0 while it is being restarted.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.pid
}

// Restarts counts how often the postmaster died and was started again.
func (s *Server) Restarts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// Stop ends supervision and shuts PostgreSQL down: open sessions are ended, a
// checkpoint is written. With KeepRunning it only lets go. It may be called
// more than once.
func (s *Server) Stop() error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		<-s.supervised
		return nil
	}
	s.stopping = true
	s.mu.Unlock()
	close(s.stop)
	<-s.supervised

	var err error
	if p := s.process; p != nil && !s.options.KeepRunning {
		err = p.shutdown(30 * time.Second)
	}
	s.leash.release()
	if s.options.Ephemeral {
		err = errors.Join(err, os.RemoveAll(s.place.dir), os.RemoveAll(s.place.sockets()))
	}
	return errors.Join(err, s.lock.Close())
}

// clusterMajor reads the major version of the cluster in dir; 0 when there is
// no cluster.
func clusterMajor(dir string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
			return 0, fmt.Errorf("%s holds something that is no database; move it away or choose another data folder", dir)
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the database folder: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION does not hold a major version: %q", dir, raw)
	}
	return major, nil
}
