//go:build unix && !linux

package lifetime

import "golang.org/x/sys/unix"

// peerClosed peeks for the end of the stream. A FIN behind unread bytes stays
// unseen until they are read.
func peerClosed(fd uintptr) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch err {
	case nil:
		return n == 0
	case unix.EAGAIN, unix.EINTR:
		return false
	default:
		return true
	}
}
