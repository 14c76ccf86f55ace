package gate

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"doorbelld/internal/consent"
	"doorbelld/internal/ledger"
)

// Plain says in words what a leaf records, without its time; other dates are in the given
// time zone. Of one that another doorbelld wrote in a way of its own it gives the body.
func Plain(l ledger.Leaf, zone *time.Location) string {
	if l.Erased {
		return fmt.Sprintf("a %v, of which the rest was erased", l.Kind)
	}
	text, err := plain(l, zone)
	if err != nil {
		return fmt.Sprintf("a %v that is not understood: %q", l.Kind, l.Body)
	}
	return Printable(text)
}

// Printable puts a mark in the place of what a terminal might take for an order: in the leaf
// of a stranger's file a name can be anything.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func plain(l ledger.Leaf, zone *time.Location) (string, error) {
	if c, ok, err := change(l); ok || err != nil {
		return plainChange(c, zone), err
	}
	switch l.Kind {
	case ledger.KindClock:
		return "the owner vouched for the clock", nil
	case ledger.KindRelease:
		b, err := decode[releaseBody](l.Body)
		return fmt.Sprintf("%s was to be told of %s (%s, %s), by %s", b.Recipient, b.Category, b.Phase, b.Level, b.Grant), err
	case ledger.KindOutcome:
		return plainOutcome(l.Body)
	case ledger.KindExpire:
		b, err := decode[expireBody](l.Body)
		return fmt.Sprintf("%s came to its end", b.Grant), err
	case ledger.KindVersion:
		b, err := decode[versionBody](l.Body)
		return "from here on this is " + b.Version, err
	case ledger.KindWithheld:
		b, err := decode[withheldBody](l.Body)
		return b.plain(), err
	case ledger.KindRequest:
		b, err := decode[request](l.Body)
		return fmt.Sprintf("a %s asked for %s: %s", askerNames[b.By], wantingNames[b.Asked], answerNames[b.Answer]), err
	case ledger.KindFault:
		b, err := decode[faultBody](l.Body)
		text, _ := b.What.MarshalText()
		return "something failed, so less was sent: " + strings.ReplaceAll(string(text), "_", " "), err
	case ledger.KindKey:
		var b struct {
			Verifier string `json:"verifier"`
		}
		err := json.Unmarshal(l.Body, &b)
		return "heads are signed by the key " + b.Verifier, err
	case ledger.KindDelete:
		var b struct {
			Before time.Time `json:"before"`
			Bodies int64     `json:"bodies"`
		}
		err := json.Unmarshal(l.Body, &b)
		return fmt.Sprintf("what %d observations before %s were about is erased", b.Bodies, b.Before.In(zone).Format(plainTime)), err
	}
	return "", fmt.Errorf("a leaf of kind %v", l.Kind)
}

// plainTime is how dates are written for people.
const plainTime = "2 January 2006 15:04"

func plainChange(c consent.Change, zone *time.Location) string {
	switch c := c.(type) {
	case consent.AddRecipient:
		return fmt.Sprintf("%s, of kind %s, was made known", c.Name, c.Kind)
	case consent.RemoveRecipient:
		return fmt.Sprintf("%s was forgotten, and all that it was granted taken back", c.Name)
	case consent.AddGrant:
		text := fmt.Sprintf("%s: %s %s", c.ID, c.Recipient, c.Told(zone))
		if c.Supersedes != 0 {
			text += fmt.Sprintf(", in place of %s", c.Supersedes)
		}
		return text
	case consent.Revoke:
		return fmt.Sprintf("%s was taken back", c.Grant)
	case consent.Pause:
		switch {
		case !c.Until.IsZero():
			return "everything was paused until " + c.Until.In(zone).Format(plainTime)
		case c.For > 0:
			return fmt.Sprintf("everything was paused for %v", c.For)
		}
		return "everything was paused until it is resumed"
	case consent.Resume:
		return "the pause was ended"
	case consent.Restore:
		return "from here on this is a copy that came out of a backup: no grant acts until it is confirmed"
	case consent.Confirm:
		return fmt.Sprintf("%s was confirmed after a restore", c.Grant)
	}
	return ""
}

func plainOutcome(body []byte) (string, error) {
	var b outcome
	if err := json.Unmarshal(body, &b); err != nil { // a newer one says more
		return "", err
	}
	why := ""
	if b.Reason != "" {
		why = ": " + strings.ReplaceAll(b.Reason, "_", " ")
	}
	return fmt.Sprintf("release %d was %s%s", b.Release, b.Result, why), nil
}

func (b withheldBody) plain() string {
	n := b.More
	for _, d := range b.Denied {
		n += d.Count
	}
	if n == 0 {
		return "nothing was withheld for " + (time.Duration(b.Seconds) * time.Second).String()
	}
	text := fmt.Sprintf("%d times something was withheld in %v", n, time.Duration(b.Seconds)*time.Second)
	for i, d := range b.Denied {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		text += fmt.Sprintf("%s%s %d (%s)", sep, d.Recipient, d.Count, strings.ReplaceAll(d.Reason.String(), "_", " "))
	}
	return text
}
