package flooder

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
)

// Process is a child of the benchmark that floods.
type Process struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	answers *json.Decoder
}

// Start runs this executable again as n flooding connections. The child ends when its
// standard input is closed, so it cannot outlive us.
func Start(url string, n int) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, "flooder", url, strconv.Itoa(n))
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
	return &Process{command: command, stdin: stdin, answers: json.NewDecoder(stdout)}, nil
}

// Totals asks the child what it did so far; it answers once it has its connections.
func (p *Process) Totals() (t Totals, err error) {
	if _, err = io.WriteString(p.stdin, "\n"); err == nil {
		err = p.answers.Decode(&t)
	}
	if err != nil {
		err = fmt.Errorf("the flooding process: %w", err)
	}
	return t, err
}

// Close ends the child.
func (p *Process) Close() error {
	if err := p.stdin.Close(); err != nil {
		return err
	}
	return p.command.Wait()
}
