package config

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/mosquitto"
)

const day = 24 * time.Hour

// TestTLSFiles: each fault of a file is one line with the key and the path, and
// nothing that stands in a key is in it.
func TestTLSFiles(t *testing.T) {
	a := mosquitto.NewAuthority(t)
	certificate, key := a.Issue(-day, day)
	_, otherKey := a.Issue(-day, day)
	old, oldKey := a.Issue(-2*day, -day)
	early, earlyKey := a.Issue(day, 2*day)
	dir := t.TempDir()
	letter := filepath.Join(dir, "letter")
	if err := os.WriteFile(letter, []byte("dear neighbour"), 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, make([]byte, maxPEM+1), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open.key")
	if err := os.WriteFile(open, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	group := filepath.Join(dir, "group.key")
	if err := os.WriteFile(group, text, 0o640); err != nil {
		t.Fatal(err)
	}
	base := Broker{URL: "mqtts://broker.lan:8883", Address: "broker.lan:8883"}
	for name, tc := range map[string]struct {
		change func(*Broker)
		words  []string // none: sound
	}{
		"no files":             {func(*Broker) {}, nil},
		"an authority":         {func(b *Broker) { b.CAFile = a.CAFile() }, nil},
		"a certificate":        {func(b *Broker) { b.CertificateFile, b.KeyFile = certificate, key }, nil},
		"a key of a group":     {func(b *Broker) { b.CertificateFile, b.KeyFile = certificate, group }, nil},
		"a missing authority":  {func(b *Broker) { b.CAFile = filepath.Join(dir, "no") }, []string{"broker.ca_file", "no such file"}},
		"no authority in it":   {func(b *Broker) { b.CAFile = letter }, []string{"broker.ca_file", letter, "BEGIN CERTIFICATE"}},
		"a folder":             {func(b *Broker) { b.CAFile = dir }, []string{"broker.ca_file", "not a file"}},
		"too long":             {func(b *Broker) { b.CAFile = huge }, []string{"broker.ca_file", huge, "1 MiB"}},
		"a key for everybody":  {func(b *Broker) { b.CertificateFile, b.KeyFile = certificate, open }, []string{"broker.key_file", open, "0644", "chmod 600"}},
		"another key":          {func(b *Broker) { b.CertificateFile, b.KeyFile = certificate, otherKey }, []string{"broker.certificate_file", certificate, otherKey, "does not match"}},
		"an expired one":       {func(b *Broker) { b.CertificateFile, b.KeyFile = old, oldKey }, []string{"broker.certificate_file", "expired on", "renew"}},
		"one of the future":    {func(b *Broker) { b.CertificateFile, b.KeyFile = early, earlyKey }, []string{"broker.certificate_file", "valid from", "clock"}},
		"a letter for a key":   {func(b *Broker) { b.CertificateFile, b.KeyFile = certificate, letter }, []string{"broker.key_file", letter}},
		"no certificate in it": {func(b *Broker) { b.CertificateFile, b.KeyFile = letter, key }, []string{"broker.certificate_file", letter}},
	} {
		t.Run(name, func(t *testing.T) {
			b := base
			tc.change(&b)
			c, err := b.ClientTLS()
			if len(tc.words) == 0 {
				if err != nil || c.ServerName != "broker.lan" || c.InsecureSkipVerify {
					t.Errorf("%+v, %v", c, err)
				}
				return
			}
			if err == nil {
				t.Fatal("no fault is found")
			}
			for _, w := range append(tc.words, "") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not speak of %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "neighbour") || strings.Contains(err.Error(), "\n") {
				t.Errorf("tells what is in a file, or is more than a line: %q", err)
			}
		})
	}
	b := base
	b.ServerName = "other.lan"
	if c, err := b.ClientTLS(); err != nil || c.ServerName != "other.lan" {
		t.Errorf("with a server name: %+v, %v", c, err)
	}
	if c, err := (Broker{URL: "mqtt://h:1883", Address: "h:1883"}).ClientTLS(); c != nil || err != nil {
		t.Errorf("without TLS: %+v, %v", c, err)
	}
}

func TestWarnings(t *testing.T) {
	a := mosquitto.NewAuthority(t)
	old, key := a.Issue(-2*day, -day)
	for name, tc := range map[string]struct {
		b    Broker
		want string // "": none
	}{
		"loopback":         {Broker{URL: "mqtt://127.0.0.1:1883", Address: "127.0.0.1:1883", PasswordFile: "/p"}, ""},
		"localhost":        {Broker{URL: "ws://localhost:80/mqtt", Address: "localhost:80", PasswordFile: "/p"}, ""},
		"a password":       {Broker{URL: "mqtt://broker.lan:1883", Address: "broker.lan:1883", PasswordFile: "/p"}, "the password and what is granted go"},
		"over a WebSocket": {Broker{URL: "ws://10.0.0.1:80/mqtt", Address: "10.0.0.1:80", PasswordFile: "/p"}, "the password and what is granted go"},
		"no password":      {Broker{URL: "mqtt://broker.lan:1883", Address: "broker.lan:1883"}, "what is granted goes"},
		"sealed":           {Broker{URL: "mqtts://broker.lan:8883", Address: "broker.lan:8883", PasswordFile: "/p"}, ""},
		"sealed WebSocket": {Broker{URL: "wss://broker.lan:443/mqtt", Address: "broker.lan:443", PasswordFile: "/p"}, ""},
		"embedded":         {Broker{Embedded: true}, ""},
		"embedded, over":   {Broker{Embedded: true, CertificateFile: old, KeyFile: key}, "expired on"},
	} {
		all := tc.b.Warnings()
		if tc.want == "" && len(all) > 0 || tc.want != "" && (len(all) != 1 || !strings.Contains(all[0], tc.want)) {
			t.Errorf("%s: %q", name, all)
		}
	}
}

// TestCertificateIsReadAgain: a renewed one counts, half of a new one does not.
func TestCertificateIsReadAgain(t *testing.T) {
	a := mosquitto.NewAuthority(t)
	certificate, key := a.Issue(-day, day)
	next, nextKey := a.Issue(-day, 2*day)
	k := &keptCertificate{broker: Broker{Embedded: true, CertificateFile: certificate, KeyFile: key}}
	now := time.Now()
	first, err := k.get(now)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(to, from string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	replace(certificate, next)
	if c, err := k.get(now.Add(2 * time.Minute)); err != nil || c != first {
		t.Errorf("half of a pair: %v, %v", c, err)
	}
	replace(key, nextKey)
	if c, err := k.get(now.Add(2*time.Minute + time.Second)); err != nil || c != first {
		t.Errorf("read again at once: %v, %v", c, err)
	}
	if c, err := k.get(now.Add(4 * time.Minute)); err != nil || c.Leaf.SerialNumber.Cmp(first.Leaf.SerialNumber) == 0 {
		t.Errorf("not renewed: %v", err)
	}
}

// A program of ours that listens at the embedded broker takes its certificate, and no
// other of the same authority.
func TestOwnTLS(t *testing.T) {
	a := mosquitto.NewAuthority(t)
	other, otherKey := a.Issue(-day, day, "front.lan", "*.lan", "127.0.0.1")
	for _, host := range []string{"front.lan", "*.lan", "127.0.0.1", "::1"} {
		certificate, key := a.Issue(-day, day, host)
		b := Broker{Embedded: true, CertificateFile: certificate, KeyFile: key}
		if err := shake(t, b, b); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if err := shake(t, b, Broker{Embedded: true, CertificateFile: other, KeyFile: otherKey}); err == nil {
			t.Errorf("%s: another one is taken", host)
		}
	}
	certificate, key := a.Issue(-day, day)
	if _, err := (Broker{Embedded: true, CertificateFile: certificate, KeyFile: key}).OwnTLS(); err == nil || !strings.Contains(err.Error(), "names no host") {
		t.Errorf("for no host: %v", err)
	}
	if c, err := (Broker{Embedded: true}).OwnTLS(); c != nil || err != nil {
		t.Errorf("without TLS: %+v, %v", c, err)
	}
}

// shake has a client of one broker's own shake hands with the other broker.
func shake(t *testing.T, own, other Broker) error {
	t.Helper()
	theirs, err := other.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := own.OwnTLS()
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", theirs)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		c, err := l.Accept()
		if err != nil {
			return // nobody came
		}
		defer c.Close()
		_ = c.(*tls.Conn).Handshake() // the client tells what came of it
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), ours)
	if err == nil {
		c.Close()
	}
	l.Close()
	<-over
	return err
}
