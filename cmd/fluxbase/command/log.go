package command

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"fluxbase/cmd/fluxbase/config"
)

// progress tells a person what the server is busy with before it can log.
func progress(line string) { fmt.Fprintln(os.Stderr, line) }

// newLogger writes lines for people at a terminal and JSON anywhere else, unless
// the configuration says which.
func newLogger(c config.Config, w *os.File) *slog.Logger {
	options := &slog.HandlerOptions{Level: level(c)}
	format := c.Logging.ConsoleFormat
	if format == "console" || format == "auto" && isTerminal(w) {
		return slog.New(consoleHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// consoleHandler shortens the time to what a person needs.
func consoleHandler(w io.Writer, options *slog.HandlerOptions) slog.Handler {
	options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.String(slog.TimeKey, a.Value.Time().Format(time.TimeOnly+".000"))
		}
		return a
	}
	return slog.NewTextHandler(w, options)
}

func level(c config.Config) slog.Level {
	if c.Debug {
		return slog.LevelDebug
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Logging.ConsoleLevel)); err != nil {
		return slog.LevelInfo // Validate has refused anything else
	}
	return l
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
