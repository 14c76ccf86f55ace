package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/gate"

	"golang.org/x/sys/unix"
)

// ErrNotRunning: no daemon answers. It comes wrapped with where it was looked for
// and what to do.
var ErrNotRunning = errors.New("the daemon is not running")

const (
	clientTime = answerTime + 5*time.Second // for one answer: longer than a daemon takes
	maxAnswer  = 4 << 20                    // bytes
	againTime  = 20 * time.Millisecond      // between two tries to get into a full queue
)

// A Client asks the daemon. What the daemon does not do is an *Error; that nobody
// is there to ask is ErrNotRunning. It is safe for use by several goroutines, and
// there is nothing to close: each call makes a connection of its own.
type Client struct{ http http.Client }

// NewClient gives a client for the daemon whose socket is at path, which must be
// absolute. Nothing is dialled yet.
func NewClient(path string) *Client {
	return &Client{http.Client{
		Timeout: clientTime,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
		},
	}}
}

// dial says in words why there is no connection. Where so many others wait that the kernel
// takes no more, it tries on as long as there is time for an answer.
func dial(ctx context.Context, path string) (net.Conn, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, clientTime) // an http.Client's own ends its wait, not its dialling
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	for errors.Is(err, unix.EAGAIN) {
		select {
		case <-time.After(againTime):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("too many others ask at %s: %w", path, ctx.Err())
		}
		c, err = d.DialContext(ctx, "unix", path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%w: nobody answers at %s; start it with `doorbelld run`, or ask `systemctl status doorbelld-gate`", ErrNotRunning, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{Refused, fmt.Sprintf("the socket %s is another user's: ask as root (sudo) or as the user that runs doorbelld, or see `access` in its configuration", path)}
	}
	return c, err
}

// Recipients lists the known parties by name.
func (c *Client) Recipients(ctx context.Context) ([]consent.Recipient, error) {
	return ask[[]consent.Recipient](ctx, c, "GET", "/v1/recipients", nil)
}

// AddRecipient makes a party known.
func (c *Client) AddRecipient(ctx context.Context, r consent.Recipient) error {
	return c.act(ctx, "POST", "/v1/recipients", r)
}

// RemoveRecipient forgets a party and takes back all that it was granted.
func (c *Client) RemoveRecipient(ctx context.Context, name string) (Receipts, error) {
	return ask[Receipts](ctx, c, "DELETE", "/v1/recipients", removal{name})
}

// NewPassword makes a new password for a recipient at the embedded broker, and cuts the
// old one off.
func (c *Client) NewPassword(ctx context.Context, name string) error {
	return c.act(ctx, "POST", "/v1/recipients/password", removal{name})
}

// Grants lists every grant ever given, by id.
func (c *Client) Grants(ctx context.Context) ([]Grant, error) {
	return ask[[]Grant](ctx, c, "GET", "/v1/grants", nil)
}

// AddGrant gives a grant.
func (c *Client) AddGrant(ctx context.Context, d gate.Draft) (Given, error) {
	return ask[Given](ctx, c, "POST", "/v1/grants", d)
}

// Revoke takes a grant back. When it returns nil nothing more starts under it.
func (c *Client) Revoke(ctx context.Context, id consent.GrantID) (Receipts, error) {
	return ask[Receipts](ctx, c, "POST", "/v1/grants/revoke", revocation{id})
}

// Confirm lets a grant that came out of a backup act again.
func (c *Client) Confirm(ctx context.Context, id consent.GrantID) (Given, error) {
	return ask[Given](ctx, c, "POST", "/v1/grants/confirm", revocation{id})
}

// Receipt signs what is on record about a grant, as it stands now.
func (c *Client) Receipt(ctx context.Context, id consent.GrantID) (gate.Kept, error) {
	return ask[gate.Kept](ctx, c, "POST", "/v1/grants/receipt", revocation{id})
}

// Try gives what a grant would have told, and gives nothing to anybody.
func (c *Client) Try(ctx context.Context, d gate.Draft) (gate.Trial, error) {
	return ask[gate.Trial](ctx, c, "POST", "/v1/grants/try", d)
}

// Simulate is Try for a whole policy.
func (c *Client) Simulate(ctx context.Context, p gate.Proposal) (gate.Trial, error) {
	return ask[gate.Trial](ctx, c, "POST", "/v1/simulate", p)
}

// patient is a client for what may take long.
func (c *Client) patient() *Client {
	p := *c
	p.http.Timeout = exportTime
	return &p
}

// Report tells what is on record from a moment up to another.
func (c *Client) Report(ctx context.Context, from, to time.Time) (gate.Report, error) {
	return ask[gate.Report](ctx, c.patient(), "POST", "/v1/report", span{from, to})
}

// Pause denies everything for d, in whole seconds, or until Resume if d is zero.
// It gives the pause in force, which is a longer one if that ran already.
func (c *Client) Pause(ctx context.Context, d time.Duration) (Paused, error) {
	return ask[Paused](ctx, c, "POST", "/v1/pause", pause{int64(d / time.Second)})
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context) error { return c.act(ctx, "POST", "/v1/resume", nil) }

// Ring rings as the button would, and says who is told. It is refused when the
// bell rings too often.
func (c *Client) Ring(ctx context.Context) (Rung, error) {
	return ask[Rung](ctx, c, "POST", "/v1/ring", nil)
}

// ConfirmClock vouches for the daemon's clock until the next boot, and gives what
// was vouched for.
func (c *Client) ConfirmClock(ctx context.Context) (gate.ClockStatus, error) {
	return ask[gate.ClockStatus](ctx, c, "POST", "/v1/clock/confirm", nil)
}

// WhoSees says who is told what.
func (c *Client) WhoSees(ctx context.Context) (WhoSees, error) {
	return ask[WhoSees](ctx, c, "GET", "/v1/who-sees", nil)
}

// Status tells how the device is.
func (c *Client) Status(ctx context.Context) (gate.Status, error) {
	return ask[gate.Status](ctx, c, "GET", "/v1/status", nil)
}

// act asks for something that has no answer but that it was done.
func (c *Client) act(ctx context.Context, method, path string, body any) error {
	_, err := c.do(ctx, method, path, body)
	return err
}

// ask asks for a T.
func ask[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var v T
	answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		return v, fmt.Errorf("the daemon's answer is not understood: %w", err)
	}
	return v, nil
}

// do gives the body of the answer.
func (c *Client) do(ctx context.Context, method, path string, body any) ([]byte, error) {
	var sent io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("writing the request: %w", err)
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://doorbelld"+path, sent)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, unasked(err)
	}
	defer response.Body.Close()
	return answered(response)
}

// answered reads an answer.
func answered(response *http.Response) ([]byte, error) {
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the daemon's answer: %w", err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the daemon's answer is longer than %d bytes", maxAnswer)
	case response.StatusCode < 300:
		return answer, nil
	}
	var failed Error
	if err := json.Unmarshal(answer, &failed); err != nil || failed.Text == "" {
		return nil, fmt.Errorf("the daemon answers with status %d", response.StatusCode)
	}
	return nil, &failed
}

// unasked takes off an error of the HTTP client what names a URL that no user
// ever wrote.
func unasked(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var told *Error
	if errors.Is(err, ErrNotRunning) || errors.As(err, &told) {
		return err
	}
	return fmt.Errorf("asking the daemon: %w", err)
}
