package postgres

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAwait(t *testing.T) {
	s := start(t, Options{Dir: filepath.Join(folder(t), "postgres"), Ephemeral: true})
	never := func(err error) { t.Errorf("tried again after %v", err) }
	if err := Await(t.Context(), s.URL(), 3, never); err != nil {
		t.Error(err)
	}
	wrong := strings.Replace(s.URL(), s.password, "wrong", 1)
	if err := Await(t.Context(), wrong, 3, never); err == nil {
		t.Error("a wrong password was accepted")
	}
	if err := Await(t.Context(), "postgres://host:port/", 3, never); err == nil {
		t.Error("nonsense was accepted")
	}
	tries, began := 0, time.Now()
	if err := Await(t.Context(), "postgres://x@127.0.0.1:1/x", 2, func(error) { tries++ }); err == nil || tries != 1 {
		t.Errorf("got %v after %d tries", err, tries)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("tried again after %s", took)
	}
}
