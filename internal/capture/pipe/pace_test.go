package pipe

import (
	"bytes"
	"context"
	"image/jpeg"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// slow takes its time for each read, as a decoder may.
type slow struct {
	in   io.Reader
	each time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(s.each) // a bubble's time: this is the fake's work, no synchronisation
	return s.in.Read(p)
}

// paced makes a clip of n small pictures at 10 frames a second. Each takes one
// read of work.
func paced(t *testing.T, n int, realTime bool, work time.Duration) *clip {
	t.Helper()
	one := encode(t, 8, 8, 1)
	in := &slow{in: &chunks{in: bytes.NewReader(bytes.Repeat(one, n)), sizes: []int{len(one)}}, each: work}
	c := newClip(newReader(in, func() {}, func(err error) error { return err }), Options{Clip: "test", FPS: 10, RealTime: realTime})
	t.Cleanup(func() { c.Close() })
	return c
}

// handed is one frame as it was handed out.
type handed struct {
	Seq uint64
	At  time.Duration // since the first Next was called
}

// watch takes frames until the end, working for busy(seq) on each.
func watch(t *testing.T, c *clip, busy func(seq uint64) time.Duration) (got []handed) {
	t.Helper()
	begin := time.Now()
	for {
		f, err := c.Next(t.Context())
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Duration(f.Seq) * time.Second / 10; f.PTS != want {
			t.Errorf("frame %d is stamped %v, want %v", f.Seq, f.PTS, want)
		}
		got = append(got, handed{f.Seq, time.Since(begin)})
		time.Sleep(busy(f.Seq))
	}
}

func never(uint64) time.Duration { return 0 }

const ms = time.Millisecond

func TestClipPace(t *testing.T) {
	for name, tc := range map[string]struct {
		frames   int
		realTime bool
		work     time.Duration
		busy     func(uint64) time.Duration
		want     []handed
		dropped  uint64
	}{
		"on time": {
			frames: 4, realTime: true, busy: never,
			want: []handed{{0, 0}, {1, 100 * ms}, {2, 200 * ms}, {3, 300 * ms}},
		},
		"a consumer who needs half of each frame": {
			frames: 4, realTime: true, busy: func(uint64) time.Duration { return 50 * ms },
			want: []handed{{0, 0}, {1, 100 * ms}, {2, 200 * ms}, {3, 300 * ms}},
		},
		"a consumer who falls behind once": {
			frames: 8, realTime: true,
			busy: func(seq uint64) time.Duration {
				if seq == 1 {
					return 350 * ms
				}
				return 0
			},
			want:    []handed{{0, 0}, {1, 100 * ms}, {4, 450 * ms}, {5, 500 * ms}, {6, 600 * ms}, {7, 700 * ms}},
			dropped: 2,
		},
		"a consumer who is always too slow": {
			frames: 9, realTime: true, busy: func(uint64) time.Duration { return 200 * ms },
			want:    []handed{{0, 0}, {2, 200 * ms}, {4, 400 * ms}, {6, 600 * ms}, {8, 800 * ms}},
			dropped: 4,
		},
		"a decoder that is always too slow": {
			frames: 4, realTime: true, work: 300 * ms, busy: never,
			want: []handed{{0, 300 * ms}, {1, 600 * ms}, {2, 900 * ms}, {3, 1200 * ms}},
		},
		"as fast as it goes": {
			frames: 4, busy: never,
			want: []handed{{0, 0}, {1, 0}, {2, 0}, {3, 0}},
		},
		"as fast as the consumer goes": {
			frames: 4, busy: func(uint64) time.Duration { return time.Second },
			want: []handed{{0, 0}, {1, 1000 * ms}, {2, 2000 * ms}, {3, 3000 * ms}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := paced(t, tc.frames, tc.realTime, tc.work)
				if d := cmp.Diff(tc.want, watch(t, c, tc.busy)); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
				if c.Dropped() != tc.dropped {
					t.Errorf("%d dropped, want %d", c.Dropped(), tc.dropped)
				}
			})
		})
	}
}

// Whoever stops waiting loses no frame, whether it was being decoded or not yet due.
func TestClipNextAfterCancel(t *testing.T) {
	for name, work := range map[string]time.Duration{"not yet due": 0, "being decoded": 70 * ms} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := paced(t, 5, true, work)
				for want := range uint64(5) {
					ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
					begun := time.Now()
					f, err := c.Next(ctx)
					cancel()
					if want > 0 && (err != context.DeadlineExceeded || time.Since(begun) != 10*ms) {
						t.Errorf("frame %d: %v after %v", want, err, time.Since(begun))
					}
					for err == context.DeadlineExceeded {
						f, err = c.Next(t.Context())
					}
					if err != nil || f.Seq != want {
						t.Fatalf("frame %d, %v; want %d", f.Seq, err, want)
					}
				}
				if c.Dropped() != 0 {
					t.Errorf("%d dropped", c.Dropped())
				}
			})
		})
	}
}

func TestPaceInverts(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := pace{fps: rapid.Float64Range(0.1, maxFPS).Draw(r, "fps"), begin: time.Unix(1e9, 0)}
		n := rapid.Uint64Range(0, 1e8).Draw(r, "n") // what a Duration holds at the lowest rate
		due := p.begin.Add(p.pts(n))
		if got := p.newest(due); got != n {
			r.Fatalf("when frame %d is due the newest is %d", n, got)
		}
		if got := p.newest(due.Add(-time.Microsecond)); n > 0 && got != n-1 {
			r.Fatalf("before frame %d is due the newest is %d", n, got)
		}
	})
}

// A stream of pictures without Huffman tables: each frame has them, and the one
// behind it is left whole.
func TestClipAddsTables(t *testing.T) {
	whole := encode(t, 24, 16, 7)
	i := bytes.Index(whole, []byte{0xFF, 0xC4})
	n := 2 + int(whole[i+2])<<8 + int(whole[i+3])
	bare := append(bytes.Clone(whole[:i]), whole[i+n:]...)
	in := bytes.NewReader(bytes.Repeat(bare, 5))
	c := newClip(newReader(in, func() {}, func(err error) error { return err }), Options{Clip: "test", FPS: 10})
	defer c.Close()
	for k := range 5 {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jpeg.Decode(bytes.NewReader(f.Data)); err != nil {
			t.Errorf("frame %d: %v", k, err)
		}
	}
}
