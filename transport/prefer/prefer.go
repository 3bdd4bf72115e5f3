// Package prefer reads the Prefer headers of requests (RFC 7240).
//
// There is one reader. What a dialect understands is a table of words; what it
// does not understand is passed over, or refused where the client said
// handling=strict.
package prefer

import (
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on machines that have no list of them

	"fluxbase/persistence/query"
)

// Returning says what a write answers with.
type Returning uint8

// The kinds of answers.
const (
	// ReturnDefault is the dialect's own habit: nobody asked.
	ReturnDefault Returning = iota
	ReturnRepresentation
	ReturnMinimal
	ReturnHeaders
)

// Preferences are what the Prefer headers of a request ask for. The zero value
// asks for nothing.
type Preferences struct {
	Returning Returning
	Conflict  query.Conflict
	Count     query.Count
	// Rollback undoes what was written once it is answered.
	Rollback bool
	// MaxAffected is how many rows a write may change; nil for any number. It is
	// only there together with Strict.
	MaxAffected *int64
	// Timezone is the name of a zone; empty for the server's.
	Timezone string
	// Strict is handling=strict.
	Strict bool
	// Applied is the value of the header Preference-Applied; empty for none.
	Applied string
	// Unknown are the preferences that were not understood, as the client wrote
	// them.
	Unknown []string

	missing *query.Missing
}

// Missing is what absent keys mean: what the client said, or else the dialect's
// own habit.
func (p *Preferences) Missing(habit query.Missing) query.Missing {
	if p.missing == nil {
		return habit
	}
	return *p.missing
}

// Word is a preference that a dialect understands, by what it is called in the
// header: "return=minimal", or "timezone" for one with a value of the client's.
type Word string

// The words with values of the client's.
const (
	Timezone    Word = "timezone"
	MaxAffected Word = "max-affected"
)

// Native are the words of the native dialect.
var Native = []Word{
	"resolution=merge-duplicates", "resolution=ignore-duplicates", "missing=default", "missing=null",
	"return=representation", "return=minimal", "return=headers-only",
	"count=exact", "count=planned", "count=estimated", "count=none", "handling=strict", "handling=lenient",
}

// PostgREST are the words of PostgREST's dialect.
var PostgREST = []Word{
	"resolution=merge-duplicates", "resolution=ignore-duplicates", "missing=default", "missing=null",
	"return=representation", "return=minimal", "return=headers-only",
	"count=exact", "count=planned", "count=estimated", "tx=commit", "tx=rollback", "handling=strict", "handling=lenient",
	Timezone, MaxAffected,
}

// order is the order in which Preference-Applied lists what was honoured.
var order = []string{"resolution", "missing", "return", "count", "tx", "handling", "timezone", "max-affected"}

// Read reads Prefer headers with a dialect's words. The first of several
// preferences of one name counts; parameters behind a semicolon are passed over.
func Read(words []Word, headers [][]byte) Preferences {
	var p Preferences
	if len(headers) == 0 {
		return p
	}
	given := make(map[string]string, 4)
	for _, header := range headers {
		for item := range strings.SplitSeq(string(header), ",") {
			item, _, _ = strings.Cut(item, ";")
			item = strings.TrimSpace(item)
			name, value, _ := strings.Cut(item, "=")
			name, value = strings.ToLower(strings.TrimSpace(name)), strings.Trim(strings.TrimSpace(value), `"`)
			if name == "" {
				continue
			}
			if _, twice := given[name]; twice {
				continue
			}
			if p.set(words, name, value) {
				if !slices.Contains(words, Word(name)) {
					value = strings.ToLower(value) // as the word is spelled
				}
				given[name] = value
			} else {
				p.Unknown = append(p.Unknown, item)
			}
		}
	}
	if !p.Strict && p.MaxAffected != nil {
		p.MaxAffected = nil // only who is strict can be sure that it holds
		delete(given, string(MaxAffected))
	}
	var applied []string
	for _, name := range order {
		if value, ok := given[name]; ok {
			applied = append(applied, name+"="+value)
		}
	}
	p.Applied = strings.Join(applied, ", ")
	return p
}

// set takes one preference over and tells whether it is understood.
func (p *Preferences) set(words []Word, name, value string) bool {
	if slices.Contains(words, Word(name)) {
		return p.setValue(Word(name), value)
	}
	word := Word(name + "=" + strings.ToLower(value))
	if !slices.Contains(words, word) {
		return false
	}
	missing := func(m query.Missing) { p.missing = &m }
	switch word {
	case "return=minimal":
		p.Returning = ReturnMinimal
	case "return=representation":
		p.Returning = ReturnRepresentation
	case "return=headers-only":
		p.Returning = ReturnHeaders
	case "resolution=merge-duplicates":
		p.Conflict = query.ConflictMerge
	case "resolution=ignore-duplicates":
		p.Conflict = query.ConflictIgnore
	case "missing=default":
		missing(query.MissingDefaultMerge)
	case "missing=null":
		missing(query.MissingNull)
	case "count=exact":
		p.Count = query.CountExact
	case "count=planned":
		p.Count = query.CountPlanned
	case "count=estimated":
		p.Count = query.CountEstimated
	case "tx=rollback":
		p.Rollback = true
	case "handling=strict":
		p.Strict = true
	}
	return true
}

func (p *Preferences) setValue(word Word, value string) bool {
	switch word {
	case Timezone:
		// The names with a meaning of their own here are no zones of a database.
		if _, err := time.LoadLocation(value); err != nil || value == "" || value == "Local" {
			return false
		}
		p.Timezone = value
		return true
	case MaxAffected:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 {
			return false
		}
		p.MaxAffected = &n
		return true
	}
	return false
}
