package gate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// maxActs is how many acts a Report lists; it counts the others.
const maxActs = 1000

// A Report says what left the device during a while, by which leave, and what did not,
// as the ledger has it. All times are those of the ledger.
type Report struct {
	From        time.Time          `json:"from"`
	To          time.Time          `json:"to"`     // the first moment that is not in it
	Leaves      int64              `json:"leaves"` // in that time
	Releases    []ReportReleases   `json:"releases"`
	Denials     []ReportDenials    `json:"denials"`                // as they were counted in leaves of an hour each
	MoreDenials int                `json:"more_denials,omitempty"` // of recipients and reasons that had no room in those
	Acts        []ReportAct        `json:"acts"`                   // of the owner's and the household's, in their order
	MoreActs    int                `json:"more_acts,omitempty"`    // after those
	Requests    []ReportRequests   `json:"requests"`               // of others
	Faults      []ReportFaults     `json:"faults"`
	Erased      map[string]int     `json:"erased,omitempty"` // leaves by kind of which only that they were is left
	Unread      int                `json:"unread,omitempty"` // leaves that another doorbelld wrote in a way of its own
	Head        ReportHead         `json:"head"`
	keys        map[releaseKey]int // places in Releases
}

// ReportHead is what the report was made against: every leaf in it is covered by it.
type ReportHead struct {
	Size int64  `json:"size"`
	Note string `json:"note"`
	Key  string `json:"key"`
}

// ReportReleases counts what was allowed under one grant, and what became of it.
type ReportReleases struct {
	Recipient string          `json:"recipient"`
	Category  event.Category  `json:"category"`
	Level     event.Level     `json:"level"`
	Grant     consent.GrantID `json:"grant"`
	Released  int             `json:"released"`
	Outcomes  map[string]int  `json:"outcomes"` // by result, and by reason where that has one; "open": none is on record
}

type releaseKey struct {
	recipient string
	category  event.Category
	level     event.Level
	grant     consent.GrantID
}

// ReportDenials counts what one recipient was not told, for one reason.
type ReportDenials struct {
	Recipient string         `json:"recipient"`
	Reason    consent.Reason `json:"reason"`
	Count     int            `json:"count"`
}

// ReportAct is one act.
type ReportAct struct {
	Index     int64           `json:"index"` // of its leaf
	At        time.Time       `json:"at"`
	Kind      ledger.Kind     `json:"kind"`
	Grant     consent.GrantID `json:"grant,omitzero"`
	Replaces  consent.GrantID `json:"replaces,omitzero"`
	Recipient string          `json:"recipient,omitempty"`
	Until     time.Time       `json:"until,omitzero"`
	ActedUs   int64           `json:"acted_us,omitempty"` // how long what takes something away took to act; 0: not known
}

// ReportRequests counts what others asked for.
type ReportRequests struct {
	By     string `json:"by"`
	Asked  string `json:"asked"`
	Answer string `json:"answer"` // "": asked so often that only the number is on record
	Count  int    `json:"count"`
}

// ReportFaults counts what failed, so that less was sent.
type ReportFaults struct {
	What  string `json:"what"` // "": so many that only the number is on record
	Count int    `json:"count"`
}

// Report tells what is on record of the time from a moment to another.
func (g *Gate) Report(ctx context.Context, from, to time.Time) (Report, error) {
	l := g.options.Ledger
	if !to.After(from) {
		return Report{}, refused(fmt.Errorf("a report from %s to %s has no time in it", from.Format(time.RFC3339), to.Format(time.RFC3339)))
	}
	head, err := l.Head(context.WithoutCancel(ctx))
	if err != nil {
		return Report{}, g.keeper.broken(err)
	}
	first, err := firstSince(ctx, l, from)
	if err != nil {
		return Report{}, g.keeper.broken(err)
	}
	policy, _ := g.Policy()
	r := Report{
		From: from.UTC(), To: to.UTC(), Releases: []ReportReleases{}, Denials: []ReportDenials{}, Acts: []ReportAct{}, Requests: []ReportRequests{}, Faults: []ReportFaults{},
		Erased: map[string]int{}, Head: ReportHead{head.Size, string(head.Note), l.Verifier()}, keys: map[releaseKey]int{},
	}
	open := map[int64]int{} // releases without an outcome, and where they are counted
	for leaf, err := range l.Leaves(ctx, first) {
		if err != nil {
			return Report{}, g.keeper.broken(err)
		}
		if leaf.Index >= head.Size {
			break
		}
		within := leaf.At.Before(to)
		if !within && len(open) == 0 {
			break
		}
		if within {
			r.Leaves++
		}
		switch {
		case leaf.Erased && within:
			r.Erased[leaf.Kind.String()]++
		case leaf.Erased:
		case leaf.Kind == ledger.KindOutcome: // also of what was released just before the end
			r.outcome(leaf, open)
		case within:
			r.take(leaf, open, policy)
		}
	}
	for _, at := range open {
		r.Releases[at].Outcomes["open"]++
	}
	slices.SortFunc(r.Releases, func(a, b ReportReleases) int {
		return cmp.Or(cmp.Compare(a.Recipient, b.Recipient), cmp.Compare(a.Category, b.Category), cmp.Compare(a.Level, b.Level), cmp.Compare(a.Grant, b.Grant))
	})
	slices.SortFunc(r.Denials, func(a, b ReportDenials) int {
		return cmp.Or(cmp.Compare(a.Recipient, b.Recipient), cmp.Compare(a.Reason, b.Reason))
	})
	return r, nil
}

// take counts one leaf that is no outcome.
func (r *Report) take(leaf ledger.Leaf, open map[int64]int, p consent.Policy) {
	var err error
	switch leaf.Kind {
	case ledger.KindRelease:
		var b releaseBody
		if b, err = decode[releaseBody](leaf.Body); err == nil {
			open[leaf.Index] = r.release(b)
		}
	case ledger.KindWithheld:
		var b withheldBody
		if b, err = decode[withheldBody](leaf.Body); err == nil {
			for _, d := range b.Denied {
				r.denied(d.Recipient, d.Reason, d.Count)
			}
			r.MoreDenials += b.More
		}
	case ledger.KindRequest:
		var b request
		if b, err = decode[request](leaf.Body); err == nil {
			r.requested(ReportRequests{name(b.By), name(b.Asked), name(b.Answer), 1})
			if b.Others > 0 {
				r.requested(ReportRequests{Count: b.Others})
			}
		}
	case ledger.KindFault:
		var b faultBody
		if b, err = decode[faultBody](leaf.Body); err == nil {
			r.failed(ReportFaults{b.What.String(), 1})
			if b.Others > 0 {
				r.failed(ReportFaults{Count: b.Others})
			}
		}
	default:
		var a ReportAct
		if a, err = act(leaf, p); err == nil {
			if len(r.Acts) < maxActs {
				r.Acts = append(r.Acts, a)
			} else {
				r.MoreActs++
			}
		}
	}
	if err != nil {
		r.Unread++
	}
}

// release counts one release, and gives where.
func (r *Report) release(b releaseBody) int {
	k := releaseKey{b.Recipient, b.Category, b.Level, b.Grant}
	at, there := r.keys[k]
	if !there {
		at = len(r.Releases)
		r.keys[k] = at
		r.Releases = append(r.Releases, ReportReleases{Recipient: b.Recipient, Category: b.Category, Level: b.Level, Grant: b.Grant, Outcomes: map[string]int{}})
	}
	r.Releases[at].Released++
	return at
}

// outcome counts what became of a release, if that is one of the report's.
func (r *Report) outcome(leaf ledger.Leaf, open map[int64]int) {
	b, err := decode[outcome](leaf.Body)
	at, mine := open[b.Release]
	switch {
	case err != nil:
		r.Unread++
		return
	case !mine:
		return
	}
	delete(open, b.Release)
	what := b.Result
	if b.Reason != "" {
		what += ": " + b.Reason
	}
	r.Releases[at].Outcomes[what]++
}

func (r *Report) denied(recipient string, why consent.Reason, n int) {
	for i, d := range r.Denials {
		if d.Recipient == recipient && d.Reason == why {
			r.Denials[i].Count += n
			return
		}
	}
	r.Denials = append(r.Denials, ReportDenials{recipient, why, n})
}

func (r *Report) requested(q ReportRequests) {
	for i, have := range r.Requests {
		if have.By == q.By && have.Asked == q.Asked && have.Answer == q.Answer {
			r.Requests[i].Count += q.Count
			return
		}
	}
	r.Requests = append(r.Requests, q)
}

func (r *Report) failed(f ReportFaults) {
	for i, have := range r.Faults {
		if have.What == f.What {
			r.Faults[i].Count += f.Count
			return
		}
	}
	r.Faults = append(r.Faults, f)
}

// act reads what somebody decided, or what came about by it. What the ledger writes of
// itself has no body that is the gate's to read.
func act(leaf ledger.Leaf, p consent.Policy) (ReportAct, error) {
	a := ReportAct{Index: leaf.Index, At: leaf.At, Kind: leaf.Kind}
	var err error
	switch leaf.Kind {
	case ledger.KindRevoke:
		var b revokeBody
		b, err = decode[revokeBody](leaf.Body)
		a.Grant, a.ActedUs = b.Grant, b.Acted
	case ledger.KindRecipientRemoved:
		var b removalBody
		b, err = decode[removalBody](leaf.Body)
		a.Recipient, a.ActedUs = b.Name, b.Acted
	case ledger.KindPause:
		var b pauseBody
		b, err = decode[pauseBody](leaf.Body)
		a.Until, a.ActedUs = b.Until, b.Acted
	case ledger.KindExpire:
		var b expireBody
		b, err = decode[expireBody](leaf.Body)
		a.Grant = b.Grant
	default:
		var c consent.Change
		c, _, err = change(leaf)
		switch c := c.(type) {
		case consent.AddRecipient:
			a.Recipient = c.Name
		case consent.AddGrant:
			a.Grant, a.Recipient, a.Until, a.Replaces = c.ID, c.Recipient, c.Until, c.Supersedes
		case consent.Confirm:
			a.Grant = c.Grant
		}
	}
	if all := p.Grants(); a.Recipient == "" && a.Grant > 0 && int(a.Grant) <= len(all) {
		a.Recipient = all[a.Grant-1].Recipient
	}
	return a, err
}

// name gives the word of a member of a closed set.
func name(v interface{ MarshalText() ([]byte, error) }) string {
	text, err := v.MarshalText()
	if err != nil {
		return "unknown"
	}
	return string(text)
}
