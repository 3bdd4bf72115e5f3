package table

import (
	"context"
	"time"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

// Times of judging.
const (
	// judgeTimeout bounds the judgement of one batch.
	judgeTimeout = 30 * time.Second
	// retryDelay is between attempts when the database is not there.
	retryDelay = 100 * time.Millisecond
)

// asker is what a question is asked for: an identity where policies decide, else
// all callers of a database role.
type asker struct {
	identity caller.Identity
	role     caller.DatabaseRole
}

// judged is a batch with its verdicts.
type judged struct {
	table   *changelog.Table
	entries []changelog.Entry
	// images of each entry: the index of its new and old one, -1 for none.
	new, old []int
	answers  map[asker]changelog.Answer
	filters  map[asker]map[string]int
	// changed: the table's columns are not those of the images any more.
	changed bool
	// gone: the table is not enabled any more.
	gone bool
}

// question is what judging needs of the groups; made on the actor's goroutine,
// used on another.
type question struct {
	caller  caller.Caller
	filters []Subscription // one per filter text
}

// questions collects what must be asked for the groups.
func (ms *membership) questions() []question {
	byIdentity := map[caller.Identity]int{}
	known := map[caller.Identity]map[string]bool{}
	var all []question
	for _, g := range ms.groups {
		identity := g.caller.Identity()
		at, ok := byIdentity[identity]
		if !ok {
			at = len(all)
			byIdentity[identity] = at
			known[identity] = map[string]bool{}
			all = append(all, question{caller: g.caller})
		}
		for _, s := range g.subscriptions {
			if s.Filter != nil && !known[identity][s.FilterText] {
				known[identity][s.FilterText] = true
				all[at].filters = append(all[at].filters, s)
			}
		}
	}
	return all
}

// askerOf tells for whom a caller's question is asked.
func askerOf(t *changelog.Table, c caller.Caller) asker {
	role := c.DatabaseRole()
	if t.View(role).Visibility == changelog.ByPolicy {
		return asker{identity: c.Identity(), role: role}
	}
	return asker{role: role}
}

// judge takes the verdicts on a batch under a plan that was still true when they
// were taken.
func judge(ctx context.Context, log Log, id int32, plan *changelog.Plan, entries []changelog.Entry, questions []question) (*judged, error) {
	first, ok := plan.Table(id)
	for {
		if !ok {
			return &judged{gone: true}, nil
		}
		t, _ := plan.Table(id)
		if t == nil {
			return &judged{gone: true}, nil
		}
		if t.Signature != first.Signature {
			return &judged{table: t, changed: true}, nil
		}
		j := newJudged(t, entries)
		asked := j.ask(ctx, log, questions)
		if !asked {
			return j, nil // nothing came from the database
		}
		switch current, err := log.Current(ctx, plan); {
		case j.transient() || err != nil:
			select {
			case <-ctx.Done():
				return nil, fault.New(fault.Timeout, "the changes could not be judged in time").WithCause(err)
			case <-time.After(retryDelay):
			}
		case current:
			return j, nil
		}
		// The database was away, or the plan is not true any more.
		if _, fresh, err := log.Now(ctx); err == nil {
			plan = fresh
		} else if ctx.Err() != nil {
			return nil, err
		}
	}
}

func newJudged(t *changelog.Table, entries []changelog.Entry) *judged {
	return &judged{table: t, entries: entries, answers: map[asker]changelog.Answer{}, filters: map[asker]map[string]int{}}
}

// ask fills in the answers, and tells whether the database was asked.
func (j *judged) ask(ctx context.Context, log Log, questions []question) bool {
	var images []changelog.Image
	add := func(image []byte, cut bool) int {
		if image == nil {
			return -1
		}
		images = append(images, changelog.Image{JSON: image, Cut: cut})
		return len(images) - 1
	}
	for _, e := range j.entries {
		j.new = append(j.new, add(e.New, e.NewCut))
		j.old = append(j.old, add(e.Old, e.OldCut))
	}
	var asked []changelog.Question
	var of []asker
	at := map[asker]int{}
	for _, q := range questions {
		a := askerOf(j.table, q.caller)
		n, ok := at[a]
		if !ok {
			n = len(asked)
			at[a] = n
			asked, of = append(asked, changelog.Question{Caller: q.caller}), append(of, a)
			j.filters[a] = map[string]int{}
		}
		for _, s := range q.filters {
			if _, ok := j.filters[a][s.FilterText]; !ok {
				j.filters[a][s.FilterText] = len(asked[n].Filters)
				asked[n].Filters = append(asked[n].Filters, s.Filter)
			}
		}
	}
	answers, sql := log.Judge(ctx, j.table, images, asked)
	for n, answer := range answers {
		j.answers[of[n]] = answer
	}
	return sql
}

// transient tells whether some verdict failed for a reason that is not its
// identity's.
func (j *judged) transient() bool {
	for _, a := range j.answers {
		switch fault.CodeOf(a.Err) {
		case fault.ServiceUnavailable, fault.Overloaded, fault.Canceled:
			return true
		}
	}
	return false
}

// see is what a subscription sees of an entry.
func (j *judged) see(entry int, a asker, s Subscription) sight {
	answer := j.answers[a]
	verdicts := answer.Visible
	if s.Filter != nil {
		verdicts = answer.Matches[j.filters[a][s.FilterText]]
	}
	var out sight
	if i := j.new[entry]; i >= 0 {
		out.new = verdicts[i]
	}
	if i := j.old[entry]; i >= 0 {
		out.old, out.live = verdicts[i], answer.Live[i] && a.identity != caller.Identity{}
	}
	return out
}

// unsure tells whether some row may have gone without the asker being told,
// because nothing is left to judge it by.
func (j *judged) unsure(a asker) bool {
	if a.identity == (caller.Identity{}) {
		return false
	}
	answer := j.answers[a]
	for n, e := range j.entries {
		if i := j.old[n]; e.Type == changelog.Delete && i >= 0 && answer.Live[i] {
			return true
		}
	}
	return false
}
