package realtime

import "net"

// plain is a socket without readiness: TLS, or a platform without a poller. What
// waits for it is written by a goroutine that lives as long as something waits.
type plain struct {
	conn net.Conn
	out  *outbox
}

var _ wire = (*plain)(nil)

// write takes nothing: the writer loop must not block.
func (p *plain) write([]byte) (int, error) { return 0, nil }

func (p *plain) await() { go p.drain() }

// shut ends the socket. An error says that it has ended already.
func (p *plain) shut() { _ = p.conn.Close() }

// drain writes until nothing waits. A socket that takes nothing is shut by the
// outbox's timer.
func (p *plain) drain() {
	o := p.out
	buffer := make([]byte, 0, joinBytes)
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && !o.waiting.empty() {
		chunk := o.waiting.gather(buffer)
		// Piece by piece: each one that is taken is a sign of life.
		chunk = chunk[:min(len(chunk), joinBytes)]
		o.writing = true
		o.mu.Unlock()
		n, err := p.conn.Write(chunk)
		o.mu.Lock()
		o.wrote(n, err)
	}
	o.congested = false
}
