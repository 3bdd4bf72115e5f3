package floor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Process is a floor server running as a child of the benchmark.
type Process struct {
	// Host is its host:port.
	Host string
	// PID is its process.
	PID int

	command *exec.Cmd
	stdin   io.Closer
}

// Start runs this executable again as the floor server of the given kind. The
// child ends when its standard input is closed, so it cannot outlive us.
func Start(kind string, environment ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, "floor", kind)
	command.Env = append(os.Environ(), environment...)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	host, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the floor server did not say its address: %w", err), stdin.Close(), command.Wait())
	}
	return &Process{Host: strings.TrimSpace(host), PID: command.Process.Pid, command: command, stdin: stdin}, nil
}

// Close ends the floor server.
func (p *Process) Close() error {
	err := p.stdin.Close()
	// It ends by os.Exit when its input closes; the status says nothing.
	_ = p.command.Wait()
	return err
}
