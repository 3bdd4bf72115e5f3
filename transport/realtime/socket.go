package realtime

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/transport/budget"
)

// A client that has sent almost patience messages more that were refused for their
// rate than others waits behind each further one: refusalPause, and twice as long
// with each of refusalSteps.
const (
	patience     = 64
	refusalSteps = 6
	refusalPause = 5 * time.Millisecond
)

// parser turns messages of one wire dialect into messages of actors/connection.
type parser interface {
	connection.Dialect
	// parse never fails: what it does not understand becomes a message by which the
	// connection refuses it. The opcode is that of text or binary messages; text is
	// UTF-8. A nil needs no answer; see also tokenMessage and countedMessage.
	parse(opcode byte, payload []byte) any
	// refuse is parse for a message that is not to be done; the answer says which
	// one it was.
	refuse(opcode byte, payload []byte, f *fault.Fault) any
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

// countedMessage is a message that counts as more than a message.
type countedMessage interface{ counts() budget.Resource }

// accessToken is a client's wish to act under another token.
type accessToken struct{ token string }

func (a accessToken) shown() string                        { return a.token }
func (a accessToken) judged(r connection.RefreshToken) any { return r }

// socket is one client's connection: its read side, and the way to its actor. One
// goroutine at a time reads: the poller's, or, while that is on hold, another one.
type socket struct {
	gateway *Gateway
	conn    net.Conn // nil when a poller has the socket
	link    polled
	out     outbox
	parser  parser
	decoder decoder
	actor   kernel.Ref // zero when the connection was not admitted
	tenant  string     // as the client named it
	// client is whose account is charged; it is opened for the first message.
	client  budget.Client
	account *budget.Account
	refused int    // messages in a row that the account refused
	release func() // of the tenant's services; nil for nothing

	work        func()       // to be done before more is read; nil for nothing
	mute        bool         // the client says nothing: what is read is thrown away
	deaf        bool         // the same, because it broke the protocol
	heard       atomic.Int64 // unix nanoseconds of the last sign of life
	left        bool         // the peer said that it goes
	beats       int
	slot, place int // in the wheel
}

// listen makes the socket one whose client says nothing: it is not read but for its
// end, and needs no time after our last bytes.
func (k *socket) listen(s *stream) {
	k.mute, k.out.answered = true, true
	k.out.waiting.rewrite = s.rewrite
	if k.conn == nil {
		k.link.giveUp(k.gateway.o.PongTimeout)
	}
	k.out.Push(&delivery.Frame{Bytes: s.head})
}

// begin handles what came with the handshake and starts reading.
func (k *socket) begin(early []byte) {
	k.take(early)
	if k.conn != nil {
		k.readPlain()
		return
	}
	k.onward()
}

// read handles what a poller found readable.
func (k *socket) read(buffer []byte) {
	n, empty, err := k.link.take(buffer)
	switch {
	case err != nil:
		k.end()
	case !empty:
		if k.take(buffer[:n]); k.work != nil {
			k.link.reading(false)
			k.onward()
		}
	}
}

// readPlain reads until the socket ends.
func (k *socket) readPlain() {
	defer k.end()
	buffer := make([]byte, readBytes)
	for {
		n, err := k.conn.Read(buffer)
		if err != nil {
			return
		}
		k.take(buffer[:n])
	}
}

// readBytes is the size of a read buffer of a socket without a poller.
const readBytes = 4 << 10

// take handles bytes of the client. Behind a breach of the protocol it only waits
// for the peer to see our close frame: the outbox ends the socket.
func (k *socket) take(b []byte) {
	if k.mute || k.deaf {
		return
	}
	if len(b) > 0 {
		k.heard.Store(time.Now().UnixNano())
	}
	err := k.decoder.feed(b, k)
	var wrong *protocolError
	if errors.As(err, &wrong) {
		k.deaf = true
		k.out.Close(wrong.code, wrong.reason)
	}
}

// hold takes nothing more until work is done, which may block.
func (k *socket) hold(work func()) {
	if k.conn != nil {
		work()
		return
	}
	k.work = work
}

// onward does the work that reading waits for on a goroutine of its own, and what
// was read before it; then the poller reads again. Nothing must be reading.
func (k *socket) onward() {
	work := k.work
	if work == nil {
		k.link.reading(true)
		return
	}
	go func() {
		k.work = nil
		work()
		k.take(nil)
		k.onward()
	}()
}

func (k *socket) paused() bool { return k.work != nil }

// message handles one message of the client.
func (k *socket) message(opcode byte, payload []byte) {
	if k.actor.IsZero() {
		return
	}
	if k.account == nil {
		k.account = k.gateway.ledger.OpenConnection(k.client)
	}
	now := time.Now()
	if f := k.account.TakeMessage(len(payload), now); f != nil {
		k.tell(k.parser.refuse(opcode, payload, f))
		k.slowDown()
		return
	}
	k.refused = max(k.refused-1, 0)
	msg := k.parser.parse(opcode, payload)
	if r, ok := counted(msg); ok {
		if f := k.account.Take(r, 1, now); f != nil {
			msg = k.parser.refuse(opcode, payload, f)
		}
	}
	if m, ok := msg.(tokenMessage); ok && m.shown() != "" {
		k.hold(func() { k.tell(m.judged(k.verify(m.shown()))) })
		return
	}
	if msg != nil {
		k.tell(msg)
	}
}

// slowDown makes a client that goes on sending what is refused wait longer and
// longer, so that to refuse it costs the others little.
func (k *socket) slowDown() {
	if k.refused < patience {
		k.refused++
	}
	if k.refused < patience-refusalSteps || k.work != nil {
		return
	}
	pause := refusalPause << (k.refused - (patience - refusalSteps))
	k.hold(func() { time.Sleep(pause) })
}

// counted is what a message counts as besides a message.
func counted(msg any) (r budget.Resource, ok bool) {
	switch m := msg.(type) {
	case connection.SubscribeTable, connection.SubscribeChannel:
		return budget.Joins, true
	case connection.Track, connection.Untrack:
		return budget.Presences, true
	case countedMessage:
		return m.counts(), true
	}
	return 0, false
}

// verify checks a new token while the socket is on hold: what the client sends
// after it waits, and is done as the new caller.
func (k *socket) verify(token string) connection.RefreshToken {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := k.gateway.o.Tokens.VerifyToken(ctx, token)
	if err == nil {
		_, c, err = k.gateway.o.Tenants.Resolve(ctx, c, k.tenant)
	}
	if err == nil && c.UserID != k.client.User {
		k.client.User = c.UserID
		k.account = k.gateway.ledger.Rename(k.account, k.client)
	}
	return connection.RefreshToken{Caller: c, Err: err}
}

// tell hands a message to the actor. While the actor is behind, or the client does
// not read its answers, nothing is read from the client: TCP slows it down.
func (k *socket) tell(msg any) {
	if k.actor.Tell(msg) != nil {
		// The actor has ended, and with it the socket, unless it is flooded by
		// others: then it is of no use any more.
		k.out.Close(closeInternal, "overloaded")
		return
	}
	if !k.behind() {
		return
	}
	k.hold(func() {
		for wait := 100 * time.Microsecond; k.behind(); wait = min(2*wait, 10*time.Millisecond) {
			time.Sleep(wait)
		}
	})
}

func (k *socket) behind() bool { return !connection.Accepts(k.actor) || k.out.owes() }

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
	if !k.mute && now.UnixNano()-k.heard.Load() > int64(k.gateway.o.PongTimeout) {
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

// end forgets the socket. Its reader calls it once.
func (k *socket) end() {
	if k.conn == nil {
		k.link.reading(false) // the descriptor may be in use by the writer still
	}
	k.out.abort()
	k.gateway.wheel.remove(k)
	k.gateway.ledger.Close(k.account)
	if !k.actor.IsZero() && k.actor.Tell(connection.Disconnected{Left: k.left, Slow: k.out.cutFor()}) != nil {
		k.actor.Stop()
	}
	k.out.release(func() {
		if k.conn == nil {
			k.link.close()
		}
	})
	if k.release != nil {
		k.release()
	}
	k.gateway.sockets.Add(-1)
}
