package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/config"
	"doorbelld/internal/doctor"
	"doorbelld/internal/gate"
	"doorbelld/internal/publish"
)

// A report can be put where everybody reads it: whatever names people gave to
// things, none of them is in it.
func TestDoctorTellsNoNames(t *testing.T) {
	for round := range 20 {
		random := rand.New(rand.NewPCG(uint64(round), 7))
		var names []string
		name := func() string {
			b := []byte("q")
			for range 9 {
				b = append(b, "bcdfghjkmnpqrstvwxz"[random.IntN(19)])
			}
			names = append(names, string(b))
			return string(b)
		}
		base := filepath.Join(t.TempDir(), name())
		machine := map[string]string{
			"proc/device-tree/model":               name(),
			"proc/sys/kernel/osrelease":            "6.1.0-" + name(),
			"proc/sys/kernel/hostname":             name(),
			"etc/hostname":                         name(),
			"etc/os-release":                       "ID=debian\nVERSION_ID=" + name() + "\nVERSION_CODENAME=" + name() + "\nPRETTY_NAME=" + name(),
			"etc/passwd":                           name() + ":x:0:0:" + name() + ":/home/" + name() + ":/bin/sh\n",
			"etc/group":                            name() + ":x:44:" + name() + "\n",
			"proc/self/mountinfo":                  "20 1 179:2 / /" + " rw - ext4 /dev/" + name() + " rw\n",
			"sys/class/thermal/thermal_zone0/type": name(),
			"proc/7/cmdline":                       "doorbelld\x00run\x00--config\x00/home/" + name(),
			"run/systemd/system/" + name():         "",
		}
		for path, text := range machine {
			put(t, filepath.Join(base, "root", path), text)
		}
		if err := os.Symlink("/home/"+name()+"/doorbelld (deleted)", filepath.Join(base, "root/proc/7/exe")); err != nil {
			t.Fatal(err)
		}
		zone, sound := name(), round%4 != 0
		text := fmt.Sprintf("device: %s\nzones: [{name: %s, polygon: [[0,0],[1,0],[1,1]]}]\nstate: %s\nruntime: %s\naccess: {owner: %s, household_group: %s}\n",
			name(), zone, name(), name(), name(), name())
		switch round % 3 {
		case 0:
			text += fmt.Sprintf("camera: {source: v4l2, device: /dev/v4l/by-id/%s}\nbutton: {chip: %s, line: %s}\n", name(), name(), name())
		case 1:
			text += fmt.Sprintf("camera: {source: clip, clip: %s.avi}\n", name())
		case 2:
			text += fmt.Sprintf("camera: {source: v4l2, device: /dev/%s}\ndetect: {model: careful}\n", name())
		}
		if round%2 == 0 {
			text += fmt.Sprintf("broker: {url: 'mqtt://127.0.0.1:1', username: %s, password_file: %s}\n", name(), name())
		} else {
			text += "broker: {listen: '127.0.0.1:0'}\n"
		}
		if !sound {
			text += name() + ": " + name() + "\n"
		}
		path := filepath.Join(base, name()+".yaml")
		put(t, path, text)

		g := &globals{config: path}
		f := doctorFlags{eye: eyeFlags{program: "/bin/false"}, span: time.Millisecond, root: filepath.Join(base, "root")}
		all, err := g.examine(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) < 10 {
			t.Fatalf("only %d findings: %+v", len(all), all)
		}
		var words strings.Builder
		if err := printFindings(&words, all); err != nil {
			t.Fatal(err)
		}
		programs, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if strings.Contains(words.String(), n) || strings.Contains(string(programs), n) {
				t.Errorf("round %d tells the name %s:\n%s", round, n, words.String())
			}
		}
		for _, x := range all {
			if x.State >= doctor.Warning && x.Do == "" {
				t.Errorf("%+v: and what is to be done?", x)
			}
		}
		if sound != !strings.Contains(words.String(), "faults: 1, the first in line") {
			t.Errorf("round %d: sound %v\n%s", round, sound, words.String())
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// Errors of a connection are told by their kind.
func TestBrokerWords(t *testing.T) {
	const host = "annas-broker"
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("broker %s: %w: check", host, publish.ErrRefused), "it refuses"},
		{fmt.Errorf("broker %s: %w", host, &net.DNSError{Name: host, Err: "no such host"}), "its name is not known"},
		{fmt.Errorf("broker %s: %w", host, syscall.ECONNREFUSED), "nobody listens there"},
		{fmt.Errorf("broker %s: %w", host, syscall.EHOSTUNREACH), "no network leads there"},
		{fmt.Errorf("broker %s: %w", host, syscall.EADDRINUSE), "another program has the port"},
		{fmt.Errorf("broker %s: %w", host, os.ErrPermission), "may not be read"},
		{fmt.Errorf("broker %s: %w", host, os.ErrNotExist), "is not there"},
		{fmt.Errorf("broker %s: no answer within 10s: check the address", host), "does not answer in time"},
		{fmt.Errorf("broker %s: %w", host, os.ErrDeadlineExceeded), "does not answer in time"},
		{fmt.Errorf("broker %s: its certificate is for %q and not for %q", host, host, host), "TLS does not come about"},
		{errors.New(host), "the connection fails"},
	} {
		if got := brokerWords(c.err); !strings.Contains(got, c.want) || strings.Contains(got, host) {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// The rate is that of the frames' own news, not of how often the daemon is asked.
func TestFramesRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ask := func(context.Context) (gate.Status, error) {
			seconds := int(time.Since(began)/time.Second) + 40
			return gate.Status{Eye: gate.EyeStatus{Frames: uint64(8 * seconds)}}, nil
		}
		if rate, ok := framesRate(t.Context(), ask, 5*time.Second); !ok || rate < 7.9 || rate > 8.1 {
			t.Errorf("%v, %v; want 8", rate, ok)
		}
		still := func(context.Context) (gate.Status, error) { return gate.Status{}, nil }
		if rate, ok := framesRate(t.Context(), still, 5*time.Second); ok {
			t.Errorf("no frames, and %v", rate)
		}
		gone := func(context.Context) (gate.Status, error) { return gate.Status{}, errors.New("gone") }
		if _, ok := framesRate(t.Context(), gone, 5*time.Second); ok {
			t.Error("a rate of a daemon that is gone")
		}
	})
}

// What TLS needs is looked at with its dates, and so is what the broker shows.
func TestDoctorTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, Subject: pkix.Name{CommonName: "annas-broker"},
	}
	der, err := x509.CreateCertificate(crand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // the client's errors are what is looked at
			conn.Close()
		}
	}()
	defer func() {
		l.Close()
		<-served
	}()
	put(t, filepath.Join(dir, "c.yaml"), fmt.Sprintf("device: porch\nzones: everything\ncamera: {source: clip, clip: x}\nstate: s\nruntime: r\n"+
		"broker: {url: 'mqtts://%s', ca_file: ca.pem}\n", l.Addr()))
	cfg, err := config.Load(filepath.Join(dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := doctor.Open("/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e := &examination{machine: m, cfg: cfg}
	e.certificates(t.Context())
	if len(e.all) != 2 || e.all[0].State != doctor.Warning || e.all[1].State != doctor.Warning ||
		!strings.HasPrefix(e.all[0].Text, "the authority in broker.ca_file is good until ") || !strings.HasPrefix(e.all[1].Text, "the broker's certificate is good until ") {
		t.Errorf("%+v", e.all)
	}
	if strings.Contains(fmt.Sprint(e.all), "anna") {
		t.Errorf("a name is told: %+v", e.all)
	}
	// One that is not encrypted is spoken of, if it is not on this machine.
	cfg.Broker.URL, cfg.Broker.Address, cfg.Broker.CAFile = "mqtt://192.0.2.1:1883", "192.0.2.1:1883", ""
	e.all = nil
	if e.certificates(t.Context()); len(e.all) != 1 || e.all[0].State != doctor.Warning || !strings.Contains(e.all[0].Text, "not encrypted") {
		t.Errorf("%+v", e.all)
	}
}

// Two programs of one package have one build ID, its commit; two of other packages, or
// one that was built by hand, have not.
func TestDoctorComparesBuilds(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	dir := t.TempDir()
	put(t, filepath.Join(dir, "go.mod"), "module eye\n")
	put(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() {}\n")
	ids := map[string]string{}
	for name, flags := range map[string]string{"one": "-s -w -B 0x" + commit, "none": "-B none"} {
		path := filepath.Join(dir, name)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", flags, "-o", path, ".")
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		ids[name] = buildID(path)
	}
	if ids["one"] != commit || ids["none"] != "" || buildID(filepath.Join(dir, "main.go")) != "" {
		t.Errorf("the build IDs are %q", ids)
	}
	for _, tt := range []struct {
		ours, theirs string
		want         doctor.State
	}{
		{commit, commit, doctor.OK},
		{commit, "76543210fedcba9876543210fedcba9876543210", doctor.Failed},
		{commit, "", doctor.Unknown},
		{noCommit, commit, doctor.Unknown},
		{noCommit, noCommit, doctor.Unknown},
	} {
		if got := ofOneBuild(build{"1.2.3", tt.ours}, build{"another", tt.theirs}); got.State != tt.want {
			t.Errorf("%q and %q: %v", tt.ours, tt.theirs, got)
		}
	}
}
