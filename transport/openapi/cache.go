package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
)

// The cache is bounded by number, as a node has a few kinds of callers per tenant, and
// by bytes; the document that was made last is kept in any case.
const (
	keptDocuments = 32
	keptBytes     = 64 << 20
)

// Document is a document as it is served.
type Document struct {
	JSON []byte
	// ETag is weak: what compresses answers does not change it.
	ETag string
}

// key says what a document depends on.
type key struct {
	snapshot   *catalog.Snapshot
	role       caller.DatabaseRole
	everything bool
	scopes     string
	admitted   string
}

// cache keeps documents. Whoever asks for one that is being made waits for it.
type cache struct {
	mu   sync.Mutex
	kept map[key]*entry
	// order has the keys, the one that was used last at the end.
	order []key
	bytes int
}

type entry struct {
	once sync.Once
	// size is what the entry counts for; it is the cache's.
	size int
	doc  *Document
	err  error
}

func newCache() *cache { return &cache{kept: map[key]*entry{}} }

func (c *cache) get(k key, build func() ([]byte, error)) (*Document, error) {
	e := c.entry(k)
	e.once.Do(func() {
		text, err := build()
		if err != nil {
			e.err = err
			return
		}
		sum := sha256.Sum256(text)
		e.doc = &Document{JSON: text, ETag: `W/"` + hex.EncodeToString(sum[:12]) + `"`}
		c.weigh(k, e, len(text))
	})
	return e.doc, e.err
}

// entry finds or adds an entry, and lets go of the one that was not used for the
// longest time when there are too many.
func (c *cache) entry(k key) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.kept[k]
	if !ok {
		e = &entry{}
		c.kept[k] = e
		if len(c.order) == keptDocuments {
			c.forget()
		}
		c.order = append(c.order, k)
		return e
	}
	for i := range c.order {
		if c.order[i] == k {
			c.order = append(append(c.order[:i:i], c.order[i+1:]...), k)
			break
		}
	}
	return e
}

// weigh counts a document that was made, and makes room for it.
func (c *cache) weigh(k key, e *entry, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept[k] != e {
		return // let go of in the meantime
	}
	e.size = size
	c.bytes += size
	for c.bytes > keptBytes && c.order[0] != k {
		c.forget()
	}
}

// forget lets go of the entry that was not used for the longest time.
func (c *cache) forget() {
	c.bytes -= c.kept[c.order[0]].size
	delete(c.kept, c.order[0])
	c.order = c.order[1:]
}
