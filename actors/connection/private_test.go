package connection

import (
	"errors"
	"testing"

	"fluxbase/actors/channel"
	"fluxbase/actors/delivery"
	"fluxbase/persistence/message"
)

func TestPrivateChannels(t *testing.T) {
	read, both := message.Access{Broadcast: true}, message.Access{Broadcast: true, Presence: true}
	shows := message.Access{Presence: true}
	hall := topic{"hall", true}
	s := &script{}
	c := newCore("conn", user("a"), Limits{}, s)
	send := func(id string) func() {
		return func() {
			c.broadcast(Broadcast{Channel: "hall", Private: true, Payload: []byte("1"), MessageID: id})
		}
	}
	for i, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"nobody enters before the policies answered", func() { c.subscribeChannel(SubscribeChannel{Channel: "hall", Private: true}) }, "authorize hall/1 "},
		{"the public channel of the name is another one", func() { c.subscribeChannel(SubscribeChannel{Channel: "hall"}) }, "join t/hall"},
		{"nothing to read", func() { c.authorized("hall", 1, message.Access{}, nil) }, "leave t#hall | refused ACCESS_DENIED #hall"},
		{"", func() { c.subscribeChannel(SubscribeChannel{Channel: "hall", Private: true}) }, "authorize hall/2 "},
		{"an answer of before", func() { c.authorized("hall", 1, both, nil) }, ""},
		{"the database fails", func() { c.authorized("hall", 2, message.Access{}, errors.New("no")) }, "leave t#hall | refused INTERNAL_ERROR #hall"},
		{"", func() { c.subscribeChannel(SubscribeChannel{Channel: "hall", Private: true}) }, "authorize hall/3 "},
		{"only broadcasts can be read", func() { c.authorized("hall", 3, read, nil) }, "join t#hall"},
		{"the presences do not come", func() { c.joined(hall, channel.Joined{}) }, "subscribed #hall"},

		{"the first message asks", send("m1"), "authorize hall/4 broadcast"},
		{"the next ones wait", send("m2"), ""},
		{"and all are sent in order", func() { c.authorized("hall", 4, both, nil) }, "publish t#hall 1 | publish t#hall 1"},
		{"the answer is kept", send("m3"), "publish t#hall 1"},
		{"presences have a permission of their own", func() { c.track(Track{Channel: "hall", Private: true, Key: "k"}) }, "authorize hall/5 presence"},
		{"", func() { c.untrack(Untrack{Channel: "hall", Private: true, Key: "k"}) }, ""},
		{"", func() { c.authorized("hall", 5, message.Access{}, nil) }, "refused ACCESS_DENIED #hall"},
		{"", func() { c.track(Track{Channel: "hall", Private: true, Key: "k"}) }, "refused ACCESS_DENIED #hall"},

		{"another caller is judged anew", func() { c.refreshToken(RefreshToken{Caller: user("b")}) }, "expire false | identified b | authorize hall/6 "},
		{"what it sends waits", send("m4"), ""},
		{"it may see presences, and not hear", func() { c.authorized("hall", 6, shows, nil) }, "leave t#hall | watch t#hall | authorize hall/7 broadcast | TokenUpdated {}"},
		{"nor write", func() { c.authorized("hall", 7, message.Access{}, nil) }, "refused ACCESS_DENIED #hall"},
		{"but be seen", func() { c.track(Track{Channel: "hall", Private: true, Key: "k"}) }, "authorize hall/8 presence"},
		{"", func() { c.authorized("hall", 8, shows, nil) }, "track t#hall k"},
		{"another caller hears again", func() { c.refreshToken(RefreshToken{Caller: user("c")}) }, "expire false | identified c | authorize hall/9 "},
		{"and must be let show what is shown", func() { c.authorized("hall", 9, both, nil) }, "join t#hall | authorize hall/10 presence | TokenUpdated {}"},
		{"", func() { c.authorized("hall", 10, message.Access{}, nil) }, "untrack t#hall k | refused ACCESS_DENIED #hall"},
		{"", func() { c.joined(hall, channel.Joined{}) }, ""},
		{"losing everything closes the channel", func() { c.refreshToken(RefreshToken{Caller: user("d")}) }, "expire false | identified d | authorize hall/11 "},
		{"", send("m5"), ""},
		{"", func() { c.authorized("hall", 11, message.Access{}, nil) },
			"leave t#hall | unwatch t#hall | refused ACCESS_DENIED #hall | refused ACCESS_DENIED #hall | TokenUpdated {}"},

		{"what waits for a channel that is left is answered", send("m6"), "authorize hall/12 "},
		{"", func() { c.unsubscribe(Unsubscribe{Channel: "hall", Private: true}) }, "refused CANCELED #hall | unsubscribed #hall"},
		{"", func() { c.authorized("hall", 12, both, nil) }, ""},
	} {
		step.do()
		if got := s.take(); got != step.want {
			t.Errorf("step %d %s:\n got  %s\n want %s", i, step.name, got, step.want)
		}
	}
}

// TestRecovery: what was missed comes behind the acknowledgement and before what is
// new, which waits for it.
func TestRecovery(t *testing.T) {
	room, hall := topic{name: "broadcast:r"}, topic{"broadcast:hall", true}
	place := &channel.Recover{Epoch: 1, Offset: 2}
	s := &script{}
	c := newCore("conn", user("a"), Limits{}, s)
	for i, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"", func() { c.subscribeChannel(SubscribeChannel{Channel: room.name, Recover: place}) }, "join t/broadcast:r | with what it missed"},
		{"all is there", func() {
			c.joined(room, channel.Joined{Held: true, Recovered: true, Epoch: 1, Offset: 4, Missed: &delivery.Frame{}})
		}, "subscribed broadcast:r 1/4 recovering true | push | follow t/broadcast:r but []"},
		{"again on the same connection", func() { c.subscribeChannel(SubscribeChannel{Channel: room.name, Recover: place}) }, "join t/broadcast:r | with what it missed"},
		{"it is gone", func() { c.joined(room, channel.Joined{Held: true, Epoch: 3, Offset: 1, Reason: delivery.EpochChanged}) },
			"subscribed broadcast:r 3/1 recovering false | resume_failed epoch_changed | follow t/broadcast:r but []"},
		{"the actor failed", func() { c.channelEnded(room) }, "refused MESSAGES_LOST broadcast:r | join t/broadcast:r"},
		{"meanwhile it wants what it missed", func() { c.subscribeChannel(SubscribeChannel{Channel: room.name, Recover: place}) }, ""},
		{"and joins again for it", func() { c.joined(room, channel.Joined{}) }, "join t/broadcast:r | with what it missed"},
		{"", func() { c.joined(room, channel.Joined{Held: true, Recovered: true}) }, "subscribed broadcast:r recovering true | follow t/broadcast:r but []"},

		{"public channels replay nothing", func() { c.subscribeChannel(SubscribeChannel{Channel: "x", Replay: &Replay{Limit: 3}}) }, "refused INVALID_INPUT x"},
		{"", func() {
			c.subscribeChannel(SubscribeChannel{Channel: hall.name, Private: true, Replay: &Replay{Limit: 3}})
		}, "authorize broadcast:hall/1 "},
		{"", func() { c.authorized(hall.name, 1, message.Access{Broadcast: true}, nil) }, "join t#broadcast:hall | with what it missed"},
		{"", func() { c.joined(hall, channel.Joined{Held: true}) }, "subscribed #broadcast:hall | replay broadcast:hall/2 3"},
		{"", func() { c.replayed(hall.name, 2, []message.Message{{ID: "m1"}, {ID: "m2"}}, nil) }, "repeat m1 | repeat m2 | follow t#broadcast:hall but [m1 m2]"},
		{"once", func() { c.replayed(hall.name, 2, nil, nil) }, ""},
	} {
		step.do()
		if got := s.take(); got != step.want {
			t.Errorf("step %d %s:\n got  %s\n want %s", i, step.name, got, step.want)
		}
	}
}

func TestPrivateOnly(t *testing.T) {
	s := &script{}
	c := newCore("conn", user("a"), Limits{PrivateOnly: true}, s)
	c.subscribeChannel(SubscribeChannel{Channel: "hall"})
	c.broadcast(Broadcast{Channel: "hall"})
	c.track(Track{Channel: "hall", Key: "k"})
	c.subscribeChannel(SubscribeChannel{Channel: "hall", Private: true})
	if got, want := s.take(), "refused ACCESS_DENIED hall | refused ACCESS_DENIED hall | refused ACCESS_DENIED hall | authorize hall/1 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
