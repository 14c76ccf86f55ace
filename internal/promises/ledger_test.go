package promises

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/console"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"
	"doorbelld/internal/mosquitto"
)

// soakLedger is how often tests of what the ledger survives do what they do; few times without
// DOORBELLD_SOAK_LEDGER, which `make soak-ledger` sets.
func soakLedger(few, many int) int {
	if os.Getenv("DOORBELLD_SOAK_LEDGER") == "" {
		return few
	}
	return many
}

// killed ends the daemon as the kernel would.
func (h *house) killed() {
	h.t.Helper()
	cmd := h.cmd
	h.cmd = nil
	if err := cmd.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	<-h.exited
}

// recorded gives the ids of the events of all releases on record, of a ledger that must be intact.
func (h *house) recorded() map[event.ID]bool {
	h.t.Helper()
	ids := map[event.ID]bool{}
	var out bytes.Buffer
	if err := ledger.ExportFile(h.t.Context(), filepath.Join(h.dir, "state", ledger.FileName), &out); err != nil {
		h.t.Fatal(err)
	}
	r, err := ledger.Walk(&out, nil, func(l ledger.Leaf) {
		if l.Kind != ledger.KindRelease {
			return
		}
		var body struct {
			Event event.ID `json:"event"`
		}
		if err := json.Unmarshal(l.Body, &body); err != nil {
			h.t.Errorf("leaf %d: %v", l.Index, err)
		}
		ids[body.Event] = true
	})
	if err != nil || r.Verdict != ledger.Intact {
		h.t.Fatalf("the ledger: %+v, %v", r, err)
	}
	return ids
}

// rung gives the ids of the rings that reached home.
func rung(t *testing.T, sub *mosquitto.Subscriber) (ids []event.ID) {
	t.Helper()
	for _, m := range sub.All() {
		if m.Topic == ringTopic {
			ids = append(ids, read(t, m).ID)
		}
	}
	return ids
}

// quietHouse is one without a camera, that home may be told of rings by.
func quietHouse(t *testing.T) (*house, *mosquitto.Subscriber) {
	t.Helper()
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, "nothing.avi", broker.URL(), "pace: real")
	h.start()
	h.do("clock", "confirm")
	h.do("recipient", "add", "home", "--kind", "integration")
	h.do("grant", "add", "home", "ring", "details", "--for", "owner_alert", "--until", "30d")
	h.await("a connection", connected)
	return h, sub
}

// P2: faults of the disk, put into the program itself while it tells of rings: what reached home is on
// record, and after the fault nothing reaches it until the program starts again.
func TestP2_FaultsOfTheDisk(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: faults of the disk are not put into the program")
	}
	whens := []int{1, 2, 3} // strace counts in each thread by itself: not every one is reached
	for i := range soakLedger(0, 40) {
		whens = append(whens, i+1)
	}
	reached := 0
	for _, fault := range []string{"fsync,fdatasync:error=EIO", "pwrite64:error=ENOSPC", "pwrite64:error=EIO"} {
		h, sub := quietHouse(t)
		for i, when := range whens {
			if i > 0 {
				h.start()
				h.await("a connection", connected)
			}
			tracer := exec.Command(strace, "-f", "-qq", "-o", filepath.Join(h.dir, "strace"), "-p", fmt.Sprint(h.cmd.Process.Pid), "-P", filepath.Join(h.dir, "state", ledger.FileName+"-wal"),
				"-e", "trace=fsync,fdatasync,pwrite64", "-e", fmt.Sprintf("inject=%s:when=%d", fault, when))
			if err := tracer.Start(); err != nil {
				t.Fatal(err)
			}
			traced := waitTraced(h.cmd.Process.Pid)
			if !traced {
				_ = tracer.Process.Kill()
				_ = tracer.Wait()
				t.Skip("strace may not trace here: faults of the disk are not put into the program")
			}
			bell := console.NewClient(filepath.Join(h.dir, "run", "doorbelld.sock"))
			for range 9 { // that is as many as may come at once
				if _, err := bell.Ring(within(t)); err != nil {
					break
				}
			}
			s, err := h.status()
			if err != nil {
				t.Fatal(err)
			}
			before := len(rung(t, sub))
			if s.Ledger != "" {
				reached++
				if r, err := bell.Ring(within(t)); err == nil && len(r.Told) > 0 {
					t.Errorf("%s, %d: it is told to %v on a ledger that failed: %s", fault, when, r.Told, s.Ledger)
				}
			}
			// The tracer goes first: without it the program is its own again.
			if err := tracer.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = tracer.Wait() // it says that it was ended
			h.killed()
			ids, told := h.recorded(), rung(t, sub)
			if s.Ledger != "" && len(told) > before+1 { // one that was on its way
				t.Errorf("%s, %d: %d rings were told after the ledger failed", fault, when, len(told)-before)
			}
			for _, id := range told {
				if !ids[id] {
					t.Errorf("%s, %d: ring %v reached home, and is not on record", fault, when, id)
				}
			}
		}
		h.start()
		h.do("ring")
		h.await("a ring told, after all that", func(s gate.Status) bool { return s.Counts.Delivered["home"] > 0 })
		h.stop()
	}
	if reached < 3 {
		t.Errorf("only %d faults were reached", reached)
	}
	t.Logf("%d faults", reached)
}

// waitTraced waits until a process is traced.
func waitTraced(pid int) bool {
	for range 500 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && strings.Contains(string(text), "TracerPid:\t") && !strings.Contains(string(text), "TracerPid:\t0\n") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// P5: the program is killed at any moment while the owner gives and takes back: afterwards nothing is
// granted that was not before, and the ledger is intact. Eight times and, with DOORBELLD_SOAK_LEDGER,
// a thousand.
func TestP5_KilledAtAnyMoment(t *testing.T) {
	h, sub := quietHouse(t)
	random := rand.New(rand.NewPCG(5, 5))
	given, taken := map[consent.GrantID]bool{1: true}, map[consent.GrantID]bool{} // asked for; and said to be done
	for round := range soakLedger(8, 1000) {
		if round > 0 {
			h.start()
		}
		owner := console.NewClient(filepath.Join(h.dir, "run", "doorbelld.sock"))
		acts := make(chan struct{})
		wait := time.Duration(random.IntN(int(40 * time.Millisecond)))
		go func() {
			defer close(acts)
			for {
				if err := act(t, owner, random, given, taken); err != nil {
					return // it was killed
				}
			}
		}()
		time.Sleep(wait)
		h.killed()
		<-acts
		told := rung(t, sub)
		ids := h.recorded()
		for _, id := range told {
			if !ids[id] {
				t.Fatalf("round %d: ring %v reached home, and is not on record", round, id)
			}
		}
		stand := h.standing()
		for id := range stand {
			if taken[id] {
				t.Fatalf("round %d: %v was taken back, and stands again", round, id)
			}
		}
		for id := range stand { // asked for, by us, whether it was answered or not
			given[id] = true
		}
	}
	t.Logf("%d grants, %d of them taken back", len(given), len(taken))
	if len(taken) == 0 {
		t.Error("nothing was taken back: nothing was tried")
	}
}

// act does something that the owner may do. An error means that nobody answers any more.
func act(t *testing.T, owner *console.Client, random *rand.Rand, given, taken map[consent.GrantID]bool) error {
	ctx := t.Context()
	var stand []consent.GrantID
	for id := range given {
		if !taken[id] && id != 1 { // which lets home be told of rings
			stand = append(stand, id)
		}
	}
	slices.Sort(stand)
	var refused *console.Error
	switch n := random.IntN(3); {
	case n == 0 && len(stand) > 0:
		id := stand[random.IntN(len(stand))]
		_, err := owner.Revoke(ctx, id)
		if err == nil || errors.As(err, &refused) && refused.Kind == console.Refused { // or it is over already
			taken[id] = true
			return nil
		}
		return err
	case n == 1:
		_, err := owner.Ring(ctx)
		if errors.As(err, &refused) { // too often
			return nil
		}
		return err
	}
	g, err := owner.AddGrant(ctx, gate.Draft{Recipient: "home", Category: event.Motion, Level: event.Notice, Purpose: consent.HomeAutomation,
		Zones: []string{event.Everything}, Until: time.Now().Add(24 * time.Hour)})
	if err == nil {
		given[g.ID] = true
	}
	return err
}

// standing gives the grants that are not over, by a ledger of which the daemon was killed.
func (h *house) standing() map[consent.GrantID]bool {
	h.t.Helper()
	stand := map[consent.GrantID]bool{}
	for _, l := range h.leaves(ledger.KindGrant, ledger.KindRevoke) {
		var body struct {
			ID    consent.GrantID `json:"id"`
			Grant consent.GrantID `json:"grant"`
		}
		if err := json.Unmarshal(l.Body, &body); err != nil {
			h.t.Fatal(err)
		}
		if l.Kind == ledger.KindGrant {
			stand[body.ID] = true
		} else {
			delete(stand, body.Grant)
		}
	}
	return stand
}
