package realtime

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// readBytes is the size of the pooled read buffers.
const readBytes = 4 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// parser turns messages of one wire dialect into messages of actors/connection.
type parser interface {
	connection.Dialect
	// parse never fails: what it does not understand becomes a message by which the
	// connection refuses it. The opcode is that of text or binary messages; text is
	// UTF-8. A nil needs no answer; see also tokenMessage and joinMessage.
	parse(opcode byte, payload []byte) any
	// refuse is parse for a message that is not to be done; the answer says which
	// one it was.
	refuse(opcode byte, payload []byte, code fault.Code, message string) any
	// ping is sent every turn of the wheel: a client that is there answers it.
	ping() *delivery.Frame
	// heartbeat is sent every second turn of the wheel; nil for none.
	heartbeat() *delivery.Frame
}

// tokenMessage is a message that shows a token, which the socket checks before the
// connection gets the message.
type tokenMessage interface {
	// shown is the token, empty for none.
	shown() string
	// judged is the message for the connection, with who the token stands for.
	judged(connection.RefreshToken) any
}

// joinMessage is a message that counts as a join.
type joinMessage interface{ joins() bool }

// accessToken is a client's wish to act under another token.
type accessToken struct{ token string }

func (a accessToken) shown() string                        { return a.token }
func (a accessToken) judged(r connection.RefreshToken) any { return r }

// socket is one client's connection: its read side, and the way to its actor.
type socket struct {
	gateway *Gateway
	conn    net.Conn
	out     *outbox
	parser  parser
	decoder decoder
	actor   kernel.Ref // zero when the connection was not admitted
	tenant  string     // as the client named it
	// messages and joins are nil without a limit.
	messages, joins *rate.Limiter

	heard       atomic.Int64 // unix nanoseconds of the last sign of life
	left        bool         // the peer said that it goes
	beats       int
	slot, place int // in the wheel
}

// read handles everything that the client sends until the socket ends.
func (k *socket) read(first []byte) {
	defer k.end()
	err := k.feed(first)
	if raw := k.out.raw; err == nil && raw != nil {
		err = k.readRaw(raw)
	} else if err == nil {
		err = k.readPlain()
	}
	var wrong *protocolError
	if errors.As(err, &wrong) {
		k.out.Close(wrong.code, wrong.reason)
		k.discard()
	}
}

// readRaw waits for the descriptor to be readable without holding a buffer.
func (k *socket) readRaw(raw syscall.RawConn) error {
	var n int
	var failed error
	var buffer *[readBytes]byte
	attempt := func(fd uintptr) bool {
		buffer = readBuffers.Get().(*[readBytes]byte)
		n, failed = syscall.Read(int(fd), buffer[:])
		if errors.Is(failed, syscall.EAGAIN) || errors.Is(failed, syscall.EINTR) {
			readBuffers.Put(buffer)
			return false
		}
		return true
	}
	for {
		if err := raw.Read(attempt); err != nil {
			return err
		}
		err := failed
		switch {
		case err == nil && n == 0:
			err = net.ErrClosed
		case err == nil:
			err = k.feed(buffer[:n])
		}
		readBuffers.Put(buffer)
		if err != nil {
			return err
		}
	}
}

func (k *socket) readPlain() error {
	buffer := make([]byte, readBytes)
	for {
		n, err := k.conn.Read(buffer)
		if err == nil {
			err = k.feed(buffer[:n])
		}
		if err != nil {
			return err
		}
	}
}

// discard reads and forgets, so that the peer can finish and see our close
// frame; the outbox has set the deadline, or ends the socket.
func (k *socket) discard() {
	buffer := make([]byte, readBytes)
	for {
		if _, err := k.conn.Read(buffer); err != nil {
			return
		}
	}
}

func (k *socket) feed(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	k.heard.Store(time.Now().UnixNano())
	return k.decoder.feed(b, k)
}

// message handles one message of the client.
func (k *socket) message(opcode byte, payload []byte) {
	if k.actor.IsZero() {
		return
	}
	if k.messages != nil && !k.messages.Allow() {
		k.tell(k.parser.refuse(opcode, payload, fault.RateLimitExceeded, "too many messages on this connection"))
		return
	}
	msg := k.parser.parse(opcode, payload)
	if joins(msg) && k.joins != nil && !k.joins.Allow() {
		msg = k.parser.refuse(opcode, payload, fault.RateLimitExceeded, "too many subscriptions at once on this connection")
	}
	if m, ok := msg.(tokenMessage); ok && m.shown() != "" {
		msg = m.judged(k.verify(m.shown()))
	}
	if msg != nil {
		k.tell(msg)
	}
}

// joins tells whether a message counts as a join.
func joins(msg any) bool {
	switch m := msg.(type) {
	case connection.SubscribeTable, connection.SubscribeChannel:
		return true
	case joinMessage:
		return m.joins()
	}
	return false
}

// verify checks a new token on the reader's goroutine: what the client sends
// after it waits, and is done as the new caller.
func (k *socket) verify(token string) connection.RefreshToken {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := k.gateway.o.Tokens.VerifyToken(ctx, token)
	if err == nil {
		_, c, err = k.gateway.o.Tenants.Resolve(ctx, c, k.tenant)
	}
	return connection.RefreshToken{Caller: c, Err: err}
}

// tell hands a message to the actor. While the actor is behind, nothing is read
// from the client: TCP slows it down.
func (k *socket) tell(msg any) {
	for wait := 100 * time.Microsecond; !connection.Accepts(k.actor); wait = min(2*wait, 10*time.Millisecond) {
		time.Sleep(wait)
	}
	if k.actor.Tell(msg) != nil {
		// The actor has ended, and with it the socket, unless it is flooded by
		// others: then it is of no use any more.
		k.out.Close(closeInternal, "overloaded")
	}
}

func (k *socket) ping(payload []byte) {
	k.out.Push(&delivery.Frame{Bytes: appendFrame(nil, opPong, payload)})
}

func (k *socket) pong() {}

func (k *socket) closed(code int, _ string) {
	k.left = code == closeNormal || code == closeNoStatus
	k.out.peerClosed(code)
}

// beat is the wheel's visit: ping, heartbeat, and the end of a silent peer.
func (k *socket) beat(now time.Time) {
	if now.UnixNano()-k.heard.Load() > int64(k.gateway.o.PongTimeout) {
		k.out.abort()
		return
	}
	k.out.Push(k.parser.ping())
	if k.beats++; k.beats%2 == 0 {
		if f := k.parser.heartbeat(); f != nil {
			k.out.Push(f)
		}
	}
}

// end forgets the socket.
func (k *socket) end() {
	k.out.abort()
	k.gateway.wheel.remove(k)
	if !k.actor.IsZero() && k.actor.Tell(connection.Disconnected{Left: k.left}) != nil {
		k.actor.Stop()
	}
	k.gateway.sockets.Add(-1)
}
