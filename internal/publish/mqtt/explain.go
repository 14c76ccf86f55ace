package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"doorbelld/internal/publish"
)

// explain says what a failed connection means for whoever has to mend it. The same
// fault always has the same words: it is spoken of once.
func explain(err error, t target, seal *tls.Config) error {
	if text := explainTLS(err, seal); text != nil {
		return text
	}
	var op *net.OpError
	switch {
	case errors.Is(err, publish.ErrRefused):
		return err
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return fmt.Errorf("%w: check the user name and the password", publish.ErrRefused)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %v: check the address, and that an MQTT broker listens there", connectTime)
	case hungUp(err) && !t.sealed:
		return errors.New("it hung up at once: check that an MQTT broker listens there, and whether it wants TLS (mqtts://)")
	case hungUp(err):
		return errors.New("it hung up as soon as TLS stood: it may want a certificate of ours (broker.certificate_file), or not take the one it got")
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%w: check the address, and that the broker runs", op.Err)
	}
	return err
}

// A handshakeError is why TLS did not come about.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// hungUp reports whether the broker ended the connection without a word.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explainTLS gives nil for what has nothing to do with TLS.
func explainTLS(err error, seal *tls.Config) error {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
		plain   tls.RecordHeaderError
		op      *net.OpError
		shaking *handshakeError
	)
	switch {
	case errors.As(err, &plain), errors.As(err, &shaking) && hungUp(err):
		return errors.New("what answers there does not speak TLS: check the port (most brokers have TLS at 8883), or that the broker has TLS at all")
	case errors.As(err, &unknown) && seal != nil && seal.RootCAs != nil:
		return errors.New("its certificate is not signed by the authority in broker.ca_file: is that the right file, or has the broker another certificate now?")
	case errors.As(err, &unknown):
		return errors.New("its certificate is signed by nobody whom this machine trusts: name the certificate of your own authority in broker.ca_file")
	case errors.As(err, &name):
		return fmt.Errorf("its certificate is for %s and not for %q: write what it is for in broker.url, or as broker.server_name", names(name.Certificate), shorten(name.Host))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return explainTimes(invalid.Cert, time.Now())
	case errors.As(err, &invalid):
		return fmt.Errorf("its certificate is not valid: %w", invalid)
	case errors.As(err, &op) && op.Op == "remote error":
		return explainAlert(op.Err.Error(), seal)
	}
	return nil
}

func explainTimes(c *x509.Certificate, now time.Time) error {
	const to = "2 January 2006 15:04 UTC"
	if now.Before(c.NotBefore) {
		return fmt.Errorf("a certificate of the broker's is valid from %s only: is the clock of this machine right?", c.NotBefore.UTC().Format(to))
	}
	return fmt.Errorf("a certificate of the broker's expired on %s: renew it at the broker (and see that the clock of this machine is right)", c.NotAfter.UTC().Format(to))
}

// explainAlert says what the broker has against us. What it has against a certificate
// does not change by trying again.
func explainAlert(alert string, seal *tls.Config) error {
	switch {
	case strings.Contains(alert, "protocol version"):
		return errors.New("it speaks no TLS of version 1.2 or later: bring the broker up to date")
	case seal != nil && len(seal.Certificates) > 0:
		return fmt.Errorf("%w: it does not take the certificate in broker.certificate_file (%s): is it signed by the authority that the broker trusts, and not expired?", publish.ErrRefused, alert)
	case strings.Contains(alert, "certificate"), strings.Contains(alert, "handshake failure"):
		return fmt.Errorf("%w: it wants a certificate of ours (%s): name one in broker.certificate_file, with its broker.key_file", publish.ErrRefused, alert)
	}
	return fmt.Errorf("the broker ended TLS: %s", alert)
}

// names lists whom a certificate is for, a few of them.
func names(c *x509.Certificate) string {
	var all []string
	if c != nil {
		for _, n := range c.DNSNames {
			all = append(all, fmt.Sprintf("%q", shorten(n)))
		}
		for _, ip := range c.IPAddresses {
			all = append(all, ip.String())
		}
	}
	const most = 5
	switch {
	case len(all) == 0:
		return "nobody (it names no host)"
	case len(all) > most:
		all = append(all[:most], "others")
	}
	return strings.Join(all, ", ")
}

// shorten keeps a stranger's words from filling the log.
func shorten(s string) string {
	const longest = 64
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
