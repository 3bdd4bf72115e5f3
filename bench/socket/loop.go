package socket

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Loop reads many connections on one goroutine by readiness (epoll), so that the
// client side of a load test costs little more than its reads.
type Loop struct {
	epoll  int
	conns  map[int32]*Conn
	buffer []byte
	handle func(c *Conn, message []byte)
	// Broken counts connections that ended while the loop ran.
	Broken int
}

// NewLoop makes a loop that calls handle, on the loop's goroutine, with each
// text message; message is valid only during the call.
func NewLoop(handle func(c *Conn, message []byte)) (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &Loop{epoll: epoll, conns: map[int32]*Conn{}, buffer: make([]byte, 256<<10), handle: handle}, nil
}

// Add hands a connection to the loop; call it before Run.
func (l *Loop) Add(c *Conn) error {
	if n := c.read.Buffered(); n > 0 {
		peeked, err := c.read.Peek(n)
		if err != nil {
			return err
		}
		c.rest = append(c.rest, peeked...)
	}
	c.read = nil
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		l.conns[int32(fd)] = c
		failed = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	})
	return errors.Join(err, failed)
}

// Run reads until ctx ends.
func (l *Loop) Run(ctx context.Context) error {
	for _, c := range l.conns {
		if len(c.rest) > 0 {
			c.rest = l.frames(c, c.rest)
		}
	}
	events := make([]unix.EpollEvent, 512)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(l.epoll, events, 50)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, event := range events[:max(n, 0)] {
			l.drain(event.Fd)
		}
	}
	return nil
}

// Close releases the loop's descriptor, not the connections.
func (l *Loop) Close() error { return unix.Close(l.epoll) }

func (l *Loop) drain(fd int32) {
	c := l.conns[fd]
	head := copy(l.buffer, c.rest)
	if head < len(c.rest) || head == len(l.buffer) {
		l.buffer = make([]byte, 2*len(c.rest)+len(l.buffer))
		head = copy(l.buffer, c.rest)
	}
	n, err := unix.Read(int(fd), l.buffer[head:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil, n == 0:
		l.drop(fd, c)
		return
	}
	rest := l.frames(c, l.buffer[:head+n])
	c.rest = append(c.rest[:0], rest...)
	if c.Closed != 0 {
		l.drop(fd, c)
	}
}

func (l *Loop) drop(fd int32, c *Conn) {
	if c.Closed == 0 {
		c.Closed = -1
	}
	l.Broken++
	// The descriptor may be closed already, by the test itself; then it has left
	// the set by itself.
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, int(fd), nil)
	delete(l.conns, fd)
}

// frames handles every complete frame in b and returns what remains.
func (l *Loop) frames(c *Conn, b []byte) []byte {
	for len(b) >= 2 {
		header := 2 + lengthBytes(uint64(b[1]&0x7f))
		if len(b) < header {
			return b
		}
		length := uint64(b[1] & 0x7f)
		if header > 2 {
			length = bigEndian(b[2:header])
		}
		if uint64(len(b)-header) < length {
			return b
		}
		payload := b[header : header+int(length)]
		if control, err := c.control(b[0]&0xf, payload); err != nil {
			return nil
		} else if !control {
			l.handle(c, payload)
		}
		b = b[header+int(length):]
	}
	return b
}
