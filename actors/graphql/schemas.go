package graphql

import (
	"container/list"
	"sync"

	"fluxbase/actors/graphql/operation"
	"fluxbase/actors/graphql/schema"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/query/sql"
)

// schemas keeps the schema of each database role for the newest snapshot of the
// catalogue. The zero value is ready.
type schemas struct {
	mu       sync.Mutex
	snapshot *catalog.Snapshot
	roles    map[string]*role
}

// role is the schema of a role, with the documents that were checked against it.
type role struct {
	build     sync.Once
	schema    *schema.Schema
	failed    error
	relations sql.Relations
	documents documents
}

// of gives the schema of a role. It is made when it is asked for first.
func (s *schemas) of(snapshot *catalog.Snapshot, name string) (*role, error) {
	r := s.find(snapshot, name)
	r.build.Do(func() {
		r.relations = sql.Of(snapshot)
		r.schema, r.failed = schema.Build(snapshot, name)
	})
	return r, r.failed
}

func (s *schemas) find(snapshot *catalog.Snapshot, name string) *role {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snapshot == nil || s.snapshot.Version() < snapshot.Version() {
		s.snapshot, s.roles = snapshot, map[string]*role{}
	}
	if s.snapshot != snapshot {
		return &role{} // of a request that began before the schema changed: not kept
	}
	r := s.roles[name]
	if r == nil {
		r = &role{}
		s.roles[name] = r
	}
	return r
}

// document reads and checks a document, unless that was done before.
func (r *role) document(text string, rules operation.Rules) (*operation.Document, error) {
	if d := r.documents.find(text); d != nil {
		return d, nil
	}
	d, err := operation.Parse(r.schema, text, rules)
	if err == nil {
		r.documents.keep(text, d)
	}
	return d, err
}

// What is kept of documents: so many, of at most so many bytes each.
const (
	maxDocuments = 500
	maxDocument  = 16 << 10
)

// documents are those that were used last. The zero value is ready.
type documents struct {
	mu     sync.Mutex
	byText map[string]*list.Element // of *kept
	recent list.List                // most recently used first
}

type kept struct {
	text     string
	document *operation.Document
}

func (d *documents) find(text string) *operation.Document {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.byText[text]
	if e == nil {
		return nil
	}
	d.recent.MoveToFront(e)
	return e.Value.(*kept).document
}

func (d *documents) keep(text string, doc *operation.Document) {
	if len(text) > maxDocument {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byText == nil {
		d.byText = map[string]*list.Element{}
	}
	if d.byText[text] != nil {
		return
	}
	d.byText[text] = d.recent.PushFront(&kept{text, doc})
	if d.recent.Len() > maxDocuments {
		oldest := d.recent.Remove(d.recent.Back()).(*kept)
		delete(d.byText, oldest.text)
	}
}
