package transport

import (
	"fmt"
	"log/slog"
)

// errorLog takes what the HTTP library has to say: mostly that clients went away.
type errorLog struct{ logger *slog.Logger }

// Printf implements fasthttp.Logger.
func (l errorLog) Printf(format string, args ...any) {
	l.logger.Debug("http library", "message", fmt.Sprintf(format, args...))
}
