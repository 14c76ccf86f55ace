package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorbelld/internal/model"
)

// Bounds on what the file may ask for.
const (
	minFPS, maxFPS       = 1, 60
	minWidth, maxWidth   = 160, 4096 // pixels; detection looks at 160
	minHeight, maxHeight = 90, 4096
	maxUsername          = 256 // bytes
	maxControls          = 64
	// Of camera modules.
	maxShutter = 200_000_000 // microseconds; the longest that any sensor has
	maxGain    = 64
	maxEV      = 10
	// The kernel allows a socket's path 107 bytes; this leaves 17 for its name.
	maxRuntime = 90
	// Of what may wait for the broker.
	minMessages, maxMessages = 10, 100_000
	minBytes, maxBytes       = 64 << 10, 64 << 20
)

var (
	controlPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,63}$`)
	accountPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)
	namePattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
	hostPattern    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`)
)

// config reads the topmost section. Each section asks for all of its keys
// before it looks at any, so that they are known whatever is wrong.
func (r *reader) config(top *section, around surroundings) *Config {
	device, camera, zones := top.take("device"), top.take("camera"), top.take("zones")
	motion, detect := top.take("motion"), top.take("detect")
	button, broker, state, runtime, log := top.take("button"), top.take("broker"), top.take("state"), top.take("runtime"), top.take("log")
	access, outbox := top.take("access"), top.take("outbox")
	home, history := top.take("home_assistant"), top.take("history")
	top.close()

	c := &Config{}
	c.Device = readName(device, "a name for this doorbell, such as front-door")
	device.required("give this doorbell a name, such as `device: front-door`; it stands in its topics")
	camera.required("say what is watched, with camera.source")
	c.Camera = readCamera(camera.section())
	zones.required("list the zones that may be looked at, or say `zones: everything`")
	c.Zones, c.Everything = readZones(zones)
	c.Motion = readMotion(motion.section())
	c.Detect = readDetect(detect.section())
	c.Button = readButton(button)
	c.Broker = readBroker(broker.section())
	c.Outbox = readOutbox(outbox.section())
	c.Home = readHomeAssistant(home)
	c.Access = readAccess(access.section())
	c.History = readHistory(history)
	c.State = readFolder(state, around.state())
	c.Runtime = readFolder(runtime, around.runtime())
	c.Models = readModels(detect, around, c.State)
	c.Log = readLog(log.section())

	if len(c.Runtime) > maxRuntime {
		runtime.fault("is %s, %d bytes long; a socket in it needs a folder of at most %d", quoted(c.Runtime), len(c.Runtime), maxRuntime)
	}
	if c.State != "" && c.Runtime != "" && within(c.Runtime, c.State) {
		state.fault("lies in the runtime folder %s, which is emptied when the machine stops; choose another", c.Runtime)
	}
	// Both are hidden from the program that sees, which may read the models.
	for _, folder := range []string{c.State, c.Runtime} {
		if c.Models != "" && folder != "" && within(c.Models, folder) {
			detect.fault("looks for models in %s, the folder of $%s, but %s in it must be hidden from the part which sees the camera; give models a folder of their own", c.Models, ModelsVariable, folder)
		}
		if seen := c.Camera.path(); seen != "" && folder != "" && within(folder, seen) {
			camera.fault("watches %s, but %s is a folder that the part which sees the camera must not look into; move one of them", seen, folder)
		}
	}
	return c
}

// readName reads what a topic or a message can carry as it is.
func readName(v value, want string) string {
	name, ok := v.str(want)
	if ok && !namePattern.MatchString(name) {
		v.fault("is %s; want 1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit", quoted(name))
		return ""
	}
	return name
}

func readCamera(s *section) Camera {
	source, fps, size := s.take("source"), s.take("fps"), s.take("size")
	device, format, controls := s.take("device"), s.take("format"), s.take("controls")
	rotation, hflip, vflip := s.take("rotation"), s.take("hflip"), s.take("vflip")
	exposure, shutter, gain, ev := s.take("exposure"), s.take("shutter"), s.take("gain"), s.take("ev")
	clip, pace, loop := s.take("clip"), s.take("pace"), s.take("loop")
	s.close()

	source.required("say `source: v4l2` for a camera, `source: rpicam` for a Raspberry Pi camera module, or `source: clip` for a video file")
	kind := source.word("", "v4l2", "rpicam", "clip") // while it is not known, all keys are welcome
	goes := func(with string, keys ...*value) {
		kinds := strings.Fields(with)
		why := fmt.Sprintf("goes with `source: %s`, but the source is %s; take the line out, or change the source", strings.Join(kinds, "` or `source: "), kind)
		for _, v := range keys {
			*v = v.only(kind == "" || slices.Contains(kinds, kind), why)
		}
	}
	goes("v4l2", &device, &format, &controls)
	goes("v4l2 rpicam", &size)
	goes("rpicam", &rotation, &hflip, &vflip, &exposure, &shutter, &gain, &ev)
	goes("clip", &clip, &pace, &loop)

	width, height := readSize(size)
	rate := 0.0
	if !fps.is("auto") || kind == "clip" { // a clip's rate is ours to choose
		rate = fps.number(minFPS, maxFPS, 0)
	}
	camera := &V4L2{Device: readDevice(device), Format: readFormat(format), Width: width, Height: height, FPS: rate, Controls: readControls(controls.section())}
	module := &Rpicam{
		Width: width, Height: height, FPS: rate,
		Rotation: int(rotation.number(0, 180, 0)), HFlip: hflip.yes(), VFlip: vflip.yes(),
		Exposure: exposure.word("normal", "normal", "sport"), Shutter: time.Duration(shutter.number(0, maxShutter, 0)) * time.Microsecond,
		Gain: gain.number(0, maxGain, 0), EV: ev.number(-maxEV, maxEV, 0),
	}
	if module.Rotation != 0 && module.Rotation != 180 {
		rotation.fault("is %d; want 0 or 180, which is all that a camera module can do", module.Rotation)
	}
	video := &Clip{Path: clip.file(), FPS: rate, RealTime: pace.word("real", "real", "fast") == "real", Loop: loop.yes()}
	if !fps.present() {
		video.FPS = defaultClipFPS
	}
	switch kind {
	case "v4l2":
		device.required("say which camera, such as `device: /dev/video0`; `doorbelld devices` lists them")
		return Camera{V4L2: camera}
	case "rpicam":
		return Camera{Rpicam: module}
	case "clip":
		clip.required("say which video file, such as `clip: porch.mp4`")
		return Camera{Clip: video}
	}
	return Camera{}
}

// path gives what is watched.
func (c Camera) path() string {
	switch {
	case c.V4L2 != nil:
		return c.V4L2.Device
	case c.Clip != nil:
		return c.Clip.Path
	}
	return ""
}

func readDevice(v value) string {
	path, ok := v.str("the path of a camera")
	if ok && !filepath.IsAbs(path) {
		v.fault("is %s; want the whole path of a camera, such as /dev/video0 or one in /dev/v4l/by-id", quoted(path))
		return ""
	}
	if !ok {
		return ""
	}
	return filepath.Clean(path)
}

func readFormat(v value) Format {
	switch v.word("auto", "auto", "mjpeg", "yuyv") {
	case "mjpeg":
		return MJPEG
	case "yuyv":
		return YUYV
	}
	return Auto
}

// readSize gives 0, 0 for auto.
func readSize(v value) (width, height int) {
	s, ok := v.str("a size such as 1280x720, or auto")
	if !ok || s == "auto" {
		return 0, 0
	}
	w, h, _ := strings.Cut(s, "x")
	width, errW := strconv.Atoi(w)
	height, errH := strconv.Atoi(h)
	switch {
	case errW != nil || errH != nil:
		v.fault("is %s; want WIDTHxHEIGHT in pixels, such as 1280x720, or auto", quoted(s))
	case width < minWidth || width > maxWidth || height < minHeight || height > maxHeight:
		v.fault("is %s; want from %dx%d to %dx%d", quoted(s), minWidth, minHeight, maxWidth, maxHeight)
	}
	return width, height
}

// readControls takes any names: only the camera knows which it has.
func readControls(s *section) (all []Control) {
	for _, v := range s.inOrder() {
		name := v.path
		v.path = join(s.path, name)
		v.what = v.path
		if !controlPattern.MatchString(name) {
			s.r.fault(v.key, "%s is no name of a control; want small letters, digits and _, as `doorbelld devices` lists them", quoted(name))
			continue
		}
		if text, ok := v.setting(); ok {
			all = append(all, Control{name, text})
		}
	}
	if len(all) > maxControls {
		s.fault("are %d; want %d at the most", len(all), maxControls)
	}
	return all
}

func readMotion(s *section) Motion {
	smallest := s.take("smallest")
	s.close()
	return Motion{Smallest: smallest.number(MinSmallest, MaxSmallest, DefaultSmallest)}
}

func readDetect(s *section) Detect {
	kind := s.take("model")
	s.close()
	var words []string
	for _, k := range model.Kinds() {
		words = append(words, k.String())
	}
	word := kind.word(defaultModel.String(), words...)
	return Detect{model.Kinds()[slices.Index(words, word)]}
}

func readBroker(s *section) Broker {
	where, listen := s.take("url"), s.take("listen")
	username, password := s.take("username"), s.take("password_file")
	authority, name := s.take("ca_file"), s.take("server_name")
	certificate, key := s.take("certificate_file"), s.take("key_file")
	s.close()

	const embedded = "embedded"
	url, ok := brokerURL{text: embedded}, true
	if where.present() {
		url, ok = readURL(where)
	}
	ours := url.text == embedded
	if ok {
		listen = listen.only(ours, "goes with `url: embedded`, but the broker is one of yours; take the line out, or change the url")
		for _, v := range []*value{&username, &password, &authority, &name} {
			*v = v.only(!ours, "goes with a broker of yours, but the url is embedded; take the line out, or say `url: mqtt://HOST`")
		}
		for _, v := range []*value{&authority, &name, &certificate, &key} {
			*v = v.only(ours || url.sealed, "is for TLS, but the url is "+url.scheme+"://, which is not encrypted; say "+url.scheme+"s:// there, or take the line out")
		}
	}
	b := Broker{
		Username: readUsername(username), PasswordFile: password.file(),
		CAFile: authority.file(), CertificateFile: certificate.file(), KeyFile: key.file(), ServerName: readServerName(name),
	}
	if password.present() && !username.present() {
		password.fault("needs a broker.username beside it")
	}
	if certificate.present() && !key.present() {
		certificate.fault("needs a broker.key_file beside it")
	}
	if key.present() && !certificate.present() {
		key.fault("needs a broker.certificate_file beside it")
	}
	if ours {
		b.Embedded, b.Listen = true, readListen(listen, certificate.present() && key.present())
	} else {
		b.URL, b.Address = url.text, url.address
		readListen(listen, true)
	}
	return b
}

// A brokerURL is where a broker of the user's is.
type brokerURL struct {
	text    string // with all that may be left out: mqtts://host:8883
	scheme  string
	address string // host:port
	sealed  bool   // by TLS
}

// A scheme is one way to speak to a broker.
type scheme struct {
	name   string
	port   int  // if the URL has none
	sealed bool // by TLS
}

var schemes = []scheme{{"mqtt", 1883, false}, {"mqtts", 8883, true}, {"ws", 80, false}, {"wss", 443, true}}

// defaultPath is where most brokers speak MQTT over WebSocket.
const defaultPath = "/mqtt"

// readURL reads where the broker is; "embedded" has nothing but its text. No fault
// quotes the URL: people put passwords into them.
func readURL(v value) (b brokerURL, ok bool) {
	const want = "embedded, or mqtt://HOST or mqtt://HOST:PORT; with TLS mqtts://, over WebSocket ws:// or wss://"
	s, ok := v.str(want)
	if !ok || s == "embedded" {
		return brokerURL{text: s}, ok
	}
	if strings.Contains(s, "@") {
		v.fault("holds a user name or a password; say broker.username, and put the password alone into a file that broker.password_file names")
		return b, false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		v.fault("is not understood; want %s", want)
		return b, false
	}
	i := slices.IndexFunc(schemes, func(x scheme) bool { return x.name == u.Scheme })
	if i < 0 {
		v.fault("begins with %s://, which is not supported; want %s", u.Scheme, want)
		return b, false
	}
	path := ""
	if strings.HasPrefix(u.Scheme, "ws") {
		path = cmp.Or(u.EscapedPath(), defaultPath)
	} else if strings.Trim(u.Path, "/") != "" {
		v.fault("goes on after the host and port; want %s", want)
		return b, false
	}
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		v.fault("goes on after the host and port; want %s", want)
		return b, false
	case !isHost(u.Hostname()):
		v.fault("does not name a host; want %s", want)
		return b, false
	}
	port := schemes[i].port
	if p := u.Port(); p != "" {
		port, err = strconv.Atoi(p)
	}
	if err != nil || port < 1 || port > 65535 {
		v.fault("has a port that is not in 1 to 65535; most brokers use 1883, with TLS 8883")
		return b, false
	}
	b = brokerURL{scheme: u.Scheme, sealed: schemes[i].sealed, address: joinHostPort(u.Hostname(), port)}
	b.text = u.Scheme + "://" + b.address + path
	return b, true
}

// readServerName reads the name that the broker's certificate is to be for.
func readServerName(v value) string {
	s, ok := v.str("the name or the IP address in the broker's certificate")
	if ok && !isHost(s) {
		v.fault("is %s; want the name or the IP address in the broker's certificate, such as broker.lan", quoted(s))
		return ""
	}
	return s
}

// isHost accepts names of hosts and IP addresses.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return len(s) <= 253 && hostPattern.MatchString(s)
}

func joinHostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}

// readListen reads where the embedded broker listens; sealed tells whether it does so
// with TLS.
func readListen(v value, sealed bool) netip.AddrPort {
	const want = "an IP address and a port, such as 127.0.0.1:1883"
	s := defaultListen
	if v.present() {
		var ok bool
		if s, ok = v.str(want); !ok {
			return netip.AddrPort{}
		}
	}
	a, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		v.fault("is %s; want %s", quoted(s), want)
	case a.Addr().Is4In6() || a.Addr().Zone() != "":
		v.fault("is %s; want %s", quoted(s), want)
	case !a.Addr().IsLoopback() && !sealed:
		v.fault("is %s, which other machines can reach; that needs TLS: say broker.certificate_file and broker.key_file, or listen at 127.0.0.1", quoted(s))
	}
	return a
}

func readOutbox(s *section) Outbox {
	ring, other, messages, bytes := s.take("ring"), s.take("other"), s.take("messages"), s.take("bytes")
	s.close()
	most := messages.number(minMessages, maxMessages, 0)
	if most != math.Trunc(most) {
		messages.fault("is no whole number")
	}
	return Outbox{
		Ring:     ring.duration(time.Second, time.Hour, 0),
		Other:    other.duration(time.Second, 24*time.Hour, 0),
		Messages: int(most),
		Bytes:    bytes.size(minBytes, maxBytes),
	}
}

func readUsername(v value) string {
	s, ok := v.str("a user name")
	if ok && len(s) > maxUsername {
		v.fault("is longer than %d bytes", maxUsername)
	}
	return s
}

func readAccess(s *section) Access {
	owner, group, household := s.take("owner"), s.take("owner_group"), s.take("household_group")
	s.close()
	a := Access{Owner: readAccount(owner), OwnerGroup: readAccount(group), HouseholdGroup: readAccount(household)}
	if a.Owner == "nobody" {
		owner.fault("is nobody, who is not told from users whom the kernel does not name; want another user")
	}
	return a
}

// readAccount reads the name of a user or a group. Whether there is one is not asked
// here; it may be made later.
func readAccount(v value) string {
	name, ok := v.str("a name that this machine knows")
	if ok && !accountPattern.MatchString(name) {
		v.fault("is %s; want the name of a user or a group, not its number", quoted(name))
		return ""
	}
	return name
}

func readLog(s *section) Log {
	level := s.take("level")
	s.close()
	switch level.word(defaultLevel, "debug", "info", "warn", "error") {
	case "debug":
		return Log{slog.LevelDebug}
	case "warn":
		return Log{slog.LevelWarn}
	case "error":
		return Log{slog.LevelError}
	}
	return Log{slog.LevelInfo}
}
