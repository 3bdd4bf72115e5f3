package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who runs PostgreSQL. The zero value is the calling user.
type account struct {
	name     string
	uid, gid uint32
	switched bool // true when the caller is root and PostgreSQL runs as someone else
}

// findAccount picks an unprivileged account when the caller is root: PostgreSQL
// refuses to run as root.
func findAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid), switched: true}, nil
	}
	// A minimal container may list no accounts at all. The kernel needs none.
	return account{name: "65534", uid: 65534, gid: 65534, switched: true}, nil
}

// attributes start a program as the account, in a session of its own so that a
// Ctrl-C at the terminal reaches us and not PostgreSQL.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a.switched {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own gives path to the account.
func (a account) own(path string) error {
	if !a.switched {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// enters tells whether the account can work in dir. It is tried rather than
// computed: mode bits do not tell about access lists or confinement.
func (a account) enters(dir string) bool {
	if !a.switched {
		return true
	}
	cmd := exec.Command("/bin/sh", "-c", `cd "$1" && test -r . && test -w .`, "sh", dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = a.attributes()
	return cmd.Run() == nil
}

// runs tells whether the account can start the binaries.
func (a account) runs(b Binaries) bool {
	cmd := exec.Command(b.postgres(), "--version")
	cmd.Dir = "/"
	cmd.SysProcAttr = a.attributes()
	return cmd.Run() == nil
}

// reach returns binaries that the account can run: the given ones, or a copy of
// their installation in a folder that it can enter.
func (a account) reach(b Binaries) (Binaries, error) {
	if !a.switched || a.runs(b) {
		return b, nil
	}
	source := filepath.Dir(b.Dir)
	sum := sha256.Sum256([]byte(source + " " + b.Version))
	name := "postgresql-" + b.Version + "-" + hex.EncodeToString(sum[:4])
	base, err := sharedFolder("engines")
	if err != nil {
		return b, err
	}
	target := filepath.Join(base, name)
	moved := Binaries{Dir: filepath.Join(target, filepath.Base(b.Dir)), Version: b.Version, Major: b.Major}
	if a.runs(moved) {
		return moved, nil
	}
	// Copy beside the target and rename: nobody ever sees half an installation.
	fresh, err := os.MkdirTemp(base, name+".*")
	if err != nil {
		return b, err
	}
	defer os.RemoveAll(fresh)
	if err := os.CopyFS(fresh, os.DirFS(source)); err != nil {
		return b, fmt.Errorf("copy PostgreSQL to where user %s can run it: %w", a.name, err)
	}
	if err := openForReading(fresh); err != nil {
		return b, err
	}
	if err := os.Rename(fresh, target); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return b, err
	}
	if !a.runs(moved) {
		return b, fmt.Errorf("user %s can run PostgreSQL neither in %s nor in %s", a.name, b.Dir, moved.Dir)
	}
	return moved, nil
}

// openForReading lets everyone read the tree and enter its folders.
func openForReading(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// sharedFolder makes a folder for what cannot stay in the data folder. Only
// root needs one, so a folder that somebody else owns is refused.
func sharedFolder(name string) (string, error) {
	var failed error
	for _, base := range []string{"/var/lib/fluxbase", "/var/tmp/fluxbase"} {
		dir := filepath.Join(base, name)
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = ownedByRoot(base)
		}
		if err == nil {
			return dir, nil
		}
		failed = errors.Join(failed, err)
	}
	return "", fmt.Errorf("no folder for the unprivileged account: %w", failed)
}

func ownedByRoot(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || st.Uid != 0 {
		return fmt.Errorf("%s is not a folder of root", dir)
	}
	return nil
}
