// Package socket is a WebSocket client for load tests: cheap enough to drive
// thousands of connections beside the server on the same cores. A connection
// first talks in turns (Dial, Send, Receive); then a Loop takes it over and
// reads it together with all others.
package socket

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Opcodes of RFC 6455 §5.2.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// Conn is one client connection. It is not safe for concurrent use, except that
// one goroutine may Send while a Loop reads.
type Conn struct {
	// Index is the caller's number of this connection.
	Index int
	// Closed is the close code once the server has closed, -1 for a broken link.
	Closed int

	tcp  *net.TCPConn
	read *bufio.Reader
	rest []byte
	out  []byte

	silent bool // does not answer pings
}

// Dial opens a connection to a ws:// URL with an optional bearer token.
func Dial(ctx context.Context, address, token string) (*Conn, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	plain, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	tcp := plain.(*net.TCPConn)
	if deadline, ok := ctx.Deadline(); ok {
		if err := tcp.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	var nonce [16]byte
	rand.Read(nonce[:])
	request := "GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host +
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
		base64.StdEncoding.EncodeToString(nonce[:]) + "\r\n"
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	if _, err := io.WriteString(tcp, request+"\r\n"); err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	reader := bufio.NewReaderSize(tcp, 1024)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		return nil, errors.Join(fmt.Errorf("upgrade refused: %s %s", response.Status, body), tcp.Close())
	}
	if err := tcp.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return &Conn{tcp: tcp, read: reader}, nil
}

// Flood prepares the connection for more than the server reads: the kernel keeps
// little of it, so that Send blocks soon, and pings are not answered, which would
// block the Loop.
func (c *Conn) Flood() error {
	c.silent = true
	return c.tcp.SetWriteBuffer(4 << 10)
}

// Send writes one text message.
func (c *Conn) Send(payload []byte) error { return c.write(opText, payload) }

// Close ends the connection without a closing handshake.
func (c *Conn) Close() error { return c.tcp.Close() }

// Receive waits for the next text message, at most timeout. It answers pings.
// It must not be used once a Loop has the connection.
func (c *Conn) Receive(timeout time.Duration) ([]byte, error) {
	if err := c.tcp.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	defer c.tcp.SetReadDeadline(time.Time{})
	for {
		head := make([]byte, 2, 10)
		if _, err := io.ReadFull(c.read, head); err != nil {
			return nil, err
		}
		length := uint64(head[1] & 0x7f)
		if extra := lengthBytes(length); extra > 0 {
			more := make([]byte, extra)
			if _, err := io.ReadFull(c.read, more); err != nil {
				return nil, err
			}
			length = bigEndian(more)
		}
		payload := make([]byte, length)
		if _, err := io.ReadFull(c.read, payload); err != nil {
			return nil, err
		}
		if done, err := c.control(head[0]&0xf, payload); err != nil {
			return nil, err
		} else if !done {
			return payload, nil
		}
	}
}

// control answers or notes a control frame and tells whether it was one.
func (c *Conn) control(opcode byte, payload []byte) (bool, error) {
	switch opcode {
	case opPing:
		if c.silent {
			return true, nil
		}
		return true, c.write(opPong, payload)
	case opPong:
		return true, nil
	case opClose:
		c.Closed = 1005
		if len(payload) >= 2 {
			c.Closed = int(binary.BigEndian.Uint16(payload))
		}
		return true, fmt.Errorf("closed by the server: %d %s", c.Closed, payload[min(2, len(payload)):])
	default:
		return false, nil
	}
}

// write sends one masked frame. The mask is zero: servers must accept it, and
// it saves the client the work.
func (c *Conn) write(opcode byte, payload []byte) error {
	c.out = append(c.out[:0], 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		c.out = append(c.out, 0x80|byte(n))
	case n < 1<<16:
		c.out = binary.BigEndian.AppendUint16(append(c.out, 0x80|126), uint16(n))
	default:
		c.out = binary.BigEndian.AppendUint64(append(c.out, 0x80|127), uint64(n))
	}
	c.out = append(c.out, 0, 0, 0, 0)
	c.out = append(c.out, payload...)
	_, err := c.tcp.Write(c.out)
	return err
}

func lengthBytes(short uint64) int {
	switch short {
	case 126:
		return 2
	case 127:
		return 8
	default:
		return 0
	}
}

func bigEndian(b []byte) uint64 {
	var n uint64
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}
