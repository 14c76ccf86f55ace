package v4l2

import (
	"errors"
	"testing"

	"github.com/blackjack/webcam"
	"github.com/google/go-cmp/cmp"

	"doorbelld/internal/capture"
)

// shelf is a device that is looked at and not opened.
type shelf struct {
	formats []string
	sizes   map[string][]webcam.FrameSize
	rates   []webcam.FrameRate // of every size
	panics  bool               // as the library does over a range of rates
}

func (s shelf) GetControls() map[webcam.ControlID]webcam.Control {
	return map[webcam.ControlID]webcam.Control{9: {Name: "Sharpness", Min: 1, Max: 5}}
}
func (s shelf) SetControl(webcam.ControlID, int32) error { return nil }
func (s shelf) GetName() (string, error)                 { return "A Camera", nil }
func (s shelf) GetBusInfo() (string, error)              { return "usb-1", nil }
func (s shelf) GetSupportedFormats() map[webcam.PixelFormat]string {
	all := map[webcam.PixelFormat]string{}
	for _, f := range s.formats {
		all[code(f)] = f
	}
	return all
}
func (s shelf) GetSupportedFrameSizes(p webcam.PixelFormat) []webcam.FrameSize {
	return s.sizes[letters(p)]
}
func (s shelf) GetSupportedFramerates(webcam.PixelFormat, uint32, uint32) []webcam.FrameRate {
	if s.panics {
		panic("reflect: an unexported field")
	}
	return s.rates
}

func exactly(w, h uint32) webcam.FrameSize {
	return webcam.FrameSize{MinWidth: w, MaxWidth: w, MinHeight: h, MaxHeight: h}
}

func rate(n, d uint32) webcam.FrameRate {
	return webcam.FrameRate{MinNumerator: n, MaxNumerator: n, MinDenominator: d, MaxDenominator: d}
}

func TestDescribe(t *testing.T) {
	usb := shelf{
		formats: []string{"YUYV", "H264", "MJPG"},
		sizes: map[string][]webcam.FrameSize{
			"MJPG": {exactly(640, 480), exactly(1920, 1080), exactly(1280, 720)},
			"YUYV": {exactly(640, 480)},
		},
		rates: []webcam.FrameRate{rate(1, 15), rate(1, 30), rate(2, 15), rate(1, 30), rate(0, 1), rate(1, 0)},
	}
	all := []float64{30, 15, 7.5}
	for name, tt := range map[string]struct {
		dev  shelf
		o    Options
		want Description
		err  error
	}{
		"a usual camera": {dev: usb, want: Description{
			Modes: []Mode{
				{Format: capture.MJPEG, Width: 1920, Height: 1080, Rates: all}, {Format: capture.MJPEG, Width: 1280, Height: 720, Rates: all},
				{Format: capture.MJPEG, Width: 640, Height: 480, Rates: all}, {Format: capture.YUYV, Width: 640, Height: 480, Rates: all},
			},
			Others: []string{"H264"}, Choice: Choice{capture.MJPEG, 1280, 720, 7.5},
		}},
		"as it is asked for": {dev: shelf{formats: []string{"YUYV"}, sizes: usb.sizes, rates: usb.rates}, o: Options{Width: 640, Height: 480, FPS: 25}, want: Description{
			Modes:  []Mode{{Format: capture.YUYV, Width: 640, Height: 480, Rates: all}},
			Choice: Choice{capture.YUYV, 640, 480, 30},
		}},
		"a loopback device": {
			dev: shelf{formats: []string{"MJPG"}, panics: true, sizes: map[string][]webcam.FrameSize{
				"MJPG": {{MinWidth: 2, MaxWidth: 8192, StepWidth: 1, MinHeight: 1, MaxHeight: 8192, StepHeight: 1}},
			}},
			want: Description{
				Modes:  []Mode{{Format: capture.MJPEG, Width: 2, Height: 1, MaxWidth: 8192, MaxHeight: 8192}},
				Choice: Choice{capture.MJPEG, 1280, 720, 10},
			}},
		"metadata": {dev: shelf{}, want: Description{}, err: capture.ErrNotCamera},
		"a codec":  {dev: shelf{formats: []string{"H264"}}, want: Description{Others: []string{"H264"}}, err: capture.ErrFormat},
		"only of a giant": {
			dev:  shelf{formats: []string{"MJPG"}, sizes: map[string][]webcam.FrameSize{"MJPG": {exactly(9000, 9000)}}},
			want: Description{Modes: []Mode{{Format: capture.MJPEG, Width: 9000, Height: 9000}}}, err: capture.ErrFormat,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tt.want.Name, tt.want.Bus, tt.want.Settings = "A Camera", "usb-1", []Setting{{"sharpness", 1, 5}}
			got, err := describe(tt.dev, tt.o)
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := Describe(Options{Path: "/dev/null"}); !errors.Is(err, capture.ErrNotCamera) {
		t.Errorf("/dev/null: %v", err)
	}
}

// What a camera lists is bounded.
func TestDescribeIsBounded(t *testing.T) {
	big := shelf{sizes: map[string][]webcam.FrameSize{}}
	for k := range uint32(200) {
		big.sizes["MJPG"] = append(big.sizes["MJPG"], exactly(16+k, 16+k))
		big.rates = append(big.rates, rate(1, k+1))
		big.formats = append(big.formats, string([]byte{'A', 'B', byte('A' + k/20), byte('A' + k%20)}))
	}
	big.formats = append(big.formats, "MJPG")
	d, err := describe(big, Options{})
	if err != nil || len(d.Modes) > maxModes || len(d.Modes[0].Rates) > maxRates || len(d.Others) > maxOthers {
		t.Errorf("%d modes, %d rates, %d others, %v", len(d.Modes), len(d.Modes[0].Rates), len(d.Others), err)
	}
}
