package procedure

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	grammar "github.com/wasilibs/go-pgquery"

	"fluxbase/persistence/fault"
)

// parser guards the grammar, which is PostgreSQL's own, compiled to WebAssembly: the
// first use in a process compiles it, for seconds and for 250 MB that are given back
// afterwards. One statement is parsed at a time, so that one instance of it is made.
//
// Its C stack ends in its data: whatever nests too deep would damage the instance,
// and what that says later could be anything. So tooDeep comes first, and an
// instance that failed all the same is never asked again.
type parser struct {
	turn   chan struct{}
	warm   bool
	broken error
}

var theParser = &parser{turn: make(chan struct{}, 1)}

// maxDepth bounds what tooDeep counts. The simplest things overflow from some
// thousands on.
const maxDepth = 400

// parse gives the statements of a text that has been scanned. The error is for
// whoever wrote it, unless it is a fault.
func (p *parser) parse(text string, tokens []token) (statements []*pg.RawStmt, err error) {
	if tooDeep(text, tokens, maxDepth) {
		return nil, errors.New("the statement nests too deep or has too long a chain of operators or joins")
	}
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.broken != nil {
		return nil, fault.New(fault.ServiceUnavailable, "SQL cannot be parsed until the server is restarted").WithCause(p.broken)
	}
	defer func() {
		if r := recover(); r != nil {
			p.broken = fmt.Errorf("the SQL parser failed: %v", r)
			err = fault.New(fault.InternalError, "SQL cannot be parsed").WithCause(p.broken)
		}
	}()
	tree, err := grammar.Parse(text)
	if !p.warm {
		p.warm = true
		debug.FreeOSMemory() // what compiling took
	}
	if err != nil {
		return nil, fmt.Errorf("the SQL cannot be parsed: %w", err)
	}
	return tree.GetStmts(), nil
}

// tooDeep tells whether the tree of a text may be deeper than limit. It counts, along
// the way from the outside in, brackets, CASE, and at each level the joins and set
// operations, and the operators in a row: each of them can be a level of the tree.
func tooDeep(text string, tokens []token, limit int) bool {
	type level struct{ links, row int }
	levels := []level{{}}
	sum := 0 // of all levels but the innermost
	for _, t := range tokens {
		at := &levels[len(levels)-1]
		opens, closes := false, false
		switch t.kind {
		case symbolToken:
			switch text[t.start] {
			case '(', '[':
				opens = true
			case ')', ']':
				closes = true
			case ',', ';':
				at.row = 0
			default:
				at.row++
			}
		case wordToken:
			switch word := strings.ToLower(text[t.start:t.end]); {
			case word == "case":
				opens = true
			case word == "end":
				closes = true
			case linking[word]:
				at.links++
			case parting[word]:
				at.row = 0
			case nesting[word]:
				at.row++
			}
		}
		switch {
		case opens:
			sum += at.links + at.row + 1
			levels = append(levels, level{})
		case closes && len(levels) > 1:
			levels = levels[:len(levels)-1]
			at = &levels[len(levels)-1]
			sum -= at.links + at.row + 1
		}
		at = &levels[len(levels)-1]
		if sum+at.links+at.row > limit {
			return true
		}
	}
	return false
}

func words(list string) map[string]bool {
	set := make(map[string]bool)
	for w := range strings.FieldsSeq(list) {
		set[w] = true
	}
	return set
}

var (
	// linking words nest whatever else stands between them.
	linking = words("join union intersect except")
	// parting words begin something beside what came before them.
	parting = words("and or select from where group order having window limit offset fetch values set returning on when then else using")
	// nesting words are operators, or stand in front of something.
	nesting = words("not is isnull notnull in like ilike similar between collate at overlaps any all some exists array row operator prior unique distinct over filter within escape")
)
