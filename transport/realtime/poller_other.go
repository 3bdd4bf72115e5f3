//go:build !linux

package realtime

import (
	"errors"
	"net"
	"time"
)

// poller is not there: every socket has a goroutine.
type poller struct{}

func startPoller() (*poller, error) { return nil, errors.ErrUnsupported }

func (p *poller) close() {}

func (p *poller) adopt(net.Conn, *socket) error { return errors.ErrUnsupported }

// polled is never used.
type polled struct{ poller *poller }

func (l *polled) reading(bool) {}

func (l *polled) take([]byte) (n int, empty bool, err error) { return 0, false, errors.ErrUnsupported }

func (l *polled) write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (l *polled) giveUp(time.Duration) {}

func (l *polled) await() {}

func (l *polled) shut() {}

func (l *polled) close() {}
