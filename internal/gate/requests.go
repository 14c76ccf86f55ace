package gate

import (
	"context"
	"sync"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/enum"
	"doorbelld/internal/ledger"
)

// What others ask for is recorded, with the answer. A flood of it cannot fill the
// ledger: of what comes too often only the number is kept, and told with the next.
const (
	requestsAtOnce = 20
	requestEvery   = 10 * time.Minute // in the long run

	requestVersion = 1
	faultVersion   = 1
)

// A request is what somebody who is not at the socket asked for.
type request struct {
	Version int     `json:"version"`
	By      asker   `json:"by"`
	Asked   wanting `json:"asked"`
	Minutes int     `json:"minutes,omitempty"` // of a pause
	Answer  answer  `json:"answer"`
	Others  int     `json:"others,omitempty"` // requests before it that came too often to be recorded
}

// asker is who asks.
type asker uint8

const (
	byMessage   asker = iota + 1 // over MQTT
	byButton                     // at the door
	byHousehold                  // at the socket, without being the owner
)

var askerNames = []string{byMessage: "message", byButton: "button", byHousehold: "household"}

func (a asker) MarshalText() ([]byte, error) { return enum.Marshal("asker", askerNames, a) }
func (a *asker) UnmarshalText(text []byte) error {
	return enum.Unmarshal("asker", askerNames, text, a)
}

// wanting is what is asked for.
type wanting uint8

const (
	askedPause  wanting = iota + 1 // that nobody is told anything
	askedStates                    // that states are sent again
)

var wantingNames = []string{askedPause: "pause", askedStates: "states"}

func (w wanting) MarshalText() ([]byte, error) { return enum.Marshal("request", wantingNames, w) }
func (w *wanting) UnmarshalText(text []byte) error {
	return enum.Unmarshal("request", wantingNames, text, w)
}

// answer is what became of it.
type answer uint8

const (
	answerDone    answer = iota + 1 // as asked
	answerNothing                   // there was nothing to do: it is so already
	answerTooSoon                   // not done: asked too often
	answerFailed                    // it acts, but could not be recorded
)

var answerNames = []string{answerDone: "done", answerNothing: "nothing to do", answerTooSoon: "too soon", answerFailed: "not recorded"}

func (a answer) MarshalText() ([]byte, error) { return enum.Marshal("answer", answerNames, a) }
func (a *answer) UnmarshalText(text []byte) error {
	return enum.Unmarshal("answer", answerNames, text, a)
}

// seldom lets so many through, and counts the others.
type seldom struct {
	mu    sync.Mutex
	quota quota
	count int // of those that were not let through, since the last that was
}

func newSeldom() *seldom {
	return &seldom{quota: newQuota(requestsAtOnce, 1/requestEvery.Seconds(), clock.Monotonic())}
}

// take reports whether one is let through, and how many were not before it.
func (s *seldom) take() (others int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.quota.take(clock.Monotonic()) {
		s.count++
		return 0, false
	}
	others, s.count = s.count, 0
	return others, true
}

// requested records what somebody asked for, and the answer. What cannot be recorded is
// spoken of by broken.
func (k *keeper) requested(ctx context.Context, r request) {
	others, ok := k.requests.take()
	if !ok {
		return
	}
	r.Version, r.Others = requestVersion, others
	k.append(ctx, ledger.KindRequest, r)
}

// fault is what failed, so that less was sent.
type fault uint8

const (
	faultPolicy fault = iota + 1 // not all that the owner decided can be read
	faultClock                   // the clock is not trusted
	faultEye                     // the eye ended, or broke the rules
	faultFlood                   // the eye told of more than a day may hold
)

var faultNames = []string{faultPolicy: "policy", faultClock: "clock", faultEye: "eye", faultFlood: "flood"}

func (f fault) String() string               { return enum.String("fault", faultNames, f) }
func (f fault) MarshalText() ([]byte, error) { return enum.Marshal("fault", faultNames, f) }
func (f *fault) UnmarshalText(text []byte) error {
	return enum.Unmarshal("fault", faultNames, text, f)
}

// faultBody holds no word of the eye's, which could be any.
type faultBody struct {
	Version int   `json:"version"`
	What    fault `json:"what"`
	Others  int   `json:"others,omitempty"` // faults before it that came too often to be recorded
}

// faulted records a fault. That the ledger failed cannot be.
func (k *keeper) faulted(ctx context.Context, f fault) {
	others, ok := k.faults.take()
	if !ok {
		return
	}
	k.append(ctx, ledger.KindFault, faultBody{faultVersion, f, others})
}

// append records what changes nothing. An error is spoken of.
func (k *keeper) append(ctx context.Context, kind ledger.Kind, v any) {
	body, err := encode(v)
	if err == nil {
		if _, err = k.ledger.Append(context.WithoutCancel(ctx), stamp(k.now()), kind, body); err == nil {
			return
		}
		if k.isBroken() {
			return
		}
		err = k.broken(err)
	}
	k.log.Error("not recorded", "kind", kind.String(), "error", err)
}

func (k *keeper) isBroken() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fault != nil
}
