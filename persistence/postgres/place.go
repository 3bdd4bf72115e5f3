package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// longestSocketPath is what sockaddr_un holds on the strictest system we run on.
const longestSocketPath = 103

// place is where one cluster lives and which port it answers on.
type place struct {
	dir  string
	port int
}

func (p place) cluster() string      { return filepath.Join(p.dir, "cluster") }
func (p place) passwordFile() string { return filepath.Join(p.dir, "password") }
func (p place) lockFile() string     { return filepath.Join(p.dir, "lock") }
func (p place) portFile() string     { return filepath.Join(p.dir, "port") }
func (p place) startLog() string     { return filepath.Join(p.dir, "start.log") }
func (p place) logs() string         { return filepath.Join(p.dir, "log") }

// sockets is the folder of the Unix socket: inside dir, or a short one in the
// temporary folder when the path would not fit into a socket address or when
// clients would take it for several (a comma parts hosts).
func (p place) sockets() string {
	dir := filepath.Join(p.dir, "run")
	if len(filepath.Join(dir, ".s.PGSQL.65535")) <= longestSocketPath && !strings.Contains(dir, ",") {
		return dir
	}
	sum := sha256.Sum256([]byte(p.dir))
	return filepath.Join("/tmp", "fluxbase-"+hex.EncodeToString(sum[:6]))
}

// settle finds the place for o.Dir and makes its folders. A place that was
// chosen elsewhere is remembered in o.Dir, so that a later change of
// permissions does not make the data disappear.
func settle(o Options, a account) (place, error) {
	root, err := filepath.Abs(o.Dir)
	if err != nil {
		return place{}, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return place{}, fmt.Errorf("make the database folder: %w", err)
	}
	elsewhere := filepath.Join(root, "location")
	dir := root
	switch raw, err := os.ReadFile(elsewhere); {
	case err == nil:
		dir = strings.TrimSpace(string(raw))
	case !errors.Is(err, os.ErrNotExist):
		return place{}, err
	default:
		if err := a.own(root); err != nil {
			return place{}, err
		}
		if a.enters(root) {
			break
		}
		base, err := sharedFolder("clusters")
		if err != nil {
			return place{}, err
		}
		// A new name each time: a data folder that was deleted and made again is a
		// new one, with other secrets, and must not find the old database.
		if dir, err = os.MkdirTemp(base, filepath.Base(filepath.Dir(root))+"-*"); err != nil {
			return place{}, err
		}
		if err := os.WriteFile(elsewhere, []byte(dir+"\n"), 0o644); err != nil {
			return place{}, err
		}
	}
	if dir != root {
		o.Progress(fmt.Sprintf("user %s, who runs PostgreSQL, cannot enter %s; the database is in %s", a.name, root, dir))
		if err := a.own(dir); err != nil {
			return place{}, err
		}
	}
	p := place{dir: dir}
	for _, d := range []string{p.logs(), p.sockets()} {
		if err := privateFolder(d, a); err != nil {
			return place{}, err
		}
	}
	return p, nil
}

// privateFolder makes d for the account alone. The folder may be in a place
// where anybody can make one, so a folder of somebody else's is refused.
func privateFolder(d string, a account) error {
	if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(d)
	if err != nil {
		return err
	}
	owner := uint32(os.Geteuid())
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || (st.Uid != owner && st.Uid != a.uid) {
		return fmt.Errorf("%s belongs to somebody else", d)
	}
	if err := os.Chmod(d, 0o700); err != nil {
		return err
	}
	return a.own(d)
}

// choosePort takes the remembered port when it is free, else any free one, and
// remembers it.
func (p *place) choosePort() error {
	if raw, err := os.ReadFile(p.portFile()); err == nil {
		if port, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil && portIsFree(port) {
			p.port = port
			return nil
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port for PostgreSQL: %w", err)
	}
	p.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	return os.WriteFile(p.portFile(), []byte(strconv.Itoa(p.port)+"\n"), 0o644)
}

func portIsFree(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// ErrLocked is returned by Start when another server owns the folder.
var ErrLocked = errors.New("another server is running on this data folder")

// takeLock holds the folder until the file is closed or the process ends,
// however it ends.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0) // best effort: it only makes the message better
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s (process %s)", ErrLocked, filepath.Dir(path), strings.TrimSpace(string(holder[:n])))
		}
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
