// Doorbelld is the talking half of a doorbell camera that answers to its owner:
// it starts the half that sees, shut in, and tells over MQTT only what was
// granted. The same program is the owner's command line, which talks to the
// running daemon over a unix socket.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	_ "time/tzdata" // schedules name time zones, and not every system has their database
)

func main() {
	err := newRoot().ExecuteContext(context.Background())
	if err != nil {
		// Several lines are several faults.
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, "doorbelld:", strings.TrimSuffix(line, "\n"))
		}
	}
	os.Exit(exitCode(err))
}
