package realtime

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
)

// event is a server-sent event as a browser would see it.
type event struct{ id, name, data string }

// listener is a client of /realtime/sse.
type listener struct {
	t      *testing.T
	cancel context.CancelFunc
	answer *http.Response
	lines  *bufio.Reader
	lastID string
}

func (n *node) listen(t *testing.T, query, lastID string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.addr+"/realtime/sse?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return &listener{t: t, cancel: cancel, answer: answer, lines: bufio.NewReader(answer.Body), lastID: lastID}
}

// next reads an event by the rules of the HTML standard, §9.2.6; ok is false at the
// end of the stream.
func (l *listener) next() (e event, ok bool) {
	l.t.Helper()
	deadline := time.AfterFunc(10*time.Second, l.cancel)
	defer deadline.Stop()
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return event{}, false
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			l.lastID = value
		case "event":
			e.name = value
		case "data":
			e.data += value
		case "":
			if line == "\n" && e.data != "" {
				e.id = l.lastID
				return e, true
			}
		}
	}
}

func (l *listener) expect(name, part string) event {
	l.t.Helper()
	e, ok := l.next()
	if !ok || e.name != name || !strings.Contains(e.data, part) {
		l.t.Fatalf("got %+v, %v; want %s with %s", e, ok, name, part)
	}
	return e
}

func (l *listener) expectEnd() {
	l.t.Helper()
	if e, ok := l.next(); ok {
		l.t.Fatalf("got %+v, want the end", e)
	}
}

func TestStreamOfAChannel(t *testing.T) {
	n := startNode(t, nodeOptions{})
	l := n.listen(t, "channel=news", "")
	if l.answer.StatusCode != 200 || l.answer.Header.Get("Content-Type") != "text/event-stream" || l.answer.ContentLength != -1 {
		t.Fatalf("%d %v", l.answer.StatusCode, l.answer.Header)
	}
	l.expect("ack", `"channel":"news"`)
	l.expect("presence", `"sync"`)
	publisher := n.dial("?token=user:a")
	publish := func(i int) {
		publisher.send(`{"type":"broadcast","channel":"news","event":"e","payload":{"n":
			%d}}`, i)
	}
	publish(1)
	publish(2)
	l.expect("broadcast", `1}`)
	second := l.expect("broadcast", `2}`)
	if second.id == "" {
		t.Fatal("no id to go on from")
	}
	l.cancel()
	publish(3)
	publish(4)
	publisher.await(`{"payload":{"broadcast":{"payload":{"n":4}}}}`)
	again := n.listen(t, "channel=news", second.id)
	again.expect("ack", `"recovered":true`)
	for i := 3; i <= 4; i++ {
		for {
			e, ok := again.next()
			if !ok {
				t.Fatal("ended")
			}
			if e.name == "presence" {
				continue
			}
			if e.name != "broadcast" || !strings.Contains(e.data, fmt.Sprintf("%d}", i)) {
				t.Fatalf("got %+v, want %d", e, i)
			}
			break
		}
	}
}

// TestStreamsKeepAllTheirPlaces: whatever event was the last one, its id goes on
// from where every subscription of the stream is.
func TestStreamsKeepAllTheirPlaces(t *testing.T) {
	n := startNode(t, nodeOptions{})
	query := "channel=broadcast:a&channel=broadcast:b&channel=broadcast:a"
	l := n.listen(t, query, "")
	l.expect("ack", `"broadcast:`) // of either
	l.expect("ack", `"broadcast:`)
	publisher := n.dial("?token=user:a")
	publisher.send(`{"type":"broadcast","channel":"broadcast:a","event":"e","payload":1}`)
	l.expect("broadcast", `"payload":1`)
	publisher.send(`{"type":"broadcast","channel":"broadcast:b","event":"e","payload":2}`)
	last := l.expect("broadcast", `"payload":2`)
	if got := parsePlaces(last.id); len(got) != 2 || got.of(channelKey("broadcast:a", false)) == "" {
		t.Fatalf("id %q", last.id)
	}
	l.cancel()
	publisher.send(`{"type":"broadcast","channel":"broadcast:a","event":"e","payload":3}`)
	publisher.send(`{"type":"broadcast","channel":"broadcast:b","event":"e","payload":4,"messageId":"m"}`)
	publisher.await(`{"type":"ack","messageId":"m"}`)
	again := n.listen(t, query, last.id)
	got := map[string]bool{}
	for range 4 {
		e, ok := again.next()
		if !ok {
			t.Fatal("ended")
		}
		got[e.data] = true
		if len(parsePlaces(e.id)) != 2 {
			t.Errorf("id %q", e.id)
		}
	}
	text := fmt.Sprint(got)
	if strings.Count(text, `"recovered":true`) != 2 || !strings.Contains(text, `"payload":3`) || !strings.Contains(text, `"payload":4`) || strings.Contains(text, `"payload":1`) || strings.Contains(text, `"payload":2`) {
		t.Errorf("got %s", text)
	}
}

func TestStreamOfATable(t *testing.T) {
	n := startNode(t, nodeOptions{})
	l := n.listen(t, "token=user:a&table=notes&event=insert&filter=id=eq.1", "")
	ack := l.expect("ack", `"table":"notes"`)
	subscriptions := n.tables.list()
	if len(subscriptions) != 1 {
		t.Fatalf("%d subscriptions", len(subscriptions))
	}
	s := subscriptions[0]
	if s.ID != tableKey("public", "notes", "INSERT", "id=eq.1") || s.Condition == nil {
		t.Errorf("subscribed %+v", s)
	}
	if !strings.Contains(ack.data, s.ID) {
		t.Errorf("%s does not name %s", ack.data, s.ID)
	}
	change := &delivery.Change{Schema: "public", Table: "notes", Type: delivery.Insert, Record: []byte("{\n\"id\":\r1}"), Position: "cursor-1"}
	f := &delivery.Frame{Bytes: s.Subscriber.Codec.AppendChange(nil, change, []string{s.ID}), Messages: 1}
	if err := s.Subscriber.Ref.Tell(f); err != nil {
		t.Fatal(err)
	}
	if e := l.expect("postgres_changes", `"record":{ "id": 1}`); e.id != s.ID+":cursor-1" {
		t.Errorf("id %q", e.id)
	}
	n.listen(t, "token=user:a&channel=table:notes&event=insert&filter=id=eq.1", l.lastID).expect("ack", "notes")
	if s := n.tables.list()[0]; s.Cursor != "cursor-1" {
		t.Errorf("resumed from %q", s.Cursor)
	}
}

// TestStreamIsRefused before it begins where the URL makes no sense, and by an
// event with a code, and its end, where the answer had begun.
func TestStreamIsRefused(t *testing.T) {
	n := startNode(t, nodeOptions{})
	for query, status := range map[string]int{
		"":                             400,
		"channel=":                     400,
		"table=notes&filter=nonsense":  400,
		"table=notes&event=SELECT":     400,
		"table=notes&snapshot=perhaps": 400,
		"channel=a&token=forged":       401,
		"channel=x" + strings.Repeat("&channel=y", 3) + "&channel=1&channel=2&channel=3&channel=4&channel=5&channel=6&channel=7&channel=8&channel=9": 400,
	} {
		l := n.listen(t, query, "")
		if l.answer.StatusCode != status || !strings.HasPrefix(l.answer.Header.Get("Content-Type"), "application/json") {
			t.Errorf("%q: %d %s", query, l.answer.StatusCode, l.answer.Header.Get("Content-Type"))
		}
	}
	for query, code := range map[string]string{
		"table=notes":                   "AUTHENTICATION_REQUIRED",
		"token=user:a&table=other":      "NOT_FOUND",
		"channel=realtime:admin:x":      "ADMIN_REQUIRED",
		"channel=a&channel=fluxbase:me": "ADMIN_REQUIRED",
	} {
		l := n.listen(t, query, "")
		for {
			e, ok := l.next()
			if !ok {
				t.Errorf("%s: no error", query)
				break
			}
			if e.name == "error" {
				if !strings.Contains(e.data, code) {
					t.Errorf("%s: %s", query, e.data)
				}
				l.expect("close", `"code":1008`)
				l.expectEnd()
				break
			}
		}
	}
}

// TestStreamEnds with a word about why, and without a client with its actor.
func TestStreamEnds(t *testing.T) {
	n := startNode(t, nodeOptions{})
	expiring := n.listen(t, "channel=broadcast:x&token=user:a@500ms", "")
	expiring.expect("ack", "broadcast:x")
	gone := n.listen(t, "channel=broadcast:x", "")
	gone.expect("ack", "broadcast:x")
	gone.cancel()
	expiring.expect("error", `"code"`)
	expiring.expect("close", `"code":4001`)
	expiring.expectEnd()
	eventually(t, "both are gone", func() bool {
		totals, err := n.gateway.Totals(context.Background(), "main")
		return err == nil && totals.Connections == 0
	})
}

// TestStreamsAreLimitedLikeSockets, and keep quiet ones open with comments.
func TestStreamsAreLimitedLikeSockets(t *testing.T) {
	n := startNode(t, nodeOptions{
		gateway:   Options{PingEvery: 150 * time.Millisecond, PongTimeout: 300 * time.Millisecond},
		admission: connection.Admission{PerIP: 1},
	})
	l := n.listen(t, "channel=broadcast:x", "")
	l.expect("ack", "broadcast:x")
	other := n.listen(t, "channel=broadcast:x", "")
	other.expect("error", "max_connections_reached")
	other.expect("close", `"code":1008`)
	other.expectEnd()
	for comments := 0; comments < 5; {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ":\n" {
			comments++
		}
	}
}

func TestPlaces(t *testing.T) {
	c := combined{}
	got := string(c.rewrite([]byte("id: a:1\nevent: x\ndata: {}\n\n:\n\nid: b:2\ndata: {}\n\nid: a:3,b:4\ndata: {}\n\nid: b:\ndata: {}\n\n")))
	want := "id: a:1\nevent: x\ndata: {}\n\n:\n\nid: a:1,b:2\ndata: {}\n\nid: a:3,b:4\ndata: {}\n\nid: a:3,b:\ndata: {}\n\n"
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	for text, want := range map[string]string{"": "", "junk": "", "a": "", ":x": "", "a:": "", "a:b:c": "b:c", "x:1,a:2": "2"} {
		if got := parsePlaces(text).of("a"); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if r := parseRecover("7.9"); r == nil || r.Epoch != 7 || r.Offset != 9 || parseRecover("7") != nil || parseRecover("x.1") != nil || parseRecover("1.x") != nil {
		t.Errorf("recover %+v", r)
	}
}

// FuzzPlaces: whatever a browser repeats is read, and reads the same again.
func FuzzPlaces(f *testing.F) {
	f.Add("tabc:cursor,cdef:1.2")
	f.Fuzz(func(t *testing.T, id string) {
		once := parsePlaces(id)
		if again := parsePlaces(string(once.append(nil))); fmt.Sprint(again) != fmt.Sprint(once) {
			t.Fatalf("%q became %q", once, again)
		}
		parseRecover(id)
	})
}
