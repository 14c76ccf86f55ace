package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/enum/enumtest"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

// askVariable tells a child, which is another user, which socket to ask, and
// whatVariable for what: its status, if that is not said.
const (
	askVariable  = "CONSOLE_TEST_ASK"
	whatVariable = "CONSOLE_TEST_WHAT"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(askVariable); path != "" {
		c, ctx := NewClient(path), context.Background()
		var err error
		switch os.Getenv(whatVariable) {
		case "pause":
			_, err = c.Pause(ctx, 0)
		case "who-sees":
			_, err = c.WhoSees(ctx)
		case "resume":
			err = c.Resume(ctx)
		case "nothing": // but what it would be itself
			fmt.Print(Access{}.role(os.Geteuid()))
			os.Exit(0)
		default:
			_, err = c.Status(ctx)
		}
		fmt.Print(err)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestClosedSets(t *testing.T) {
	enumtest.RoundTrip(t, States())
	enumtest.RoundTrip(t, ErrorKinds())
}

// start serves o on a socket until the test ends.
func start(t *testing.T, o Owner) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "run", "doorbelld.sock")
	stop := startAt(t, path, o)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return path
}

// startAt serves o at path until stop, which gives what Serve gave.
func startAt(t *testing.T, path string, o Owner) (stop func() error) {
	t.Helper()
	l, err := listen(path, Access{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, l, Options{Path: path, Owner: o, Log: slog.New(slog.DiscardHandler)}) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func TestRoundTrip(t *testing.T) {
	o := newOwner()
	c, ctx := NewClient(start(t, o)), t.Context()
	home := consent.Recipient{Name: "home", Kind: consent.Integration}
	draft := gate.Draft{
		Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.HomeAutomation, Zones: []string{"path"}, Until: o.now.Add(time.Hour),
	}
	want := consent.Grant{
		ID: 1, Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.HomeAutomation, Zones: []string{"path"},
		Schedule: consent.Always(), Rate: consent.Unlimited(), Given: o.now, From: o.now, Until: o.now.Add(time.Hour),
	}

	if all, err := c.Recipients(ctx); err != nil || all == nil || len(all) != 0 {
		t.Errorf("Recipients at first: %v, %v", all, err)
	}
	if all, err := c.Grants(ctx); err != nil || all == nil || len(all) != 0 {
		t.Errorf("Grants at first: %v, %v", all, err)
	}
	if err := c.AddRecipient(ctx, home); err != nil {
		t.Fatal(err)
	}
	if all, err := c.Recipients(ctx); err != nil || !cmp.Equal(all, []consent.Recipient{home}) {
		t.Errorf("Recipients: %v, %v", all, err)
	}
	for range 3 {
		g, err := c.AddGrant(ctx, draft)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(Given{want, "/receipts/" + want.ID.String()}, g); d != "" {
			t.Errorf("AddGrant: %s", d)
		}
		want.ID++
		draft.Until, want.Until = draft.Until.Add(time.Hour), want.Until.Add(time.Hour)
	}
	if r, err := c.Revoke(ctx, 2); err != nil || !cmp.Equal(r.Receipts, []string{"/receipts/g2"}) {
		t.Fatal(r, err)
	}
	o.now = o.now.Add(time.Hour) // the end of g1
	all, err := c.Grants(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var states []State
	for _, g := range all {
		states = append(states, g.State)
	}
	if !cmp.Equal(states, []State{Expired, Revoked, Active}) {
		t.Errorf("states %v", states)
	}

	who, err := c.WhoSees(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p, m := o.Policy()
	if d := cmp.Diff(WhoSees{Sentences: p.Plain(m), Recipients: []Told{{home, []Grant{all[2]}}}}, who); d != "" {
		t.Errorf("WhoSees: %s", d)
	}

	if s, err := c.Pause(ctx, time.Hour); err != nil || !cmp.Equal(s, Paused{gate.PauseStatus{Paused: true, Until: o.now.Add(time.Hour)}, "/receipts/pause"}) {
		t.Errorf("Pause: %v, %v", s, err)
	}
	if s, err := c.Pause(ctx, time.Minute); err != nil || !s.Until.Equal(o.now.Add(time.Hour)) {
		t.Errorf("a shorter Pause shows %v, %v, want the longer one that runs", s, err)
	}
	if who, err := c.WhoSees(ctx); err != nil || who.Held != consent.Paused || len(who.Recipients) != 1 {
		t.Errorf("WhoSees in a pause: %v, %v", who, err)
	}
	if s, err := c.Pause(ctx, 0); err != nil || !cmp.Equal(s, Paused{gate.PauseStatus{Paused: true}, "/receipts/pause"}) {
		t.Errorf("Pause without an end: %v, %v", s, err)
	}
	if err := c.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	if _, paused := mustPolicy(o).PausedUntil(o.now); paused {
		t.Error("paused after Resume")
	}

	o.trusted = false
	if who, err := c.WhoSees(ctx); err != nil || who.Held != consent.ClockFault {
		t.Errorf("WhoSees without a clock: held by %v, %v", who.Held, err)
	}
	if s, err := c.ConfirmClock(ctx); err != nil || !cmp.Equal(s, gate.ClockStatus{Now: o.now, Trusted: true, Why: "vouched for"}) || !o.trusted {
		t.Errorf("ConfirmClock: %v, %v", s, err)
	}
	if s, err := c.Status(ctx); err != nil || !cmp.Equal(s.Counts.Seen, map[string]int{"motion start": 3}) || s.Device != "door" {
		t.Errorf("Status: %v, %v", s, err)
	}

	if rung, err := c.Ring(ctx); err != nil || !cmp.Equal(rung, Rung{Told: []string{"home"}}) {
		t.Errorf("Ring: %v, %v", rung, err)
	}

	if err := c.NewPassword(ctx, "home"); err != nil {
		t.Error(err)
	}
	if k, err := c.Receipt(ctx, 1); err != nil || k.Note != "signed" {
		t.Errorf("Receipt: %v, %v", k, err)
	}
	if tried, err := c.Try(ctx, draft); err != nil || tried.Seen != 7 || len(mustPolicy(o).Grants()) != 3 {
		t.Errorf("Try: %v, %v", tried, err)
	}
	if tried, err := c.Simulate(ctx, gate.Proposal{Recipients: []consent.Recipient{home}, Grants: []gate.Draft{draft, draft}}); err != nil || tried.Seen != 2 {
		t.Errorf("Simulate: %v, %v", tried, err)
	}
	if r, err := c.Report(ctx, o.now.Add(-time.Hour), o.now); err != nil || !r.To.Equal(o.now) {
		t.Errorf("Report: %v, %v", r, err)
	}
	if err := o.apply(consent.Restore{}); err != nil {
		t.Fatal(err)
	}
	if all, err := c.Grants(ctx); err != nil || all[2].State != Unconfirmed {
		t.Errorf("after a restore: %v, %v", all, err)
	}
	if g, err := c.Confirm(ctx, 3); err != nil || g.ID != 3 || g.Receipt != "/receipts/g3" {
		t.Errorf("Confirm: %v, %v", g, err)
	}

	if r, err := c.RemoveRecipient(ctx, "home"); err != nil || !cmp.Equal(r.Receipts, []string{"/receipts/g1", "/receipts/g3"}) {
		t.Fatal(r, err)
	}
	if all, err := c.Grants(ctx); err != nil || all[2].State != Revoked {
		t.Errorf("after RemoveRecipient: %v, %v", all, err)
	}
}

func mustPolicy(o Owner) consent.Policy {
	p, _ := o.Policy()
	return p
}

func TestRefusals(t *testing.T) {
	o := newOwner()
	c, ctx := NewClient(start(t, o)), t.Context()
	var refusal *Error
	if rung, err := c.Ring(ctx); !errors.As(err, &refusal) || refusal.Kind != Refused {
		t.Errorf("one ring too many: %v, %v", rung, err)
	}
	if err := c.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Integration}); err != nil {
		t.Fatal(err)
	}
	draft := gate.Draft{Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.HomeAutomation, Zones: []string{"path"}, Until: o.now.Add(time.Hour)}
	spoiled := func(spoil func(*gate.Draft)) func() error {
		return func() error {
			d := draft
			spoil(&d)
			_, err := c.AddGrant(ctx, d)
			return err
		}
	}
	for name, call := range map[string]func() error{
		"recipient twice":             func() error { return c.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Owner}) },
		"a password for nobody":       func() error { return c.NewPassword(ctx, "nobody") },
		"remove an unknown recipient": func() error { _, err := c.RemoveRecipient(ctx, "nobody"); return err },
		"revoke an unknown grant":     func() error { _, err := c.Revoke(ctx, 7); return err },
		"confirm an unknown grant":    func() error { _, err := c.Confirm(ctx, 7); return err },
		"a receipt of none":           func() error { _, err := c.Receipt(ctx, 7); return err },
		"try for nobody": func() error {
			d := draft
			d.Recipient = "nobody"
			_, err := c.Try(ctx, d)
			return err
		},
		"a report of no time": func() error { _, err := c.Report(ctx, o.now, o.now); return err },
		"unknown recipient":   spoiled(func(d *gate.Draft) { d.Recipient = "nobody" }),
		"past expiry":         spoiled(func(d *gate.Draft) { d.Until = o.now.Add(-time.Second) }),
		"no expiry":           spoiled(func(d *gate.Draft) { d.Until = time.Time{} }),
		"no zone":             spoiled(func(d *gate.Draft) { d.Zones = nil }),
		"clock set back": func() error {
			now := o.now
			defer func() { o.now = now }()
			o.now = time.Unix(0, 0)
			_, err := c.ConfirmClock(ctx)
			return err
		},
	} {
		var e *Error
		if err := call(); !errors.As(err, &e) || e.Kind != Refused || e.Text == "" || strings.Contains(e.Text, "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := len(mustPolicy(o).Grants()); got != 0 {
		t.Errorf("%d grants were made", got)
	}

	o.fault = errors.New("the disk is full")
	var e *Error
	if err := c.Resume(ctx); !errors.As(err, &e) || e.Kind != Fault || e.Text != "the disk is full" {
		t.Errorf("a fault: %v", err)
	}
	if _, err := c.Pause(ctx, MaxPause+time.Second); !errors.As(err, &e) || e.Kind != Invalid {
		t.Errorf("a pause that is too long: %v", err)
	}
}

// send makes a request that the client would not make.
func send(t *testing.T, path, method, target, body string) (status int, answer string) {
	t.Helper()
	c := NewClient(path)
	r, err := http.NewRequest(method, "http://anything"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestMalformedRequests(t *testing.T) {
	o := newOwner()
	path := start(t, o)
	for name, r := range map[string]struct {
		method, target, body string
		status               int
	}{
		"unknown path":        {"GET", "/v1/frames", "", 404},
		"unclean path":        {"GET", "/v1//status", "", 404},
		"no version":          {"GET", "/status", "", 404},
		"wrong method":        {"GET", "/v1/pause", "", 404},
		"query":               {"GET", "/v1/status?x=1", "", 400},
		"body where none is":  {"POST", "/v1/resume", "{}", 400},
		"no body":             {"POST", "/v1/pause", "", 400},
		"not JSON":            {"POST", "/v1/pause", "seconds=60", 400},
		"unknown field":       {"POST", "/v1/pause", `{"seconds":60,"scan":true}`, 400},
		"something behind it": {"POST", "/v1/pause", `{"seconds":60}{"seconds":0}`, 400},
		"wrong type":          {"POST", "/v1/pause", `{"seconds":"60"}`, 400},
		"negative":            {"POST", "/v1/pause", `{"seconds":-1}`, 400},
		"too large a number":  {"POST", "/v1/pause", `{"seconds":9223372036854775807}`, 400},
		"too large a body":    {"POST", "/v1/pause", `{"seconds":60` + strings.Repeat(" ", maxBody) + `}`, 400},
		"unknown category":    {"POST", "/v1/grants", `{"category":"smell"}`, 400},
		"unknown kind":        {"POST", "/v1/recipients", `{"name":"x","kind":"friend"}`, 400},
		"grant by number":     {"POST", "/v1/grants/revoke", `{"grant":1}`, 400},
		"grant zero":          {"POST", "/v1/grants/revoke", `{"grant":"g0"}`, 400},
		"nothing named":       {"DELETE", "/v1/recipients", `{}`, 409},
	} {
		status, answer := send(t, path, r.method, r.target, r.body)
		if status != r.status || !strings.Contains(answer, `"error":`) || !strings.Contains(answer, `"kind":`) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if p := mustPolicy(o); !cmp.Equal(p.Recipients(), []consent.Recipient(nil)) || len(p.Grants()) != 0 {
		t.Error("a malformed request changed something")
	}
	if _, paused := mustPolicy(o).PausedUntil(o.now); paused {
		t.Error("a malformed request paused")
	}
}

func TestHeadersAreBounded(t *testing.T) {
	path := start(t, newOwner())
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The server may hang up before it has taken all.
	_, _ = io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", maxHeader+8<<10)+"\r\n\r\n")
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 431" {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	path := start(t, newOwner())
	const request = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
	var served []net.Conn
	for range maxConns {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := exchange(c, request); err != nil {
			t.Fatal(err)
		}
		served = append(served, c) // it may ask again
	}
	late, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	answered := make(chan error, 1)
	go func() { answered <- exchange(late, request) }()
	for range 100 {
		if !waiting(t, path) {
			t.Fatal("one connection more than is allowed is served")
		}
	}
	served[0].Close()
	if err := <-answered; err != nil {
		t.Errorf("after another one left: %v", err)
	}
}

// exchange sends a request over c and reads the head of the answer.
func exchange(c net.Conn, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if string(answer) != "HTTP/1.1 200" {
		return fmt.Errorf("answer %q", answer)
	}
	return nil
}

// waiting reports whether there is a connection to path that nobody has
// accepted.
func waiting(t *testing.T, path string) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Skipf("the kernel does not list its sockets: %v", err)
	}
	const connecting = "02"
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 8 && f[7] == path && f[5] == connecting {
			return true
		}
	}
	return false
}

func TestSocketIsItsOwnersAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := start(t, newOwner())
	for name, want := range map[string]fs.FileMode{path: fs.ModeSocket | 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

func TestFolderThatIsThereIsLeftAlone(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := startAt(t, filepath.Join(folder, "s"), newOwner())(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can ask as somebody else")
	}
	const nobody = 65534
	o := newOwner()
	path := start(t, o)
	ask := func() string {
		t.Helper()
		child := exec.Command("/proc/self/exe")
		child.Env = []string{askVariable + "=" + path}
		child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := child.CombinedOutput()
		if err != nil {
			t.Skipf("cannot run as user %d: %v", nobody, err)
		}
		return string(out)
	}
	if got := ask(); !strings.Contains(got, "is another user's") {
		t.Errorf("with the socket as it is made: %s", got)
	}
	// Should anybody open the doors, the daemon still looks who comes.
	for name := path; name != filepath.Dir(os.TempDir()) && len(name) > len(os.TempDir()); name = filepath.Dir(name) {
		if err := os.Chmod(name, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(); got != "user 65534 may not ask here: only root, the user that runs doorbelld and those under `access` in the configuration may" {
		t.Errorf("with open doors: %s", got)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorbelld.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := NewClient(path).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("asking a dead daemon: %v", err)
	}
	stop := startAt(t, path, newOwner())
	if _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestSecondDaemon(t *testing.T) {
	path := start(t, newOwner())
	err := Serve(t.Context(), Options{Path: path, Owner: newOwner(), Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, ErrInUse) {
		t.Errorf("a second daemon: %v", err)
	}
	if _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Errorf("the first, after it: %v", err)
	}
	unlock, err := lock(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := listen(path+"2", Access{}, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("while another one starts: %v", err)
	}
}

func TestWhatIsInTheWayIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorbelld.sock")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), Options{Path: path, Owner: newOwner(), Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("served over a file")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("the file in the way: %q, %v", text, err)
	}
}

func TestPathsThatAreNone(t *testing.T) {
	for _, path := range []string{"", "relative.sock", "@abstract", "/" + strings.Repeat("x", 107)} {
		var e *Error
		if _, err := listen(path, Access{}, nil); !errors.As(err, &e) || e.Kind != Invalid {
			t.Errorf("listen at %q: %v", path, err)
		}
		if _, err := NewClient(path).Status(t.Context()); !errors.As(err, &e) || e.Kind != Invalid {
			t.Errorf("ask at %q: %v", path, err)
		}
	}
}

func TestDaemonNotRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "doorbelld.sock")
	_, err := NewClient(path).Recipients(t.Context())
	if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "doorbelld run") {
		t.Errorf("%v", err)
	}
}

// askedAtTheEnd is a Serve that is stopped while its owner is being asked and holds the
// answer back: what was asked is told on asked, what Serve returned on ended.
func askedAtTheEnd(t *testing.T) (o *heldOwner, path string, asked, ended chan error) {
	t.Helper()
	o = newOwner()
	o.acting, o.hold = make(chan struct{}), make(chan struct{})
	path = filepath.Join(t.TempDir(), "doorbelld.sock")
	stop := startAt(t, path, o)
	asked, ended = make(chan error, 1), make(chan error, 1)
	go func() { asked <- NewClient(path).Resume(context.Background()) }()
	<-o.acting
	go func() { ended <- stop() }()
	return o, path, asked, ended
}

// TestEnd holds that what was asked for before the end is answered, and that
// Serve returns only once nobody uses the Owner any more.
func TestEnd(t *testing.T) {
	o, path, asked, ended := askedAtTheEnd(t)
	for { // the socket goes first: nobody new is let in
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("Serve returned %v while the owner was being asked", err)
	default:
	}
	close(o.hold)
	if err := <-asked; err != nil {
		t.Errorf("what was asked before the end: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestEndIsNotAwaited holds that one who waits too long is cut off, and that
// Serve still does not return while the owner is being asked.
func TestEndIsNotAwaited(t *testing.T) {
	o, _, asked, ended := askedAtTheEnd(t)
	if err := <-asked; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("what took too long: %v", err)
	}
	select {
	case err := <-ended:
		t.Errorf("Serve returned %v while the owner was being asked", err)
	case <-time.After(50 * time.Millisecond): // a wrong return takes none of it
		close(o.hold)
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"recipient":"home","category":"motion","level":"details","purpose":"lost_pet","zones":["path"],"until":"2026-12-31T23:59:59Z"}`,
		`{"recipient":"home"} {}`, `{"zones":[""]}`, `{"level":"none"}`, `null`, `[]`, ``, `{"until":"0000-01-01T00:00:00Z"}`, `{"scan":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := decode[gate.Draft](body)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Kind != Invalid {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if !d.Level.Valid() {
			t.Fatalf("%q gives level %d", body, d.Level)
		}
		// What is understood means one thing, however it was written.
		text, err := json.Marshal(d)
		if err != nil { // a word that is absent has no text
			if d.Category.Valid() && d.Purpose != 0 {
				t.Fatalf("%q gives %+v, which cannot be written: %v", body, d, err)
			}
			return
		}
		again, err := decode[gate.Draft](text)
		if err != nil || !cmp.Equal(d, again, cmpopts.EquateEmpty()) {
			t.Fatalf("%q gives %+v, then %+v, %v", body, d, again, err)
		}
	})
}
