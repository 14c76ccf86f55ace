package porter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"doorbelld/internal/unixconn"

	"golang.org/x/sys/unix"
)

// Serve answers the gate at l until ctx is done: one question after the other, each
// with a connection of its own. alive is called every few seconds as long as that goes
// well. Closing l is the caller's.
func Serve(ctx context.Context, l *net.UnixListener, alive func(), log *slog.Logger) error {
	return keep(ctx, l, idleTime, askTime, alive, log)
}

// keep calls alive every idle, and waits for a question no longer than patience.
func keep(ctx context.Context, l *net.UnixListener, idle, patience time.Duration, alive func(), log *slog.Logger) error {
	stop := context.AfterFunc(ctx, func() { l.SetDeadline(time.Now()) }) // it fails on a closed one, which is as good
	defer stop()
	var said time.Time // when alive was called
	for ctx.Err() == nil {
		now := time.Now()
		if now.Sub(said) >= idle {
			alive()
			said = now
		}
		if err := l.SetDeadline(said.Add(idle)); err != nil {
			return fmt.Errorf("the porter's socket: %w", err)
		}
		if ctx.Err() != nil { // and its deadline is perhaps behind us
			return nil
		}
		c, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil && err != nil, errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil:
			return fmt.Errorf("the porter's socket: %w", err)
		}
		if err := answer(c, patience); err != nil {
			log.Warn("the gate was not told who asks", "error", err)
		}
	}
	return nil
}

// answer reads one question and answers it.
func answer(c *net.UnixConn, patience time.Duration) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	shown, err := receive(c)
	if err != nil {
		return err
	}
	who, err := unix.GetsockoptUcred(shown, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err := errors.Join(err, unix.Close(shown)); err != nil {
		return fmt.Errorf("who made the connection: %w", err)
	}
	if _, err := c.Write(binary.BigEndian.AppendUint32(nil, who.Uid)); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}

// receive gives the one descriptor that comes with the one byte of a question. The
// caller closes it.
func receive(c *net.UnixConn) (int, error) {
	// Room for more than one, so that too many are seen and closed.
	text, rights := make([]byte, 2), make([]byte, unix.CmsgSpace(4*4))
	n, m, _, _, err := c.ReadMsgUnix(text, rights)
	if err != nil {
		return -1, fmt.Errorf("the question: %w", err)
	}
	shown, err := unixconn.Descriptor(rights[:m])
	if err != nil {
		return -1, fmt.Errorf("what came with the question: %w", err)
	}
	if n != 1 {
		return -1, errors.Join(fmt.Errorf("a question of %d bytes", n), unix.Close(shown))
	}
	return shown, nil
}
