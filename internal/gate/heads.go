package gate

import (
	"context"
	"time"

	"doorbelld/internal/ledger"
)

// headEvery is how long what is recorded may be without a signed head over it. What is
// granted and taken back has one at once.
const headEvery = time.Minute

// signHeads has heads signed until ctx is done, if there is anything new.
func (k *keeper) signHeads(ctx context.Context) error {
	for {
		pause(ctx, headEvery)
		if ctx.Err() != nil {
			return nil
		}
		k.signHead(ctx)
	}
}

// signHead has a head signed if there is anything new. One that cannot be is signed with the
// next: what it would cover is recorded all the same.
func (k *keeper) signHead(ctx context.Context) {
	_, err := k.ledger.Head(context.WithoutCancel(ctx))
	if err != nil {
		_ = k.broken(err) // which speaks of it
	}
}

// versionBody says which doorbelld runs from here on.
type versionBody struct {
	Version string `json:"version"`
}

// noteVersion records which doorbelld this is, if the last one on record is another.
func (k *keeper) noteVersion(ctx context.Context, version string) error {
	last := ""
	for leaf, err := range k.ledger.Leaves(ctx, 0, ledger.KindVersion) {
		if err != nil {
			return k.broken(err)
		}
		body, err := decode[versionBody](leaf.Body)
		if err != nil { // a newer one says more
			last = ""
			continue
		}
		last = body.Version
	}
	if version == last || version == "" {
		return nil
	}
	body, err := encode(versionBody{version})
	if err != nil {
		return err
	}
	if _, err := k.ledger.Append(context.WithoutCancel(ctx), stamp(k.now()), ledger.KindVersion, body); err != nil {
		return k.broken(err)
	}
	return nil
}
