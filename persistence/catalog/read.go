package catalog

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

var (
	//go:embed relations.sql
	relationsSQL string
	//go:embed fingerprint.sql
	fingerprintSQL string
)

// What relations.sql prints.
type document struct {
	Relations []struct {
		OID          uint32
		Schema, Name string
		Kind         string
		Partition    bool
		Updatable    int
		Secured      bool
		Forced       bool
		Comment      string
		Columns      []struct {
			Name      string
			Position  int
			Type      uint32
			TypeName  string `json:"type_name"`
			NotNull   bool   `json:"not_null"`
			Default   string
			Generated bool
			Identity  string
			Sequence  string
			Updatable bool
			Comment   string
		}
		PrimaryKey  []string `json:"primary_key"`
		Unique      []Key
		ForeignKeys []ForeignKey `json:"foreign_keys"`
		Grants      []grants
	}
	// Links are the foreign keys of all tables, Views the rules of the views, Bases the
	// tables beneath those, Computed the functions of one row.
	Links []link
	Views []struct {
		OID  uint32
		Tree string
	}
	Bases    []base
	Computed []struct {
		Schema, Name           string
		Relation, Type, Target uint32
		Set                    bool
		Rows                   float64
		Executors              []string
	}
	Routines []struct {
		Schema, Name string
		Type, Target uint32
		Set          bool
		Defaults     int
		Variadic     bool
		Volatility   string
		Comment      string
		Executors    []string
		Parameters   []struct {
			Name     string
			Type     uint32
			TypeName string `json:"type_name"`
		}
		Columns []struct {
			Name string
			Type uint32
		}
	}
	// Extensions are the versions of the extensions.
	Extensions map[string]string
	Types      []struct {
		OID          uint32
		Schema, Name string
		Kind         string
		Category     string
		Element      uint32
		Base         uint32
		Labels       []string
	}
}

// The bits of pg_relation_is_updatable.
const (
	canUpdate = 1 << 2
	canInsert = 1 << 3
	canDelete = 1 << 4
)

func read(ctx context.Context, d *db.Database, schemas []string) (*Snapshot, error) {
	var text []byte
	err := d.Owner(ctx, func(c *pgxpool.Conn) error {
		return db.Fault(c.QueryRow(ctx, relationsSQL, schemas).Scan(&text))
	})
	if err != nil {
		return nil, err
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("unexpected answer: %w", err)
	}
	s := &Snapshot{
		hash:       sha256.Sum256(text),
		schemas:    schemas,
		extensions: doc.Extensions,
		relations:  make(map[name]*Relation, len(doc.Relations)),
		types:      make(map[uint32]*Type, len(doc.Types)),
	}
	for _, t := range doc.Types {
		s.types[t.OID] = &Type{
			OID: t.OID, Schema: t.Schema, Name: t.Name,
			Kind: TypeKind(letter(t.Kind)), Category: letter(t.Category), Labels: t.Labels,
		}
	}
	for _, t := range doc.Types {
		s.types[t.OID].Element, s.types[t.OID].Base = s.types[t.Element], s.types[t.Base]
	}
	for _, r := range doc.Relations {
		relation := &Relation{
			OID: r.OID, Schema: r.Schema, Name: r.Name, Kind: Kind(letter(r.Kind)), Partition: r.Partition,
			Insertable: r.Updatable&canInsert != 0, Updatable: r.Updatable&canUpdate != 0, Deletable: r.Updatable&canDelete != 0,
			RowSecurity: r.Secured, ForceRowSecurity: r.Forced,
			PrimaryKey: r.PrimaryKey, Unique: r.Unique, ForeignKeys: r.ForeignKeys, Comment: r.Comment,
			Columns: make([]Column, 0, len(r.Columns)),
			columns: make(map[string]int, len(r.Columns)),
			granted: privilegesOf(r.Grants),
		}
		for i, c := range r.Columns {
			relation.Columns = append(relation.Columns, Column{
				Name: c.Name, Position: c.Position, Type: s.types[c.Type], TypeName: c.TypeName,
				Nullable: !c.NotNull, Default: c.Default, Generated: c.Generated,
				Identity: Identity(letter(c.Identity)), Sequence: c.Sequence, Updatable: c.Updatable, Comment: c.Comment,
			})
			relation.columns[c.Name] = i
		}
		s.relations[name{r.Schema, r.Name}] = relation
	}
	s.relate(&doc)
	s.readRoutines(&doc)
	return s, nil
}

// readRoutines fills in what can be called.
func (s *Snapshot) readRoutines(doc *document) {
	s.routines = make(map[name][]*Routine, len(doc.Routines))
	byOID := make(map[uint32]*Relation, len(s.relations))
	for _, r := range s.relations {
		byOID[r.OID] = r
	}
	for _, d := range doc.Routines {
		r := &Routine{Schema: d.Schema, Name: d.Name, Type: s.types[d.Type], Set: d.Set, Relation: byOID[d.Target],
			Volatility: Volatility(letter(d.Volatility)), Comment: d.Comment, executors: d.Executors}
		for i, p := range d.Parameters {
			last := i == len(d.Parameters)-1
			r.Parameters = append(r.Parameters, Parameter{Name: p.Name, Type: s.types[p.Type], TypeName: p.TypeName,
				Optional: i >= len(d.Parameters)-d.Defaults, Variadic: last && d.Variadic})
		}
		for _, c := range d.Columns {
			r.Columns = append(r.Columns, Column{Name: c.Name, Type: s.types[c.Type], Nullable: true})
		}
		key := name{d.Schema, d.Name}
		s.routines[key] = append(s.routines[key], r)
	}
}

// relate fills in how the relations hang together.
func (s *Snapshot) relate(doc *document) {
	byOID := make(map[uint32]*Relation, len(s.relations))
	for _, r := range s.relations {
		byOID[r.OID] = r
	}
	trees := make(map[uint32]string, len(doc.Views))
	for _, v := range doc.Views {
		trees[v.OID] = v.Tree
	}
	shown := faces(s.relations, trees)
	relate(doc.Links, shown)
	inherit(doc.Bases, shown)
	for _, c := range doc.Computed {
		r, function := byOID[c.Relation], Function{c.Schema, c.Name}
		if target := byOID[c.Target]; target != nil {
			related := Relationship{Cardinality: ManyToOne, Schema: target.Schema, Name: target.Name, Function: &function, Self: r == target, executors: c.Executors}
			if c.Set && c.Rows != 1 {
				related.Cardinality = OneToMany
			}
			r.Relationships = append(r.Relationships, related)
		} else if !c.Set && s.types[c.Type] != nil && s.types[c.Type].Kind != Pseudo {
			r.Computed = append(r.Computed, Computed{Function: function, Type: s.types[c.Type], executors: c.Executors})
		}
	}
	for _, r := range s.relations {
		sortRelationships(r.Relationships)
	}
}

func letter(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}
