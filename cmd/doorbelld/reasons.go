package main

import (
	"fmt"

	"doorbelld/internal/consent"
	"doorbelld/internal/gate"
)

// advice says what a reason means and what to do, if anything is to be done.
var advice = map[consent.Reason]string{
	consent.NoGrant:     "nobody granted it: `doorbelld grant add` would",
	consent.Paused:      "everything is paused: `doorbelld resume` ends it",
	consent.LedgerFault: "the ledger cannot be written: make room on the disk, see that it can be written, and start doorbelld again",
	consent.PolicyFault: "not all grants can be read: install the doorbelld that wrote them, or a newer one",
	consent.ClockFault:  "no expiry can be kept: connect the network, or say `doorbelld clock confirm` if `date` is right",
	consent.OverCap:     "no recipient of this kind can have so much: nothing lifts that",
	consent.Revoked:     "the grant was taken back: `doorbelld grant add` gives another",
	consent.Superseded:  "the grant was replaced: `doorbelld grant list` shows by which",
	consent.Expired:     "the grant is over: `doorbelld grant renew ID --until WHEN`",
	consent.Unconfirmed: "the grant came out of a backup: `doorbelld grant confirm ID`, or `doorbelld grant revoke ID`",
	consent.BeforeGrant: "it began before the grant did; what comes now is told",
	consent.OtherLabel:  "another animal than was granted: `doorbelld grant replace ID --label LABEL`",
	consent.OtherZone:   "elsewhere than was granted: `doorbelld grant replace ID --zone ZONE`",
	consent.OffSchedule: "at another time than was granted: `doorbelld grant replace ID --days DAYS --hours HOURS`",
	consent.OverRate:    "as often as was granted: `doorbelld grant replace ID --rate RATE`",
	consent.BeyondLevel: "a notice tells the beginning only: `doorbelld grant replace ID --level details`",
}

// reasonRows says of each reason for which something was not told what it means.
func reasonRows(c gate.Counts) (rows [][]string) {
	met := map[string]bool{}
	for _, by := range []map[string]map[string]int{c.Withheld, c.Withdrawn} {
		for _, reasons := range by {
			for r := range reasons {
				met[r] = true
			}
		}
	}
	for _, r := range consent.Reasons() {
		if met[r.String()] && advice[r] != "" {
			rows = append(rows, []string{"why", r.String() + ": " + advice[r]})
		}
	}
	if c.Unheard > 0 {
		rows = append(rows, []string{"too much", fmt.Sprintf("%d moments were told to nobody: the eye saw more than a day may hold; see what moves all the time, and leave it out of the zones", c.Unheard)})
	}
	return rows
}

// heldRow says what holds everything back now, if something does.
func heldRow(s gate.Status) [][]string {
	why := consent.Granted
	switch {
	case s.Paused.Paused:
		why = consent.Paused
	case s.Ledger != "":
		why = consent.LedgerFault
	case s.Policy != "":
		why = consent.PolicyFault
	case !s.Clock.Trusted:
		why = consent.ClockFault
	case len(s.Want.Categories) == 0 && len(s.Unconfirmed) > 0:
		why = consent.Unconfirmed
	case len(s.Want.Categories) == 0:
		why = consent.NoGrant
	default:
		return nil
	}
	text := advice[why]
	switch {
	case why == consent.LedgerFault && s.Full:
		text = "the disk is too full to record what would be told: make room, and it goes on by itself"
	case why == consent.NoGrant:
		text = "no grant to tell of the door holds now: `doorbelld grant list` shows how each stands, `doorbelld grant add` gives one"
	}
	return [][]string{{"silent", text}}
}
