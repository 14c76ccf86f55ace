package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
	"doorbelld/internal/publish"
)

const motionState = "doorbelld/front/to/home/motion/state"

// withHome has home stand for Home Assistant.
func withHome(o *Options) {
	o.Home = &publish.HomeAssistant{Prefix: "homeassistant", Recipient: "home", Version: "v1"}
}

// awake has the eye's camera give pictures, and goes on to say so until it is killed.
// In a bubble of synctest only.
func awake(t *testing.T, e *fakeEye) *fakeEye {
	t.Helper()
	say := func() error { return link.WriteHealth(e.mine, link.Health{Camera: link.Live}) }
	if err := say(); err != nil {
		t.Fatal(err)
	}
	go func() {
		tick := time.NewTicker(silence / 2)
		defer tick.Stop()
		for {
			select {
			case <-e.dead:
				return
			case <-tick.C:
				_ = say() // an error means that it was killed
			}
		}
	}()
	return e
}

// states gives what the session was given for home's motion state, in order: "" is
// nothing.
func (s *fakeSession) states() (all []string) {
	for _, m := range s.all() {
		if m.Topic() == motionState {
			all = append(all, string(m.Payload()))
		}
	}
	return all
}

// told again, by the records: the states of the releases that are of a state alone.
func (b *bench) recordedStates() (all []string) {
	for _, leaf := range b.leaves(ledger.KindRelease) {
		if body, err := decode[releaseBody](leaf.Body); err != nil {
			b.t.Fatal(err)
		} else if body.State != consent.NoState {
			all = append(all, body.State.String())
		}
	}
	return all
}

// Each row is one of the table "When something is started again" in docs/mqtt.md.
func TestStatesComeBack(t *testing.T) {
	const settled = 12 * time.Second // the longest that a state takes to be told again, and a little
	for name, row := range map[string]struct {
		during func(t *testing.T, b *bench, e *fakeEye)
		want   []string // on the state topic, since the row began
		noted  []string // of it, releases of a state alone
	}{
		"Home Assistant, while somebody is there": {
			func(t *testing.T, b *bench, e *fakeEye) { e.see(t, 1, event.Start); synctest.Wait(); b.AskedAgain() },
			[]string{"ON", "ON"}, []string{"on"},
		},
		"Home Assistant, while nobody is": {
			func(t *testing.T, b *bench, e *fakeEye) { b.AskedAgain() },
			[]string{"OFF"}, []string{"off"},
		},
		"Home Assistant, after somebody has left": {
			func(t *testing.T, b *bench, e *fakeEye) {
				e.see(t, 1, event.Start)
				e.see(t, 1, event.End)
				synctest.Wait()
				b.AskedAgain()
			},
			[]string{"ON", "OFF", "OFF"}, []string{"off"},
		},
		"Home Assistant, in a pause": {
			func(t *testing.T, b *bench, e *fakeEye) {
				if err := b.Pause(ctx, 0); err != nil {
					t.Fatal(err)
				}
				b.AskedAgain()
			},
			[]string{"", ""}, nil,
		},
		"a pause ends while somebody is there": {
			func(t *testing.T, b *bench, e *fakeEye) {
				e.see(t, 1, event.Start)
				synctest.Wait()
				if err := b.Pause(ctx, time.Minute); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute + 2*time.Second)
			},
			[]string{"ON", "", "ON"}, []string{"on"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFakeSession()
				spare := newFakeSession()
				b := newBenchWith(t, withHome, s, spare)
				b.grant(event.Details)
				e := awake(t, b.eye())
				time.Sleep(settled)
				time.Sleep(againEvery) // what the connection brought about is over
				before, noted := len(s.states()), len(b.recordedStates())
				row.during(t, b, e)
				time.Sleep(settled)
				got := append(s.states()[before:], spare.states()...)
				if !slices.Equal(got, row.want) {
					t.Errorf("told %q, want %q", got, row.want)
				}
				if got := b.recordedStates()[noted:]; !slices.Equal(got, row.noted) {
					t.Errorf("recorded %q, want %q", got, row.noted)
				}
				b.stop()
			})
		})
	}
}

// The broker is started again: with the new connection Home Assistant is told once more
// what to show, and everybody the states.
func TestStatesComeBackWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, next := newFakeSession(), newFakeSession()
		b := newBenchWith(t, withHome, s, next)
		b.grant(event.Details)
		e := awake(t, b.eye())
		time.Sleep(2 * againEvery)
		e.see(t, 1, event.Start)
		synctest.Wait()
		if m := <-s.herald; m.Topic() != "homeassistant/device/doorbelld_front/config" {
			t.Errorf("%s came first", m.Topic())
		}
		s.Close()
		time.Sleep(20 * time.Second)
		if m := <-next.herald; m.Topic() != "homeassistant/device/doorbelld_front/config" || !m.Retained() || len(m.Payload()) == 0 {
			t.Errorf("the new connection begins with %s %s", m.Topic(), m.Payload())
		}
		if got := next.states(); !slices.Equal(got, []string{"ON"}) {
			t.Errorf("states %q", got)
		}
		b.stop()
	})
}

// doorbelld is started again while somebody is there: what the one before told of is
// over, which it still recorded itself, and whoever is there is seen anew.
func TestStatesComeBackWithTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := newFakeSession()
		b := openBenchWith(t, dir, withHome, s)
		b.grant(event.Details)
		time.Sleep(time.Second) // what happens now is not before the grant
		awake(t, b.eye()).see(t, 1, event.Start)
		synctest.Wait()
		b.stop()
		if got := s.states(); len(got) == 0 || got[0] != "ON" {
			t.Fatalf("before: %q", got)
		}

		s = newFakeSession()
		b = openBenchWith(t, dir, withHome, s)
		e := awake(t, b.eye())
		time.Sleep(12 * time.Second)
		if got := s.states(); !slices.Equal(got, []string{"OFF", "OFF"}) || !slices.Equal(b.recordedStates(), []string{"off"}) {
			t.Errorf("after the start, nobody seen yet: %q, recorded %q", got, b.recordedStates())
		}
		e.see(t, 1, event.Start)
		synctest.Wait()
		if got := s.states(); !slices.Equal(got, []string{"OFF", "OFF", "ON"}) {
			t.Errorf("seen anew: %q", got)
		}
		b.stop()
	})
}

// doorbelld is killed while somebody is there: nobody said that it is over, so the state
// stands at on until it is told again.
func TestStatesComeBackAfterACrash(t *testing.T) {
	for _, again := range []bool{false, true} { // whether somebody is seen before that
		synctest.Test(t, func(t *testing.T) {
			dir, copied := t.TempDir(), t.TempDir()
			b := openBenchWith(t, dir, withHome, newFakeSession())
			b.grant(event.Details)
			time.Sleep(time.Second) // what happens now is not before the grant
			awake(t, b.eye()).see(t, 1, event.Start)
			synctest.Wait()
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // what the disk holds at that moment
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(copied, "ledger.key"), 0o600); err != nil { // as it was
				t.Fatal(err)
			}
			b.stop()

			s := newFakeSession()
			b = openBenchWith(t, copied, withHome, s)
			e := awake(t, b.eye())
			want, noted := []string{"OFF"}, "off"
			if again {
				e.see(t, 1, event.Start)
				want, noted = []string{"ON", "ON"}, "on"
			}
			time.Sleep(12 * time.Second)
			if got := s.states(); !slices.Equal(got, want) || !slices.Equal(b.recordedStates(), []string{noted}) {
				t.Errorf("seen again %t: %q, recorded %q", again, got, b.recordedStates())
			}
			b.stop()
		})
	}
}

// Without pictures nothing is known of what goes on, so nothing is said of it.
func TestNoStateWithoutPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSession()
		b := newBenchWith(t, withHome, s)
		b.grant(event.Details)
		e := b.eye()
		time.Sleep(30 * time.Second)
		if got := s.states(); len(got) > 0 {
			t.Errorf("the camera has given no picture, and the state is told: %q", got)
		}
		awake(t, e)
		time.Sleep(time.Second)
		if got := s.states(); !slices.Equal(got, []string{"OFF"}) {
			t.Errorf("after the first picture: %q", got)
		}
		b.stop()
	})
}

// However often somebody asks, a state is told again once a minute at the most, by way of
// gate and ledger, to Home Assistant's recipient alone, and an empty house asks nobody.
func TestP9_AskedAgainOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSession()
		b := newBenchWith(t, withHome, s)
		b.grant(event.Details)
		if err := b.AddRecipient(ctx, consent.Recipient{Name: "ann", Kind: consent.Owner}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.AddGrant(ctx, Draft{Recipient: "ann", Category: event.Motion, Level: event.Details, Purpose: consent.OwnerAlert,
			Zones: []string{event.Everything}, Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		awake(t, b.eye())
		time.Sleep(time.Minute + 12*time.Second)
		home, all, noted := len(s.states()), len(s.all()), len(b.recordedStates())
		asked := len(b.leaves(ledger.KindRequest))
		const minutes = 20
		for range minutes * 60 {
			b.AskedAgain()
			time.Sleep(time.Second)
		}
		n := len(s.states()) - home
		if n < minutes/2 || n > minutes+1 {
			t.Errorf("asked for %d minutes, each second: told %d times", minutes, n)
		}
		if got := len(b.recordedStates()) - noted; got != n {
			t.Errorf("told %d times, recorded %d times", n, got)
		}
		for _, m := range s.all()[all:] {
			if !strings.HasPrefix(m.Topic(), "doorbelld/front/to/home/") && m.Topic() != publish.CameraTopic("front") {
				t.Errorf("what Home Assistant asked for went to %s", m.Topic())
			}
		}
		if got := len(b.leaves(ledger.KindRequest)) - asked; got < 1 || got > requestsAtOnce+1 {
			t.Errorf("that it was asked is on record %d times", got)
		}
		if err := b.Revoke(ctx, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		home = len(s.states())
		b.AskedAgain()
		time.Sleep(2 * time.Minute)
		if got := s.states()[home:]; len(got) > 0 {
			t.Errorf("asked after the revocation: %q", got)
		}
		b.stop()
	})
}

// cleared gives how often home's motion state was set to nothing.
func cleared(sessions ...*fakeSession) (n int) {
	for _, s := range sessions {
		for _, word := range s.states() {
			if word == "" {
				n++
			}
		}
	}
	return n
}

// However a grant that gave a state comes to its end, the state is set to nothing, and
// in the same way whether or not something goes on.
func TestP10_AnEndedGrantLeavesNoState(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *bench){
		"revoked": func(t *testing.T, b *bench) {
			if err := b.Revoke(ctx, 1); err != nil {
				t.Error(err)
			}
		},
		"narrowed": func(t *testing.T, b *bench) {
			if _, err := b.AddGrant(ctx, Draft{Recipient: "home", Category: event.Motion, Level: event.Notice, Purpose: consent.HomeAutomation,
				Zones: []string{event.Everything}, Until: time.Now().Add(time.Hour), Supersedes: 1}); err != nil {
				t.Error(err)
			}
		},
		"renewed": func(t *testing.T, b *bench) {
			if _, err := b.AddGrant(ctx, Draft{Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.HomeAutomation,
				Zones: []string{event.Everything}, Until: time.Now().Add(time.Hour), Supersedes: 1}); err != nil {
				t.Error(err)
			}
		},
		"expired": func(t *testing.T, b *bench) { time.Sleep(time.Hour) },
		"paused": func(t *testing.T, b *bench) {
			if err := b.PauseByMessage(ctx, 60); err != nil {
				t.Error(err)
			}
		},
		"the recipient removed": func(t *testing.T, b *bench) {
			if err := b.RemoveRecipient(ctx, "home"); err != nil {
				t.Error(err)
			}
		},
	} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, busy %t", name, busy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, spare := newFakeSession(), newFakeSession()
					b := newBench(t, s, spare)
					b.grant(event.Details)
					e := awake(t, b.eye())
					time.Sleep(12 * time.Second)
					if busy {
						e.see(t, 1, event.Start)
						synctest.Wait()
					}
					end(t, b)
					time.Sleep(3 * time.Second)
					if n := cleared(s, spare); n != 1 {
						t.Errorf("set to nothing %d times: %q", n, s.states())
					}
					time.Sleep(2 * time.Minute)
					got := append(s.states(), spare.states()...)
					if last := got[len(got)-1]; (last == "") == (name == "renewed") {
						t.Errorf("in the end it stands at %q (%q)", last, got)
					}
					b.stop()
				})
			})
		}
	}
}

// A grant that ends while nobody can be told of it: no broker, or no doorbelld. The
// next connection begins with it, once.
func TestP10_EndedInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := newFakeSession()
		b := openBenchWith(t, dir, withHome, s)
		b.grant(event.Details)
		awake(t, b.eye())
		time.Sleep(12 * time.Second)
		if m := <-s.herald; !m.Retained() || len(m.Payload()) == 0 {
			t.Errorf("%+v", m)
		}
		s.Close() // and the broker is away
		time.Sleep(time.Minute)
		b.stop()
		time.Sleep(2 * time.Hour)

		b = openBenchWith(t, dir, withHome) // no broker for this one either
		time.Sleep(time.Minute)
		b.stop()

		s = newFakeSession()
		b = openBenchWith(t, dir, withHome, s)
		time.Sleep(time.Minute)
		b.stop()
		var got []string
		for _, m := range s.all() {
			if m.Topic() != publish.CameraTopic("front") {
				got = append(got, fmt.Sprintf("%s %q %t", m.Topic(), m.Payload(), m.Retained()))
			}
		}
		if want := []string{motionState + ` "" false`, `homeassistant/device/doorbelld_front/config "" true`}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "retained.json")); err == nil {
			t.Error("there is still something to remember")
		}

		s = newFakeSession()
		b = openBenchWith(t, dir, withHome, s)
		time.Sleep(time.Minute)
		b.stop()
		if len(s.herald)+len(s.took) > 0 {
			t.Errorf("once more: %v", s.all())
		}
	})
}

// With a Home Assistant and no grant nothing is published, asked or not, whatever
// happens.
func TestP1_SilenceTowardsHomeAssistant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSession()
		b := newBenchWith(t, withHome, s)
		for _, name := range []string{"home", "ann"} {
			if err := b.AddRecipient(ctx, consent.Recipient{Name: name, Kind: consent.Owner}); err != nil {
				t.Fatal(err)
			}
		}
		e := awake(t, b.eye())
		for track := uint32(1); track <= 5; track++ {
			e.see(t, track, event.Start)
			b.AskedAgain()
			time.Sleep(30 * time.Second)
		}
		if err := b.Pause(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Ring(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		for _, m := range s.all() {
			if m.Topic() != publish.CameraTopic("front") {
				t.Errorf("%s %q", m.Topic(), m.Payload())
			}
		}
		b.stop()
	})
}

// Another prefix, another recipient or none: what was said under the old one is cleared
// away first.
func TestDiscoveryMovesHouse(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(*Options)
		want []string
	}{
		"another prefix": {func(o *Options) { withHome(o); o.Home.Prefix = "ha" },
			[]string{"homeassistant/device/doorbelld_front/config 0", "ha/device/doorbelld_front/config 1"}},
		"none":              {func(o *Options) {}, []string{"homeassistant/device/doorbelld_front/config 0"}},
		"another recipient": {func(o *Options) { withHome(o); o.Home.Recipient = "ann" }, []string{"homeassistant/device/doorbelld_front/config 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				b := openBenchWith(t, dir, withHome, newFakeSession())
				b.grant(event.Notice)
				time.Sleep(2 * time.Second)
				b.stop()
				s := newFakeSession()
				b = openBenchWith(t, dir, tc.set, s)
				time.Sleep(2 * time.Second)
				b.stop()
				var got []string
				for _, m := range s.all() {
					if m.Topic() != publish.CameraTopic("front") {
						got = append(got, fmt.Sprintf("%s %d", m.Topic(), min(1, len(m.Payload()))))
					}
				}
				if !slices.Equal(got, tc.want) {
					t.Errorf("%q, want %q", got, tc.want)
				}
			})
		})
	}
}

// In a pause without a trusted clock nothing is shown that was not before, for nobody
// knows what is over.
func TestDiscoveryAddsNothingWithoutAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := openBench(t, dir, newFakeSession()) // no Home Assistant yet
		b.grant(event.Details)
		time.Sleep(2 * time.Second)
		b.stop()
		time.Sleep(2 * time.Hour)
		s := newFakeSession()
		b = openBenchWith(t, dir, func(o *Options) { withHome(o); o.Clock.(*fakeClock).judge(time.Time{}, false) }, s)
		if err := b.Pause(ctx, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for len(s.herald) > 0 {
			if m := <-s.herald; m.Topic() != motionState {
				t.Errorf("%s %s", m.Topic(), m.Payload())
			}
		}
		b.stop()
	})
}

// While the clock is not trusted, or the ledger has failed, Home Assistant keeps what it
// shows: a Pi that has just started must not throw it all away. What is taken back then
// goes all the same.
func TestDiscoveryInAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := openBenchWith(t, dir, withHome, newFakeSession())
		b.grant(event.Details)
		time.Sleep(2 * time.Second)
		b.stop()
		time.Sleep(2 * time.Hour)

		s := newFakeSession()
		b = openBenchWith(t, dir, func(o *Options) { withHome(o); o.Clock.(*fakeClock).judge(time.Time{}, false) }, s)
		awake(t, b.eye())
		time.Sleep(time.Minute)
		if m := <-s.herald; len(m.Payload()) == 0 || !m.Retained() {
			t.Errorf("without a trusted clock: %s %s", m.Topic(), m.Payload())
		}
		if got := s.states(); len(got) > 0 {
			t.Errorf("without a trusted clock the state is told: %q", got)
		}
		// Not even in a pause, which holds everything back anyway, does what is over come up again.
		if err := b.Pause(ctx, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if m := <-s.herald; m.Topic() != motionState || len(m.Payload()) > 0 {
			t.Errorf("in a pause: %s %s", m.Topic(), m.Payload())
		}
		if len(s.herald) > 0 {
			t.Errorf("in a pause: %s", (<-s.herald).Topic())
		}
		if err := b.Revoke(ctx, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if m := <-s.herald; len(m.Payload()) > 0 || !m.Retained() {
			t.Errorf("after the revocation: %s %s", m.Topic(), m.Payload())
		}
		b.stop()
	})
}

// What cannot be remembered is not told to Home Assistant: nobody would clear it away.
func TestDiscoveryIsRememberedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSession()
		var path string
		b := newBenchWith(t, func(o *Options) {
			withHome(o)
			o.Memory = filepath.Join(filepath.Dir(o.Memory), "away", "retained.json")
			path = o.Memory
		}, s)
		b.grant(event.Details)
		time.Sleep(5 * time.Second)
		if len(s.herald) > 0 {
			t.Errorf("it was told %d times", len(s.herald))
		}
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if m := <-s.herald; len(m.Payload()) == 0 {
			t.Errorf("%+v", m)
		}
		text, err := os.ReadFile(path)
		if err != nil || !json.Valid(text) || !strings.Contains(string(text), `"giving":[{"grant":"g1","recipient":"home","category":"motion"}]`) || !strings.Contains(string(text), `"motion":"details"`) {
			t.Errorf("remembered: %s, %v", text, err)
		}
		b.stop()
	})
}

func TestRecollectionIsReadStrictly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "retained.json")
	good := `{"version":2,"giving":[{"grant":"g1","recipient":"home","category":"motion"},{"grant":"g3","recipient":"ann","category":"animal"}],"discovery":{"prefix":"a/b","device":"front","shown":{"motion":"details"}}}`
	for text, ok := range map[string]bool{
		good: true, "": false, "{}": false, "[]": false, good + " ": true, good + good: false,
		strings.Replace(good, `"version":2`, `"version":1`, 1):                       false,
		strings.Replace(good, `"ann"`, `"ann/#"`, 1):                                 false,
		strings.Replace(good, `"animal"`, `"ring"`, 1):                               false,
		strings.Replace(good, `"a/b"`, `"a/#"`, 1):                                   false,
		strings.Replace(good, `"front"`, `"front/+"`, 1):                             false,
		strings.Replace(good, `"front"`, `"front","gait":"x"`, 1):                    false,
		strings.Replace(good, `"g3"`, `"g0"`, 1):                                     false,
		strings.Replace(good, `"motion"`, `"`+strings.Repeat("x", maxMemory)+`"`, 1): false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := recollect(path)
		if (err == nil) != ok {
			t.Errorf("%.100q: %v", text, err)
		}
		if err != nil && (m.kept.Giving != nil || m.kept.Discovery != nil) {
			t.Errorf("%.100q is half believed: %+v", text, m.kept)
		}
	}
}

func FuzzRecollection(f *testing.F) {
	f.Add([]byte(`{"version":2,"giving":[{"grant":"g1","recipient":"home","category":"motion"}],"discovery":{"prefix":"homeassistant","device":"front","shown":{"motion":"details"}}}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "retained.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := recollect(path)
		if err != nil {
			return
		}
		if d := m.kept.Discovery; d != nil && strings.ContainsAny(d.Prefix+d.Device, "+#\x00") {
			t.Errorf("a topic of %q and %q", d.Prefix, d.Device)
		}
		kept := m.kept
		if err := m.keep(kept); err != nil {
			t.Fatal(err)
		}
		again, err := recollect(path)
		a, _ := json.Marshal(kept)
		b, _ := json.Marshal(again.kept)
		if kept.Giving != nil || kept.Discovery != nil {
			if err != nil || string(a) != string(b) {
				t.Errorf("%s came back as %s, %v", a, b, err)
			}
		}
	})
}

// sentToHome gives what stood last on home's topic for bytes.
func (s *fakeSession) sentToHome() string {
	last := ""
	for _, m := range s.all() {
		if m.Topic() == publish.BytesTopic("front", "home") {
			last = string(m.Payload())
		}
	}
	return last
}

// What a recipient is sent counts, payload by payload; Home Assistant's recipient is told
// its own sum beside what it is told anyway, over restarts, and begins anew at midnight.
func TestBytesOfToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var total int64
		var b *bench
		for range 2 {
			s := newFakeSession()
			b = openBenchWith(t, dir, withHome, s)
			if p, _ := b.Policy(); len(p.Grants()) == 0 {
				b.grant(event.Details)
				time.Sleep(time.Second) // what happens now is not before the grant
			}
			if want := fmt.Sprint(total); total > 0 && fmt.Sprint(b.Status().Sent["home"]) != want {
				t.Errorf("after the start %d bytes, want %s", b.Status().Sent["home"], want)
			}
			e := b.eye()
			for track := uint32(1); track <= 3; track++ {
				e.see(t, track, event.Start)
				e.see(t, track, event.End)
			}
			time.Sleep(time.Second)
			for _, m := range s.all() {
				if strings.HasPrefix(m.Topic(), "doorbelld/front/to/home/motion") {
					total += int64(len(m.Payload()))
				}
			}
			if got := s.sentToHome(); got != fmt.Sprint(total) || b.Status().Sent["home"] != total {
				t.Errorf("told of %s, status %d; it was sent %d", got, b.Status().Sent["home"], total)
			}
			var recorded int64
			for _, leaf := range b.leaves(ledger.KindOutcome) {
				o, err := decode[outcome](leaf.Body)
				if err != nil {
					t.Fatal(err)
				}
				recorded += o.Bytes
			}
			if recorded != total {
				t.Errorf("recorded %d bytes of %d", recorded, total)
			}
			b.stop()
		}
		s := newFakeSession()
		b = openBenchWith(t, dir, func(o *Options) {
			withHome(o)
			o.Clock.(*fakeClock).judge(time.Now().Add(24*time.Hour), true)
		}, s)
		if got := b.Status().Sent["home"]; got != 0 {
			t.Errorf("%d bytes a day later", got)
		}
		b.stop()
	})
}

// An outcome that was written before bytes were counted is read on.
func TestOlderOutcome(t *testing.T) {
	o, err := decode[outcome]([]byte(`{"release":4,"result":"delivered"}`))
	if err != nil || o.Bytes != 0 || o.Release != 4 {
		t.Errorf("%+v, %v", o, err)
	}
}

// A pause does not hide a fault: with a clock of long ago what has expired is as if it
// were granted again, and nothing may come of that.
func TestP5_DiscoveryInAPauseInAFault(t *testing.T) {
	dir := t.TempDir()
	b := openBenchWith(t, dir, withHome)
	b.grant(event.Details)
	grant := b.grant(event.Notice)
	if err := b.Pause(ctx, 0); err != nil {
		t.Fatal(err)
	}
	p, _ := b.Policy()
	b.clock.judge(p.Grants()[grant-1].Until.Add(time.Hour), true)
	b.await("both over on record", func(Status) bool { return len(b.leaves(ledger.KindExpire)) == 2 })
	b.stop()

	synctest.Test(t, func(t *testing.T) {
		s := newFakeSession()
		b := openBenchWith(t, dir, func(o *Options) {
			withHome(o)
			o.Clock.(*fakeClock).judge(p.Grants()[grant-1].From.Add(-time.Minute), false)
		}, s)
		awake(t, b.eye())
		time.Sleep(2 * againEvery)
		for _, m := range s.all() {
			if m.Topic() != publish.CameraTopic("front") {
				t.Errorf("said: %s %q", m.Topic(), m.Payload())
			}
		}
		b.stop()
	})
}

// heraldOf gives a herald for a bench whose broker is away, so that no other one speaks.
func heraldOf(b *bench) *herald { return b.newSender().herald }

// TestP3_RevokedBeforeItIsShown: while one message of the herald's takes its time, the
// grant that the next would tell of is taken back.
func TestP3_RevokedBeforeItIsShown(t *testing.T) {
	b := newBenchWith(t, withHome)
	h := heraldOf(b)
	quietly := voice{say: func(publish.Message) error { return nil }, cut: func() { t.Error("cut for nothing") }}
	old := b.grant(event.Details)
	if _, err := h.step(ctx, quietly, true); err != nil {
		t.Fatal(err)
	}
	if err := b.Revoke(ctx, old); err != nil {
		t.Fatal(err)
	}
	b.grantRing(event.Details)
	slow := quietly
	var said []string
	slow.say = func(m publish.Message) error {
		if len(said) == 0 {
			if err := b.Revoke(ctx, old+1); err != nil {
				t.Error(err)
			}
		}
		said = append(said, m.Topic()+" "+string(m.Payload()))
		return nil
	}
	for range 2 { // the second time it looks anew
		if _, err := h.step(ctx, slow, true); err != nil {
			t.Fatal(err)
		}
	}
	if len(said) != 2 || said[0] != motionState+" " || said[1] != publish.DiscoveryTopic("homeassistant", "front")+" " {
		t.Errorf("said: %q", said)
	}
}

// TestP3_RevokedWhileItIsShown: what tells Home Assistant of a grant is on its way when
// that is taken back, or replaced. The connection is cut before that returns; but not if
// another's grant is.
func TestP3_RevokedWhileItIsShown(t *testing.T) {
	b := newBenchWith(t, withHome)
	h := heraldOf(b)
	b.tells("bob", event.Motion, event.Everything)
	b.know()
	b.grantRing(event.Details)
	cut := false
	v := voice{cut: func() { cut = true }}
	shown := func(act func() error) {
		t.Helper()
		cut = false
		v.say = func(m publish.Message) error {
			if len(m.Payload()) == 0 {
				return nil
			}
			if err := act(); err != nil {
				t.Error(err)
			}
			if cut {
				return errors.New("cut")
			}
			return nil
		}
		h.connected()
		if _, err := h.step(ctx, v, true); (err != nil) != cut {
			t.Error(err)
		}
	}
	if shown(func() error { return b.Revoke(ctx, 1) }); cut {
		t.Error("cut for what is not shown")
	}
	if shown(func() error { return b.Revoke(ctx, 2) }); !cut {
		t.Error("not cut")
	}
}

// Somebody starts Home Assistant again and again, or the broker drops every connection
// after a minute. Each state that is told for that is on record twice and for ever, so there
// is an end to it.
func TestAskedAgainForHours(t *testing.T) {
	for name, ask := range map[string]func(*herald){
		"births":     func(h *herald) { h.asked(ctx) },
		"reconnects": (*herald).connected,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBenchWith(t, func(o *Options) {
					withHome(o)
					o.Eye = func(ctx context.Context) (Eye, error) { <-ctx.Done(); return nil, ctx.Err() } // sees nothing
				})
				b.tells("home", event.Motion, event.Everything)
				p, _ := b.Policy()
				b.clock.judge(p.Grants()[0].From.Add(time.Minute), true) // the grant lasts
				h := heraldOf(b)
				v := voice{say: func(publish.Message) error { return nil }, cut: func() {}}
				const hours = 6
				for range hours * 60 {
					ask(h)
					time.Sleep(time.Minute)
					if _, err := h.step(ctx, v, true); err != nil {
						t.Fatal(err)
					}
				}
				if n := len(b.recordedStates()); n < againAtOnce || n > againAtOnce+hours+2 {
					t.Errorf("told again %d times in %d hours", n, hours)
				}
				b.stop()
			})
		})
	}
}

// A broker that hangs up over what is announced, because this account may not write
// there, keeps no event from anybody.
func TestEventsBeforeAnnouncements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took []publish.Message // events
		announced := 0
		b := newBenchWith(t, func(o *Options) {
			withHome(o)
			o.Connect = func(context.Context) (Session, error) {
				s := newFakeSession()
				s.announce = func(m publish.Message) error {
					announced++
					s.Close()
					return errors.New("it hung up")
				}
				s.publish = func(_ context.Context, m publish.Message) error {
					if m.Topic() == publish.EventTopic("front", "home", event.Ring) {
						took = append(took, m)
					}
					return nil
				}
				return s, nil
			}
		})
		b.know()
		b.grantRing(event.Details)
		awake(t, b.eye())
		time.Sleep(time.Second) // what happens now is not before the grant
		const rings = 20
		for i := range rings {
			if _, err := b.Ring(ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := len(took); got != i+1 {
				t.Fatalf("%d rings of %d were told within seconds", got, i+1)
			}
			b.bell.quota.left = ringsAtOnce
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if announced < 3 || announced > 12 {
			t.Errorf("announced %d times", announced)
		}
		b.stop()
	})
}

// TestP4_StateUnderAnotherGrantCounts: what goes on is told again under another grant than
// it was told under, which has a rate: it counts there, once.
func TestP4_StateUnderAnotherGrantCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		first := b.grant(event.Details)
		time.Sleep(time.Second)
		e := event.Event{ID: event.ID{1}, Category: event.Motion, Phase: event.Start, Zone: event.Everything, Score: 1, Box: event.Box{W: 1, H: 1}, Start: time.Now(), At: time.Now()}
		if _, err := b.register.happened(ctx, e); err != nil {
			t.Fatal(err)
		}
		rated, err := b.AddGrant(ctx, Draft{Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.HomeAutomation,
			Zones: []string{event.Everything}, Until: time.Now().Add(time.Hour), Rate: &consent.Rate{PerHour: 1}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		e.Phase, e.At = event.Update, time.Now()
		if err := b.Revoke(ctx, first); err != nil {
			t.Fatal(err)
		}
		// Told again are states of what was told last, which has to be later than the grant.
		b.register.visits[e.ID].told["home"].tales[event.Motion] = tale{last: e, grant: first}
		for range 3 {
			if why, err := b.register.again(ctx, place{"home", event.Motion}); err != nil || why != consent.Granted {
				t.Errorf("told again: %v, %v", why, err)
			}
		}
		counted := 0
		for _, r := range bodies[releaseBody](b, ledger.KindRelease) {
			if r.Grant == rated.ID && r.Begins {
				counted++
			}
		}
		if counted != 1 {
			t.Errorf("counted %d times", counted)
		}
		other := e
		other.ID, other.Phase, other.Start = event.ID{2}, event.Start, e.At
		if told, err := b.register.happened(ctx, other); err != nil || len(told) > 0 {
			t.Errorf("a second thing within the hour: told %v, %v", told, err)
		}
		b.stop()
	})
}

// Who is given the name of somebody that was removed is told nothing of what that one was
// sent, before or after a restart.
func TestBytesOfSomebodyElse(t *testing.T) {
	dir := t.TempDir()
	s := newFakeSession()
	b := openBench(t, dir, s)
	b.grant(event.Details)
	b.eye().see(t, 1, event.Start)
	b.await("the delivery", func(s Status) bool { return s.Sent["home"] > 0 })
	b.await("its record", func(Status) bool { return len(b.leaves(ledger.KindOutcome)) == 1 })
	if err := b.RemoveRecipient(ctx, "home"); err != nil {
		t.Fatal(err)
	}
	b.know()
	if n := b.Status().Sent["home"]; n != 0 {
		t.Errorf("%d bytes", n)
	}
	b.stop()
	b = openBench(t, dir)
	if n := b.Status().Sent["home"]; n != 0 {
		t.Errorf("after a restart %d bytes", n)
	}
}

// What is remembered is of a ledger that was replaced by a backup: the same number is
// another's grant there, or nobody's. What stood at the broker is withdrawn all the same.
func TestP10_RememberedOfAnotherLedger(t *testing.T) {
	b := newBenchWith(t, withHome)
	h := heraldOf(b)
	b.grant(event.Details)
	h.memory.kept.Giving = []giving{{1, "ann", event.Animal}, {7, "bob", event.Person}}
	var said []string
	v := voice{cut: func() {}, say: func(m publish.Message) error {
		if len(m.Payload()) == 0 {
			said = append(said, m.Topic())
		}
		return nil
	}}
	if _, err := h.step(ctx, v, true); err != nil {
		t.Fatal(err)
	}
	if want := []string{publish.StateTopic("front", "ann", event.Animal), publish.StateTopic("front", "bob", event.Person)}; !slices.Equal(said, want) {
		t.Errorf("withdrawn: %q", said)
	}
	if want := []giving{{1, "home", event.Motion}}; !slices.Equal(h.memory.kept.Giving, want) {
		t.Errorf("remembered: %+v", h.memory.kept.Giving)
	}
}
