package gate

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/publish"
)

// Session is one connection to a broker, from connect to loss; it never comes
// back by itself.
type Session interface {
	// Publish returns when the broker has taken the message, the session is over
	// or ctx is done.
	Publish(ctx context.Context, m publish.Message) error
	// Close cuts the connection. When it has returned, no byte more goes out.
	Close()
	// Goodbye takes leave in order: the status goes to offline.
	Goodbye(ctx context.Context) error
	// Done is closed when the session is over.
	Done() <-chan struct{}
}

const (
	ackTime    = 10 * time.Second // for the broker to take one message
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	// A broker that refuses us does so until somebody changes something; many lock out
	// who tries again and again.
	firstRefused = time.Minute
	lastRefused  = 10 * time.Minute
	lastWord     = time.Second      // for a message that is on its way when the daemon ends
	goodSession  = 10 * time.Second // a session that lasted so long begins anew with firstRetry
	// What is announced by itself, of grants and not of events, is put off for so long if the
	// connection ended over it: a broker that takes it ill must not keep events from anybody.
	firstPutOff = 5 * time.Second
	lastPutOff  = 10 * time.Minute
	holdTime    = time.Second // before asking again while the clock or the ledger is not to be trusted
	sweepRows   = 256

	cameraEvery = 5 * time.Second // what is said of the camera changes at most so often
	forever     = time.Duration(math.MaxInt64)
)

var errSlow = errors.New("the broker did not take a message in time")

// sender empties the outbox into a session, one message at a time, asking the
// keeper before each. All fields but cut are owned by run's goroutine.
type sender struct {
	keeper  *keeper
	tally   *tally
	ledger  Ledger
	device  string
	connect func(context.Context) (Session, error)
	goesOn  func(recipient string, c event.Category, id event.ID) bool // anything but id, as far as the recipient knows
	wake    chan struct{}                                              // has room for one: a row, the camera or the policy is news
	asked   chan struct{}                                              // has room for one: Home Assistant asks for its states
	sent    *sent
	home    *publish.HomeAssistant // nil: there is none
	herald  *herald
	log     *slog.Logger

	cut     atomic.Bool // the keeper ended the session, not the broker; set by any goroutine
	camera  pictures    // what is said on the camera topic
	changed time.Time   // when that last became something else

	asides map[place]*aside
	soon   bool // this session ended over what is put aside now: the next one need not wait

	putOff  time.Duration // for how long announcements are, after the next connection that ends over one
	silence time.Time     // until when they are now
}

func (s *sender) run(ctx context.Context) error {
	wait, told := firstRetry, ""
	for ctx.Err() == nil {
		began := time.Now()
		session, err := s.connect(ctx)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			s.tally.broker(false, err.Error())
			if told != err.Error() { // once, not at each attempt
				s.log.Warn("broker not reached; going on, and trying again", "error", err)
				told = err.Error()
			}
			s.sweep(ctx)
			most := lastRetry
			if errors.Is(err, publish.ErrRefused) {
				wait, most = max(wait, firstRefused), lastRefused
			}
			wait = min(wait, most)
			pause(ctx, wait/2+rand.N(wait/2))
			wait = min(2*wait, most)
			continue
		}
		if told != "" || wait == firstRetry {
			s.log.Info("broker connected")
		}
		s.tally.broker(true, "")
		told = ""
		s.cut.Store(false)
		s.soon = false
		s.serve(ctx, session)
		if ctx.Err() != nil {
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			err := session.Goodbye(bye)
			cancel()
			if err != nil {
				s.log.Warn("did not take leave of the broker", "error", err)
			}
		}
		session.Close()
		if ctx.Err() == nil {
			s.tally.broker(false, "the connection was lost")
			if time.Since(began) >= goodSession || s.cut.Load() || s.soon {
				wait = firstRetry
			}
			if wait == firstRetry { // not again and again for a broker that drops us each time
				s.log.Warn("broker connection ended; connecting again")
			}
			pause(ctx, wait/4+rand.N(wait/4))
			wait = min(2*wait, lastRetry)
		}
	}
	return nil
}

// serve sends until the session is over or ctx is done.
func (s *sender) serve(ctx context.Context, session Session) {
	var said pictures // to this session, of the camera
	s.herald.connected()
	for ctx.Err() == nil {
		quiet := s.lookAtCamera()
		if s.camera != said {
			if err := s.tellCamera(ctx, session); err != nil {
				if ctx.Err() == nil {
					s.log.Warn("the camera's state was not sent; the next connection begins with it", "error", err)
				}
				return
			}
			said = s.camera
		}
		rest, err := s.follow(ctx, session)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("what was granted or taken back was not announced; it is tried again", "error", err, "after", s.postpone())
			}
			return
		}
		row, aside, err := s.next(ctx)
		if err != nil {
			_ = s.keeper.broken(err) // which speaks of it, and denies
		}
		select {
		case <-session.Done(): // and not over this row
			return
		default:
		}
		hold := false
		if row != nil {
			if hold, err = s.send(ctx, session, *row); err != nil {
				if ctx.Err() == nil {
					s.log.Warn("not sent; kept for the next connection", "error", err)
				}
				return
			}
			if !hold {
				continue
			}
		}
		wait := min(quiet, rest, aside)
		if hold || err != nil {
			wait = min(wait, holdTime)
		}
		if !s.await(ctx, session, wait) {
			return
		}
	}
}

// follow has the herald say what the owner's decisions, and who asked, make necessary.
func (s *sender) follow(ctx context.Context, session Session) (wait time.Duration, err error) {
	select {
	case <-s.asked:
		s.herald.asked(ctx)
	default:
	}
	if left := time.Until(s.silence); left > 0 {
		s.herald.expect()
		return left, nil
	}
	v := voice{cut: s.cutter(session), say: func(m publish.Message) error {
		ctx, cancel := finishing(ctx)
		defer cancel()
		return session.Publish(ctx, m)
	}}
	wait, err = s.herald.step(ctx, v, s.camera == flowing)
	if err == nil {
		s.putOff = 0
	}
	return wait, err
}

// postpone puts off what could not be announced, and gives for how long: not at all if
// it was the owner's act that ended the session.
func (s *sender) postpone() time.Duration {
	if s.cut.Load() {
		return 0
	}
	s.putOff = min(max(2*s.putOff, firstPutOff), lastPutOff)
	s.silence = time.Now().Add(s.putOff)
	return s.putOff
}

// lookAtCamera takes over what is to be said of the camera, but not more often
// than cameraEvery: an eye gone bad could speak to everybody by losing its camera
// and finding it again. It gives how long to wait before looking again.
func (s *sender) lookAtCamera() (wait time.Duration) {
	now := s.tally.pictures()
	if now == s.camera {
		return forever
	}
	if since := time.Since(s.changed); !s.changed.IsZero() && since < cameraEvery {
		return cameraEvery - since
	}
	s.camera, s.changed = now, time.Now()
	return forever
}

// tellCamera publishes whether pictures come. Which bytes that takes, and when,
// depends on no picture.
func (s *sender) tellCamera(ctx context.Context, session Session) error {
	if err := ctx.Err(); err != nil { // the eye may have ended because of that, which is no news
		return err
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	return session.Publish(ctx, publish.Camera(s.device, s.camera == flowing))
}

// await waits for as long until there may be something to send; false means that
// there is nothing to wait for.
func (s *sender) await(ctx context.Context, session Session, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-session.Done():
		return false
	case <-s.wake:
	case <-t.C:
	}
	return true
}

// send takes one row out of the outbox: sends it, or settles it unsent. hold
// means that it has to wait for a trusted clock, or for a ledger that takes it. An error means
// that the session is of no more use; the row stays.
func (s *sender) send(ctx context.Context, session Session, row ledger.Row) (hold bool, err error) {
	if o, ended := s.keeper.claim(row.Index); ended {
		return s.settle(ctx, o), nil
	}
	defer s.keeper.unclaim()
	if isExpired(row, s.keeper.now()) {
		return s.settle(ctx, outcome{Release: row.Index, Result: expired}), nil
	}
	out, err := decode[outgoing](row.Payload)
	if err != nil {
		s.keeper.unreadable(row.Index, err)
		return true, nil
	}
	r := consent.Record{Index: row.Index, Grant: out.Grant, Recipient: out.Recipient, Level: out.Level, Event: out.Event, State: out.State, Head: out.Head}
	release, d, done := s.keeper.release(r, s.cutter(session))
	if !release.Valid() {
		if d.Reason == consent.ClockFault || d.Reason == consent.LedgerFault {
			return true, nil
		}
		if out.State == consent.NoState {
			s.tally.withdrawn(r, d.Reason)
		}
		return s.settle(ctx, outcome{Release: row.Index, Result: withdrawn, Reason: d.Reason.String()}), nil
	}
	bytes, err := s.publish(ctx, session, release)
	if err == nil {
		s.tellBytes(ctx, session, release, s.sent.add(out.Recipient, bytes, s.keeper.now().Now))
	}
	done()
	if err != nil {
		if ctx.Err() == nil && !s.cut.Load() {
			s.doubt(out.place())
		}
		return false, err
	}
	s.trust(out.place())
	if out.State == consent.NoState {
		s.tally.delivered(release)
	}
	return s.settle(ctx, outcome{Release: row.Index, Result: delivered, Bytes: bytes}), nil
}

// cutter gives how the keeper ends a session.
func (s *sender) cutter(session Session) func() {
	return func() {
		s.cut.Store(true)
		session.Close()
	}
}

// tellBytes tells Home Assistant's recipient how much it was sent today, beside what it
// is sent. What r allowed is delivered even if this is not: the session has ended then.
func (s *sender) tellBytes(ctx context.Context, session Session, r consent.Release, today int64) {
	if s.home == nil || r.Recipient() != s.home.Recipient {
		return
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	m, err := publish.Sent(s.device, r, today)
	if err == nil {
		err = session.Publish(ctx, m)
	}
	if err != nil {
		s.log.Debug("how much was sent was not told", "error", err)
	}
}

// settle records what became of a row. It is to be held if that failed, of which
// the keeper has spoken.
func (s *sender) settle(ctx context.Context, o outcome) (hold bool) {
	return s.keeper.settle(ctx, o) != nil
}

// publish sends the messages of one release in their order, and gives their bytes.
func (s *sender) publish(ctx context.Context, session Session, r consent.Release) (bytes int64, err error) {
	e := r.Event()
	messages, err := publish.Render(s.device, r, s.goesOn(r.Recipient(), e.Category, e.ID))
	if err != nil {
		return 0, err
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	for _, m := range messages {
		if err := session.Publish(ctx, m); err != nil {
			return 0, err
		}
	}
	return publish.Bytes(messages), nil
}

// finishing bounds one message. When ctx is done, it may finish for a moment: broken
// off, it would be sent again at the next start, and the farewell could not be said.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	sending, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), ackTime, errSlow)
	stop := context.AfterFunc(ctx, func() {
		pause(sending, lastWord)
		cancel()
	})
	return sending, func() {
		stop()
		cancel()
	}
}

// isExpired reports whether a row's time has passed at m. Without a trusted clock
// nothing has passed, and nothing is sent.
func isExpired(row ledger.Row, m consent.Moment) bool {
	return m.ClockTrusted && !m.Now.Before(row.Deadline)
}

// sweep settles what expired while there was no broker.
func (s *sender) sweep(ctx context.Context) {
	defer s.forget()
	for {
		rows, err := s.ledger.Outbox(ctx, sweepRows)
		if err != nil {
			_ = s.keeper.broken(err) // which speaks of it, and denies
			return
		}
		settled := 0
		for _, row := range rows {
			if isExpired(row, s.keeper.now()) {
				if ctx.Err() != nil || s.settle(ctx, outcome{Release: row.Index, Result: expired}) {
					return
				}
				settled++
			}
		}
		if settled < sweepRows { // those behind are younger
			return
		}
	}
}

// pause waits for d or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
