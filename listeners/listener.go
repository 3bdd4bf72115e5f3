// Package listeners holds the connections that LISTEN. They say what rang and
// when they could not hear, and nothing else: no table is read here and no rule
// known. A listening session never sits in a transaction, because that would
// keep the server from trimming its one queue of notifications.
//
// A notification may be lost whenever the connection is: Down says that from
// here on nothing is heard, Up that everything is heard again from here on.
// Whoever listens reads what it missed when Up comes.
package listeners

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lib/pq"
)

// The channels of a Fluxbase database.
const (
	// Changes rings when the change log has grown.
	Changes = "fluxbase_changes"
	// Messages rings when the database sends messages to channels.
	Messages = "fluxbase_messages"
	// Schema rings when tables, policies or grants have changed.
	Schema = "fluxbase_schema"
	// Revocations rings when a user, session or token was revoked.
	Revocations = "fluxbase_revocations"
	// Keys rings when a service or client key has changed.
	Keys = "fluxbase_keys"
	// PostgREST is what PostgREST listens to: whoever has just changed the schema sends
	// "reload schema" there.
	PostgREST = "pgrst"
	// Members rings when the cluster's membership has changed.
	Members = "fluxbase_members"
)

// Handler is told what happens. Its functions are called one at a time, never
// concurrently, and must not block. Nil ones are left out.
type Handler struct {
	// Up: every notification sent from now on will be heard.
	Up func()
	// Down: the connection is lost, or could not be made. It is called once per
	// loss, not for every attempt.
	Down func(error)
	// Bell: channel rang with payload.
	Bell func(channel, payload string)
}

// Options say what to listen to. Zero durations take the defaults.
type Options struct {
	// URL signs in to the database.
	URL string
	// Channels are listened to.
	Channels []string
	// MinBackoff and MaxBackoff bound the time between attempts to connect:
	// 50 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
	// Probe is how often a silent connection is tried, and how long an answer may
	// take: 5 s. A connection that is cut in the middle stays silent for ever.
	Probe time.Duration
	// Logger is told of losses. Nil means slog.Default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.MinBackoff, 50 * time.Millisecond}, {&o.MaxBackoff, 5 * time.Second}, {&o.Probe, 5 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Listener is one listening connection that is made again whenever it is lost.
type Listener struct {
	options Options
	handler Handler
	stop    chan struct{}
	once    sync.Once
	done    chan struct{}
}

// Listen begins to listen and returns at once; the handler hears the rest. End it
// with Close.
func Listen(o Options, h Handler) *Listener {
	l := &Listener{options: o.withDefaults(), handler: h, stop: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// Close ends the listener and waits for it: the handler is not called any more.
// It must not be called from the handler.
func (l *Listener) Close() {
	l.once.Do(func() { close(l.stop) })
	<-l.done
}

var errSilent = errors.New("the connection does not answer")

// run connects and listens until Close.
func (l *Listener) run() {
	defer close(l.done)
	backoff := l.options.MinBackoff
	down := false
	for {
		heard, err := l.session(func() { down, backoff = false, l.options.MinBackoff })
		if heard && err == nil {
			return // closed
		}
		select {
		case <-l.stop:
			return
		default:
		}
		if !down {
			down = true
			l.options.Logger.Warn("a listening connection is down", "error", err)
			if l.handler.Down != nil {
				l.handler.Down(err)
			}
		}
		select {
		case <-l.stop:
			return
		// Nodes that lost the same server come back one after another.
		case <-time.After(backoff/2 + rand.N(backoff/2+1)):
		}
		backoff = min(2*backoff, l.options.MaxBackoff)
	}
}

// session is one connection: it calls up when all channels are heard, and returns
// when the connection is lost (with an error) or the listener closed (without).
func (l *Listener) session(up func()) (heard bool, err error) {
	bells := make(chan *pq.Notification, 64)
	conn, err := pq.NewListenerConn(l.options.URL, bells)
	if err != nil {
		return false, fmt.Errorf("connect to listen: %w", err)
	}
	defer func() {
		// A close error says that the connection was lost already.
		_ = conn.Close()
		for range bells { // the connection's goroutine ends when it has room
		}
	}()
	prepared := make(chan error, 1)
	go func() {
		for _, channel := range l.options.Channels {
			if _, err := conn.Listen(channel); err != nil {
				prepared <- fmt.Errorf("listen to %s: %w", channel, err)
				return
			}
		}
		prepared <- nil
	}()
	if err, closed := l.await(prepared, bells); err != nil || closed {
		return closed, err
	}
	up()
	if l.handler.Up != nil {
		l.handler.Up()
	}
	probe := time.NewTicker(l.options.Probe)
	defer probe.Stop()
	for {
		select {
		case <-l.stop:
			return true, nil
		case n, ok := <-bells:
			if !ok {
				return true, lost(conn)
			}
			l.ring(n)
		case <-probe.C:
			answer := make(chan error, 1)
			go func() { answer <- conn.Ping() }()
			if err, closed := l.await(answer, bells); err != nil || closed {
				return true, err
			}
		}
	}
}

// await waits for the answer to something asked of the connection, hearing bells
// meanwhile.
func (l *Listener) await(answer <-chan error, bells <-chan *pq.Notification) (err error, closed bool) {
	late := time.NewTimer(l.options.Probe)
	defer late.Stop()
	for {
		select {
		case <-l.stop:
			return nil, true
		case err := <-answer:
			return err, false
		case n, ok := <-bells:
			if !ok {
				return errSilent, false
			}
			l.ring(n)
		case <-late.C:
			return errSilent, false
		}
	}
}

func (l *Listener) ring(n *pq.Notification) {
	if n != nil && l.handler.Bell != nil {
		l.handler.Bell(n.Channel, n.Extra)
	}
}

func lost(conn *pq.ListenerConn) error {
	if err := conn.Err(); err != nil {
		return err
	}
	return errSilent
}
