// Package pull puts the files of models into a folder: from their official
// addresses, or from a folder on this machine. It is the only part of doorbelld
// that fetches anything, and it does so only when it is called.
//
// What is installed is exactly what is pinned: a file has its name only after all
// of it is on the disk and its SHA-256 was found right. Until then it is NAME.part,
// which the next try goes on with. Only https is spoken, also after a redirect;
// a proxy is taken from the environment (HTTPS_PROXY, NO_PROXY).
package pull

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"doorbelld/internal/model"
)

// A Puller installs files into one folder. Its fields are not changed while it
// works.
type Puller struct {
	// Folder is where files go. It is made if it is not there, readable by
	// everybody: the part that sees is nobody.
	Folder string

	// Progress is told how much of a download there is, in bytes, as it grows.
	// It may be nil.
	Progress func(have int64)

	roots *x509.CertPool // who may vouch for a server; nil: whom the system trusts
	stall time.Duration  // 0: stallTime
}

// ErrBusy says that another program is installing the same file.
var ErrBusy = errors.New("another program is installing it")

// Fetch downloads f. What an earlier try left is gone on with, if the server still
// has the same file. An error that wraps [model.ErrDamaged] says that the server
// has another file than the pinned one, of which nothing is kept. After any other
// error another try may go on where this one stopped.
func (p *Puller) Fetch(ctx context.Context, f model.File) error {
	part, err := openPart(p.Folder, f)
	if err != nil {
		return err
	}
	defer part.close()

	have, err := part.size()
	if err != nil {
		return err
	}
	if have > 0 {
		err := p.download(ctx, part, have)
		if err == nil {
			err = part.install()
		}
		if !errors.Is(err, errNotTheRest) && !errors.Is(err, model.ErrDamaged) {
			return err
		}
	}
	if err := p.download(ctx, part, 0); err != nil {
		return err
	}
	if err := part.install(); err != nil {
		return fmt.Errorf("%s: %w", f.URL, err)
	}
	return nil
}

// Copy installs f out of another folder, if it is the pinned file there.
func (p *Puller) Copy(f model.File, from string) error {
	content, err := f.Read(from)
	if errors.Is(err, model.ErrMissing) {
		return fmt.Errorf("there is no %s in %s", f.Name, from)
	}
	if err != nil {
		return err
	}
	part, err := openPart(p.Folder, f)
	if err != nil {
		return err
	}
	defer part.close()
	if err := part.restart(); err != nil {
		return err
	}
	if _, err := part.Write(content); err != nil {
		return err
	}
	return part.install()
}
