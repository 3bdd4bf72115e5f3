package lifetime

import (
	"net"
	"syscall"
)

// hungUp tells whether the peer of conn has closed. It neither reads nor blocks,
// so bytes that wait (a pipelined request, the rest of a body) stay where they are.
// A connection that has no descriptor of its own counts as open.
func hungUp(conn net.Conn) bool {
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn }) // TLS
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	if err := raw.Control(func(fd uintptr) { gone = peerClosed(fd) }); err != nil {
		return true // we closed it ourselves
	}
	return gone
}
