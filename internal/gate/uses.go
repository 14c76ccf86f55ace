package gate

import (
	"context"
	"fmt"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/ledger"
)

// recall gives what was told of under the grants that have a rate in the day before
// the newest leaf: no decision will ever be asked for with an earlier time.
func recall(ctx context.Context, l Ledger, p consent.Policy) (consent.Uses, error) {
	uses, bounded := consent.NoUses(), false
	for _, g := range p.Grants() {
		bounded = bounded || !g.Rate.Unlimited
	}
	if !bounded {
		return uses, nil
	}
	from, err := firstSince(ctx, l, l.HighWater().Add(-24*time.Hour))
	if err != nil {
		return consent.Uses{}, err
	}
	for leaf, err := range l.Leaves(ctx, from, ledger.KindRelease) {
		if err != nil {
			return consent.Uses{}, err
		}
		if leaf.Erased { // which is older than any that counts
			continue
		}
		body, err := decode[releaseBody](leaf.Body)
		if err != nil {
			return consent.Uses{}, fmt.Errorf("%w: leaf %d: %w", errUnread, leaf.Index, err)
		}
		if body.Begins {
			uses = p.Used(uses, body.Grant, leaf.At)
		}
	}
	return uses, nil
}

// firstSince gives the index of the first leaf that is not older than t, or a later
// one that does not exist. Leaves are in the order of their times, so it need not
// read them all.
func firstSince(ctx context.Context, l Ledger, t time.Time) (int64, error) {
	reached := func(index int64) (bool, error) {
		for leaf, err := range l.Leaves(ctx, index) {
			return err == nil && !leaf.At.Before(t), err
		}
		return true, nil // past the last
	}
	low, high := int64(0), int64(1)
	for {
		ok, err := reached(high)
		if err != nil {
			return 0, err
		}
		if ok {
			break
		}
		low, high = high, 2*high
	}
	for low < high { // what lies before low is older, high is not
		middle := low + (high-low)/2
		ok, err := reached(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, nil
}
