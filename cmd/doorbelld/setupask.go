package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"doorbelld/internal/ask"
	"doorbelld/internal/config"
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/firstrun"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// firstrunWish is one grant that was said yes to.
type firstrunWish struct{ draft gate.Draft }

// askCamera finds cameras and shows what each sees.
func (s *firstRun) askCamera(ctx context.Context) error {
	s.head("Camera", "What is to be watched. Pictures stay on this machine unless you grant them.")
	if s.given("clip") {
		path, err := findClip(s.clip)
		if err != nil {
			return err
		}
		s.answers.Camera, s.answers.Clip = path, true
		s.Say("Clip: %s\n", path)
		return s.showCamera(ctx, 1)
	}
	if s.given("camera") {
		s.answers.Camera = s.camera
		if s.camera != firstrun.Module {
			if err := firstrun.CheckAnswer(os.Getenv, func(a *firstrun.Answers) { a.Camera = s.camera }); err != nil {
				return usage("--camera %s: %w", s.camera, err)
			}
		}
		s.Say("Camera: %s\n", s.camera)
		return s.showCamera(ctx, 1)
	}
	if s.Silent() && s.old != nil {
		s.answers.Camera, s.answers.Clip = s.answers.Before.Camera()
		s.Say("Camera: %s\n", s.answers.Camera)
		return s.showCamera(ctx, 1)
	}
	all, err := s.cameras(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("no camera is found: plug one in and say `doorbelld setup` again, or name one with --camera PATH; `doorbelld devices` says why a node would not be taken")
	}
	pick := 1
	for i, c := range all {
		s.Say("\n %d  %s\n", i+1, c.words)
		s.answers.Camera = c.path
		if s.answers.SameCamera() {
			pick = i + 1
		}
		if err := s.showCamera(ctx, i+1); err != nil {
			return err
		}
	}
	if s.Silent() && len(all) > 1 {
		return usage("there are %d cameras: say which with --camera PATH", len(all))
	}
	answer, err := s.Ask(ctx, ask.Question{Text: "Which one", Default: strconv.Itoa(pick), Flag: "camera", Check: func(text string) error {
		if n, err := strconv.Atoi(text); err != nil || n < 1 || n > len(all) {
			return fmt.Errorf("a number from 1 to %d", len(all))
		}
		return nil
	}})
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(answer)
	if err != nil {
		return err
	}
	s.answers.Camera = all[n-1].path
	return nil
}

// showCamera shows the nth camera, which is the answer so far. Without a picture, as
// of one that the running daemon has, the questions go on, unless a file of it was
// asked for.
func (s *firstRun) showCamera(ctx context.Context, n int) error {
	err := s.look(ctx, s.setupOf(s.inSight()), n)
	if err == nil || s.still != "" || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	s.Say("    no picture: %v\n", err)
	return nil
}

// A choice is a camera that can be taken.
type choice struct{ path, words string }

// cameras lists those that can be taken: what `devices` lists, and a camera module
// where a program for one is installed.
func (s *firstRun) cameras(ctx context.Context) (found []choice, err error) {
	all, err := listDevices(ctx, s.eye, s.errOut, "")
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if l.Fault == link.NoFault {
			found = append(found, choice{l.Device, fmt.Sprintf("%s (%s), %s %s", l.Name, l.Device, strings.ToUpper(l.Choice.Encoding.String()), size(*l.Choice))})
		}
	}
	if _, err := exec.LookPath("rpicam-vid"); err == nil {
		found = append(found, choice{firstrun.Module, "a camera module on the ribbon cable"})
	}
	return found, nil
}

// setupOf gives what an eye is told to show what of the camera may be looked at.
func (s *firstRun) setupOf(everything bool, zones []event.Zone) link.Setup {
	v := link.Setup{Source: link.V4L2, Path: s.answers.Camera, Everything: everything, Zones: zones, Smallest: config.DefaultSmallest}
	switch {
	case s.answers.Clip:
		v.Source, v.FPS = link.ClipFile, 10
	case s.answers.Camera == firstrun.Module:
		v.Source, v.Path = link.Rpicam, ""
	}
	return v
}

// inSight gives what of the camera may be looked at, as far as that is answered; else
// what the configuration says of the same camera; else all of it: until somebody has
// said more, whose camera it is sees what it sees.
func (s *firstRun) inSight() (everything bool, zones []event.Zone) {
	if a := s.answers; a.Everything || len(a.Zones) > 0 {
		return a.Everything, a.Zones
	}
	if s.answers.SameCamera() {
		return s.old.Everything, s.old.Zones
	}
	return true, nil
}

// look shows a still of the nth camera, as far as this terminal can, and keeps it if
// that was asked for. It is removed otherwise.
func (s *firstRun) look(ctx context.Context, setup link.Setup, n int) (err error) {
	onTerminal := isTerminal(s.out) && !s.Silent()
	if !onTerminal && s.still == "" {
		return nil
	}
	p, err := takeStill(ctx, s.eye, setup, s.errOut)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	if p.Fault != link.NoFault {
		return stillFault(setup, p.Fault)
	}
	if onTerminal {
		if err := p.draw(ctx, s.out); err != nil {
			return err
		}
	}
	if s.still == "" || n == 0 {
		return nil
	}
	path := s.still
	if ext := filepath.Ext(path); n > 1 {
		path = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), n, ext)
	}
	if err := p.keep(path); err != nil {
		return err
	}
	s.Say("A picture of it is in %s: look at it, and remove it.\n", path)
	return nil
}

func (s *firstRun) askDevice(ctx context.Context) (err error) {
	s.head("Name", "The doorbell's name is a part of its MQTT topics: doorbelld/NAME/…")
	name := "front-door"
	if s.old != nil {
		name = s.old.Device
	}
	s.answers.Device, err = s.Ask(ctx, ask.Question{Text: "Name", Default: name, Flag: "device", Given: s.flag("device", s.device), Check: func(text string) error {
		return firstrun.CheckAnswer(os.Getenv, func(a *firstrun.Answers) { a.Device = text })
	}})
	return err
}

// settleZones answers what may be looked at where nobody is to be asked, and comes
// before anything looks. It has no default: absent never means all.
func (s *firstRun) settleZones(context.Context) error {
	switch {
	case s.everything && len(s.zones) > 0:
		return usage("--everything and --zone do not go together")
	case s.everything:
		s.answers.Everything = true
	case len(s.zones) > 0:
		zones, err := s.readZones(s.zones)
		if err != nil {
			return usage("--zone: %w", err)
		}
		s.answers.Zones = zones
	case s.Silent() && s.old != nil:
		s.answers.Everything, s.answers.Zones = s.old.Everything, s.old.Zones
	case s.Silent():
		return usage("what may be looked at has no default: say --zone 'path=10,40 60,100' (%s) or --everything", firstrun.ZoneForms)
	}
	return nil
}

// askZones asks what may be looked at, if that is not settled.
func (s *firstRun) askZones(ctx context.Context) error {
	s.head("Zones", "Which parts of the picture may be looked at. All else is made black before anything\nlooks: leave out the street, the neighbour's windows, and what else is not yours.")
	if s.answers.Everything {
		s.Say("All of the picture may be looked at.\n")
		return nil
	}
	for _, z := range s.answers.Zones {
		s.Say("Zone %s: %d corners\n", z.Name, len(z.Polygon))
	}
	if len(s.answers.Zones) > 0 {
		return nil
	}
	keep := ""
	if s.old != nil {
		keep = ", or keep for those of now"
	}
	s.Say("Write %s;\none zone a line, an empty line at the end. Or write everything%s.\n", firstrun.ZoneForms, keep)
	for {
		if err := s.typeZones(ctx); err != nil {
			return err
		}
		if s.answers.Everything || !isTerminal(s.out) {
			return nil
		}
		if err := s.look(ctx, s.setupOf(s.inSight()), 0); err != nil {
			s.Say("  no picture of it: %v\n", err)
		}
		if yes, err := s.Confirm(ctx, "Is that right? What is black is never looked at", true); err != nil || yes {
			return err
		}
	}
}

// typeZones reads zones line by line until they are sound.
func (s *firstRun) typeZones(ctx context.Context) error {
	s.answers.Zones = nil
	for {
		text, err := s.Ask(ctx, ask.Question{Text: fmt.Sprintf("Zone %d", len(s.answers.Zones)+1), Flag: "zone", Optional: len(s.answers.Zones) > 0, Check: func(text string) error {
			if text == event.Everything && len(s.answers.Zones) == 0 || text == "keep" && s.old != nil {
				return nil
			}
			zone, err := firstrun.ParseZone(text)
			if err != nil {
				return err
			}
			return firstrun.CheckAnswer(os.Getenv, func(a *firstrun.Answers) {
				a.Everything, a.Zones = false, append(s.answers.Zones[:len(s.answers.Zones):len(s.answers.Zones)], zone)
			})
		}})
		switch {
		case err != nil:
			return err
		case text == "":
			return nil
		case text == event.Everything:
			s.answers.Everything = true
			return nil
		case text == "keep":
			s.answers.Everything, s.answers.Zones = s.old.Everything, s.old.Zones
			return nil
		}
		zone, err := firstrun.ParseZone(text)
		if err != nil {
			return err
		}
		s.answers.Zones = append(s.answers.Zones, zone)
	}
}

func (s *firstRun) readZones(texts []string) (zones []event.Zone, err error) {
	for _, text := range texts {
		zone, err := firstrun.ParseZone(text)
		if err != nil {
			return nil, err
		}
		zones = append(zones, zone)
	}
	return zones, firstrun.CheckAnswer(os.Getenv, func(a *firstrun.Answers) { a.Everything, a.Zones = false, zones })
}

// Where a broker of this machine's listens, and how long it may take to say so.
const (
	usualBroker = "127.0.0.1:1883"
	dialTime    = time.Second
)

// askBroker finds a broker and tests it with a real connection.
func (s *firstRun) askBroker(ctx context.Context) error {
	s.head("Broker", "Messages go by MQTT. doorbelld has a broker of its own for programs on this machine\n(embedded); or name yours, where Home Assistant or Node-RED listens.")
	def := firstrun.Embedded
	if c, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "tcp", usualBroker); err == nil {
		c.Close()
		if s.old == nil || !s.old.Broker.Embedded { // else that may be our own
			def = "mqtt://" + usualBroker
			s.Say("A broker listens on this machine already: %s\n", def)
		}
	}
	if s.old != nil && !s.old.Broker.Embedded {
		def = s.old.Broker.URL
	}
	for {
		url, err := s.Ask(ctx, ask.Question{Text: "embedded, or the address", Default: def, Flag: "broker", Given: s.flag("broker", s.broker), Check: func(text string) error {
			return firstrun.CheckAnswer(os.Getenv, func(a *firstrun.Answers) { a.Broker.URL = text })
		}})
		if err != nil {
			return err
		}
		s.answers.Broker, s.secret = firstrun.Broker{URL: url}, ""
		if url == firstrun.Embedded {
			err = s.embedded(ctx)
		} else {
			err = s.account(ctx)
		}
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if s.Silent() || s.given("broker") || errors.Is(err, ask.ErrOver) {
			return err
		}
		s.Say("  %v\n", err)
	}
}

// embedded looks whether the embedded broker can listen, and elsewhere if its place is
// taken.
func (s *firstRun) embedded(ctx context.Context) error {
	b := &s.answers.Broker
	if s.given("listen") {
		b.Listen = s.listen
	}
	if s.old != nil && s.old.Broker.Embedded {
		now := s.old.Broker.Listen.String()
		if b.Listen == "" && now != usualBroker {
			b.Listen = now
		}
		if b.Listen == "" || b.Listen == now {
			return nil // what listens there is the daemon of now
		}
	}
	err := s.tryBroker(ctx)
	if err == nil || b.Listen != "" || ctx.Err() != nil {
		return err
	}
	b.Listen = "127.0.0.1:1884"
	if s.tryBroker(ctx) != nil {
		return err
	}
	s.Say("Another program has port 1883, so it will listen on %s.\n", b.Listen)
	return nil
}

// account asks how doorbelld presents itself to a broker of the user's, and presents
// it.
func (s *firstRun) account(ctx context.Context) (err error) {
	b := &s.answers.Broker
	if s.caFile != "" {
		if b.CAFile, err = filepath.Abs(s.caFile); err != nil {
			return err
		}
	} else if s.sameBroker() {
		b.CAFile = s.old.Broker.CAFile
	}
	b.Username, err = s.Ask(ctx, ask.Question{Text: "User name there (empty for none)", Default: s.oldUser(), Flag: "broker-user", Given: s.flag("broker-user", s.user), Optional: true})
	if err != nil || b.Username == "" {
		if err == nil {
			err = s.tryBroker(ctx)
		}
		return err
	}
	switch {
	case s.passwordFile != "":
		if b.PasswordFile, err = filepath.Abs(s.passwordFile); err != nil {
			return err
		}
		return s.tryBroker(ctx)
	case s.Silent() && s.sameBroker() && s.old.Broker.Username == b.Username && s.old.Broker.PasswordFile != "":
		b.PasswordFile = s.old.Broker.PasswordFile
		return s.tryBroker(ctx)
	case s.Silent():
		return usage("--broker-user needs --broker-password-file FILE: a password is not given on the command line")
	}
	if s.secret, err = s.Secret(ctx, "Password there"); err != nil {
		return err
	}
	folder, err := memoryFolder("doorbelld-setup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	b.PasswordFile = filepath.Join(folder, "password")
	if err := os.WriteFile(b.PasswordFile, []byte(s.secret+"\n"), 0o600); err != nil {
		return err
	}
	err = s.tryBroker(ctx)
	b.PasswordFile = filepath.Join(filepath.Dir(s.path), "broker.password")
	return err
}

// sameBroker reports whether the broker that was answered is that of the configuration
// that is there. What goes with one is not shown to another.
func (s *firstRun) sameBroker() bool {
	return s.answers.Before.SameBroker(s.answers.Broker.URL, os.Getenv)
}

func (s *firstRun) oldUser() string {
	if !s.sameBroker() {
		return ""
	}
	return s.old.Broker.Username
}

// tryBroker connects as the daemon would, or listens as it would.
func (s *firstRun) tryBroker(ctx context.Context) error {
	a := firstrun.Answers{Device: s.answers.Device, Camera: firstrun.Module, Everything: true, Broker: s.answers.Broker, State: "/var/lib/doorbelld", Runtime: "/run/doorbelld", Before: s.answers.Before}
	_, cfg, err := firstrun.Config(a, s.path, os.Getenv)
	if err != nil {
		return err
	}
	words, err := checkBroker(ctx, cfg)
	if err == nil {
		s.Say("Tried: %s.\n", words)
	}
	return err
}

func (s *firstRun) askButton(ctx context.Context) (err error) {
	s.head("Button", "A push button between a GPIO line and ground rings, even while the camera is away.\nSee docs/hardware.md. Without one, `doorbelld ring` rings.")
	def := ""
	if s.old != nil && s.old.Button != nil {
		if def = s.old.Button.Pin.Name; def == "" {
			def = strconv.Itoa(s.old.Button.Pin.Number)
		}
	}
	s.answers.Button, err = s.Ask(ctx, ask.Question{Text: "GPIO line of the button (none for none)", Default: def, Flag: "button", Given: s.flag("button", s.button), Optional: true, Check: func(text string) error {
		if text == "none" {
			return nil
		}
		return firstrun.CheckAnswer(os.Getenv, func(a *firstrun.Answers) { a.Button, a.Before = text, s.answers.Before })
	}})
	if s.answers.Button == "none" {
		s.answers.Button = ""
	}
	return err
}

func (s *firstRun) askOwner(ctx context.Context) (err error) {
	s.head("Owner", "Who may grant and take back, on this machine: root, and one more user if you like.\nWithout one, each such command needs sudo.")
	def := ""
	if _, err := user.Lookup(os.Getenv("SUDO_USER")); err == nil && !s.Silent() {
		def = os.Getenv("SUDO_USER")
	}
	if s.old != nil {
		def = s.old.Access.Owner
	}
	s.answers.Owner, err = s.Ask(ctx, ask.Question{Text: "User (none for root alone)", Default: def, Flag: "owner", Given: s.flag("owner", s.owner), Optional: true, Check: func(text string) error {
		if text == "none" {
			return nil
		}
		if _, err := user.Lookup(text); err != nil {
			return fmt.Errorf("this machine knows no user %q", text)
		}
		return firstrun.CheckAnswer(os.Getenv, func(a *firstrun.Answers) { a.Owner = text })
	}})
	if s.answers.Owner == "none" {
		s.answers.Owner = ""
	}
	return err
}

// askModel asks whether the network is to be downloaded, if it is not there.
func (s *firstRun) askModel(ctx context.Context) error {
	if s.pullModel || s.Silent() || s.noStart {
		return nil
	}
	m, ok := model.Of(model.Fast)
	if !ok {
		return nil
	}
	s.head("Model", "Without a neural network what moves is motion. With one, persons, animals and vehicles\nare told apart, on this machine. It belongs to others and is downloaded from them.")
	yes, err := s.Confirm(ctx, fmt.Sprintf("Download %s (%s, %s) afterwards?", m.Name, megabytes(sizeOf(m.Files)), m.Licence), false)
	s.pullModel = yes
	return err
}

// askRecipient asks whom to tell, and proposes grants one by one.
func (s *firstRun) askRecipient(ctx context.Context) (err error) {
	if s.old != nil && s.old.Home != nil {
		s.answers.Home = s.old.Home.Recipient
	}
	if s.noStart {
		return nil
	}
	s.head("Who is told", "A recipient is somebody or something that can be granted something, such as Home\nAssistant. Being known it is told nothing.")
	def := "home"
	if s.Silent() {
		def = ""
	}
	s.to, err = s.Ask(ctx, ask.Question{Text: "Name of a first recipient, a program of yours (none for nobody)", Default: def, Flag: "recipient", Given: s.flag("recipient", s.recipient), Optional: true, Check: func(text string) error {
		return consent.CheckName(text)
	}})
	if err != nil || s.to == "" || s.to == "none" {
		s.to = strings.TrimPrefix(s.to, "none")
		return err
	}
	here := s.home || s.answers.Home == s.to
	if !s.home {
		if here, err = s.Confirm(ctx, "Is that Home Assistant? It then finds what it is granted by itself", here); err != nil {
			return err
		}
	}
	switch {
	case here:
		s.answers.Home = s.to
	case s.answers.Home == s.to:
		s.answers.Home = ""
	}
	zones := []string{event.Everything}
	if !s.answers.Everything {
		zones = nil
		for _, z := range s.answers.Zones {
			zones = append(zones, z.Name)
		}
	}
	now := time.Now()
	if len(s.grants) > 0 || s.Silent() {
		for _, text := range s.grants {
			c, l, err := firstrun.ParseWish(text)
			if err != nil {
				return usage("--grant: %w", err)
			}
			s.wishes = append(s.wishes, firstrunWish{firstrun.Draft(s.to, c, l, zones, now)})
		}
		return nil
	}
	s.Say("\nWhat may it be told? Each is off unless you say y, and can be taken back at any moment.\n")
	for _, d := range firstrun.Proposals(s.to, zones, now) {
		yes, err := s.Confirm(ctx, firstrun.Sentence(d, now)+"?", false)
		if err != nil {
			return err
		}
		if yes {
			s.wishes = append(s.wishes, firstrunWish{d})
		}
	}
	return nil
}
