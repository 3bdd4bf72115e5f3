package filter

import (
	"strconv"

	"fluxbase/persistence/query"
)

// Embeds finds the embeds of a select list by their labels; nil when there is none.
func Embeds(fields query.Projection) map[string]*query.Embed {
	var out map[string]*query.Embed
	for _, item := range fields {
		if e, ok := item.(*query.Embed); ok {
			if out == nil {
				out = map[string]*query.Embed{}
			}
			out[e.Label()] = e
		}
	}
	return out
}

// Embedded adds a parameter whose key begins with an embed's label to that embed,
// or to one further in: an order, a limit or an offset, and else a condition, which
// condition reads once its key is the embed's own. seen are the whole keys of the
// words that were given.
func Embedded(embeds map[string]*query.Embed, seen map[string]bool, p Parameter, condition func(Parameter) (query.Condition, error)) error {
	whole := p.Key
	for {
		head, rest, _ := Head(p.Key)
		e := embeds[head]
		p.Key = rest
		switch rest {
		case "order", "limit", "offset":
			if seen[whole] {
				return invalid("%s is given twice", whole)
			}
			seen[whole] = true
			return embedWord(e, p)
		}
		embeds = Embeds(e.Fields)
		if next, _, ok := Head(rest); ok && embeds[next] != nil {
			continue
		}
		c, err := condition(p)
		if err != nil {
			return err
		}
		e.Where = query.Conjoin(e.Where, c)
		return nil
	}
}

func embedWord(e *query.Embed, p Parameter) (err error) {
	switch p.Key {
	case "limit":
		e.Page.Limit, err = Whole(p)
	case "offset":
		e.Page.Offset, err = Whole(p)
	default:
		e.Order, err = ParseOrder(p.Value)
	}
	return err
}

// Whole reads a whole number of at least 0.
func Whole(p Parameter) (int64, error) {
	n, err := strconv.ParseInt(p.Value, 10, 64)
	if err != nil || n < 0 {
		return 0, invalid("%s must be a whole number of at least 0, not %q", p.Key, p.Value)
	}
	return n, nil
}
