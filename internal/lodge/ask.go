package lodge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/unixconn"

	"golang.org/x/sys/unix"
)

// Ask has the lodge at the socket path start an eye that is going to be told s.
// What it cannot do is an error that means to the gate what the same error of a
// launcher in its own process would.
func Ask(ctx context.Context, path string, s link.Setup) (gate.Eye, error) {
	d := net.Dialer{Timeout: askTime}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil { // not wrapped: that there is no socket does not mean that there is no camera
		return nil, fmt.Errorf("the seeing half does not answer at %s: does doorbelld-eye.socket run? (%v)", path, err)
	}
	conn := c.(*net.UnixConn)
	g, err := ask(ctx, conn, s)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return g, nil
}

func ask(ctx context.Context, conn *net.UnixConn, s link.Setup) (*guest, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(startTime)); err != nil {
		return nil, err
	}
	if err := link.WriteSetup(conn, s); err != nil {
		return nil, err
	}
	l, file, err := hear(conn)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("asking for an eye: %w", err)
	}
	if err := l.err(); err != nil {
		return nil, errors.Join(err, closed(file))
	}
	if l.How != started || file == nil {
		return nil, errors.Join(fmt.Errorf("asking for an eye: the lodge says %q and gives no link", l.How), closed(file))
	}
	if !stop() {
		return nil, errors.Join(fmt.Errorf("asking for an eye: %w", ctx.Err()), file.Close())
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	g := &guest{conn: conn, link: file, protection: l.Text}
	g.wait = sync.OnceValue(g.farewell)
	return g, nil
}

func closed(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// hear reads one line, and the file that came with it, or nil. The caller owns it.
func hear(conn *net.UnixConn) (l line, file *os.File, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, closed(file))
			file = nil
		}
	}()
	var text []byte
	buffer, rights := make([]byte, maxLine), make([]byte, unix.CmsgSpace(4))
	for {
		n, m, flags, _, err := conn.ReadMsgUnix(buffer[:maxLine-len(text)], rights)
		if err == nil && n == 0 {
			err = errors.New("it hung up")
		}
		if err == nil && m > 0 {
			var f *os.File
			if f, err = received(rights[:m]); f != nil && file != nil {
				err = errors.Join(errors.New("more than one link"), f.Close())
			} else if f != nil {
				file = f
			}
		}
		if err == nil && flags&unix.MSG_CTRUNC != 0 {
			err = errors.New("more than one link")
		}
		if err != nil {
			return line{}, file, err
		}
		text = append(text, buffer[:n]...)
		if whole, ok := bytes.CutSuffix(text, []byte("\n")); ok {
			l, err = decode(whole)
			return l, file, err
		}
		if len(text) >= maxLine {
			return line{}, file, errors.New("it does not come to an end")
		}
	}
}

// received gives the one file of a control message, as one that knows deadlines.
func received(rights []byte) (*os.File, error) {
	fd, err := unixconn.Descriptor(rights)
	if err != nil {
		return nil, fmt.Errorf("the link: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("the link: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "eye"), nil
}

// guest is an eye that a lodge started. Its methods may be called from any
// goroutine.
type guest struct {
	conn       *net.UnixConn
	link       *os.File
	protection string
	wait       func() error
}

func (g *guest) Conn() gate.LinkConn { return g.link }
func (g *guest) Protection() string  { return g.protection }

// Kill hangs up, which ends the eye, also one that does not listen any more.
func (g *guest) Kill() {
	// They fail on a connection that is closed: it is over then.
	g.conn.CloseWrite()
	g.conn.SetReadDeadline(time.Now().Add(endTime))
}

// Wait waits for the eye's end and says how it came.
func (g *guest) Wait() error { return g.wait() }

func (g *guest) farewell() error {
	defer g.conn.Close()
	l, file, err := hear(g.conn)
	if err != nil {
		return fmt.Errorf("the seeing half's service ended: %w", err)
	}
	if l.How == started || file != nil {
		return errors.Join(errors.New("the lodge starts what it started"), closed(file))
	}
	return l.err()
}
