package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"

	"fluxbase/cmd/fluxbase/server"
)

// listenCommand follows channels and prints what arrives, a JSON message a line.
func listenCommand(dataDir func() (string, error)) *cobra.Command {
	var url, token string
	command := &cobra.Command{
		Use:   "listen CHANNEL…",
		Short: "Subscribe to channels (table:public.todos, presence:room, broadcast:news) and print each message as a line of JSON",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, channels []string) error {
			if url == "" || token == "" {
				folder, err := dataDir()
				if err != nil {
					return err
				}
				runtime, err := server.ReadRuntime(folder)
				if err != nil {
					return fmt.Errorf("give --url and --token, or run beside a server's data folder: %w", err)
				}
				if url == "" {
					url = runtime.URL
				}
				if token == "" {
					token = runtime.AnonKey
				}
			}
			return listen(c, url, token, channels)
		},
	}
	command.Flags().StringVar(&url, "url", "", "address of the server (default: the one of the data folder)")
	command.Flags().StringVar(&token, "token", "", "access token or key (default: the anon key of the data folder)")
	return command
}

func listen(c *cobra.Command, url, token string, channels []string) error {
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
	defer stop()
	address := "ws" + strings.TrimPrefix(strings.TrimSuffix(url, "/"), "http") + "/realtime"
	conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	// Rows may be as large as the server's log lets them be.
	conn.SetReadLimit(-1)
	for _, channel := range channels {
		message, err := json.Marshal(map[string]string{"type": "subscribe", "channel": channel})
		if err != nil {
			return err
		}
		if err := conn.Write(ctx, websocket.MessageText, message); err != nil {
			return err
		}
	}
	for {
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
		var kind struct{ Type string }
		if json.Unmarshal(message, &kind) == nil && kind.Type == "heartbeat" {
			continue
		}
		fmt.Fprintf(c.OutOrStdout(), "%s\n", message)
	}
}
