package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

const maxPEM = 1 << 20 // bytes; the authorities of a whole system are less

// sealed reports whether the way to a broker of the user's is TLS.
func (b Broker) sealed() bool {
	return strings.HasPrefix(b.URL, "mqtts:") || strings.HasPrefix(b.URL, "wss:")
}

// ClientTLS reads the files for the way to a broker of the user's; nil if that is not
// TLS. They are read at each call, so that a certificate which was renewed counts.
func (b Broker) ClientTLS() (*tls.Config, error) {
	if !b.sealed() {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: b.ServerName}
	if c.ServerName == "" {
		host, _, err := net.SplitHostPort(b.Address)
		if err != nil {
			return nil, fmt.Errorf("broker %s: %w", b.Address, err)
		}
		c.ServerName = host
	}
	if b.CAFile != "" {
		text, err := readPEM("broker.ca_file", b.CAFile, 0)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("broker.ca_file: there is no certificate in %s; want one that begins with -----BEGIN CERTIFICATE-----", b.CAFile)
		}
	}
	if b.CertificateFile != "" {
		own, err := b.certificate()
		if err != nil {
			return nil, err
		}
		if err := current(b.CertificateFile, own.Leaf); err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

// ServerTLS reads the files with which the embedded broker proves itself; nil if it
// listens without TLS. Files that change are read again, at most once a minute: one
// that was renewed counts for the next client.
func (b Broker) ServerTLS() (*tls.Config, error) {
	if !b.Embedded || b.CertificateFile == "" {
		return nil, nil
	}
	k := &keptCertificate{broker: b}
	if _, err := k.get(time.Now()); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.get(time.Now()) },
	}, nil
}

// OwnTLS trusts the embedded broker's certificate and no other, for a program of ours
// that listens there as others do; nil if it listens without TLS.
func (b Broker) OwnTLS() (*tls.Config, error) {
	if !b.Embedded || b.CertificateFile == "" {
		return nil, nil
	}
	own, err := b.certificate()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(own.Leaf)
	switch {
	case len(own.Leaf.DNSNames) > 0:
		c.ServerName = strings.Replace(own.Leaf.DNSNames[0], "*", "any", 1)
	case len(own.Leaf.IPAddresses) > 0:
		c.ServerName = own.Leaf.IPAddresses[0].String()
	default:
		return nil, fmt.Errorf("broker.certificate_file: the certificate in %s names no host, so no client can be sure of it", b.CertificateFile)
	}
	return c, nil
}

// Warnings says what is allowed and should be known: a password that everybody on
// the way can read, a certificate that is over.
func (b Broker) Warnings() []string {
	var all []string
	if !b.Embedded && !b.sealed() && !onThisMachine(b.Address) {
		what := "what is granted goes"
		if b.PasswordFile != "" {
			what = "the password and what is granted go"
		}
		all = append(all, fmt.Sprintf("%s to the broker at %s unencrypted: whoever is on that network can read them; say mqtts:// in broker.url if the broker has TLS", what, b.Address))
	}
	if b.Embedded && b.CertificateFile != "" {
		own, err := b.certificate()
		if err == nil {
			err = current(b.CertificateFile, own.Leaf)
		}
		if err != nil {
			all = append(all, err.Error())
		}
	}
	return all
}

// onThisMachine reports whether address is certain to be this machine's.
func onThisMachine(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (b Broker) certificate() (tls.Certificate, error) {
	text, err := readPEM("broker.certificate_file", b.CertificateFile, 0)
	if err != nil {
		return tls.Certificate{}, err
	}
	// A group may read it: that is how Debian keeps keys for several programs.
	key, err := readPEM("broker.key_file", b.KeyFile, 0o007)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(text, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("broker.certificate_file %s and broker.key_file %s: %w", b.CertificateFile, b.KeyFile, err)
	}
	return pair, nil
}

// current says that a certificate of ours is over, or not valid yet.
func current(path string, c *x509.Certificate) error {
	switch now := time.Now(); {
	case now.After(c.NotAfter):
		return fmt.Errorf("broker.certificate_file: the certificate in %s expired on %s: renew it", path, c.NotAfter.UTC().Format("2 January 2006 15:04 UTC"))
	case now.Before(c.NotBefore):
		return fmt.Errorf("broker.certificate_file: the certificate in %s is valid from %s only: is the clock of this machine right?", path, c.NotBefore.UTC().Format("2 January 2006 15:04 UTC"))
	}
	return nil
}

// readPEM reads a file of certificates or keys; forbidden are the permissions that it
// must not have. No error holds any of its text.
func readPEM(key, path string, forbidden os.FileMode) ([]byte, error) {
	// Without O_NONBLOCK a pipe of that name would stop the program here.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", key, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %s is not a file", key, path)
	case info.Mode().Perm()&forbidden != 0:
		return nil, fmt.Errorf("%s: every user of this machine may use %s (mode %#o); run: chmod 600 %[2]s", key, path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%s: %s is longer than 1 MiB; is it the right file?", key, path)
	}
	return text, nil
}
