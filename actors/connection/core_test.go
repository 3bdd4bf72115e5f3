package connection

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fluxbase/actors/channel"
	"fluxbase/actors/delivery"
	"fluxbase/actors/presence"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/message"
)

// script records what a core makes happen.
type script struct {
	log   []string
	ended int
}

func (s *script) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *script) reply(r Reply) {
	switch r := r.(type) {
	case Refused:
		s.note("refused %s %s%s%s", r.Code, topic{r.Channel, r.Private}, r.SubscriptionID, r.Ref)
	case ChannelSubscribed:
		text := fmt.Sprintf("subscribed %s", topic{r.Channel, r.Private})
		if r.Offset > 0 {
			text += fmt.Sprintf(" %d/%d", r.Epoch, r.Offset)
		}
		if r.Recovering {
			text += fmt.Sprintf(" recovering %t", r.Recovered)
		}
		s.note("%s", text)
	case Unsubscribed:
		s.note("unsubscribed %s%s", topic{r.Channel, r.Private}, r.SubscriptionID)
	case BroadcastAccepted:
		s.note("accepted %s %s %d/%d", topic{r.Channel, r.Private}, r.MessageID, r.Epoch, r.Offset)
	case TableSubscribed:
		s.note("TableSubscribed {%s %s %s %s %s %s%s}", r.Channel, r.SubscriptionID, r.Schema, r.Table, r.Event, r.Filter, r.Cursor)
	default:
		s.note("%s %v", strings.TrimPrefix(fmt.Sprintf("%T", r), "connection."), r)
	}
}
func (s *script) tableID(t SubscribeTable, n int) string { return fmt.Sprintf("%s%d", t.Table, n) }
func (s *script) subscribeTable(id string, n int, t SubscribeTable, again bool) {
	if t.Snapshot != nil {
		id += " with rows"
	}
	if again {
		id += " again"
	}
	if t.Cursor != "" {
		id += " from " + t.Cursor
	}
	s.note("follow %s/%d", id, n)
}
func (s *script) beginTable(id string)       { s.note("begin %s", id) }
func (s *script) unsubscribeTable(id string) { s.note("unfollow %s", id) }
func (s *script) join(j channel.Join, _ delivery.Codec) {
	s.note("join %s", j.Key)
	if j.Recover != nil || j.Hold {
		s.note("with what it missed")
	}
}
func (s *script) follow(k channel.Key, skip []string)           { s.note("follow %s but %v", k, skip) }
func (s *script) replay(name string, n int, r Replay)           { s.note("replay %s/%d %d", name, n, r.Limit) }
func (s *script) push(*delivery.Frame)                          { s.note("push") }
func (s *script) repeat(_ delivery.Codec, b delivery.Broadcast) { s.note("repeat %s", b.ID) }
func (s *script) notice(_ delivery.Codec, n *delivery.Notice)   { s.note("%s %s", n.Type, n.Code) }
func (s *script) leave(k channel.Key)                           { s.note("leave %s", k) }
func (s *script) publish(p channel.Publish)                     { s.note("publish %s %s", p.Key, p.Payload) }
func (s *script) watch(k presence.Key, _ delivery.Codec)        { s.note("watch %s", k) }
func (s *script) track(k presence.Key, t Track)                 { s.note("track %s %s", k, t.Key) }
func (s *script) untrack(k presence.Key, key string)            { s.note("untrack %s %s", k, key) }
func (s *script) unwatch(k presence.Key, cut bool) {
	if cut {
		s.note("cut off %s", k)
	} else {
		s.note("unwatch %s", k)
	}
}
func (s *script) authorize(name string, n int, e message.Extension) {
	s.note("authorize %s/%d %s", name, n, e)
}
func (s *script) judgeLog(id, kind string, n int) { s.note("judge log %s %s/%d", id, kind, n) }
func (s *script) followLog(id string)             { s.note("follow log %s", id) }
func (s *script) unfollowLog(id string)           { s.note("unfollow log %s", id) }
func (s *script) identified(c caller.Caller)      { s.note("identified %s", c.UserID) }
func (s *script) expireAt(t time.Time)            { s.note("expire %v", !t.IsZero()) }
func (s *script) end(e End)                       { s.ended++; s.note("end %d", e.Code) }

func (s *script) take() string {
	out := strings.Join(s.log, " | ")
	s.log = nil
	return out
}

// String marks private topics as keys do.
func (t topic) String() string {
	if t.private {
		return "#" + t.name
	}
	return t.name
}

func user(id string) caller.Caller {
	return caller.Caller{Tenant: "t", Role: caller.Authenticated, UserID: id, Source: caller.SourceToken, Claims: []byte(`{"sub":"` + id + `"}`)}
}

func TestCore(t *testing.T) {
	s := &script{}
	c := newCore("conn", user("a"), Limits{Presences: 1, PresenceBytes: 5}, s)
	for i, step := range []struct {
		do   func()
		want string
	}{
		{c.start, "expire false"},
		// Tables.
		{func() { c.subscribeTable(SubscribeTable{Channel: "x", Schema: "public", Table: "notes", Event: "*"}) }, "follow notes0/1"},
		{func() { c.tableAnswered("notes0", 1, Beginning{}, nil) }, "TableSubscribed {x notes0 public notes * }"},
		{func() { c.subscribeTable(SubscribeTable{Table: "other"}) }, "follow other0/2"},
		{func() { c.tableAnswered("other0", 2, Beginning{}, fault.New(fault.NotFound, "no")) }, "unfollow other0 | refused NOT_FOUND other0"},
		{func() { c.subscribeTable(SubscribeTable{Table: "gone"}) }, "follow gone0/3"},
		{func() { c.unsubscribe(Unsubscribe{SubscriptionID: "gone0"}) }, "unfollow gone0 | unsubscribed gone0"},
		{func() { c.tableAnswered("gone0", 3, Beginning{}, nil) }, "unfollow gone0"},
		{func() { c.unsubscribe(Unsubscribe{SubscriptionID: "another's"}) }, "unsubscribed another's"},
		// Channels: what is sent while joining follows the join.
		{func() { c.broadcast(Broadcast{Channel: "broadcast:r", Payload: []byte("1")}) }, "join t/broadcast:r"},
		{func() { c.broadcast(Broadcast{Channel: "broadcast:r", Payload: []byte("2")}) }, ""},
		{func() { c.subscribeChannel(SubscribeChannel{Channel: "broadcast:r"}) }, ""},
		{func() { c.joined(topic{name: "broadcast:r"}, channel.Joined{}) }, "subscribed broadcast:r | publish t/broadcast:r 1 | publish t/broadcast:r 2"},
		{func() { c.subscribeChannel(SubscribeChannel{Channel: "broadcast:r"}) }, "subscribed broadcast:r"},
		{func() {
			c.published(channel.Published{Key: channel.Key{Name: "broadcast:r"}, MessageID: "m", Offset: 3})
		}, "accepted broadcast:r m 0/3"},
		{func() { c.published(channel.Published{Key: channel.Key{Name: "broadcast:r"}}) }, ""},
		{func() {
			c.published(channel.Published{Key: channel.Key{Name: "broadcast:r"}, Err: errors.New("secret")})
		}, "refused INTERNAL_ERROR broadcast:r"},
		{func() { c.channelEnded(topic{name: "broadcast:r"}) }, "refused MESSAGES_LOST broadcast:r | join t/broadcast:r"},
		{func() { c.joined(topic{name: "broadcast:r"}, channel.Joined{Err: fault.New(fault.Timeout, "no")}) }, "leave t/broadcast:r | refused TIMEOUT broadcast:r"},
		// Presence.
		{func() { c.subscribeChannel(SubscribeChannel{Channel: "lobby"}) }, "join t/lobby"},
		{func() { c.joined(topic{name: "lobby"}, channel.Joined{}) }, "subscribed lobby | watch t/lobby"},
		{func() { c.track(Track{Channel: "lobby", Key: "k", State: []byte("123456")}) }, "refused PAYLOAD_TOO_LARGE lobby"},
		{func() { c.track(Track{Channel: "lobby", Key: "k"}) }, "track t/lobby k"},
		{func() { c.track(Track{Channel: "hall", Key: "k"}) }, "refused PRESENCE_LIMIT_REACHED hall"},
		{func() { c.untrack(Untrack{Channel: "lobby", Key: "another's"}) }, ""},
		{func() { c.roomEnded(topic{name: "lobby"}) }, "watch t/lobby | track t/lobby k"},
		{func() { c.untrack(Untrack{Channel: "lobby", Key: "k"}) }, "untrack t/lobby k"},
		{func() { c.track(Track{Channel: "hall", Key: "k"}) }, "join t/hall | watch t/hall | track t/hall k"},
		{func() {
			c.tracked(presence.Tracked{Room: presence.Key{Channel: "hall"}, Key: "k", Err: fault.New(fault.PresenceLimitReached, "full")})
		}, "refused PRESENCE_LIMIT_REACHED hall"},
		{func() { c.unsubscribe(Unsubscribe{Channel: "hall"}) }, "unwatch t/hall | unsubscribed hall"},
		{func() { c.joined(topic{name: "hall"}, channel.Joined{}) }, "leave t/hall"},
		// The caller.
		{func() { c.refreshToken(RefreshToken{Err: errors.New("forged")}) }, "refused INVALID_TOKEN "},
		{func() { other := user("a"); other.Tenant = "u"; c.refreshToken(RefreshToken{Caller: other}) }, "refused INVALID_TOKEN "},
		{func() {
			same := user("a")
			same.ExpiresAt = time.Now().Add(time.Hour)
			c.refreshToken(RefreshToken{Caller: same})
		}, "expire true | identified a | TokenUpdated {}"},
		{func() { c.refreshToken(RefreshToken{Caller: user("b")}) }, "expire false | identified b | follow notes0 again/1"},
		// The next caller's question waits for the answer to this one's.
		{func() { c.refreshToken(RefreshToken{Caller: user("c")}) }, "expire false | identified c"},
		{func() { c.tableAnswered("notes0", 1, Beginning{}, nil) }, "follow notes0 again/1"},
		{func() { c.tableAnswered("notes0", 1, Beginning{}, nil) }, "TokenUpdated {} | TokenUpdated {}"},
		// What the new caller may not have does not go on for the old one.
		{func() { c.refreshToken(RefreshToken{Caller: user("d")}) }, "expire false | identified d | follow notes0 again/1"},
		{func() { c.tableAnswered("notes0", 1, Beginning{}, fault.New(fault.UnknownColumn, "no")) }, "unfollow notes0 | refused UNKNOWN_COLUMN xnotes0 | TokenUpdated {}"},
		{func() { c.subscribeTable(SubscribeTable{Table: "notes"}) }, "follow notes0/4"},
		{func() { c.refreshToken(RefreshToken{Caller: user("e")}) }, "expire false | identified e"},
		{func() { c.unsubscribe(Unsubscribe{SubscriptionID: "notes0"}) }, "unfollow notes0 | TokenUpdated {} | unsubscribed notes0"},
		// A subscription that resumes: nothing is sent before the acknowledgement.
		{func() { c.subscribeTable(SubscribeTable{Table: "old", Cursor: "c"}) }, "follow old0 from c/5"},
		{func() { c.tableAnswered("old0", 5, Beginning{Cursor: "c", Waits: true}, nil) }, "TableSubscribed { old0  old  c} | begin old0"},
		{func() { c.refreshToken(RefreshToken{Caller: user("e2")}) }, "expire false | identified e2 | follow old0 again/5"},
		{func() { c.tableAnswered("old0", 5, Beginning{}, nil) }, "TokenUpdated {}"},
		{func() { c.unsubscribe(Unsubscribe{SubscriptionID: "old0"}) }, "unfollow old0 | unsubscribed old0"},
		{func() { c.subscribeTable(SubscribeTable{Table: "old", Cursor: "c"}) }, "follow old0 from c/6"},
		{func() { c.tableAnswered("old0", 6, Beginning{}, &delivery.ResumeError{Reason: delivery.TooOld}) }, "unfollow old0 | ResumeFailed { old0 too_old }"},
		// Where rows may stand in for a cursor that is no good, they do.
		{func() {
			c.subscribeTable(SubscribeTable{Table: "old", Cursor: "c", Snapshot: &delivery.SnapshotRequest{}})
		}, "follow old0 with rows from c/7"},
		{func() { c.tableAnswered("old0", 7, Beginning{}, &delivery.ResumeError{Reason: delivery.TooOld}) }, "follow old0 with rows/7"},
		{func() { c.tableAnswered("old0", 7, Beginning{Cursor: "d", Snapshot: true, Waits: true}, nil) }, "TableSubscribed { old0  old  d} | begin old0"},
		{func() { c.unsubscribe(Unsubscribe{SubscriptionID: "old0"}) }, "unfollow old0 | unsubscribed old0"},
		// A subscription that the feed ended is forgotten.
		{func() { c.subscribeTable(SubscribeTable{Table: "notes"}) }, "follow notes0/8"},
		{func() { c.tableAnswered("notes0", 8, Beginning{}, nil) }, "TableSubscribed { notes0  notes  }"},
		{func() { c.tableEnded("notes0") }, ""},
		{func() { c.subscribeTable(SubscribeTable{Table: "notes"}) }, "follow notes0/9"},
		{func() { c.expire(time.Now()) }, "refused EXPIRED_TOKEN  | end 4001"},
		{func() { c.expire(time.Now()) }, ""},
	} {
		step.do()
		if got := s.take(); got != step.want {
			t.Errorf("step %d:\n got  %s\n want %s", i, got, step.want)
		}
	}
	c.stop()
	log := s.log
	slices.Sort(log)
	if got, want := strings.Join(log, " | "), "cut off t/lobby | leave t/lobby | unfollow notes0"; got != want {
		t.Errorf("stop:\n got  %s\n want %s", got, want)
	}
}

// TestCoreHowItEnds: presences outlive only a connection that was cut, and whose
// client may return.
func TestCoreHowItEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*core)
		want string
	}{
		{"the socket breaks", func(*core) {}, "cut off t/lobby"},
		{"the client says goodbye", func(c *core) { c.left = true }, "unwatch t/lobby"},
		{"the node stops", func(c *core) { c.end(End{Code: CloseRestart}) }, "cut off t/lobby"},
		{"the token's time is over", func(c *core) { c.expire(time.Now()) }, "cut off t/lobby"},
		{"access is revoked", func(c *core) { c.end(End{Code: CloseRevoked}) }, "unwatch t/lobby"},
	} {
		s := &script{}
		c := newCore("conn", user("a"), Limits{}, s)
		c.track(Track{Channel: "lobby", Key: "k"})
		test.end(c)
		s.take()
		c.stop()
		if got := s.take(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestCoreTrackFailed: a key is the connection's for as long as a state of it is
// shown there.
func TestCoreTrackFailed(t *testing.T) {
	s := &script{}
	c := newCore("conn", user("a"), Limits{}, s)
	room := presence.Key{Channel: "lobby"}
	overloaded := fault.New(fault.Overloaded, "no")
	c.track(Track{Channel: "lobby", Key: "never"})
	c.tracked(presence.Tracked{Room: room, Key: "never", Err: overloaded})
	c.track(Track{Channel: "lobby", Key: "once"})
	c.tracked(presence.Tracked{Room: room, Key: "once"})
	c.track(Track{Channel: "lobby", Key: "once"})
	c.tracked(presence.Tracked{Room: room, Key: "once", Err: overloaded})
	s.take()
	c.untrack(Untrack{Channel: "lobby", Key: "never"})
	c.untrack(Untrack{Channel: "lobby", Key: "once"})
	if got, want := s.take(), "untrack t/lobby once"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestCoreChosenIDs: a dialect's own ids are used as they are, and only once.
func TestCoreChosenIDs(t *testing.T) {
	s := &script{}
	c := newCore("conn", user("a"), Limits{}, s)
	mine := SubscribeTable{ID: "mine", Schema: "public", Table: "notes", Event: "*"}
	c.subscribeTable(mine)
	c.subscribeTable(mine)
	c.tableAnswered("mine", 1, Beginning{}, nil)
	c.unsubscribe(Unsubscribe{SubscriptionID: "mine"})
	c.subscribeTable(mine)
	want := "follow mine/1 | refused ALREADY_EXISTS mine | TableSubscribed { mine public notes * } | " +
		"unfollow mine | unsubscribed mine | follow mine/2"
	if got := s.take(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestCoreOfASession: a connection whose dialect has sessions outlives the token
// that its client sent, but not its own credential.
func TestCoreOfASession(t *testing.T) {
	s := &script{}
	now := time.Now()
	door := user("door")
	door.ExpiresAt = now.Add(time.Hour)
	c := newCore("conn", door, Limits{}, s)
	c.door = &door
	c.refreshToken(RefreshToken{Caller: user("a")})
	c.subscribeTable(SubscribeTable{ID: "mine", Table: "notes"})
	c.tableAnswered("mine", 1, Beginning{}, nil)
	c.subscribeChannel(SubscribeChannel{Channel: "lobby", Presences: PresencesUnwanted})
	c.joined(topic{name: "lobby"}, channel.Joined{})
	c.track(Track{Channel: "lobby", Key: "k", Ref: "7"})
	c.tracked(presence.Tracked{Room: presence.Key{Channel: "lobby"}, Key: "k", Ref: "7"})
	s.take()
	c.expire(now)
	log := strings.Split(s.take(), " | ")
	slices.Sort(log[:3]) // in any order
	want := "leave t/lobby | unfollow mine | unwatch t/lobby | expire true | identified door | TokenExpired {}"
	if got := strings.Join(log, " | "); got != want {
		t.Errorf("expired:\n got  %s\n want %s", got, want)
	}
	c.expire(door.ExpiresAt)
	if got, want := s.take(), "refused EXPIRED_TOKEN  | end 4001"; got != want {
		t.Errorf("the door expired: got %s, want %s", got, want)
	}
}

// TestCorePresences: a client may say whether it wants presences, and learn what
// became of its own.
func TestCorePresences(t *testing.T) {
	s := &script{}
	c := newCore("conn", user("a"), Limits{PresenceBytes: 5}, s)
	for name, want := range map[topic]Presences{{name: "lobby"}: PresencesUnwanted, {name: "broadcast:x"}: PresencesWanted} {
		c.subscribeChannel(SubscribeChannel{Channel: name.name, Presences: want})
		c.joined(name, channel.Joined{})
		if got := strings.Contains(s.take(), "watch"); got != (want == PresencesWanted) {
			t.Errorf("%s: watches %v", name.name, got)
		}
	}
	c.track(Track{Channel: "lobby", Key: "k", State: []byte("123456"), Ref: "6"})
	c.track(Track{Channel: "lobby", Key: "k", Ref: "7"})
	c.tracked(presence.Tracked{Room: presence.Key{Channel: "lobby"}, Key: "k", Ref: "7"})
	want := "refused PAYLOAD_TOO_LARGE lobby6 | watch t/lobby | track t/lobby k | PresenceTracked {lobby 7 false}"
	if got := s.take(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAuthorize(t *testing.T) {
	tests := []struct {
		channel     string
		role        caller.Role
		open, write bool
	}{
		{"room", caller.Anon, true, true},
		{"broadcast:room", caller.Authenticated, true, true},
		{"realtime:admin:connections", caller.Authenticated, false, false},
		{"realtime:admin:connections", caller.TenantAdmin, false, false},
		{"realtime:admin:connections", caller.Admin, true, true},
		{"realtime:admin:x", caller.InstanceAdmin, true, true},
		{"fluxbase:logs", caller.Anon, false, false},
		{"fluxbase:logs", caller.Service, true, true},
	}
	for _, test := range tests {
		c := newCore("x", caller.Caller{Role: test.role}, Limits{}, &script{})
		if open, write := c.authorize(topic{name: test.channel}, false) == nil, c.authorize(topic{name: test.channel}, true) == nil; open != test.open || write != test.write {
			t.Errorf("%s for %s: %v %v", test.channel, test.role, open, write)
		}
	}
	// Losing the role closes what needed it.
	s := &script{}
	admin := user("a")
	admin.Role = caller.Admin
	c := newCore("x", admin, Limits{}, s)
	c.subscribeChannel(SubscribeChannel{Channel: AdminChannel})
	c.joined(topic{name: AdminChannel}, channel.Joined{})
	s.take()
	c.refreshToken(RefreshToken{Caller: user("a")})
	if got := s.take(); !strings.Contains(got, "leave t/"+AdminChannel+" | refused ADMIN_REQUIRED "+AdminChannel) {
		t.Errorf("got %s", got)
	}
}

// balance is a host that keeps the books: what was begun and not ended.
type balance struct {
	script
	tables          map[string]int // the newest attempt
	channels, rooms map[string]bool
}

func (b *balance) subscribeTable(id string, n int, _ SubscribeTable, _ bool) { b.tables[id] = n }
func (b *balance) unsubscribeTable(id string)                                { delete(b.tables, id) }
func (b *balance) leave(k channel.Key)                                       { delete(b.channels, k.Name) }
func (b *balance) watch(k presence.Key, _ delivery.Codec)                    { b.rooms[k.Channel] = true }
func (b *balance) unwatch(k presence.Key, _ bool)                            { delete(b.rooms, k.Channel) }

// TestNothingIsLeftBehind: whatever a client does, and however slowly tables and
// channels answer, nothing goes on for a connection that has stopped.
func TestNothingIsLeftBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &balance{tables: map[string]int{}, channels: map[string]bool{}, rooms: map[string]bool{}}
		c := newCore("x", user("a"), Limits{Channels: 3, Subscriptions: 3, Presences: 2}, b)
		var joining []string
		name := rapid.SampledFrom([]string{"a", "b", "broadcast:c", "d"})
		outcome := func(t *rapid.T) error {
			if rapid.Bool().Draw(t, "ok") {
				return nil
			}
			return fault.New(fault.Timeout, "no")
		}
		answer := func(t *rapid.T) {
			for _, line := range b.log {
				if k, ok := strings.CutPrefix(line, "join t/"); ok {
					joining = append(joining, k)
				}
			}
			b.log = nil
			if len(joining) == 0 {
				return
			}
			k := joining[0]
			joining = joining[1:]
			err := outcome(t)
			if err == nil {
				b.channels[k] = true
			}
			c.joined(topic{name: k}, channel.Joined{Err: err})
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if len(c.channels) > 3 || len(c.tables) > 3 || c.tracking() > 2 {
					t.Fatalf("beyond the limits: %v %v", c.channels, c.tables)
				}
			},
			"subscribe": func(t *rapid.T) { c.subscribeChannel(SubscribeChannel{Channel: name.Draw(t, "channel")}) },
			"broadcast": func(t *rapid.T) { c.broadcast(Broadcast{Channel: name.Draw(t, "channel")}) },
			"track":     func(t *rapid.T) { c.track(Track{Channel: name.Draw(t, "channel"), Key: "k"}) },
			"table":     func(t *rapid.T) { c.subscribeTable(SubscribeTable{Table: "t"}) },
			"table answers": func(t *rapid.T) {
				ids := slices.Sorted(maps.Keys(b.tables))
				if len(ids) > 0 {
					id := rapid.SampledFrom(ids).Draw(t, "id")
					err, attempt := outcome(t), b.tables[id]
					if err != nil {
						delete(b.tables, id)
					}
					c.tableAnswered(id, attempt, Beginning{}, err)
				}
			},
			"unsubscribe": func(t *rapid.T) { c.unsubscribe(Unsubscribe{Channel: name.Draw(t, "channel")}) },
			"answer":      answer,
		})
		for b.log, joining = slices.Clone(b.log), slices.Clone(joining); ; {
			before := len(joining)
			answer(t)
			if before == 0 && len(joining) == 0 {
				break
			}
		}
		c.stop()
		if len(b.tables)+len(b.channels)+len(b.rooms) > 0 {
			t.Fatalf("left behind: %v %v %v", b.tables, b.channels, b.rooms)
		}
	})
}
