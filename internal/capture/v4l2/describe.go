package v4l2

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/blackjack/webcam"

	"doorbelld/internal/capture"
)

// Description is what a device node says of itself.
type Description struct {
	Name string // of the device, by its driver
	Bus  string // where it is plugged in
	// Modes are what can be read: the formats that are understood, in the order of
	// capture.Formats, and the largest size first.
	Modes []Mode
	// Others are the four letters of the formats that are not understood.
	Others   []string
	Settings []Setting // its controls, by name
	Choice   Choice    // what Open would ask for
}

// Mode is one format and size, or range of sizes, of a camera.
type Mode struct {
	Format              capture.Format
	Width, Height       int       // pixels; of a range, the smallest
	MaxWidth, MaxHeight int       // of a range, the largest; else 0
	Rates               []float64 // pictures a second, the fastest first; none if the driver does not say
}

// Choice is what is asked of a camera. The driver may answer with another rate.
type Choice struct {
	Format        capture.Format
	Width, Height int
	FPS           float64
}

// What is listed of one node at the most.
const (
	maxModes  = 64
	maxRates  = 16
	maxOthers = 16
	maxSetups = 64 // controls
)

// catalogue is what is used of *webcam.Webcam to describe a device.
type catalogue interface {
	dials
	GetName() (string, error)
	GetBusInfo() (string, error)
	GetSupportedFormats() map[webcam.PixelFormat]string
	GetSupportedFrameSizes(webcam.PixelFormat) []webcam.FrameSize
	GetSupportedFramerates(f webcam.PixelFormat, width, height uint32) []webcam.FrameRate
}

// Describe asks the device at o.Path what it is, and what Open would choose of it.
// It takes no picture, and another program may have the camera. An error says why
// Open would not take it, as Open would; what is known is given all the same.
func Describe(o Options) (d Description, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("camera %s: %w", o.Path, advise(err, o.Path))
		}
	}()
	if err := o.validate(); err != nil {
		return d, err
	}
	rdev, err := look(o.Path)
	if err != nil {
		return d, err
	}
	dev, err := openDevice(o.Path, rdev)
	if err != nil {
		return d, err
	}
	d, err = describe(dev, o)
	return d, cmp.Or(err, dev.Close())
}

func describe(dev catalogue, o Options) (d Description, err error) {
	// A device without a name is one all the same.
	d.Name, _ = dev.GetName()
	d.Bus, _ = dev.GetBusInfo()
	offered := dev.GetSupportedFormats()
	known := map[webcam.PixelFormat]bool{}
	for _, f := range capture.Formats() {
		known[fourCC[f]] = true
		if _, ok := offered[fourCC[f]]; ok {
			d.Modes = append(d.Modes, modes(dev, f)...)
		}
	}
	d.Modes = d.Modes[:min(len(d.Modes), maxModes)]
	for _, p := range slices.Sorted(maps.Keys(offered)) {
		if !known[p] && len(d.Others) < maxOthers {
			d.Others = append(d.Others, letters(p))
		}
	}
	d.Settings, _ = settings(dev)
	d.Settings = d.Settings[:min(len(d.Settings), maxSetups)]
	format, err := chooseFormat(offered, o.Format)
	if err != nil {
		return d, err
	}
	w, h, ok := wanted(dev.GetSupportedFrameSizes(fourCC[format]), o)
	if !ok {
		return d, errNoSize
	}
	d.Choice = Choice{Format: format, Width: int(w), Height: int(h), FPS: cmp.Or(o.FPS, usualFPS)}
	if near := rates(dev, format, w, h); len(near) > 0 {
		d.Choice.FPS = nearest(near, d.Choice.FPS)
	}
	return d, nil
}

// modes lists the sizes of one format.
func modes(dev catalogue, f capture.Format) (all []Mode) {
	for _, s := range dev.GetSupportedFrameSizes(fourCC[f]) {
		m := Mode{Format: f, Width: int(s.MinWidth), Height: int(s.MinHeight)}
		if s.MaxWidth != s.MinWidth || s.MaxHeight != s.MinHeight {
			m.MaxWidth, m.MaxHeight = int(s.MaxWidth), int(s.MaxHeight)
		}
		m.Rates = rates(dev, f, s.MaxWidth, s.MaxHeight)
		all = append(all, m)
	}
	slices.SortStableFunc(all, func(a, b Mode) int {
		return cmp.Compare(max(b.Width, b.MaxWidth)*max(b.Height, b.MaxHeight), max(a.Width, a.MaxWidth)*max(a.Height, a.MaxHeight))
	})
	return all
}

// rates lists the rates of one size. The library panics over a driver that gives a
// range of them: such a driver takes any, and none is listed.
func rates(dev catalogue, f capture.Format, w, h uint32) (all []float64) {
	defer func() {
		if recover() != nil {
			all = nil
		}
	}()
	for _, r := range dev.GetSupportedFramerates(fourCC[f], w, h) {
		if r.MinNumerator > 0 && r.MinDenominator > 0 {
			all = append(all, float64(r.MinDenominator)/float64(r.MinNumerator))
		}
	}
	slices.SortFunc(all, func(a, b float64) int { return cmp.Compare(b, a) })
	all = slices.Compact(all)
	return all[:min(len(all), maxRates)]
}

// nearest gives the one of all that is nearest to v.
func nearest(all []float64, v float64) float64 {
	return slices.MinFunc(all, func(a, b float64) int { return cmp.Compare(max(a-v, v-a), max(b-v, v-b)) })
}
