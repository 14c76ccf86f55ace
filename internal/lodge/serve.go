package lodge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"doorbelld/internal/gate"
	"doorbelld/internal/link"

	"golang.org/x/sys/unix"
)

// Options is what Serve needs; all of it.
type Options struct {
	// Start starts an eye that is going to be told the setup.
	Start func(context.Context, link.Setup) (gate.Eye, error)
	// Alive is called while all is well: every few seconds as long as nobody asks
	// for an eye, and while there is one, as often as it says that its camera gave
	// a frame or was tried to be opened. An eye that hangs is not alive, whatever
	// it says.
	Alive func()
	Log   *slog.Logger
}

// Serve lets one after the other who asks at l have an eye, until ctx is done.
// Closing l is the caller's.
func Serve(ctx context.Context, l *net.UnixListener, o Options) error {
	stop := context.AfterFunc(ctx, func() { l.SetDeadline(time.Now()) }) // it fails on a closed one, which is as good
	defer stop()
	for ctx.Err() == nil {
		o.Alive()
		if err := l.SetDeadline(time.Now().Add(idleTime)); err != nil {
			return fmt.Errorf("the lodge's socket: %w", err)
		}
		if ctx.Err() != nil { // and its deadline is perhaps behind us
			return nil
		}
		conn, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil && err != nil, errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil:
			return fmt.Errorf("the lodge's socket: %w", err)
		}
		if err := o.one(ctx, conn); err != nil {
			o.Log.Error("an eye was asked for in vain", "error", err)
		}
	}
	return nil
}

// one starts an eye for whoever is at the other end of conn, and stays until both
// are done with each other.
func (o Options) one(ctx context.Context, conn *net.UnixConn) (err error) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(askTime)); err != nil {
		return err
	}
	m, err := link.ReadFromGate(conn)
	if err != nil {
		return fmt.Errorf("what is asked for: %w", err)
	}
	setup, ok := m.(link.Setup)
	if !ok {
		return fmt.Errorf("it is asked for with %T, not with the setup", m)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}

	// Whoever asked says nothing more. A word, or the end of the connection, ends
	// the eye, also one that is only being started.
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	hungUp := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now()) })
	defer hungUp()
	waiting.Go(func() {
		conn.Read(make([]byte, 1)) // however it returns
		cancel()
	})

	eye, err := o.Start(ctx, setup)
	if err != nil {
		return say(conn, lineOf(err), nil)
	}
	defer eye.Conn().Close()
	defer eye.Kill()
	near, far, err := pair()
	if err != nil {
		return err
	}
	defer near.Close()
	err = say(conn, line{started, eye.Protection()}, far)
	if cerr := far.Close(); err != nil || cerr != nil {
		return errors.Join(err, cerr)
	}

	over := context.AfterFunc(ctx, func() {
		eye.Kill()
		near.SetDeadline(time.Now()) // a gate that does not read is not waited for
	})
	defer over()
	waiting.Go(func() {
		io.Copy(eye.Conn(), near) // until either is gone
		cancel()
	})
	if err := o.passOn(eye.Conn(), near); err != nil && ctx.Err() == nil {
		o.Log.Error("the eye is ended", "error", err)
	}
	over()
	eye.Kill()
	end := lineOf(eye.Wait())
	cancel()
	near.Close()
	if end.How == failed {
		o.Log.Warn("the eye ended", "how", end.Text)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(endTime)); err != nil {
		return err
	}
	if err := say(conn, end, nil); err != nil && !errors.Is(err, unix.EPIPE) { // nobody need be there any more
		return err
	}
	return nil
}

// passOn carries what the eye says to the gate, message by message, until its link
// ends, which is no error.
func (o Options) passOn(eye io.Reader, near io.Writer) error {
	var p progress
	for {
		m, err := link.ReadFromEye(eye)
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			return nil
		}
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case link.Sighting:
			err = link.WriteSighting(near, m)
		case link.Health:
			if p.made(m) {
				o.Alive()
			}
			err = link.WriteHealth(near, m)
		}
		if err != nil {
			return err
		}
	}
}

// progress is how far an eye had come when it last spoke of itself.
type progress struct{ frames, tries uint64 }

// made reports whether h tells of any: another frame, another attempt to open the
// camera, or a clip that is over, after which there is none to be made.
func (p *progress) made(h link.Health) bool {
	now := progress{h.Frames, h.Tries}
	if now == *p && h.Camera != link.Ended {
		return false
	}
	*p = now
	return true
}

// say sends one line, and a file with it if there is one.
func say(conn *net.UnixConn, l line, file *os.File) error {
	b, err := l.encode()
	if err != nil {
		return err
	}
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	// Short enough to be taken at once; the file goes with its first byte.
	if _, _, err := conn.WriteMsgUnix(b, rights, nil); err != nil {
		return fmt.Errorf("answering whoever asked for an eye: %w", err)
	}
	return nil
}

// pair makes a link: an end for us and one to give away. Both know deadlines.
func pair() (near, far *os.File, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the link: %w", err)
	}
	return os.NewFile(uintptr(ends[0]), "gate"), os.NewFile(uintptr(ends[1]), "link"), nil
}
