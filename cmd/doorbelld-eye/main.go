// Doorbelld-eye is the program that sees. doorbelld starts it, shut in, with
// the link on file descriptor 3; by hand it does nothing of use.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"doorbelld/internal/eye"
)

// linkFD is where the launcher puts the eye's end of the link.
const linkFD = 3

// firstOutput is where it puts the files that a drawing or a still goes into, if there
// are any.
const firstOutput = 5

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := eye.KeepHanded(); err != nil {
		fmt.Fprintln(os.Stderr, "doorbelld-eye:", err)
		os.Exit(1)
	}
	conn := os.NewFile(linkFD, "link")
	if _, err := conn.Stat(); err != nil {
		fmt.Fprintln(os.Stderr, "doorbelld-eye: there is no link on descriptor 3: this program is started by `doorbelld run`")
		os.Exit(2)
	}
	if len(os.Args) > 1 && os.Args[1] == eye.ListCommand {
		if err := eye.List(conn, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "doorbelld-eye:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == eye.BenchCommand {
		if err := eye.Bench(ctx, conn, firstOutput, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "doorbelld-eye:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == eye.StillCommand {
		if err := eye.Still(ctx, conn, firstOutput, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "doorbelld-eye:", err)
			os.Exit(1)
		}
		return
	}
	err := eye.Run(ctx, conn, os.Stderr)
	if err == nil || ctx.Err() != nil {
		return
	}
	code := eye.ExitCode(err)
	if code == 1 { // the others tell the gate all there is to say
		fmt.Fprintln(os.Stderr, "doorbelld-eye:", err)
	}
	os.Exit(code)
}
