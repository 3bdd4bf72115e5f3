// Package floor holds the smallest programs that do the same work as the server
// with nothing in between: what the machine itself costs. Each runs as a process
// of its own, so that its CPU time is read in the same way as the server's.
package floor

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// Fanout serves WebSockets on listener: whatever a client sends is written to
// every other connection, by one goroutine with one plain write per connection
// and message. It has no queue: a stuck reader stops it.
func Fanout(listener net.Listener) error {
	var (
		mu      sync.Mutex
		members []net.Conn
	)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			read, err := upgrade(conn)
			if err != nil {
				conn.Close()
				return
			}
			mu.Lock()
			members = append(members, conn)
			mu.Unlock()
			for {
				payload, err := readFrame(read)
				if err != nil {
					conn.Close()
					return
				}
				frame := appendFrame(nil, payload)
				mu.Lock()
				for _, member := range members {
					if member != conn {
						// A member that left shows as lost deliveries.
						_, _ = member.Write(frame)
					}
				}
				mu.Unlock()
			}
		}()
	}
}

func upgrade(conn net.Conn) (*bufio.Reader, error) {
	read := bufio.NewReaderSize(conn, 2048)
	request, err := http.ReadRequest(read)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	return read, err
}

func readFrame(read *bufio.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(read, head[:2]); err != nil {
		return nil, err
	}
	length := uint64(head[1] & 0x7f)
	switch length {
	case 126:
		if _, err := io.ReadFull(read, head[:2]); err != nil {
			return nil, err
		}
		length = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		if _, err := io.ReadFull(read, head[:8]); err != nil {
			return nil, err
		}
		length = binary.BigEndian.Uint64(head[:8])
	}
	// The load client's mask is zero, so the payload needs no unmasking.
	payload := make([]byte, 4+length)
	_, err := io.ReadFull(read, payload)
	return payload[4:], err
}

func appendFrame(dst, payload []byte) []byte {
	dst = append(dst, 0x81)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}
