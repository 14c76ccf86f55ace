package pull

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Bounds on a server.
const (
	connectTime  = 20 * time.Second // to connect, and again for TLS
	stallTime    = 30 * time.Second // from one byte to the next
	maxRedirects = 5
	maxHeader    = 64 << 10 // bytes
)

// errNotTheRest says that the server did not give what comes after what we have.
var errNotTheRest = errors.New("the server has not the rest of this file")

// errStalled says that nothing came for a while.
var errStalled = errors.New("nothing came any more")

// download appends to part, which has so many bytes, what the server has of the
// rest; at the most one byte more than there should be, which install finds.
// A server that sends the whole file instead makes it start over.
func (p *Puller) download(ctx context.Context, part *part, have int64) error {
	f := part.of
	if have == f.Size {
		return nil
	}
	if have == 0 {
		if err := part.restart(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return fmt.Errorf("download %s: %w", f.URL, err)
	}
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	client := p.client()
	defer client.CloseIdleConnections()
	stall := p.stall
	if stall == 0 {
		stall = stallTime
	}
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("%w for %v", errStalled, stall)) })
	defer watch.Stop()

	answer, err := client.Do(request)
	if err != nil {
		if wordy := (*url.Error)(nil); errors.As(err, &wordy) {
			err = wordy.Err // without the address, which may be another's by now
		}
		return cause(ctx, "download "+f.URL, err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		if have > 0 {
			have = 0
			if err := part.restart(); err != nil {
				return err
			}
		}
	case http.StatusPartialContent:
		if have == 0 || answer.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", have, f.Size-1, f.Size) {
			return errNotTheRest
		}
	case http.StatusRequestedRangeNotSatisfiable:
		return errNotTheRest
	default:
		return fmt.Errorf("download %s: the server says %s", f.URL, answer.Status)
	}

	body := io.LimitReader(answer.Body, f.Size-have+1)
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		watch.Reset(stall)
		if _, werr := part.Write(buffer[:n]); werr != nil {
			return werr
		}
		have += int64(n)
		if p.Progress != nil {
			p.Progress(have)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return cause(ctx, fmt.Sprintf("download %s: cut off after %d of %d bytes", f.URL, have, f.Size), err)
		}
	}
}

// cause says why ctx was cancelled, if that is what err comes from.
func cause(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// client speaks https, to servers and proxies that answer in time.
func (p *Puller) client() *http.Client {
	return &http.Client{
		Transport: secure{&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: connectTime}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    connectTime,
			DisableCompression:     true, // what is measured and resumed is the file itself
			MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2:      true,
		}},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("redirected more than %d times", maxRedirects)
			}
			return nil
		},
	}
}

// secure lets no request through that is not https: neither the first, nor what
// a redirect makes of it.
type secure struct{ *http.Transport }

func (s secure) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s is not https", (&url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host}).String())
	}
	return s.Transport.RoundTrip(r)
}
