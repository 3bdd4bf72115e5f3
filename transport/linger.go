package transport

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// How long and how far a refused body is still taken after the answer.
const (
	lingerTime  = time.Second
	lingerBytes = 8 << 20
)

// lingering makes connections that can be closed without losing the answer: a
// socket that is closed with unread bytes in it is reset, and the reset throws
// away what the client has not read yet, the reason for its refusal included.
type lingering struct{ net.Listener }

// Accept implements net.Listener.
func (l lingering) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
		return &lingerConn{TCPConn: tcp}, nil
	}
	return conn, err
}

type lingerConn struct {
	*net.TCPConn
	unread atomic.Bool
}

// linger says that the connection will be closed after this answer while its
// client may still be sending.
func linger(conn net.Conn) {
	if c, ok := conn.(*lingerConn); ok {
		c.unread.Store(true)
	}
}

// Close implements net.Conn.
func (c *lingerConn) Close() error {
	if !c.unread.Swap(false) {
		return c.TCPConn.Close()
	}
	if err := errors.Join(c.CloseWrite(), c.SetReadDeadline(time.Now().Add(lingerTime))); err == nil {
		// Whatever ends the reading, the connection is done with.
		_, _ = io.CopyN(io.Discard, c.TCPConn, lingerBytes)
	}
	return c.TCPConn.Close()
}
