package server_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// TestNodeLeavesNothingBehind starts a node, uses it and stops it; no goroutine
// may be left.
func TestNodeLeavesNothingBehind(t *testing.T) {
	databaseURL := dbtest.Create(t) // may start a server for all tests of the process
	before := goleak.IgnoreCurrent()
	t.Run("life", func(t *testing.T) {
		n := servertest.On(t, databaseURL)
		u := n.SignUp("someone@example.com")
		n.Want(200, "GET", "/api/v1/auth/user", u.AccessToken, nil)
		n.Want(200, "GET", "/ready", "", nil)
		n.Want(200, "GET", "/health", "", nil)
		n.Want(200, "GET", "/api/v1/monitoring/metrics", n.ServiceKey, nil)
		n.Want(401, "GET", "/api/v1/auth/user", "", nil)
		n.Want(404, "GET", "/api/v1/tables/nothing", n.ServiceKey, nil)
		n.Want(404, "GET", "/nowhere", "", nil)
		n.Stop()
		n.Stop()
	})
	http.DefaultClient.CloseIdleConnections()
	// What the HTTP library starts once per process, and its cleaner, which looks
	// around every ten seconds and sees then that it is over.
	goleak.VerifyNone(t, before,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.funcWorker"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// TestRestartKeepsEverything: keys, users and sessions outlive a node.
func TestRestartKeepsEverything(t *testing.T) {
	first := servertest.Start(t)
	u := first.SignUp("someone@example.com")
	first.Stop()
	second := servertest.On(t, first.DatabaseURL)
	if second.AnonKey != first.AnonKey || second.ServiceKey != first.ServiceKey {
		t.Error("the default keys changed")
	}
	second.Want(200, "GET", "/api/v1/auth/user", u.AccessToken, nil)
}

// TestStopIsBounded: a request that runs when the node stops does not hold it up
// beyond the context.
func TestStopIsBounded(t *testing.T) {
	n := servertest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	began := time.Now()
	if err := n.Server.Stop(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stop took %s", took)
	}
}
