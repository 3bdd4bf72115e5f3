package rest

import (
	"strconv"
	"strings"

	"fluxbase/persistence/query"
)

// returning says what a write answers with.
type returning uint8

const (
	returnMinimal returning = iota
	returnRepresentation
	returnHeaders
)

// preferences are what the Prefer headers of a request ask for.
type preferences struct {
	returning   returning
	conflict    query.Conflict
	missing     query.Missing
	count       query.Count
	rollback    bool
	maxAffected int64 // -1 for any number
	timezone    string
	strict      bool
	// given are the preferences that were understood, by name.
	given map[string]string
}

// preferenceOrder is the order in which Preference-Applied lists them.
var preferenceOrder = []string{"resolution", "missing", "return", "count", "tx", "handling", "timezone", "max-affected"}

// prefer reads Prefer headers. The first of several equal preferences counts. With
// handling=strict an unknown one is refused, otherwise it is passed over.
func prefer(headers []string) (preferences, error) {
	p := preferences{missing: query.MissingNull, maxAffected: -1, given: map[string]string{}}
	var unknown []string
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
			name, value = strings.TrimSpace(name), strings.TrimSpace(value)
			if name == "" || p.given[name] != "" {
				continue
			}
			if p.set(name, value) {
				p.given[name] = value
			} else {
				unknown = append(unknown, strings.TrimSpace(item))
			}
		}
	}
	if p.strict && len(unknown) > 0 {
		return p, refuse(400, "PGRST122", "Invalid preferences given with handling=strict").withDetails("Invalid preferences: " + strings.Join(unknown, ", "))
	}
	if !p.strict {
		p.maxAffected = -1
		delete(p.given, "max-affected")
	}
	return p, nil
}

func (p *preferences) set(name, value string) bool {
	switch name + "=" + value {
	case "return=minimal":
		p.returning = returnMinimal
	case "return=representation":
		p.returning = returnRepresentation
	case "return=headers-only":
		p.returning = returnHeaders
	case "resolution=merge-duplicates":
		p.conflict = query.ConflictMerge
	case "resolution=ignore-duplicates":
		p.conflict = query.ConflictIgnore
	case "missing=default":
		p.missing = query.MissingDefaultMerge
	case "missing=null":
		p.missing = query.MissingNull
	case "count=exact":
		p.count = query.CountExact
	case "count=planned":
		p.count = query.CountPlanned
	case "count=estimated":
		p.count = query.CountEstimated
	case "tx=commit":
	case "tx=rollback":
		p.rollback = true
	case "handling=strict":
		p.strict = true
	case "handling=lenient":
	default:
		switch name {
		case "timezone":
			p.timezone = value
			return value != ""
		case "max-affected":
			n, err := strconv.ParseInt(value, 10, 64)
			p.maxAffected = n
			return err == nil && n >= 0
		}
		return false
	}
	return true
}

// applied is the header Preference-Applied; empty for none.
func (p *preferences) applied() string {
	var out []string
	for _, name := range preferenceOrder {
		if value := p.given[name]; value != "" {
			out = append(out, name+"="+value)
		}
	}
	return strings.Join(out, ", ")
}
