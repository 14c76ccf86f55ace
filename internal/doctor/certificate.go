package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"
)

// soonOver is how long before its end a certificate is spoken of.
const soonOver = 30 * 24 * time.Hour

// Certificate says how long the certificates in the file at name are good; what
// says which they are.
func (m *Machine) Certificate(what, name string, now time.Time) Finding {
	text, err := m.read(name)
	if err != nil {
		return Finding{TLS, Failed, what + " cannot be read", "`doorbelld check` says which file it is"}
	}
	var all []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Finding{TLS, Failed, what + " is damaged", "put the right file there, in the form PEM"}
		}
		all = append(all, c)
	}
	return Valid(what, all, now)
}

// Valid says how long certificates are good: as long as the first of them to end.
func Valid(what string, all []*x509.Certificate, now time.Time) Finding {
	if len(all) == 0 {
		return Finding{TLS, Failed, what + " holds no certificate", "put the right file there, in the form PEM"}
	}
	from, to := all[0].NotBefore, all[0].NotAfter
	for _, c := range all[1:] {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(to) {
			to = c.NotAfter
		}
	}
	text := fmt.Sprintf("%s is good until %s", what, to.UTC().Format("2 January 2006"))
	switch {
	case now.Before(from):
		return Finding{TLS, Failed, fmt.Sprintf("%s is good only from %s on", what, from.UTC().Format("2 January 2006")), "look at the clock of this machine"}
	case now.After(to):
		return Finding{TLS, Failed, fmt.Sprintf("%s has ended on %s", what, to.UTC().Format("2 January 2006")), "have it renewed; until then nothing is sent"}
	case to.Sub(now) < soonOver:
		return Finding{TLS, Warning, text, "have it renewed before that; nothing is sent after it"}
	}
	return Finding{TLS, OK, text, ""}
}
