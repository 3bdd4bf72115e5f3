package lifetime

import "golang.org/x/sys/unix"

// peerClosed asks for the peer's FIN or reset. Unlike a peek it sees them behind
// bytes that nobody has read yet.
func peerClosed(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}
