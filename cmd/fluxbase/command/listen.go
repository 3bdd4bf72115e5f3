package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"
)

// listening is what listen was asked to do.
type listening struct {
	url, token string
	channels   []string
	count      int
	verbose    bool
}

func listenCommand(file *string) *cobra.Command {
	var l listening
	cmd := &cobra.Command{
		Use:   "listen channel...",
		Short: "Subscribe to channels and print what arrives, one JSON object per line",
		Long: "Subscribe to channels (table:public.todos, broadcast:chat, presence:lobby, …) of the server\n" +
			"on the data folder, or of --url, until interrupted.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l.channels = args
			if l.url == "" {
				r, err := runtimeOf(*file)
				if err != nil {
					return err
				}
				l.url = r.URL
				if l.token == "" {
					l.token = r.AnonKey
				}
			}
			return l.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&l.url, "url", "", "server address (default: the server on the data folder)")
	cmd.Flags().StringVar(&l.token, "token", "", "access token or key (default: the anon key of the data folder)")
	cmd.Flags().IntVar(&l.count, "count", 0, "end after this many messages (default: never)")
	cmd.Flags().BoolVar(&l.verbose, "verbose", false, "print acknowledgements and heartbeats too")
	return cmd
}

func (l listening) run(ctx context.Context, out io.Writer) error {
	header := http.Header{}
	if l.token != "" {
		header.Set("Authorization", "Bearer "+l.token)
	}
	address := "ws" + strings.TrimPrefix(strings.TrimSuffix(l.url, "/"), "http") + "/realtime"
	conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	// Rows may be large; the server has its own bound.
	conn.SetReadLimit(-1)
	for _, channel := range l.channels {
		message, err := json.Marshal(map[string]string{"type": "subscribe", "channel": channel})
		if err != nil {
			return err
		}
		if err := conn.Write(ctx, websocket.MessageText, message); err != nil {
			return err
		}
	}
	beats, stop := context.WithCancel(ctx)
	defer stop()
	go beat(beats, conn)
	for printed := 0; l.count == 0 || printed < l.count; {
		_, message, err := conn.Read(ctx)
		if ctx.Err() != nil {
			return conn.Close(websocket.StatusNormalClosure, "")
		}
		var closed websocket.CloseError
		if errors.As(err, &closed) {
			return fmt.Errorf("the server closed the connection: %d %s", closed.Code, closed.Reason)
		}
		if err != nil {
			return err
		}
		var head struct{ Type, Error string }
		if err := json.Unmarshal(message, &head); err != nil {
			return fmt.Errorf("the server sent no JSON: %w", err)
		}
		if head.Type == "error" {
			return errors.New(head.Error)
		}
		if !l.verbose && (head.Type == "ack" || head.Type == "heartbeat") {
			continue
		}
		if _, err := fmt.Fprintln(out, string(bytes.TrimSpace(message))); err != nil {
			return err
		}
		printed++
	}
	return conn.Close(websocket.StatusNormalClosure, "")
}

// beat keeps the connection alive until ctx ends.
func beat(ctx context.Context, conn *websocket.Conn) {
	tick := time.NewTicker(25 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if conn.Write(ctx, websocket.MessageText, []byte(`{"type":"heartbeat"}`)) != nil {
				return // the reader sees the same failure and reports it
			}
		}
	}
}
