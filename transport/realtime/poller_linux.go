package realtime

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller reads many sockets on one goroutine, as they become readable: a socket
// that is idle has neither a goroutine nor a buffer. Its epoll descriptor is itself
// watched by the runtime, so that waiting takes no thread.
type poller struct {
	epoll   int
	file    *os.File
	done    chan struct{}
	mu      sync.Mutex
	sockets []*socket // by descriptor
}

// startPoller makes a poller; close ends it.
func startPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil {
		return nil, errors.Join(err, unix.Close(epoll))
	}
	p := &poller{epoll: epoll, file: os.NewFile(uintptr(epoll), "epoll"), done: make(chan struct{})}
	raw, err := p.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	go p.run(raw)
	return p, nil
}

// close ends the loop. Sockets must have been ended before.
func (p *poller) close() {
	_ = p.file.Close() // wakes the loop; nothing is written to it
	<-p.done
}

func (p *poller) run(raw syscall.RawConn) {
	defer close(p.done)
	events := make([]unix.EpollEvent, 256)
	buffer := make([]byte, 64<<10)
	for {
		n := 0
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), events, 0)
			return n > 0 || failed != nil
		})
		if err != nil {
			return // closed
		}
		if failed != nil && !errors.Is(failed, unix.EINTR) {
			// Only a descriptor that is none any more gives an error.
			return
		}
		for _, e := range events[:max(n, 0)] {
			p.handle(e, buffer)
		}
	}
}

func (p *poller) handle(e unix.EpollEvent, buffer []byte) {
	p.mu.Lock()
	k := p.sockets[e.Fd]
	p.mu.Unlock()
	if k == nil {
		return // ended since the event was fetched
	}
	if e.Events&unix.EPOLLOUT != 0 {
		k.link.wanting(false)
		k.out.writable()
	}
	if e.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 && k.link.mayRead() {
		k.read(buffer)
	}
}

// polled is a socket that a poller watches: a descriptor, nothing else.
type polled struct {
	poller *poller
	fd     int
	mu     sync.Mutex
	// reads and wants say for what it is watched; away: it is not watched at all,
	// because it has ended and nobody reads it now.
	reads, wants, away bool
}

var _ wire = (*polled)(nil)

// adopt takes a connection's descriptor over from the runtime and watches it for
// k, at first for nothing. It fails when the connection has none.
func (p *poller) adopt(conn net.Conn, k *socket) error {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	var failed error
	err = raw.Control(func(old uintptr) {
		fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	k.link.poller, k.link.fd = p, fd
	p.mu.Lock()
	for len(p.sockets) <= fd {
		p.sockets = append(p.sockets, make([]*socket, max(64, len(p.sockets)))...)
	}
	p.sockets[fd] = k
	p.mu.Unlock()
	if err := k.link.control(unix.EPOLL_CTL_ADD); err != nil {
		k.link.close()
		return err
	}
	_ = conn.Close() // the descriptor lives on in ours
	return nil
}

func (l *polled) control(operation int) error {
	e := unix.EpollEvent{Fd: int32(l.fd)}
	if l.reads {
		e.Events |= unix.EPOLLIN
	}
	if l.wants {
		e.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(l.poller.epoll, operation, l.fd, &e)
}

// watch applies reads and wants. Call with the lock held. It can only fail when
// the socket is not watched, which reading settles.
func (l *polled) watch() {
	if !l.away {
		_ = l.control(unix.EPOLL_CTL_MOD)
	}
}

// reading says whether the socket is to be read.
func (l *polled) reading(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = on
	if on && l.away {
		l.away = false
		_ = l.control(unix.EPOLL_CTL_ADD) // tells of the end at once
		return
	}
	l.watch()
}

// mayRead tells whether the socket is to be read now. One that is not has ended:
// it would be reported all the time.
func (l *polled) mayRead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.reads && !l.away {
		l.away = true
		_ = l.control(unix.EPOLL_CTL_DEL) // watched until now
	}
	return l.reads
}

// wanting says whether the socket is watched for being writable.
func (l *polled) wanting(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wants = on
	l.watch()
}

// giveUp ends the socket when the peer confirms nothing of what it is sent for a
// time: one that is gone without a word. It is a courtesy of the system.
func (l *polled) giveUp(after time.Duration) {
	_ = unix.SetsockoptInt(l.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
}

func (l *polled) await() { l.wanting(true) }

func (l *polled) write(b []byte) (int, error) {
	for {
		n, err := unix.Write(l.fd, b)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case !errors.Is(err, unix.EINTR):
			return 0, err
		}
	}
}

// take reads what is there; full tells that nothing is.
func (l *polled) take(buffer []byte) (n int, empty bool, err error) {
	n, err = unix.Read(l.fd, buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, true, nil
	case err == nil && n == 0:
		return 0, false, net.ErrClosed
	}
	return max(n, 0), false, err
}

// shut ends both directions, also of one that has ended.
func (l *polled) shut() { _ = unix.Shutdown(l.fd, unix.SHUT_RDWR) }

// close gives the descriptor back. Nobody may use it any more.
func (l *polled) close() {
	l.poller.mu.Lock()
	l.poller.sockets[l.fd] = nil
	l.poller.mu.Unlock()
	_ = unix.Close(l.fd) // what was written is with the kernel
}
