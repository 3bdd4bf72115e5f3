package realtime

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/actors/connection"
)

// serveVariable makes the test binary a server for BenchmarkFanout, so that the
// server's processor time can be told from the clients'.
const serveVariable = "FLUXBASE_FANOUT_SERVER"

func TestServeForFanout(t *testing.T) {
	if os.Getenv(serveVariable) == "" {
		t.Skip("runs only as the server process of BenchmarkFanout")
	}
	n := startNode(t, nodeOptions{admission: connection.Admission{}})
	fmt.Println("listening " + n.addr)
	// The parent closes our input when it is done.
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkFanout publishes to N subscribers over loopback with 16 messages in
// flight; one operation is one delivery. The clients share the machine.
func BenchmarkFanout(b *testing.B) {
	for _, subscribers := range []int{1000, 5000} {
		b.Run(strconv.Itoa(subscribers), func(b *testing.B) { fanout(b, subscribers) })
	}
}

func fanout(b *testing.B, subscribers int) {
	server := exec.Command(os.Args[0], "-test.run=^TestServeForFanout$")
	server.Env = append(os.Environ(), serveVariable+"=1")
	stdin, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = stdin.Close()
		if err := server.Wait(); err != nil {
			b.Errorf("server: %v", err)
		}
	}()
	lines := bufio.NewReader(stdout)
	addr := ""
	for addr == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		addr, _ = strings.CutPrefix(strings.TrimSpace(line), "listening ")
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()

	idle := residentKiB(b, server.Process.Pid)
	var received atomic.Int64
	for range subscribers {
		c := dialRaw(b, addr)
		defer c.Close()
		if _, err := c.Write(clientFrame(0x81, []byte(`{"type":"subscribe","channel":"broadcast:bench"}`))); err != nil {
			b.Fatal(err)
		}
		r := bufio.NewReaderSize(c, 1024)
		readFrame(b, r)
		go countFrames(c, r, &received)
	}
	time.Sleep(200 * time.Millisecond)
	perConn := (residentKiB(b, server.Process.Pid) - idle) / float64(subscribers)
	publisher := dialRaw(b, addr)
	defer publisher.Close()
	go func() { _, _ = io.Copy(io.Discard, publisher) }()
	message := clientFrame(0x81, fmt.Appendf(nil, `{"type":"broadcast","channel":"broadcast:bench","event":"e","payload":%q}`, strings.Repeat("x", 100)))

	cpu := processTime(b, server.Process.Pid)
	b.ResetTimer()
	sent := int64(0)
	for want := int64(b.N); sent*int64(subscribers) < want; {
		if received.Load() < (sent-16)*int64(subscribers) {
			time.Sleep(50 * time.Microsecond)
			continue
		}
		if _, err := publisher.Write(message); err != nil {
			b.Fatal(err)
		}
		sent++
	}
	for received.Load() < sent*int64(subscribers) {
		time.Sleep(100 * time.Microsecond)
	}
	b.StopTimer()
	used := processTime(b, server.Process.Pid) - cpu
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(sent*int64(subscribers)), "serverµs/delivery")
	b.ReportMetric(float64(sent*int64(subscribers))/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(perConn, "KiB/conn")
}

func dialRaw(t testing.TB, addr string) net.Conn {
	t.Helper()
	return dialPath(t, addr, "/realtime")
}

func dialPath(t testing.TB, addr, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	// Byte by byte: nothing behind the response may be swallowed.
	var head []byte
	one := make([]byte, 1)
	for !strings.HasSuffix(string(head), "\r\n\r\n") {
		if _, err := c.Read(one); err != nil {
			t.Fatalf("handshake: %v after %q", err, head)
		}
		head = append(head, one...)
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101") || !strings.Contains(string(head), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
		t.Fatalf("handshake: %s", head)
	}
	return c
}

// readFrame reads one frame of the server.
func readFrame(t testing.TB, r *bufio.Reader) (opcode byte, payload []byte) {
	t.Helper()
	opcode, payload, err := tryFrame(r)
	if err != nil {
		t.Fatal(err)
	}
	return opcode, payload
}

func tryFrame(r *bufio.Reader) (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[1])
	for extra := map[int]int{126: 2, 127: 8}[n]; extra > 0; extra-- {
		if head[1] != 0 {
			n, head[1] = 0, 0
		}
		c, err := r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		n = n<<8 | int(c)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return head[0] & 0xf, payload, err
}

// countFrames counts frames of fewer than 64 KB as cheaply as it can.
func countFrames(c net.Conn, r io.Reader, received *atomic.Int64) {
	buffer := make([]byte, 16<<10)
	held := 0
	for {
		n, err := r.Read(buffer[held:])
		if err != nil {
			return
		}
		b, count := buffer[:held+n], int64(0)
		for len(b) >= 4 {
			size := 2 + int(b[1])
			if b[1] == 126 {
				size = 4 + int(b[2])<<8 + int(b[3])
			}
			if len(b) < size {
				break
			}
			if b[0]&0xf == opText {
				count++
			}
			b = b[size:]
		}
		held = copy(buffer, b)
		received.Add(count)
		r = c
	}
}

func processTime(b *testing.B, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("needs /proc")
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func residentKiB(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Skip("needs /proc")
	}
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return float64(pages) * float64(os.Getpagesize()) / 1024
}
