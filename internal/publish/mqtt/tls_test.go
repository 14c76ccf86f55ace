package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"doorbelld/internal/mosquitto"
	"doorbelld/internal/publish"
)

const day = 24 * time.Hour

// trust gives the TLS of a client that trusts a.
func trust(t *testing.T, a *mosquitto.Authority, name string) func() (*tls.Config, error) {
	t.Helper()
	text, err := os.ReadFile(a.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatal("no certificate")
	}
	return func() (*tls.Config, error) {
		return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: pool}, nil
	}
}

// with adds a certificate of ours.
func with(t *testing.T, ask func() (*tls.Config, error), certificate, key string) func() (*tls.Config, error) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return func() (*tls.Config, error) {
		c, err := ask()
		c.Certificates = []tls.Certificate{pair}
		return c, err
	}
}

// TestEveryWay lets a session live over each way to a broker, which is mosquitto; a
// bridge of the test's stands before it where the way is a WebSocket, as many do.
func TestEveryWay(t *testing.T) {
	a := mosquitto.NewAuthority(t)
	certificate, key := a.Issue(-day, day, "127.0.0.1")
	for _, way := range []string{"mqtt", "mqtts", "ws", "wss"} {
		t.Run(way, func(t *testing.T) {
			var mo mosquitto.Options
			if way == "mqtts" {
				mo.CertificateFile, mo.KeyFile = certificate, key
			}
			m := mosquitto.Start(t, mo)
			o := options(t, m.URL())
			switch way {
			case "ws":
				o.Broker = bridge(t, m.Addr(), "", "")
			case "wss":
				o.Broker = bridge(t, m.Addr(), certificate, key)
			}
			o.TLS = trust(t, a, "127.0.0.1")
			s := connect(t, o)
			for range 3 {
				if err := s.Publish(within(t), publish.Status(device, true)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Goodbye(within(t)); err != nil {
				t.Fatal(err)
			}
			if err := s.Err(); err != nil {
				t.Error(err)
			}
			s = connect(t, o)
			m.Kill()
			<-s.Done()
			if s.Err() == nil {
				t.Error("lost, and it does not say why")
			}
		})
	}
}

// bridge gives the URL of a WebSocket server that carries MQTT to a broker, with TLS if
// there is a certificate.
func bridge(t *testing.T, to, certificate, key string) string {
	t.Helper()
	up := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		broker, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer broker.Close()
		here := &socket{Conn: ws}
		go func() {
			io.Copy(broker, here)
			broker.Close()
		}()
		buf := make([]byte, 3) // so that packets come in pieces
		io.CopyBuffer(struct{ io.Writer }{here}, struct{ io.Reader }{broker}, buf)
	}))
	t.Cleanup(func() {
		s.Close()
		s.CloseClientConnections()
	})
	scheme := "ws"
	if certificate == "" {
		s.Start()
	} else {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			t.Fatal(err)
		}
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		s.StartTLS()
		scheme = "wss"
	}
	return scheme + "://" + s.Listener.Addr().String() + "/mqtt"
}

// TestWrongTLS: each fault has one line that says what to do, and never does a byte of
// MQTT go to whom the certificate does not name.
func TestWrongTLS(t *testing.T) {
	a, other := mosquitto.NewAuthority(t), mosquitto.NewAuthority(t)
	type pair struct{ certificate, key string }
	issue := func(a *mosquitto.Authority, from, to time.Duration, hosts ...string) pair {
		c, k := a.Issue(from, to, hosts...)
		return pair{c, k}
	}
	good := issue(a, -day, day, "127.0.0.1")
	start := func(p pair, clientCA string) string {
		return mosquitto.Start(t, mosquitto.Options{CertificateFile: p.certificate, KeyFile: p.key, ClientCA: clientCA}).URL()
	}
	url, mutual := start(good, ""), start(good, a.CAFile())
	named := start(issue(a, -day, day, "broker.lan", "10.0.0.1"), "")
	old := start(issue(a, -2*day, -day, "127.0.0.1"), "")
	early := start(issue(a, day, 2*day, "127.0.0.1"), "")
	plain := mosquitto.Start(t, mosquitto.Options{})
	mine, theirs := issue(a, -day, day), issue(other, -day, day)
	trusted := trust(t, a, "127.0.0.1")
	for name, tc := range map[string]struct {
		url     string
		ask     func() (*tls.Config, error)
		refused bool
		words   []string // none: it connects
	}{
		"all is well":        {url: url, ask: trusted},
		"another name":       {url: named, ask: trust(t, a, "broker.lan")},
		"with a certificate": {url: mutual, ask: with(t, trusted, mine.certificate, mine.key)},
		"wrong authority":    {url: url, ask: trust(t, other, "127.0.0.1"), words: []string{"broker.ca_file", "not signed"}},
		"no authority": {url: url, ask: func() (*tls.Config, error) {
			return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "127.0.0.1"}, nil
		}, words: []string{"name the certificate of your own authority in broker.ca_file"}},
		"expired":                  {url: old, ask: trusted, words: []string{"expired on " + time.Now().Add(-day).UTC().Format("2 January 2006"), "renew"}},
		"not valid yet":            {url: early, ask: trusted, words: []string{"valid from " + time.Now().Add(day).UTC().Format("2 January 2006"), "clock"}},
		"wrong name":               {url: named, ask: trusted, words: []string{`"broker.lan", 10.0.0.1`, "broker.server_name"}},
		"no certificate of ours":   {url: mutual, ask: trusted, refused: true, words: []string{"broker.certificate_file"}},
		"a stranger's certificate": {url: mutual, ask: with(t, trusted, theirs.certificate, theirs.key), refused: true, words: []string{"broker.certificate_file", "authority"}},
		"no TLS there":             {url: "mqtts://" + plain.Addr(), ask: trusted, words: []string{"8883"}},
		"a file that is missing":   {url: url, ask: func() (*tls.Config, error) { return nil, errors.New("no such file") }, words: []string{"no such file"}},
		"nobody asked":             {url: url, words: []string{"whom to trust"}},
		"anybody":                  {url: url, ask: func() (*tls.Config, error) { return &tls.Config{InsecureSkipVerify: true}, nil }, words: []string{"whom to trust"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, tc.url)
			o.TLS = tc.ask
			s, err := Connect(within(t), o)
			if err == nil {
				s.Close()
			}
			if len(tc.words) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			checkText(t, err, tc.words...)
			if errors.Is(err, publish.ErrRefused) != tc.refused {
				t.Errorf("refused: %v", err)
			}
		})
	}
	t.Run("TLS where nobody wants it", func(t *testing.T) {
		_, err := Connect(within(t), options(t, strings.Replace(url, "mqtts", "mqtt", 1)))
		checkText(t, err, "mqtts://")
	})
}

// TestNothingBeforeTLS: whoever cannot prove to be the broker hears no byte of MQTT,
// neither name nor password.
func TestNothingBeforeTLS(t *testing.T) {
	a := mosquitto.NewAuthority(t)
	for _, scheme := range []string{"mqtts", "wss"} {
		heard := make(chan string, 1)
		addr := fakeBroker(t, func(c net.Conn) {
			io.WriteString(c, "\x20\x02\x00\x00\x00\x00\x00\x00\r\n\r\n")
			all, _ := io.ReadAll(c)
			heard <- string(all)
		})
		o := options(t, scheme+"://"+addr)
		o.TLS = trust(t, a, "127.0.0.1")
		if s, err := Connect(within(t), o); err == nil {
			s.Close()
			t.Fatal("connected without TLS")
		}
		if all := <-heard; strings.Contains(all, "MQTT") || strings.Contains(all, secret) || strings.Contains(all, device) {
			t.Errorf("%s: heard %q", scheme, all)
		}
	}
}

// TestHostileWebSocket: whatever a server answers is bounded, and ends the session.
func TestHostileWebSocket(t *testing.T) {
	for _, tc := range map[string]struct{ says, word string }{
		"no WebSocket":    {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"},
		"another place":   {"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "302"},
		"endless headers": {"HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("X-Y: "+strings.Repeat("z", 1000)+"\r\n", 1000), "longer than"},
		"no HTTP":         {"hello\r\n\r\n", ""},
	} {
		addr := fakeBroker(t, func(c net.Conn) {
			io.WriteString(c, tc.says)
			io.Copy(io.Discard, c)
		})
		_, err := Connect(within(t), options(t, "ws://"+addr+"/mqtt"))
		checkText(t, err, addr, tc.word)
	}
	// A WebSocket of another kind, and text on the right one.
	for word, protocols := range map[string][]string{"not for MQTT": nil, "text": {"mqtt"}} {
		up := websocket.Upgrader{Subprotocols: protocols}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ws, err := up.Upgrade(w, r, nil); err == nil {
				defer ws.Close()
				ws.WriteMessage(websocket.TextMessage, []byte{0x20, 2, 0, 0})
				io.Copy(io.Discard, ws.NetConn())
			}
		}))
		addr := server.Listener.Addr().String()
		_, err := Connect(within(t), options(t, "ws://"+addr+"/mqtt"))
		checkText(t, err, addr, word)
		server.Close()
	}
}
