package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// settingsFile is included at the end of postgresql.conf and written anew at
// every start. ALTER SYSTEM still wins over it.
const settingsFile = "fluxbase.conf"

type setting struct{ name, value string }

// settings suit a server whose clients are many short transactions from one
// process on a machine that does other things too.
func (s *Server) settings() []setting {
	all := []setting{
		{"listen_addresses", "127.0.0.1"},
		{"port", fmt.Sprint(s.place.port)},
		{"unix_socket_directories", `"` + strings.ReplaceAll(s.place.sockets(), `"`, `""`) + `"`}, // a list
		{"unix_socket_permissions", "0700"},
		{"password_encryption", "scram-sha-256"},
		{"max_connections", "300"},
		{"shared_buffers", "256MB"},
		{"effective_cache_size", "1GB"},
		{"work_mem", "8MB"},
		{"maintenance_work_mem", "128MB"},
		{"random_page_cost", "1.1"},
		// Plans of short queries are not worth compiling.
		{"jit", "off"},
		{"wal_compression", "on"},
		{"min_wal_size", "256MB"},
		{"max_wal_size", "2GB"},
		{"checkpoint_timeout", "15min"},
		// Every statement that fails would be logged with its text, passwords in
		// DDL included.
		{"log_min_error_statement", "fatal"},
		{"log_line_prefix", "%m [%p] %u@%d "},
		{"log_timezone", "UTC"},
		{"timezone", "UTC"},
	}
	if s.options.Ephemeral {
		return append(all,
			setting{"shared_buffers", "128MB"},
			setting{"fsync", "off"},
			setting{"synchronous_commit", "off"},
			setting{"full_page_writes", "off"},
			setting{"autovacuum_naptime", "10min"},
		)
	}
	// Seven files, one per weekday, each begun anew after a week: the log cannot
	// fill the disk and needs no rotation tool.
	return append(all,
		setting{"logging_collector", "on"},
		setting{"log_directory", s.place.logs()},
		setting{"log_filename", "postgresql-%a.log"},
		setting{"log_rotation_age", "1d"},
		setting{"log_rotation_size", "0"},
		setting{"log_truncate_on_rotation", "on"},
	)
}

func (s *Server) writeSettings() error {
	var b strings.Builder
	b.WriteString("# Written by fluxbase at every start. Use ALTER SYSTEM to change a setting.\n")
	quoted := strings.NewReplacer("'", "''", `\`, `\\`)
	for _, v := range s.settings() {
		fmt.Fprintf(&b, "%s = '%s'\n", v.name, quoted.Replace(v.value))
	}
	path := filepath.Join(s.place.cluster(), settingsFile)
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return err
	}
	return s.account.own(path)
}
