package tables

import (
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/idempotency"
	"fluxbase/persistence/query"
)

// returning says what a write answers with.
type returning uint8

const (
	returnDefault returning = iota
	returnRepresentation
	returnMinimal
	returnHeaders
)

// preferences are what the Prefer headers of a request ask for.
type preferences struct {
	returning returning
	conflict  query.Conflict
	missing   query.Missing
	count     query.Count
	// applied are the preferences that were understood, for the response header
	// Preference-Applied.
	applied []string
	// key is the idempotency key of a write; nil for none.
	key *idempotency.Key
}

// prefer reads Prefer headers. As RFC 7240 demands, a preference that is not
// known is passed over, and the first of several equal ones counts; with
// handling=strict what is not known is refused.
func prefer(headers []string) (preferences, error) {
	var p preferences
	var unknown []string
	seen := map[string]bool{}
	strict := false
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			item, _, _ = strings.Cut(item, ";") // parameters of a preference
			name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
			name = strings.ToLower(strings.TrimSpace(name))
			value = strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))
			if name == "" || seen[name] {
				continue
			}
			seen[name] = true
			known, apply := p.set(name, value)
			if name == "handling" && value == "strict" {
				strict = true
			}
			switch {
			case !known:
				unknown = append(unknown, name+"="+value)
			case apply:
				p.applied = append(p.applied, name+"="+value)
			}
		}
	}
	if strict && len(unknown) > 0 {
		return p, fault.Newf(fault.InvalidInput, "Invalid preferences: %s", strings.Join(unknown, ", ")).
			WithHint("handling=strict refuses preferences that are not known.")
	}
	return p, nil
}

// set takes one preference over.
func (p *preferences) set(name, value string) (known, applied bool) {
	switch name + "=" + value {
	case "return=representation":
		p.returning = returnRepresentation
	case "return=minimal":
		p.returning = returnMinimal
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
	case "count=none":
	case "handling=strict", "handling=lenient":
	default:
		return false, false
	}
	return true, true
}
