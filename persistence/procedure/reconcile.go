package procedure

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Given is a procedure as a sync is given it.
type Given struct {
	// Name is what it is called unless its annotations say so.
	Name string
	Code string
	// Err is not nil when its code could not be read.
	Err error
}

// MaxGiven bounds the procedures of one sync.
const MaxGiven = 1000

// SyncOptions say how far a sync goes.
type SyncOptions struct {
	// DeleteMissing deletes what was synced before and is not given any more.
	DeleteMissing bool
	// DryRun changes nothing.
	DryRun bool
	// By is the id of who asks; empty for the server.
	By     string
	Limits Limits
}

// SyncError says why one procedure was left as it is.
type SyncError struct {
	Procedure string
	Err       error
}

// Synced tells what a sync did, by the names of procedures.
type Synced struct {
	Created, Updated, Deleted, Unchanged []string
	Errors                               []SyncError
}

// Add appends what another sync did, with a prefix before its names.
func (s *Synced) Add(o Synced, prefix string) {
	for _, list := range []struct {
		to   *[]string
		from []string
	}{{&s.Created, o.Created}, {&s.Updated, o.Updated}, {&s.Deleted, o.Deleted}, {&s.Unchanged, o.Unchanged}} {
		for _, name := range list.from {
			*list.to = append(*list.to, prefix+name)
		}
	}
	for _, e := range o.Errors {
		s.Errors = append(s.Errors, SyncError{prefix + e.Procedure, e.Err})
	}
}

// changes are what makes the stored procedures of a namespace those that are given.
type changes struct {
	create, update []*Procedure
	remove         []string
	report         Synced
}

// compiler compiles the procedures of one sync, each text once.
type compiler struct {
	namespace string
	limits    Limits
	done      map[source]compiled
}

type source struct{ name, code string }

type compiled struct {
	procedure *Procedure
	err       error
}

func newCompiler(namespace string, limits Limits) *compiler {
	return &compiler{namespace, limits, map[source]compiled{}}
}

// compile gives a procedure that is the caller's own.
func (c *compiler) compile(name, code string) (*Procedure, error) {
	key := source{name, code}
	done, is := c.done[key]
	if !is {
		done.procedure, done.err = Compile(c.namespace, name, code, c.limits)
		c.done[key] = done
	}
	if done.err != nil {
		return nil, done.err
	}
	p := *done.procedure
	return &p, nil
}

// reconcile compares what is given with what is stored. Only text that has changed is
// compiled, and a procedure whose text has not keeps what was changed by hand.
func reconcile(with *compiler, stored []*Procedure, given []Given, o SyncOptions) changes {
	var c changes
	known := make(map[string]*Procedure, len(stored))
	for _, p := range stored {
		known[p.Name] = p
	}
	seen := map[string]bool{}
	unnamed := false // something is given and nobody knows as what
	for _, g := range given {
		name, err := g.called()
		if err == nil && seen[name] {
			err = invalid(errors.New("a procedure of this name is given twice"))
		}
		if err != nil {
			unnamed = unnamed || name == ""
			c.fail(g, name, err)
			seen[name] = true
			continue
		}
		seen[name] = true
		old := known[name]
		if old != nil && old.Code == g.Code {
			c.report.Unchanged = append(c.report.Unchanged, name)
			continue
		}
		p, err := with.compile(name, g.Code)
		if err != nil {
			c.fail(g, name, err)
			continue
		}
		p.Source, p.CreatedBy = Filesystem, o.By
		if old == nil {
			c.create = append(c.create, p)
			c.report.Created = append(c.report.Created, name)
			continue
		}
		p.ID, p.Source, p.Enabled, p.CreatedBy = old.ID, old.Source, old.Enabled, old.CreatedBy
		if p.Version == 0 {
			p.Version = old.Version + 1
		}
		c.update = append(c.update, p)
		c.report.Updated = append(c.report.Updated, name)
	}
	for _, p := range stored {
		// What cannot be told apart from a broken one is not missing.
		if o.DeleteMissing && !unnamed && p.Source == Filesystem && !seen[p.Name] {
			c.remove = append(c.remove, p.Name)
		}
	}
	c.report.Deleted = c.remove
	c.report.sort()
	return c
}

func (c *changes) fail(g Given, name string, err error) {
	if name == "" {
		name = g.Name
	}
	c.report.Errors = append(c.report.Errors, SyncError{name, err})
}

// called gives the name of what is given; "" when it cannot be told.
func (g Given) called() (string, error) {
	if g.Err != nil {
		return "", g.Err
	}
	a, _, err := parseAnnotations(g.Code)
	if err != nil {
		return "", invalid(err)
	}
	name := a.name
	if name == "" {
		name = strings.TrimSuffix(g.Name, fileSuffix)
	}
	if err := checkName(name); err != nil {
		return "", invalid(fmt.Errorf("the procedure's name: %w", err))
	}
	return name, nil
}

// sort puts all lists into the order of names.
func (s *Synced) sort() {
	for _, list := range [][]string{s.Created, s.Updated, s.Deleted, s.Unchanged} {
		slices.Sort(list)
	}
}
