package procedure

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"fluxbase/persistence/fault"
)

// fileSuffix ends the names of files that hold procedures.
const fileSuffix = ".sql"

// ReadDirectory reads the procedures of a folder by their namespaces: name.sql is of
// the default one, namespace/name.sql of the one that the folder is called. Other
// files, and those that begin with a dot, are left alone. Links do not lead out of
// the folder. A folder that is not there gives nil.
func ReadDirectory(path string) (map[string][]Given, error) {
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadable(err)
	}
	defer root.Close()
	found := map[string][]Given{}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, unreadable(err)
	}
	if err := readFiles(root, "", DefaultNamespace, entries, found); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := checkNamespace(e.Name()); err != nil {
			return nil, invalid(fmt.Errorf("the folder of a namespace: %w", err))
		}
		within, err := fs.ReadDir(root.FS(), e.Name())
		if err != nil {
			return nil, unreadable(err)
		}
		if err := readFiles(root, e.Name()+"/", e.Name(), within, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func readFiles(root *os.Root, folder, namespace string, entries []fs.DirEntry, found map[string][]Given) (err error) {
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), fileSuffix)
		if !is || e.IsDir() || strings.HasPrefix(name, ".") || name == "" {
			continue
		}
		g := Given{Name: name}
		if g.Code, err = readFile(root, folder+e.Name()); err != nil {
			g.Err = fault.New(fault.ValidationFailed, "The file cannot be read, or is a link out of the folder").WithCause(err)
		}
		if found[namespace] = append(found[namespace], g); len(found[namespace]) > MaxGiven {
			return fault.Newf(fault.BatchTooLarge, "The folder holds more than %d procedures of namespace %s", MaxGiven, namespace)
		}
	}
	return nil
}

// readFile reads a little more than a procedure can have, which the compiler will
// refuse then.
func readFile(root *os.Root, name string) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	code, err := io.ReadAll(io.LimitReader(f, maxCode+1))
	return string(code), err
}

func unreadable(err error) error {
	return fault.New(fault.OperationFailed, "The folder of procedures (rpc.procedures_dir) cannot be read").WithCause(err)
}
