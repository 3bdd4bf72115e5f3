// Package npmtest installs the npm packages that tests run, as their lock files in
// .engines-lock fix them.
package npmtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Install installs what .engines-lock has under a name, unless that was done, and gives
// the folder in which node_modules stands. Test processes that want the same wait for
// each other. Without npm the test is skipped.
func Install(t testing.TB, name string) string {
	t.Helper()
	for _, program := range []string{"npm", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is needed for what this test runs", program)
		}
	}
	root := moduleRoot(t)
	engines := filepath.Join(root, ".engines")
	if err := os.MkdirAll(engines, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(engines, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(root, ".engines-lock", "install.sh"), name).CombinedOutput()
	if err != nil {
		t.Fatalf("install %s: %v\n%s", name, err, out)
	}
	return filepath.Join(engines, name)
}

// moduleRoot is the nearest folder above the test's that has a go.mod.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
}
