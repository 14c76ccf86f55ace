package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"
)

// Owner is what the owner can do and ask: *gate.Gate. Its methods are called by
// several goroutines. An error that is a *gate.Refusal means that nothing was
// done, and why; any other is a fault of the daemon's.
type Owner interface {
	Policy() (consent.Policy, consent.Moment)
	Status() gate.Status
	AddRecipient(context.Context, consent.Recipient) error
	RemoveRecipient(ctx context.Context, name string) error
	NewPassword(ctx context.Context, name string) error // at the embedded broker
	AddGrant(context.Context, gate.Draft) (consent.Grant, error)
	Revoke(context.Context, consent.GrantID) error
	Confirm(context.Context, consent.GrantID) (consent.Grant, error)
	Receipt(context.Context, consent.GrantID) (gate.Kept, error)
	PauseReceipt(context.Context) (gate.Kept, error)
	Try(context.Context, gate.Draft) (gate.Trial, error)
	Simulate(context.Context, gate.Proposal) (gate.Trial, error)
	Report(ctx context.Context, from, to time.Time) (gate.Report, error)
	Pause(context.Context, time.Duration) error
	PauseByHousehold(context.Context, time.Duration) error
	Resume(context.Context) error
	Ring(context.Context) (told []string, err error)
	ConfirmClock(context.Context) (gate.ClockStatus, error)
	ExportLedger(context.Context, io.Writer) error
	EraseLedger(ctx context.Context, before time.Time) (ledger.Erased, error)
}

// Options is what Serve needs. All fields but Access, Who and Ready are needed.
type Options struct {
	Path   string // of the socket, absolute
	Owner  Owner
	Access Access
	Who    Who // asked about those whom the kernel does not name; nil: they are strangers
	Log    *slog.Logger
	Ready  func() // called once the owner can connect; may be nil
}

// A local client sends at once and reads at once.
const (
	headerTime = 2 * time.Second
	readTime   = 5 * time.Second
	answerTime = 10 * time.Second // from the header to the end of the answer: an act waits for the disk
	idleTime   = 30 * time.Second
	graceTime  = time.Second // for answers under way when ctx is done
	maxHeader  = 8 << 10     // bytes
)

// Serve answers the owner at the socket until ctx is done; then it returns nil,
// and the socket is gone. What was asked for before is answered, for a second;
// Owner is not called any more once it has returned. ErrInUse: another daemon has
// the socket.
func Serve(ctx context.Context, o Options) error {
	l, err := listen(o.Path, o.Access, o.Who)
	if err != nil {
		return err
	}
	for _, name := range o.Access.unknown() {
		o.Log.Warn("access is given to somebody whom this machine does not know", "name", name)
	}
	if os.Geteuid() == overflow {
		o.Log.Warn("this runs as nobody, whose number stands for all whom the kernel does not name: only root and those under `access` may ask; run it as a user of its own")
	}
	o.Log.Info("listening to the owner", "socket", o.Path)
	if o.Ready != nil {
		o.Ready()
	}
	return serve(ctx, l, o)
}

func serve(ctx context.Context, l net.Listener, o Options) error {
	h := newHandler(o.Owner, o.Log)
	asking, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
		BaseContext:    func(net.Listener) context.Context { return asking },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, c.(*conn).caller)
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		cut()
		err = errors.Join(err, s.Close())
		h.finish()
		return fmt.Errorf("listening to the owner: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
	defer cancel()
	err := s.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		cut()
		err = s.Close()
	}
	<-ended
	h.finish()
	if err != nil {
		return fmt.Errorf("closing the owner's socket: %w", err)
	}
	return nil
}

// callerKey is where a connection's caller stands in its requests' contexts.
type callerKey struct{}

// callerOf gives who asks; if that is not known, a stranger.
func callerOf(ctx context.Context) caller {
	who, _ := ctx.Value(callerKey{}).(caller)
	return who
}

// An endpoint answers one kind of request. A nil answer is an empty one.
type endpoint func(ctx context.Context, body []byte) (any, error)

// handler is the table of endpoints.
type handler struct {
	endpoints map[string]endpoint // by "METHOD /path"
	log       *slog.Logger

	refused refusals     // of strangers
	running sync.RWMutex // each request holds it for reading
	over    bool         // guarded by running: no request begins any more
}

func newHandler(o Owner, log *slog.Logger) *handler {
	a := asked{o, log}
	return &handler{log: log, endpoints: map[string]endpoint{
		"GET /v1/recipients":           bare(a.recipients),
		"POST /v1/recipients":          with(a.addRecipient),
		"DELETE /v1/recipients":        with(a.removeRecipient),
		"GET /v1/grants":               bare(a.grants),
		"POST /v1/grants":              with(a.addGrant),
		"POST /v1/grants/revoke":       with(a.revoke),
		"POST /v1/grants/confirm":      with(a.confirm),
		"POST /v1/grants/receipt":      with(a.receipt),
		"POST /v1/grants/try":          with(a.try),
		"POST /v1/simulate":            with(a.simulate),
		"POST /v1/report":              with(a.report),
		"POST /v1/pause":               with(a.pause),
		"POST /v1/resume":              bare(a.resume),
		"POST /v1/ring":                bare(a.ring),
		"POST /v1/clock/confirm":       bare(a.confirmClock),
		"GET /v1/who-sees":             bare(a.whoSees),
		"GET /v1/status":               bare(a.status),
		"GET /v1/ledger":               bare(a.ledger),
		"POST /v1/ledger/erase":        with(a.eraseLedger),
		"POST /v1/recipients/password": with(a.newPassword),
	}}
}

// forHousehold are the endpoints that the household may ask: what narrows, and
// who is told what. All others are the owner's.
var forHousehold = []string{"POST /v1/pause", "GET /v1/who-sees"}

// with is an endpoint whose body is a T.
func with[T any](f func(context.Context, T) (any, error)) endpoint {
	return func(ctx context.Context, body []byte) (any, error) {
		v, err := decode[T](body)
		if err != nil {
			return nil, err
		}
		return f(ctx, v)
	}
}

// bare is an endpoint without a body.
func bare(f func(context.Context) (any, error)) endpoint {
	return func(ctx context.Context, body []byte) (any, error) {
		if len(body) > 0 {
			return nil, invalid("this request takes no body")
		}
		return f(ctx)
	}
}

// warnEvery is how often it is spoken of strangers: who is refused can ask on as fast as it goes,
// and would have the journal drop what matters.
const warnEvery = time.Minute

// refusals counts them.
type refusals struct {
	mu    sync.Mutex
	count int       // guarded by mu; since the last warning
	told  time.Time // guarded by mu; when that was
}

// one counts one more, and gives how many there were if they are to be spoken of now, or 0.
func (r *refusals) one(now time.Time) (count int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if !r.told.IsZero() && now.Sub(r.told) < warnEvery {
		return 0
	}
	count, r.count, r.told = r.count, 0, now
	return count
}

// stranger tells now and then that somebody was refused.
func (h *handler) stranger(who caller) {
	if n := h.refused.one(time.Now()); n > 0 {
		if who.why != nil {
			h.log.Warn("it cannot be told who asked at the owner's socket", "refused", n, "error", who.why)
			return
		}
		h.log.Warn("somebody else asked at the owner's socket", "last_uid", who.uid, "refused", n)
	}
}

// finish waits for the requests that have begun, and lets no other begin.
func (h *handler) finish() {
	h.running.Lock()
	defer h.running.Unlock()
	h.over = true
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.running.RLock()
	defer h.running.RUnlock()
	if h.over {
		return // its connection is closed already
	}
	status, answer := h.answer(w, r)
	w.Header().Set("Cache-Control", "no-store")
	if s, ok := answer.(stream); ok {
		s.write(h, w)
		return
	}
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	text, err := json.Marshal(answer)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"kind":"fault","error":"the answer cannot be written"}`)
		h.log.Error("answer to the owner not written", "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(text, '\n')); err != nil {
		h.log.Debug("the owner did not wait for the answer", "error", err)
	}
}

// answer gives the status and what to write; nil is nothing.
func (h *handler) answer(w http.ResponseWriter, r *http.Request) (int, any) {
	who := callerOf(r.Context())
	endpoint := r.Method + " " + r.URL.Path
	if who.role == Stranger {
		h.stranger(who)
		if who.why != nil {
			return http.StatusServiceUnavailable, &Error{Fault, fmt.Sprintf("it cannot be told who asks, so that only root (sudo) may: %v", who.why)}
		}
		return http.StatusForbidden, &Error{Refused, fmt.Sprintf("user %d may not ask here: only root, the user that runs doorbelld and those under `access` in the configuration may", who.uid)}
	}
	ask, there := h.endpoints[endpoint]
	if there && who.role != TheOwner && !slices.Contains(forHousehold, endpoint) {
		return http.StatusForbidden, &Error{Refused, "that is the owner's to do: the household may pause, and ask who sees what"}
	}
	switch {
	case !there:
		return http.StatusNotFound, invalid("there is no %s %s here", r.Method, r.URL.Path)
	case r.URL.RawQuery != "":
		return http.StatusBadRequest, invalid("this request takes no query")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return http.StatusBadRequest, invalid("request not read: %v", err)
	}
	if slices.Contains(slow, endpoint) { // and so may what it says if it fails
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(exportTime)); err != nil {
			h.log.Debug("the time for an answer cannot be set", "error", err)
		}
	}
	result, err := ask(r.Context(), body)
	var (
		refusal  *gate.Refusal
		rejected *Error
	)
	switch {
	case err == nil:
		return http.StatusOK, result
	case errors.As(err, &refusal):
		return http.StatusConflict, &Error{Refused, err.Error()}
	case errors.As(err, &rejected):
		return http.StatusBadRequest, rejected
	default:
		return http.StatusInternalServerError, &Error{Fault, err.Error()}
	}
}
