package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// startRedis runs the machine's redis-server, which keeps everything in memory, and
// gives the environment of servers that use it. stop ends it.
func startRedis(ctx context.Context) (environment []string, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return nil, nil, err
	}
	server := exec.Command("redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", os.TempDir())
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // not for the terminal to interrupt
	if err := server.Start(); err != nil {
		return nil, nil, fmt.Errorf("start Redis: %w", err)
	}
	stop = func() error {
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return server.Wait()
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return []string{"FLUXBASE_REDIS_URL=redis://" + address}, stop, conn.Close()
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, nil, errors.Join(fmt.Errorf("redis does not listen: %w", err), stop())
		}
	}
}
