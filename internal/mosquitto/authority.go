package mosquitto

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority signs certificates for one test. Its files are in a folder of the
// test's.
type Authority struct {
	tb     testing.TB
	dir    string
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	issued int64
}

// NewAuthority makes an authority.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, dir: tb.TempDir()}
	a.key = a.newKey()
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority of the tests"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.sign("ca.crt", a.cert, &a.key.PublicKey)
	return a
}

// CAFile gives the path of its own certificate.
func (a *Authority) CAFile() string { return filepath.Join(a.dir, "ca.crt") }

// Issue gives the paths of a certificate and its key, mode 0600, for the hosts, names
// or IP addresses, valid from one time from now to another.
func (a *Authority) Issue(from, to time.Duration, hosts ...string) (certificate, key string) {
	a.tb.Helper()
	a.issued++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1 + a.issued), Subject: pkix.Name{CommonName: "a leaf of the tests"},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	private := a.newKey()
	name := c.SerialNumber.String()
	certificate = a.sign(name+".crt", c, &private.PublicKey)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.tb.Fatal(err)
	}
	return certificate, a.write(name+".key", "PRIVATE KEY", der)
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	a.tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatal(err)
	}
	return k
}

func (a *Authority) sign(name string, c *x509.Certificate, public *ecdsa.PublicKey) string {
	a.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, public, a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return a.write(name, "CERTIFICATE", der)
}

func (a *Authority) write(name, kind string, der []byte) string {
	a.tb.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.tb.Fatal(err)
	}
	return path
}
