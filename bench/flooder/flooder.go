// Package flooder is a client that sends as fast as its sockets take it, in a process
// of its own: what it takes of the cores it takes as any other program does, and not
// from the client that measures.
package flooder

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"fluxbase/bench/socket"
)

// Totals are what flooders did since they began.
type Totals struct {
	Sent, Refused, Received int64
}

// Run floods with n connections to a ws:// URL until the input ends, and answers each
// line of it with the totals as a line of JSON.
func Run(ctx context.Context, url string, n int, in io.Reader, out io.Writer) error {
	var sent, refused, received atomic.Int64
	loop, err := socket.NewLoop(func(_ *socket.Conn, message []byte) {
		if bytes.Contains(message, []byte("RATE_LIMIT_EXCEEDED")) {
			refused.Add(1)
		} else {
			received.Add(1)
		}
	})
	if err != nil {
		return err
	}
	defer loop.Close()
	conns := make([]*socket.Conn, n)
	for i := range conns {
		if conns[i], err = socket.Dial(ctx, url, ""); err != nil {
			return err
		}
		defer conns[i].Close()
		if err = conns[i].Flood(); err != nil {
			return err
		}
		if err = loop.Add(conns[i]); err != nil {
			return err
		}
	}
	flooding, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return loop.Run(flooding) })
	for i, c := range conns {
		group.Go(func() error {
			for n := 0; flooding.Err() == nil; n++ {
				if c.Send(message(i, n)) != nil {
					return nil // closed below, or by the server
				}
				sent.Add(1)
			}
			return nil
		})
	}
	lines := bufio.NewScanner(in)
	for err == nil && lines.Scan() {
		err = json.NewEncoder(out).Encode(Totals{sent.Load(), refused.Load(), received.Load()})
	}
	stop()
	for _, c := range conns {
		_ = c.Close() // ends a Send that waits
	}
	if waited := group.Wait(); err == nil {
		err = waited
	}
	return err
}

// message is the nth message of a flooding connection: mostly broadcasts, and now and
// then another channel.
func message(connection, n int) []byte {
	if n%10 == 9 {
		kind := "subscribe"
		if n%20 == 19 {
			kind = "unsubscribe"
		}
		return fmt.Appendf(nil, `{"type":%q,"channel":"broadcast:flood-%d-%d"}`, kind, connection, n/20%50)
	}
	return fmt.Appendf(nil, `{"type":"broadcast","channel":"broadcast:flood","event":"e","payload":{"p":"%0100d"}}`, n)
}
