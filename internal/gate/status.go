package gate

import (
	"maps"
	"slices"
	"sync"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
	"doorbelld/internal/publish"
)

// Status is how the device is, for the owner's local socket only: it holds
// counters of what was seen, which never go over MQTT or into a log.
type Status struct {
	Device string        `json:"device"`
	Eye    EyeStatus     `json:"eye"`
	Button *ButtonStatus `json:"button,omitempty"` // nil: there is to be none
	Broker BrokerStatus  `json:"broker"`
	Queue  QueueStatus   `json:"queue"`
	Home   *HomeStatus   `json:"home_assistant,omitempty"` // nil: nobody stands for it
	Clock  ClockStatus   `json:"clock"`
	Ledger string        `json:"ledger_fault,omitempty"` // why nothing can be recorded; "" if it can
	Full   bool          `json:"ledger_full,omitzero"`   // that is because of a full disk, and mends itself when there is room
	Record RecordStatus  `json:"record"`                 // not the gate's own to tell: who opened the ledger fills it in
	Policy string        `json:"policy_fault,omitempty"` // why not all that the owner decided can be read; "" if it can
	Paused PauseStatus   `json:"pause"`
	Ending []Ending      `json:"ending,omitempty"` // grants that end soon, the first of them first
	Want   WantStatus    `json:"want"`
	// Unrecorded is what was taken away and is not on record; nil: all is.
	Unrecorded *Unrecorded `json:"unrecorded,omitempty"`
	// Unconfirmed are the grants out of a backup that the owner has not confirmed yet.
	Unconfirmed []consent.GrantID `json:"unconfirmed,omitempty"`
	Counts      Counts            `json:"counts"`
	// Sent is by recipient, of today: over restarts, unlike Counts.
	Sent map[string]int64 `json:"bytes_today"`
}

// EyeStatus is how the seeing half and its camera are.
type EyeStatus struct {
	Running    bool        `json:"running"`
	Protection string      `json:"protection"` // how it is shut in, in words
	Restarts   int         `json:"restarts"`
	Camera     link.Camera `json:"camera"`
	Text       string      `json:"text,omitempty"` // what is wrong and what to do
	Fault      link.Fault  `json:"fault"`
	Encoding   string      `json:"encoding,omitempty"`
	Width      int         `json:"width,omitempty"`
	Height     int         `json:"height,omitempty"`
	Frames     uint64      `json:"frames"`
	Dropped    uint64      `json:"dropped"` // damaged, or overtaken by a newer one
	Skipped    uint64      `json:"skipped"` // more than are looked at
	Model      ModelStatus `json:"model"`
}

// ModelStatus is how the network is that tells animals, persons and vehicles from
// all else that moves.
type ModelStatus struct {
	Kind  model.Kind   `json:"kind"` // as configured
	State link.Network `json:"state"`
	Text  string       `json:"text,omitempty"` // why there is motion alone, and what to do
}

// ButtonStatus is how the button's line is.
type ButtonStatus struct {
	Ready bool   `json:"ready"`
	Text  string `json:"text,omitempty"` // what is wrong and what to do
}

// BrokerStatus is how the connection to the broker is.
type BrokerStatus struct {
	Connected  bool      `json:"connected"`
	Since      time.Time `json:"since,omitzero"`   // it is connected, or it is not
	Text       string    `json:"text,omitempty"`   // what is wrong
	Reconnects int       `json:"reconnects"`       // connections after the first
	Lost       string    `json:"lost,omitempty"`   // what went wrong last, mended or not …
	LostAt     time.Time `json:"lost_at,omitzero"` // … and when
	// Refused are those over whose messages it ended the connection, again and again.
	Refused []RefusedPlace `json:"refused,omitempty"` // never changed, only replaced
}

// RefusedPlace is a recipient and what it would be told of.
type RefusedPlace struct {
	Recipient string         `json:"recipient"`
	Category  event.Category `json:"category"`
}

// QueueStatus is what waits to be sent: allowed and recorded, and not taken by the
// broker yet.
type QueueStatus struct {
	Count  int       `json:"count"`
	Bytes  int64     `json:"bytes"` // as they are kept
	Oldest time.Time `json:"oldest,omitzero"`
}

// RecordStatus is how large the ledger is, which only grows.
type RecordStatus struct {
	Leaves   int64 `json:"leaves"`
	Bytes    int64 `json:"bytes"`     // of its file
	OpenedMS int64 `json:"opened_ms"` // milliseconds that it took to verify it at the start
}

// HomeStatus is what Home Assistant was told to show.
type HomeStatus struct {
	Recipient string   `json:"recipient"` // who stands for it
	Prefix    string   `json:"prefix"`
	Entities  []string `json:"entities"`
}

// ClockStatus says whether expiries can be kept, and why or what to do.
type ClockStatus struct {
	Now     time.Time `json:"now"`
	Trusted bool      `json:"trusted"`
	Why     string    `json:"why"`
}

// PauseStatus says whether everything is paused; without Until, until resumed. A
// pause that was asked for while the clock was not trusted is Counted, and has no
// Until before the clock is.
type PauseStatus struct {
	Paused      bool      `json:"paused"`
	Until       time.Time `json:"until,omitzero"`
	Counted     bool      `json:"counted,omitzero"`
	LeftSeconds int64     `json:"left_seconds,omitzero"` // of one that is Counted
}

// Ending is a grant that ends within two weeks, and that nobody renewed yet.
type Ending struct {
	Grant     consent.GrantID `json:"grant"`
	Recipient string          `json:"recipient"`
	Category  event.Category  `json:"category"`
	Until     time.Time       `json:"until"`
}

// endingSoon is how long before its end a grant is spoken of.
const endingSoon = 14 * 24 * time.Hour

// ending gives the grants that end soon after now.
func ending(p consent.Policy, now time.Time) []Ending {
	var all []Ending
	for _, g := range p.Grants() {
		if p.Standing(g.ID, now) > consent.Expired && !now.Before(g.Until.Add(-endingSoon)) {
			all = append(all, Ending{g.ID, g.Recipient, g.Category, g.Until})
		}
	}
	slices.SortStableFunc(all, func(a, b Ending) int { return a.Until.Compare(b.Until) })
	return all
}

// WantStatus is what the eye was asked to compute.
type WantStatus struct {
	Categories []event.Category `json:"categories"`
	Level      event.Level      `json:"level"`
}

// Counts says what became of everything since the daemon started.
type Counts struct {
	Seen      map[string]int            `json:"seen"`      // by "category phase"
	Decisions map[string]int            `json:"decisions"` // by reason, all recipients together
	Released  map[string]map[string]int `json:"released"`  // by recipient and category: allowed and recorded
	Withheld  map[string]map[string]int `json:"withheld"`  // by recipient and reason
	Delivered map[string]int            `json:"delivered"` // by recipient: taken by the broker
	Withdrawn map[string]map[string]int `json:"withdrawn"` // by recipient and reason: allowed once, no more when it was to be sent
	Again     map[string]int            `json:"again"`     // by recipient: states that somebody may have missed, allowed and recorded; in none of the other counts
	Expired   int                       `json:"expired"`   // waited too long for the broker
	Dropped   map[string]int            `json:"dropped"`   // by recipient: made room for what came later
	Ignored   int                       `json:"ignored"`   // rings too many in too short a time
	Unheard   int                       `json:"unheard"`   // moments of what was seen that came when a day's releases were spent: told to nobody
}

// tally counts. It is safe for use by several goroutines.
type tally struct {
	mu     sync.Mutex
	eye    EyeStatus
	bell   *ButtonStatus // never changed, only replaced
	link   BrokerStatus
	met    bool        // there was a connection to the broker
	shown  *HomeStatus // never changed, only replaced
	spoken link.Camera // the camera state that the log knows of
	shows  pictures    // the camera state that the broker is to know of
	counts Counts
	denied map[string]map[string]int // by recipient and reason, since takeDenied
}

// pictures says whether the camera gives any. The zero value is not known yet.
type pictures uint8

const (
	flowing pictures = iota + 1
	missing
)

// show notes whether pictures come, and reports whether that is news. t.mu is held.
func (t *tally) show(p pictures) (news bool) {
	news = t.shows != p
	t.shows = p
	return news
}

func (t *tally) pictures() pictures {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shows
}

func newTally() *tally {
	return &tally{
		denied: map[string]map[string]int{},
		eye:    EyeStatus{Camera: link.Opening},
		counts: Counts{
			Seen: map[string]int{}, Decisions: map[string]int{}, Released: map[string]map[string]int{}, Withheld: map[string]map[string]int{},
			Delivered: map[string]int{}, Withdrawn: map[string]map[string]int{},
			Again: map[string]int{},
		},
	}
}

// decided counts one moment of an event: what it made, and what was withheld. A
// recipient to whom there was nothing to tell is in neither.
func (t *tally) decided(e event.Event, all []consent.Decision, tellings []telling) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := e.Category != event.Head // which is no news from the door, and is asked about each hour
	if seen {
		t.counts.Seen[e.Category.String()+" "+e.Phase.String()]++
	}
	told := map[string]bool{}
	for _, d := range tellings {
		told[d.Recipient] = true
		t.counts.Decisions[consent.Granted.String()]++
		add(t.counts.Released, d.Recipient, e.Category.String())
	}
	for _, d := range all {
		if seen && !d.Allowed() && !told[d.Recipient] {
			t.counts.Decisions[d.Reason.String()]++
			add(t.counts.Withheld, d.Recipient, d.Reason.String())
			add(t.denied, d.Recipient, d.Reason.String())
		}
	}
}

// takeDenied gives what was withheld since it was last called.
func (t *tally) takeDenied() map[string]map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.denied
	t.denied = map[string]map[string]int{}
	return all
}

func (t *tally) delivered(r consent.Release) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Delivered[r.Recipient()]++
}

func (t *tally) withdrawn(r consent.Record, why consent.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	add(t.counts.Withdrawn, r.Recipient, why.String())
}

func (t *tally) ignored() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Ignored++
}

func (t *tally) unheard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Unheard++
}

func (t *tally) button(why error) {
	s := ButtonStatus{Ready: why == nil}
	if why != nil {
		s.Text = why.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bell = &s
}

// toldAgain counts a state that is told again.
func (t *tally) toldAgain(p place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Again[p.recipient]++
}

// home notes who stands for Home Assistant, if anybody does.
func (t *tally) home(h *publish.HomeAssistant) {
	if h == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown = &HomeStatus{Recipient: h.Recipient, Prefix: h.Prefix, Entities: []string{}}
}

// discovered notes what Home Assistant was told to show.
func (t *tally) discovered(s publish.Shown) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown = &HomeStatus{Recipient: t.shown.Recipient, Prefix: t.shown.Prefix, Entities: s.Entities()}
}

func add(m map[string]map[string]int, a, b string) {
	if m[a] == nil {
		m[a] = map[string]int{}
	}
	m[a][b]++
}

// broker notes how the connection to the broker is, from now on.
func (t *tally) broker(connected bool, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().UTC()
	if t.link.Connected != connected || t.link.Since.IsZero() {
		t.link.Since = now
	}
	if connected && t.met {
		t.link.Reconnects++
	}
	t.met = t.met || connected
	t.link.Connected, t.link.Text = connected, text
	if !connected {
		t.link.Lost, t.link.LostAt = text, now
	}
}

// eyeBegan notes that an eye runs, and how it is shut in. It gives how the one
// before it was.
func (t *tally) eyeBegan(protection string, restarts int) (before string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before = t.eye.Protection
	t.eye = EyeStatus{Running: true, Protection: protection, Restarts: restarts, Camera: link.Opening, Model: t.eye.Model}
	return before
}

// eyeEnded notes that no eye runs. What its camera lacked stays to be read; an
// eye that ended for another reason leaves that instead. It reports whether the
// broker is to be told.
func (t *tally) eyeEnded(f link.Fault, text string) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.eye.Running, t.eye.Model.State = false, link.NoNetwork
	if t.eye.Camera != link.Lost || f != link.Broken {
		t.eye.Camera, t.eye.Fault, t.eye.Text = link.Lost, f, text
	}
	return t.show(missing)
}

// camera takes the eye's word on its camera. It reports whether the broker is to
// be told.
func (t *tally) camera(h link.Health) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.eye.Camera, t.eye.Fault = h.Camera, h.Fault
	t.eye.Encoding, t.eye.Width, t.eye.Height = h.Encoding.String(), int(h.Width), int(h.Height)
	t.eye.Frames, t.eye.Dropped, t.eye.Skipped = h.Frames, h.Dropped, h.Skipped
	if h.Fault == link.NoFault {
		t.eye.Text = ""
	}
	switch h.Camera {
	case link.Live:
		return t.show(flowing)
	case link.Lost, link.Ended: // a clip that is over gives no pictures either
		return t.show(missing)
	case link.Opening: // nothing is known yet, or between two eyes nothing new
	}
	return false
}

// lastCamera gives the camera's state as it was last spoken of, and takes the new
// one as spoken of.
func (t *tally) lastCamera(now link.Camera) link.Camera {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.spoken
	t.spoken = now
	return before
}

func (t *tally) cameraText(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.eye.Text = text
}

// network takes the eye's word on its network, and what that means in words.
func (t *tally) network(k model.Kind, n link.Network, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.eye.Model = ModelStatus{k, n, text}
}

// into copies what was counted into s.
func (t *tally) into(s *Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Eye, s.Button, s.Broker, s.Home = t.eye, t.bell, t.link, t.shown
	s.Counts = Counts{
		Seen: maps.Clone(t.counts.Seen), Decisions: maps.Clone(t.counts.Decisions), Released: clone(t.counts.Released), Withheld: clone(t.counts.Withheld),
		Delivered: maps.Clone(t.counts.Delivered), Withdrawn: clone(t.counts.Withdrawn),
		Again: maps.Clone(t.counts.Again), Ignored: t.counts.Ignored, Unheard: t.counts.Unheard,
	}
}

func clone(m map[string]map[string]int) map[string]map[string]int {
	c := make(map[string]map[string]int, len(m))
	for k, v := range m {
		c[k] = maps.Clone(v)
	}
	return c
}
