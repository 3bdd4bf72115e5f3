package dbtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/persistence/db"
)

// Tap stands between a Database and its server and counts what is sent.
type Tap struct {
	// DB is the Database whose messages pass by.
	DB *db.Database

	server      string
	waits, runs atomic.Int64
}

// Tapped opens the database once more, with its connections through a Tap.
func (d *Database) Tapped(o db.Options) *Tap {
	d.t.Helper()
	address, err := url.Parse(d.AdminURL)
	if err != nil {
		d.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	t := &Tap{server: address.Host}
	address.Host = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { t.serve(listener, &serving) })
	o.URL, o.Password = address.String(), Key.Password
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t.DB, err = db.Open(ctx, o)
	d.t.Cleanup(func() {
		if t.DB != nil {
			t.DB.Close()
		}
		_ = listener.Close()
		serving.Wait()
	})
	if err != nil {
		d.t.Fatalf("open the test database through a tap: %v", err)
	}
	return t
}

// Count tells how often f waited for the server, and how many statements it ran.
func (t *Tap) Count(tb testing.TB, f func()) (waits, statements int64) {
	tb.Helper()
	waits, statements = t.waits.Load(), t.runs.Load()
	f()
	return t.waits.Load() - waits, t.runs.Load() - statements
}

func (t *Tap) serve(listener net.Listener, serving *sync.WaitGroup) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", t.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		// Either end takes the other one along.
		serving.Go(func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
		})
		serving.Go(func() {
			_ = t.forward(server, bufio.NewReader(client))
			_ = server.Close()
		})
	}
}

// forward passes the messages of a client on and counts them: a Sync, a Flush and a
// simple query are waited for, an Execute and a simple query run something. The first
// message has no type.
func (t *Tap) forward(server io.Writer, client io.Reader) error {
	for head := 4; ; head = 5 {
		message := make([]byte, head)
		if _, err := io.ReadFull(client, message); err != nil {
			return err
		}
		length := binary.BigEndian.Uint32(message[head-4:])
		if head == 5 {
			switch message[0] {
			case 'S', 'H':
				t.waits.Add(1)
			case 'E':
				t.runs.Add(1)
			case 'Q':
				t.waits.Add(1)
				t.runs.Add(1)
			}
		}
		if _, err := server.Write(message); err != nil {
			return err
		}
		if _, err := io.CopyN(server, client, int64(length)-4); err != nil {
			return err
		}
	}
}
