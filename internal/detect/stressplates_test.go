//go:build !race

package detect

import (
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// rough is smooth noise of several octaves in [-1,1], the same for the same
// seed: grass, plaster, asphalt, foliage.
type rough struct{ seed uint64 }

func (r rough) lattice(x, y int) float64 {
	k := uint64(x)*0x9e3779b97f4a7c15 ^ uint64(y)*0xc2b2ae3d27d4eb4f ^ r.seed
	k ^= k >> 29
	k *= 0xbf58476d1ce4e5b9
	k ^= k >> 32
	return float64(int64(k)>>11) / (1 << 52)
}

func (r rough) at(x, y, scale float64, octaves int) float64 {
	sum, weight := 0.0, 1.0
	for k := range octaves {
		layer := rough{r.seed + uint64(k)}
		fx, fy := x/scale, y/scale
		x0, y0 := math.Floor(fx), math.Floor(fy)
		tx, ty := fx-x0, fy-y0
		tx, ty = tx*tx*(3-2*tx), ty*ty*(3-2*ty)
		ix, iy := int(x0), int(y0)
		top := layer.lattice(ix, iy)*(1-tx) + layer.lattice(ix+1, iy)*tx
		low := layer.lattice(ix, iy+1)*(1-tx) + layer.lattice(ix+1, iy+1)*tx
		sum += weight * (top*(1-ty) + low*ty)
		weight /= 2
		scale /= 2
	}
	return sum / 1.6
}

// hash tells plates apart, whatever machine they are made on.
func (p *plate) hash() uint32 {
	h := fnv.New32a()
	h.Write([]byte(p.name))
	return h.Sum32()
}

// paint makes a plate from a function of the place that gives a colour; each of
// the w×h places is k pixels wide and high.
func paint(name string, w, h, k int, colour func(x, y float64) (r, g, b float64)) *plate {
	w, h = w*k, h*k
	p := &plate{name: name, w: w, h: h}
	for k := range p.rgb {
		p.rgb[k] = make([]float32, w*h)
	}
	for i := range w * h {
		r, g, b := colour(float64(i%w)/float64(k), float64(i/w)/float64(k))
		p.rgb[0][i], p.rgb[1][i], p.rgb[2][i] = float32(min(max(r, 0), 255)), float32(min(max(g, 0), 255)), float32(min(max(b, 0), 255))
	}
	return p
}

// yard is a house wall with a door over a lawn and a path.
func yard(seed uint64, k int) *plate {
	rng := rand.New(rand.NewPCG(seed, 1))
	door, wall, lawn := 20+rng.Float64()*100, 35+rng.Float64()*20, rough{seed}
	brick := 4 + rng.Float64()*3
	return paint("yard", 160, 90, k, func(x, y float64) (float64, float64, float64) {
		n := lawn.at(x, y, 5, 3)
		switch {
		case y < wall && x > door && x < door+14 && y > wall-32:
			return 70 + 6*n, 45 + 6*n, 35 + 6*n
		case y < wall:
			joint := 0.0
			if math.Mod(y, brick) < 1 || math.Mod(x+brick*math.Floor(y/brick), 2*brick) < 1 {
				joint = 28
			}
			return 150 + joint + 14*n, 95 + joint + 10*n, 80 + joint + 10*n
		case math.Abs(x-door-7) < 6+(y-wall)/2:
			return 140 + 18*n, 136 + 18*n, 130 + 18*n
		}
		return 60 + 26*n, 95 + 34*n, 45 + 20*n
	})
}

// street is a road with markings, a pavement, a fence and a sky.
func street(seed uint64, k int) *plate {
	rng := rand.New(rand.NewPCG(seed, 2))
	ground, horizon := rough{seed + 9}, 40+rng.Float64()*15
	return paint("street", 160, 120, k, func(x, y float64) (float64, float64, float64) {
		n := ground.at(x, y, 7, 4)
		switch {
		case y < horizon-18:
			return 170 + 8*n, 190 + 6*n, 225 + 4*n
		case y < horizon:
			slat := 0.0
			if math.Mod(x, 6) < 2 {
				slat = -50
			}
			return 130 + slat + 20*n, 110 + slat + 20*n, 80 + slat + 15*n
		case y < horizon+14:
			return 150 + 12*n, 148 + 12*n, 142 + 12*n
		case math.Abs(y-horizon-40) < 1.5 && math.Mod(x, 30) < 16:
			return 215, 215, 205
		}
		return 85 + 14*n, 85 + 14*n, 90 + 14*n
	})
}

// porch is a dark entrance with one lamp of its own.
func porch(seed uint64, k int) *plate {
	rng := rand.New(rand.NewPCG(seed, 3))
	lampX, lampY, floor := 30+rng.Float64()*100, 10+rng.Float64()*15, rough{seed + 5}
	return paint("porch", 160, 90, k, func(x, y float64) (float64, float64, float64) {
		n := floor.at(x, y, 6, 3)
		v := 38 + 70*math.Exp(-(math.Pow(x-lampX, 2)+math.Pow(y-lampY, 2))/2500) + 9*n
		if math.Mod(x, 12) < 1 && y < 55 {
			v *= 0.6
		}
		if y > 55 {
			v *= 0.8 + 0.2*n
		}
		return v * 1.1, v, v * 0.8
	})
}

// realPlates are empty stretches of clips, whose median is an empty scene.
var realPlates = []struct {
	file       string
	from, to   float64
	w, h       int
	everywhere bool // things pass all the time: the median of all of it is empty
}{
	{"vtest.avi", 0, 60, 192, 144, true},
	{"light_only_street_clouds_ae.mp4", 0, 5, 160, 120, false},
	{"car_overhead_a.mp4", 0, 4, 160, 90, false},
	{"tree_sway_a.mp4", 0, 0.1, 160, 120, false},
	{"comp_puppy_night_ir.mp4", 0, 6, 160, 120, false},
	{"person_table_a.mp4", 0, 5, 160, 90, false},
}

// plates are the scenes of the stress films: three rendered ones, and those out
// of clips that this machine has.
var plates = sync.OnceValue(func() []*plate {
	all := []*plate{yard(1, 1), street(2, 1), porch(3, 1)}
	for _, r := range realPlates {
		if p, err := median(r.file, r.from, r.to, r.w, r.h); err == nil {
			all = append(all, p)
		}
	}
	return all
})

// median gives the median of up to 15 frames of a stretch of a clip.
func median(file string, from, to float64, w, h int) (*plate, error) {
	path := filepath.Join(clipsDir, "clips", file)
	if file == "vtest.avi" {
		path = surveillanceClip()
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	step := max((to-from)/15, 0.07)
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-protocol_whitelist", "file,pipe", "-ss", fmt.Sprint(from), "-t", fmt.Sprint(to-from), "-i", "file:"+path,
		"-vf", fmt.Sprintf("fps=%f,scale=%d:%d:flags=area,format=rgb24", 1/step, w, h), "-f", "rawvideo", "-")
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	frames := len(out) / (w * h * 3)
	if frames == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	p := paint(strings.TrimSuffix(file, filepath.Ext(file)), w, h, 1, func(_, _ float64) (_, _, _ float64) { return })
	levels := make([]byte, frames)
	for i := range w * h * 3 {
		for n := range levels {
			levels[n] = out[n*w*h*3+i]
		}
		slices.Sort(levels)
		p.rgb[i%3][i/3] = float32(levels[frames/2])
	}
	return p, nil
}

// surveillanceClip gives the path of OpenCV's vtest.avi, which scripts/clip.sh
// fetches; it need not be there.
func surveillanceClip() string {
	if path := os.Getenv("DOORBELLD_CLIP"); path != "" {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "vtest.avi"
	}
	return filepath.Join(cache, "doorbelld", "vtest.avi")
}

func TestPlates(t *testing.T) {
	all := plates()
	if len(all) < 3+len(realPlates) {
		t.Logf("%d of %d scenes out of clips are here", len(all)-3, len(realPlates))
	}
	for _, p := range all {
		grey := p.grey([3]float32{1, 1, 1})
		var sum, sum2 float64
		for _, v := range grey {
			sum, sum2 = sum+float64(v), sum2+float64(v)*float64(v)
		}
		n := float64(len(grey))
		if mean, dev := sum/n, math.Sqrt(sum2/n-sum*sum/n/n); mean < 15 || mean > 230 || dev < 5 {
			t.Errorf("%s: mean %.0f, deviation %.0f: no scene", p.name, mean, dev)
		}
	}
}
