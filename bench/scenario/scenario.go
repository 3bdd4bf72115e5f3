// Package scenario defines what is measured: each scenario sets a server up,
// drives it, checks that nothing was lost or came twice, and reports figures.
package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"fluxbase/bench/measure"
	"fluxbase/bench/socket"
	"fluxbase/bench/target"
)

// Scenario is one thing to measure.
type Scenario struct {
	// Name is the command, Short its help line.
	Name, Short string
	// Flags declares the scenario's own flags.
	Flags func(*pflag.FlagSet)
	// Environment is what a self-started server needs for it beyond the usual.
	Environment []string
	// Prepare, unless it is nil, runs before the server starts, and stop after it has
	// ended. The environment is added to that of a self-started server.
	Prepare func(ctx context.Context) (environment []string, stop func() error, err error)
	// Run measures and fills the report.
	Run func(ctx context.Context, t *target.Target, r *measure.Report) error
}

// All lists the scenarios in the order of the help text.
func All() []*Scenario {
	return []*Scenario{fanout(), changes(), writer(), rest(), graphql(), export(), idle(), cluster(), flood(), crash()}
}

// progress tells the person at the terminal what is going on.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// join opens a socket on a node, sends one subscribe message and waits for its
// ack.
func join(ctx context.Context, node *target.Node, token string, subscribe any) (*socket.Conn, error) {
	c, err := socket.Dial(ctx, "ws"+strings.TrimPrefix(node.URL, "http")+"/realtime", token)
	if err != nil {
		return nil, err
	}
	message, err := json.Marshal(subscribe)
	if err != nil {
		return nil, err
	}
	if err := c.Send(message); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		text, err := c.Receive(20 * time.Second)
		if err != nil {
			return nil, err
		}
		var reply struct{ Type, Error string }
		if err := json.Unmarshal(text, &reply); err != nil {
			return nil, fmt.Errorf("%w in %s", err, text)
		}
		switch reply.Type {
		case "ack":
			return c, nil
		case "error":
			return nil, fmt.Errorf("subscribe refused: %s", text)
		}
	}
	return nil, fmt.Errorf("no ack to %s within 20 s", message)
}

func closeAll(conns []*socket.Conn) {
	for _, c := range conns {
		// The server may have closed it already.
		_ = c.Close()
	}
}
