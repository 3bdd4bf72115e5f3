package spelling

import (
	"slices"
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"posts", "comments", "Members", "post_tags"}
	for word, want := range map[string]string{
		"post": "posts", "postss": "posts", "coments": "comments", "members": "Members", "post_tag": "post_tags",
		"nothing": "", "": "", "posts": "", strings.Repeat("x", 300): "",
	} {
		if got := Nearest(word, 0.75, slices.Values(names)); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := Nearest("abcd", 0.5, slices.Values([]string{"abxx", "abyy"})); got != "abxx" {
		t.Errorf("of two it is %q", got)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"kitten", "sitting", 3}, {"", "abc", 3}, {"abc", "abc", 0}, {"flaw", "lawn", 2}} {
		if got := Distance(c.a, c.b, 10); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := Distance(c.b, c.a, 10); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
	if got := Distance("a", "abcdef", 3); got != 3 {
		t.Errorf("too far: %d", got)
	}
}
