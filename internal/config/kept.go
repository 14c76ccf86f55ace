package config

import (
	"crypto/tls"
	"sync"
	"time"
)

// rereadEvery is how often the files of a certificate are read again at the most.
const rereadEvery = time.Minute

// keptCertificate is the embedded broker's certificate, read again now and then. One
// that cannot be read any more is used on as it was: half of it may be new.
type keptCertificate struct {
	broker Broker

	mu   sync.Mutex
	last *tls.Certificate // guarded by mu; never changed, only replaced
	read time.Time        // guarded by mu
}

func (k *keptCertificate) get(now time.Time) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last != nil && now.Sub(k.read) < rereadEvery {
		return k.last, nil
	}
	pair, err := k.broker.certificate()
	if err != nil && k.last == nil {
		return nil, err
	}
	if err == nil {
		k.last = &pair
	}
	k.read = now
	return k.last, nil
}
