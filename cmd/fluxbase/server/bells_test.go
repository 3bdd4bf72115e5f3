package server

import (
	"net/url"
	"testing"
)

func TestListenAddress(t *testing.T) {
	owner := url.UserPassword("owner", "p/w")
	for _, c := range []struct{ in, environment, want string }{
		{"postgres://u:x@h:1/d", "", "postgres://owner:p%2Fw@h:1/d?sslmode=prefer"},
		{"postgres://u:x@h:1/d", "require", "postgres://owner:p%2Fw@h:1/d"},
		{"postgres://u@h/d?sslmode=verify-full&sslrootcert=%2Fca", "", "postgres://owner:p%2Fw@h/d?sslmode=verify-full&sslrootcert=%2Fca"},
		{"postgres:///d?host=%2Frun&sslmode=disable", "", "postgres://owner:p%2Fw@/d?host=%2Frun&sslmode=disable"},
		{"postgres:///d?host=%2Fa%20b%2Bc&sslmode=disable", "", "postgres://owner:p%2Fw@/d?host=%2Fa%20b%2Bc&sslmode=disable"},
		{"postgres://u@h/d?default_query_exec_mode=exec&sslmode=disable&connect_timeout=5", "", "postgres://owner:p%2Fw@h/d?connect_timeout=5&sslmode=disable"},
	} {
		got, err := listenAddress(c.in, owner, c.environment)
		if err != nil || got != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.in, got, err, c.want)
		}
	}
}
