package table

import (
	"cmp"
	"context"
	"slices"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/changelog/policy"
	"fluxbase/persistence/fault"
)

// Times of judging.
const (
	// judgeTimeout bounds the judgement of one batch.
	judgeTimeout = 30 * time.Second
	// retryDelay is between attempts when the database is not there.
	retryDelay = 100 * time.Millisecond
)

// judged is a batch with its verdicts.
type judged struct {
	table   *changelog.Table
	entries []changelog.Entry
	// heard are the groups that get something, with their messages.
	heard   []*group
	notices []groupNotice
	// changed: the table's columns are not those of the images any more.
	changed bool
	// gone: the table is not enabled any more.
	gone bool
}

// groupNotice is what a group is told beside its messages.
type groupNotice struct {
	group  *group
	notice delivery.Notice
}

// judge takes the verdicts on a batch for those who follow the table.
//
// What is decided in memory needs no further look at the plan: it is the plan of
// the snapshot that the batch was read in. What PostgreSQL says it says of a later
// moment, so the plan must still have been true then; if not, everything is judged
// anew under the plan of now.
func judge(ctx context.Context, log Log, id int32, plan *changelog.Plan, entries []changelog.Entry, follow *membership) (*judged, error) {
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
		follow.arrange(t)
		j := newJudgement(t, entries, follow)
		if !j.ask(ctx, log) {
			return j.verdict(log), nil // nothing came from the database
		}
		switch current, err := log.Current(ctx, plan); {
		case j.transient() || err != nil:
			select {
			case <-ctx.Done():
				return nil, fault.New(fault.Timeout, "the changes could not be judged in time").WithCause(err)
			case <-time.After(retryDelay):
			}
		case current:
			return j.verdict(log), nil
		}
		// The database was away, or the plan is not true any more.
		if _, fresh, err := log.Now(ctx); err == nil {
			plan = fresh
		} else if ctx.Err() != nil {
			return nil, err
		}
	}
}

// judgement is a batch on its way to its verdicts.
type judgement struct {
	table   *changelog.Table
	entries []changelog.Entry
	follow  *membership
	// images are those of the entries; new and old are the indexes of an entry's
	// images, -1 for none.
	images   []changelog.Image
	new, old []int
	// rows are the images as they are decided in memory; nil for those about
	// which PostgreSQL is asked for everybody. doubt has the place of such an
	// image among those.
	rows  []policy.Row
	doubt map[int]int
	// said is what PostgreSQL said about the seats that it decides, doubted about
	// the images that nobody else can.
	said, doubted map[*asker]saying
}

// saying is an answer, and which filter of the question is which. all tells that
// it is about all seats, and not only about those that PostgreSQL decides.
type saying struct {
	answer  changelog.Answer
	filters map[string]int
	all     bool
}

func newJudgement(t *changelog.Table, entries []changelog.Entry, follow *membership) *judgement {
	j := &judgement{table: t, entries: entries, follow: follow, doubt: map[int]int{}, said: map[*asker]saying{}, doubted: map[*asker]saying{}}
	add := func(image []byte, cut bool) int {
		if image == nil {
			return -1
		}
		var row policy.Row
		if !cut {
			row, _ = t.Row(image)
		}
		if row == nil {
			j.doubt[len(j.images)] = len(j.doubt)
		}
		j.images = append(j.images, changelog.Image{JSON: image, Cut: cut})
		j.rows = append(j.rows, row)
		return len(j.images) - 1
	}
	for _, e := range entries {
		j.new = append(j.new, add(e.New, e.NewCut))
		j.old = append(j.old, add(e.Old, e.OldCut))
	}
	return j
}

// ask asks PostgreSQL what is not decided in memory, and tells whether anything
// was asked.
func (j *judgement) ask(ctx context.Context, log Log) bool {
	asked := j.consult(ctx, log, j.images, j.follow.asking, false, j.said)
	if len(j.doubt) == 0 {
		return asked
	}
	doubtful := make([]changelog.Image, len(j.doubt))
	for i, n := range j.doubt {
		doubtful[n] = j.images[i]
	}
	everybody := make(map[*asker]struct{}, len(j.follow.askers))
	for _, a := range j.follow.askers {
		everybody[a] = struct{}{}
	}
	return j.consult(ctx, log, doubtful, everybody, true, j.doubted) || asked
}

// consult asks for many askers in one go.
func (j *judgement) consult(ctx context.Context, log Log, images []changelog.Image, askers map[*asker]struct{}, all bool, into map[*asker]saying) bool {
	if len(askers) == 0 {
		return false
	}
	var questions []changelog.Question
	var of []*asker
	var numbers []map[string]int
	for a := range askers {
		q, filters := a.question(all)
		questions, of, numbers = append(questions, q), append(of, a), append(numbers, filters)
	}
	answers, asked := log.Judge(ctx, j.table, images, questions)
	for n, answer := range answers {
		into[of[n]] = saying{answer, numbers[n], all}
	}
	return asked
}

// transient tells whether some verdict failed for a reason that is not its
// asker's.
func (j *judgement) transient() bool {
	for _, said := range []map[*asker]saying{j.said, j.doubted} {
		for _, s := range said {
			switch fault.CodeOf(s.answer.Err) {
			case fault.ServiceUnavailable, fault.Overloaded, fault.Canceled:
				return true
			}
		}
	}
	return false
}

// verdict finds who gets what of the batch.
func (j *judgement) verdict(log Log) *judged {
	out := &judged{table: j.table, entries: j.entries}
	mute := j.notify(out)
	ms := j.follow
	ms.clock++
	batch := ms.clock
	var seen []*seat
	checked := 0
	for n := range j.entries {
		ms.clock++
		seen = seen[:0]
		if j.entries[n].Type == changelog.Truncate {
			for _, g := range ms.groups {
				for _, s := range g.seats {
					s.clock, s.sight = ms.clock, sight{}
					seen = append(seen, s)
				}
			}
		}
		j.look(j.new[n], mute, func(s *seat, _ bool) { seen = s.see(seen, ms.clock); s.sight.new = true }, &checked)
		j.look(j.old[n], mute, func(s *seat, live bool) { seen = s.see(seen, ms.clock); s.sight.old, s.sight.live = true, live }, &checked)
		// A message has the ids of a group's subscriptions in their order.
		slices.SortFunc(seen, func(a, b *seat) int { return cmp.Compare(a.number, b.number) })
		for _, s := range seen {
			k := outcome(j.entries[n].Type, s.subscription.Event, s.sight)
			if k == nothing || mute[s.group.asker] {
				continue
			}
			if s.group.batch != batch {
				s.group.batch, s.group.messages = batch, nil
				out.heard = append(out.heard, s.group)
			}
			s.group.hear(n, k, s.subscription)
		}
	}
	// Judge counts what it decides itself.
	decided := len(ms.decided)
	for a := range ms.asking {
		if a.policies != nil {
			decided--
		}
	}
	log.Decided(decided*(len(j.images)-len(j.doubt)), checked)
	return out
}

// see notes a seat that sees something of the entry at clock.
func (s *seat) see(seen []*seat, clock uint64) []*seat {
	if s.clock != clock {
		s.clock, s.sight = clock, sight{}
		seen = append(seen, s)
	}
	return seen
}

// look calls sees for every seat that gets an image; live tells that it was judged
// by the row as it is now. checked counts the seats that were looked at in memory.
func (j *judgement) look(image int, mute map[*asker]bool, sees func(s *seat, live bool), checked *int) {
	if image < 0 {
		return
	}
	said := j.said
	if at, doubtful := j.doubt[image]; doubtful {
		said, image = j.doubted, at
	} else {
		row := j.rows[image]
		j.follow.index.Candidates(row, func(s *seat) {
			*checked++
			if s.holds.Holds(row) {
				sees(s, false)
			}
		})
	}
	for a, s := range said {
		if mute[a] {
			continue
		}
		for one := range a.seats {
			if one.holds != nil && !s.all {
				continue
			}
			verdicts := s.answer.Visible
			if one.subscription.Filter != nil {
				verdicts = s.answer.Matches[s.filters[one.subscription.FilterText]]
			}
			if verdicts[image] {
				sees(one, s.answer.Live[image] && a.view.Visibility == changelog.ByPolicy)
			}
		}
	}
}

// hear adds a change to a group's messages: one per kind, however many
// subscriptions matched.
func (g *group) hear(entry int, k kind, s Subscription) {
	at := len(g.messages)
	for i := at - 1; i >= 0 && g.messages[i].entry == entry; i-- {
		if g.messages[i].kind == k {
			at = i
		}
	}
	if at == len(g.messages) {
		g.messages = append(g.messages, message{entry: entry, kind: k})
	}
	m := &g.messages[at]
	m.ids = append(m.ids, s.ID)
	m.scopes = append(m.scopes, s.Scope)
}

// notify finds what groups are told beside changes. mute are the askers about whom
// there is no verdict.
func (j *judgement) notify(out *judged) (mute map[*asker]bool) {
	mute = map[*asker]bool{}
	tell := func(a *asker, n delivery.Notice) {
		for g := range a.groups {
			out.notices = append(out.notices, groupNotice{g, n})
		}
	}
	for a := range j.follow.denied {
		mute[a] = true
		tell(a, delivery.Notice{Type: "error", Code: string(fault.InsufficientPermissions), Message: "permission denied for table " + j.table.Name})
	}
	for _, said := range []map[*asker]saying{j.said, j.doubted} {
		for a, s := range said {
			if s.answer.Err != nil && !mute[a] {
				mute[a] = true
				f := fault.From(s.answer.Err)
				tell(a, delivery.Notice{Type: "error", Code: string(f.Code), Message: "the row-level security policies failed: " + f.Message})
			}
		}
	}
	for a := range j.unsure() {
		if !mute[a] {
			tell(a, delivery.Notice{Type: "view_changed", Code: "not_judged", Message: "rows were deleted that cannot be judged any more: read the table again"})
		}
	}
	return mute
}

// unsure are the askers of whom some row may have gone without their being told,
// because nothing is left to judge it by.
func (j *judgement) unsure() map[*asker]bool {
	unsure := map[*asker]bool{}
	for n := range j.entries {
		image := j.old[n]
		if j.entries[n].Type != changelog.Delete || image < 0 {
			continue
		}
		said := j.said
		if at, doubtful := j.doubt[image]; doubtful {
			said, image = j.doubted, at
		}
		for a, s := range said {
			if a.view.Visibility == changelog.ByPolicy && s.answer.Err == nil && len(s.answer.Live) > 0 && s.answer.Live[image] {
				unsure[a] = true
			}
		}
	}
	return unsure
}
