package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/console"
	"doorbelld/internal/doctor"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/publish"
	"doorbelld/internal/publish/mqtt"
	"doorbelld/internal/whole"
)

// undoTime bounds how long it may take to take everything back.
const undoTime = 30 * time.Second

// apply does what was agreed to. If anything fails, or the person has had enough,
// everything is taken back.
func (s *firstRun) apply(ctx context.Context) (err error) {
	s.client = console.NewClient(socketPath(s.cfg))
	_, runs := s.client.Status(ctx)
	machine, err := doctor.Open(s.root, nil)
	if err != nil {
		return err
	}
	defer machine.Close()
	if s.managed, err = s.ofService(machine); err != nil {
		return err
	}
	if runs == nil && !s.managed && !s.noStart && s.text != s.before {
		return exitError{exitRefused, errors.New("the daemon runs with the configuration of now, and systemd does not manage it: stop it, and say `doorbelld setup` again")}
	}
	defer func() {
		if err == nil && ctx.Err() == nil {
			s.whole = true
			return
		}
		s.takeBack()
		if ctx.Err() == nil { // else the interruption is what is told
			err = fmt.Errorf("%w\n%w; the same answers again: %s", err, s.asItWas(), s.again())
		}
	}()
	if err := s.write(); err != nil {
		return err
	}
	if s.pullModel {
		if err := s.pull(ctx); err != nil {
			return err
		}
	}
	if s.noStart {
		return nil
	}
	if err := s.start(ctx, runs == nil); err != nil {
		return err
	}
	return s.grant(ctx)
}

// ofService reports whether the configuration is that of the package's service, which
// reads it in one place and nowhere else, and systemd is there to start it.
func (s *firstRun) ofService(m *doctor.Machine) (bool, error) {
	its, err := filepath.Abs(filepath.Join(s.root, defaultConfig))
	if err != nil {
		return false, err
	}
	return s.path == its && m.HasSystemd() && slices.Contains(m.Installed(), doctor.GateUnit), nil
}

// asItWas says whether all could be taken back.
func (s *firstRun) asItWas() error {
	if s.unmade != nil {
		return s.unmade
	}
	return errors.New("everything is as it was")
}

// takeBack undoes what was done, the last first. No signal interrupts it: they are
// still caught.
func (s *firstRun) takeBack() {
	var all []error
	for _, undo := range slices.Backward(s.undo) {
		all = append(all, undo())
	}
	if err := errors.Join(all...); err != nil {
		s.unmade = fmt.Errorf("not all could be taken back: %w", err)
	}
}

// write writes the password and the configuration, each whole or not at all.
func (s *firstRun) write() error {
	folder := filepath.Dir(s.path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("the folder of the configuration: %w", err)
		}
		s.undo = append(s.undo, func() error { return os.Remove(folder) })
	}
	uid, gid := serviceOwner()
	if s.secret != "" {
		if err := s.place(s.cfg.Broker.PasswordFile, s.secret+"\n", 0o600, uid, gid); err != nil {
			return err
		}
	}
	if s.text == s.before {
		return nil
	}
	mode := os.FileMode(0o640)
	if err := s.place(s.path, s.text, mode, 0, gid); err != nil {
		return err
	}
	s.Say("%s is written.\n", s.path)
	return nil
}

// serviceOwner gives the service's user and group; -1 where the package made none, or
// this user cannot give files away.
func serviceOwner() (uid, gid int) {
	u, err := user.Lookup(doctor.ServiceUser)
	if err != nil || os.Geteuid() != 0 {
		return -1, -1
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if uerr != nil || gerr != nil {
		return -1, -1
	}
	return uid, gid
}

// place puts text into the file at path in one step, and remembers how to put back
// what was there. A uid or gid of -1 is left as it is.
func (s *firstRun) place(path, text string, mode os.FileMode, uid, gid int) error {
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("what is there already: %w", err)
	}
	was := err == nil
	var old os.FileInfo
	if was {
		if old, err = os.Stat(path); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 || gid < 0 {
		uid, gid = -1, -1
	}
	if err := replaceFile(path, text, mode, uid, gid); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error {
		if !was {
			return os.Remove(path)
		}
		st, ok := old.Sys().(*syscall.Stat_t)
		if !ok || os.Geteuid() != 0 {
			return replaceFile(path, string(before), old.Mode().Perm(), -1, -1)
		}
		return replaceFile(path, string(before), old.Mode().Perm(), int(st.Uid), int(st.Gid))
	})
	return nil
}

// replaceFile writes a file in place of one that may be there; of uid and gid -1 stands for
// whoever runs this.
func replaceFile(path, text string, mode os.FileMode, uid, gid int) error {
	return whole.Write(path, []byte(text), func(f *os.File) error {
		if uid >= 0 || gid >= 0 {
			if err := f.Chown(uid, gid); err != nil {
				return err
			}
		}
		return f.Chmod(mode)
	})
}

// pull downloads the model that the configuration asks for.
func (s *firstRun) pull(ctx context.Context) error {
	g := globals{config: s.path}
	shelf, err := g.shelf()
	if err != nil {
		return err
	}
	picked, err := shelf.pick(nil)
	if err != nil {
		return err
	}
	if err := (job{shelf: shelf, out: s.out}).pull(ctx, picked); err != nil {
		// A first run is one without a model too.
		s.Say("The model was not installed (%v); `sudo doorbelld models pull` does it later.\n", err)
	}
	return ctx.Err()
}

// startCommand is what starts the daemon by hand.
func (s *firstRun) startCommand() string {
	switch {
	case s.managed: // what root ran would leave files that the service's user may not open
		return "sudo systemctl enable --now " + strings.TrimSuffix(doctor.GateUnit, ".service")
	case s.g.config == defaultConfig:
		return "sudo doorbelld run"
	}
	return "doorbelld --config " + shellQuote(s.path) + " run"
}

// start has systemd start the gate, which has the eye started, or asks the person to start the daemon, and
// waits until it answers.
func (s *firstRun) start(ctx context.Context, runs bool) error {
	switch {
	case s.managed:
		before := []string{"disable", "--now", doctor.GateUnit}
		if enabled, err := systemctl(ctx, "is-enabled", doctor.GateUnit); err == nil && strings.TrimSpace(enabled) == "enabled" {
			before = []string{"stop", doctor.GateUnit}
			// Its word counts: of one that is still starting the status is not 0.
			switch state, _ := systemctl(ctx, "is-active", doctor.GateUnit); strings.TrimSpace(state) {
			case "active", "activating", "reloading":
				before = []string{"restart", doctor.GateUnit}
			}
		}
		// The last to be undone: by then the configuration is what it was.
		s.undo = append([]func() error{func() error { return afterwards(before...) }}, s.undo...)
		if _, err := systemctl(ctx, "enable", doctor.GateUnit); err != nil {
			return fmt.Errorf("the service cannot be enabled: %w", err)
		}
		if _, err := systemctl(ctx, "restart", doctor.GateUnit); err != nil {
			return fmt.Errorf("the service does not start: %w; see `journalctl -u doorbelld-gate -u doorbelld-eye -n 50`", err)
		}
		s.Say("The service is started, and will be with the machine.\n")
	case runs:
	default:
		s.Say("systemd does not manage it here. Start the daemon now, in another terminal:\n\n    %s\n\nWaiting for it …\n", s.startCommand())
	}
	wait, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		status, err := s.client.Status(wait)
		if err == nil && status.Device == s.cfg.Device {
			s.Say("The daemon runs.\n")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.Done():
			return fmt.Errorf("the daemon does not answer within %v: %w", s.wait, err)
		case <-again.C:
		}
	}
}

// systemctl asks systemd for something.
func systemctl(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "systemctl", args...)
	// Ctrl-C is ours to hear: what was asked for is either done or taken back.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := c.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		line, _, _ := strings.Cut(strings.TrimSpace(string(failed.Stderr)), "\n")
		return string(out), fmt.Errorf("systemctl %s: %s", args[0], line)
	}
	if err != nil {
		return string(out), fmt.Errorf("systemctl %s: %w", args[0], err)
	}
	return string(out), nil
}

// afterwards asks systemd for something while all is taken back.
func afterwards(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), undoTime)
	defer cancel()
	_, err := systemctl(ctx, args...)
	return err
}

// grant makes the recipient known and gives what was said yes to.
func (s *firstRun) grant(ctx context.Context) error {
	if s.to == "" {
		return nil
	}
	if len(s.wishes) > 0 {
		if err := s.clock(ctx); err != nil {
			return err
		}
	}
	known, err := s.client.Recipients(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known, func(r consent.Recipient) bool { return r.Name == s.to }) {
		if err := s.client.AddRecipient(ctx, consent.Recipient{Name: s.to, Kind: consent.Integration}); err != nil {
			return err
		}
		s.undo = append(s.undo, func() error {
			return undone(func(ctx context.Context) error { _, err := s.client.RemoveRecipient(ctx, s.to); return err })
		})
		s.Say("%s is known.\n", s.to)
	}
	if s.cfg.Broker.Embedded {
		s.Say("At the embedded broker it logs in as %s, with the password in %s.\n", s.to, accounts(s.cfg).Path(s.to))
	}
	given, err := s.client.Grants(ctx)
	if err != nil {
		return err
	}
	for _, w := range s.wishes {
		if i := slices.IndexFunc(given, func(g console.Grant) bool { return sameGrant(g, w.draft) }); i >= 0 {
			s.Say("%s says that already: %s %s.\n", given[i].ID, given[i].Recipient, given[i].Told(time.Local))
			continue
		}
		made, err := s.client.AddGrant(ctx, w.draft)
		if err != nil {
			return err
		}
		s.undo = append(s.undo, func() error {
			return undone(func(ctx context.Context) error { _, err := s.client.Revoke(ctx, made.ID); return err })
		})
		s.Say("%s: %s %s. Take it back with `doorbelld grant revoke %s`.\n", made.ID, made.Recipient, made.Told(time.Local), made.ID)
	}
	return nil
}

// sameGrant reports whether g is not over and tells the same that d would, until
// whenever.
func sameGrant(g console.Grant, d gate.Draft) bool {
	w := d.Grant(g.ID, g.Given)
	return !g.State.Over() && g.Recipient == w.Recipient && g.Category == w.Category && g.Level == w.Level && g.Purpose == w.Purpose &&
		slices.Equal(g.Zones, w.Zones) && slices.Equal(g.Labels, w.Labels) && g.Schedule == w.Schedule && g.Rate == w.Rate
}

func undone(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), undoTime)
	defer cancel()
	return do(ctx)
}

// clock sees that the daemon trusts its clock: without that no grant has an end, and
// none is taken.
func (s *firstRun) clock(ctx context.Context) error {
	status, err := s.client.Status(ctx)
	if err != nil || status.Clock.Trusted {
		return err
	}
	right := s.clockIsRight
	if !right {
		if right, err = s.Confirm(ctx, fmt.Sprintf("Nothing vouches for this machine's clock. It says %s: is that right?", minute(status.Clock.Now)), false); err != nil {
			return err
		}
	}
	if !right {
		return errors.New("without a clock that is trusted nothing can be granted: wait until the network has set it (`timedatectl`), or say --clock-is-right")
	}
	_, err = s.client.ConfirmClock(ctx)
	return err
}

// firstMessage sends what may be sent, and waits until it comes back from the broker:
// a ring, if that is granted; else the status, which is all that anybody hears.
func (s *firstRun) firstMessage(ctx context.Context) error {
	s.Say("\n")
	told := slices.ContainsFunc(s.wishes, func(w firstrunWish) bool { return w.draft.Category == event.Ring })
	if !told {
		if err := s.hearStatus(ctx); err != nil {
			return err
		}
		s.Say("Nobody is granted a ring, so none is sent. `doorbelld grant add --help` says how to grant.\n")
		return s.goodbye(ctx)
	}
	yes, err := s.Confirm(ctx, fmt.Sprintf("Ring now, as a test? %s is told", s.to), true)
	if err != nil {
		return err
	}
	if !yes {
		return s.goodbye(ctx)
	}
	if err := s.hearRing(ctx); err != nil {
		return err
	}
	return s.goodbye(ctx)
}

// listener gives how to hear what a recipient hears: at the embedded broker by its
// own account, or by none, at another by the daemon's.
func (s *firstRun) listener(anonymous bool) mqtt.Options {
	o := sessionOptions(s.cfg)
	o.ClientID += "-setup" // not to put the daemon out
	if !s.cfg.Broker.Embedded {
		return o
	}
	at := s.cfg.Broker.Listen
	switch {
	case at.Addr() == netip.IPv4Unspecified():
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	case at.Addr().IsUnspecified():
		at = netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
	}
	o.Broker, o.TLS = "mqtt://"+at.String(), nil
	if s.cfg.Broker.CertificateFile != "" {
		o.Broker, o.TLS = "mqtts://"+at.String(), s.cfg.Broker.OwnTLS
	}
	if !anonymous {
		o.Username, o.Password = s.to, func() (string, error) { return accounts(s.cfg).Secret(s.to) }
	}
	return o
}

// hearRing rings, and hears it.
func (s *firstRun) hearRing(outer context.Context) error {
	ctx, cancel := context.WithTimeout(outer, s.patience)
	defer cancel()
	topic := fmt.Sprintf("doorbelld/%s/to/%s/ring", s.cfg.Device, s.to)
	before, err := s.client.Status(ctx)
	if err != nil {
		return err
	}
	var rung error
	var began time.Time
	err = mqtt.Hear(ctx, s.listener(false), topic, func() {
		began = time.Now()
		if _, rung = s.client.Ring(ctx); rung != nil {
			cancel()
		}
	}, func(h mqtt.Heard) bool { return !h.Retained && strings.Contains(string(h.Payload), `"ring"`) })
	switch {
	case rung != nil:
		return fmt.Errorf("all is set up, but it does not ring: %w", rung)
	case errors.Is(err, context.DeadlineExceeded):
		// An access list may let this account write there and not read; a broker does not say so.
		if after, err := s.client.Status(outer); err == nil && after.Counts.Delivered[s.to] > before.Counts.Delivered[s.to] {
			s.Say("A first message: the broker took the ring for %s. It was not read back: this account may not, it seems.\n", s.to)
			return nil
		}
		return fmt.Errorf("all is set up, but the ring did not come back within %v: `doorbelld status` says what became of it, `doorbelld doctor` what is wrong", s.patience)
	case errors.Is(err, publish.ErrRefused):
		s.Say("It may not be read back with this account (%v); ask your own program whether it came.\n", err)
		return nil
	case err != nil:
		return fmt.Errorf("all is set up, but the ring was not heard: %w", err)
	}
	s.Say("A first message: %s was told that it rang, and this came back from the broker after %d ms.\n", s.to, time.Since(began).Milliseconds())
	return nil
}

// hearStatus hears that the device is online.
func (s *firstRun) hearStatus(ctx context.Context) error {
	if s.cfg.Broker.Embedded && s.cfg.Broker.Listen.Port() == 0 {
		return nil // nobody knows where it listens
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	topic := "doorbelld/" + s.cfg.Device + "/status"
	err := mqtt.Hear(ctx, s.listener(true), topic, func() {}, func(h mqtt.Heard) bool { return string(h.Payload) == "online" })
	switch {
	case errors.Is(err, publish.ErrRefused):
		s.Say("The status may not be read back with this account (%v).\n", err)
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("all is set up, but the broker did not say within %v that the device is online: `doorbelld doctor` says what is wrong", s.patience)
	case err != nil:
		return fmt.Errorf("all is set up, but the broker was not heard: %w", err)
	}
	s.Say("A first message: the broker says that %s is online.\n", s.cfg.Device)
	return nil
}

// goodbye says who is told what now.
func (s *firstRun) goodbye(ctx context.Context) error {
	who, err := s.client.WhoSees(ctx)
	if err != nil {
		return err
	}
	s.Say("\nAll is set up.\n")
	for _, line := range who.Sentences {
		s.Say("  %s\n", line)
	}
	s.Say("`doorbelld status` says how it is, `doorbelld doctor` what is wrong, `doorbelld pause` stops everything.\n")
	return nil
}
