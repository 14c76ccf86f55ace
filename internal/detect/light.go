package detect

// A light maps the background to the frame: frame ≈ gain·background + offset.
// Clouds, dusk and a camera's automatic exposure change little else.
type light struct{ gain, offset float32 }

// of gives what the frame would show where the background shows b.
func (l light) of(b float32) float32 { return l.gain*b + l.offset }

// after gives the light that maps a frame under the light then to one under l.
func (l light) after(then light) light {
	gain := l.gain / then.gain
	return light{gain, l.offset - gain*then.offset}
}

// Bounds of a believable gain. Beyond them the scene is another one.
const minGain, maxGain = 0.25, 4

// midGrey is where two lights are compared.
const midGrey = 128

// Levels at which a sensor or an encoder clips, so that they follow no gain.
const dark, bright = 3, 251

// clipped reports whether that a pixel shows f, where the light l makes shown of the
// background's b, says nothing, since one of the two is at an end of the scale: then
// it may have been, or be, anything beyond.
func clipped(f, b, shown float32) bool {
	return f >= bright && shown >= bright || f <= dark && shown <= dark ||
		b >= bright && f > shown || b <= dark && f < shown
}

// fewSamples are too few to tell the light from.
const fewSamples = 16

// fitLight finds the light of frame against background on the sampled pixels,
// starting from the last one. It is a trimmed least squares fit (Rousseeuw,
// 1984): things that came or went are outliers as long as they cover less than
// half of the picture.
func fitLight(last light, frame, background []float32, samples []int32) light {
	if len(samples) < fewSamples {
		return light{1, 0}
	}
	l := last
	centre, spread := residuals(l, frame, background, samples)
	l.offset += centre
	for range 3 {
		near := max(3*spread, 2)
		var n, sb, sf, sbb, sbf float64
		for _, i := range samples {
			b, f := background[i], frame[i]
			if r := f - l.of(b); r > near || r < -near || f < dark || f > bright {
				continue
			}
			b64, f64 := float64(b), float64(f)
			n, sb, sf, sbb, sbf = n+1, sb+b64, sf+f64, sbb+b64*b64, sbf+b64*f64
		}
		if n < fewSamples {
			return l
		}
		// The ridge holds the gain at its last value where the picture is too
		// flat to tell it.
		ridge := 4 * n
		gain := (sbf - sb*sf/n + ridge*float64(l.gain)) / (sbb - sb*sb/n + ridge)
		was := l.of(midGrey)
		l.gain = min(max(float32(gain), minGain), maxGain)
		l.offset = float32((sf - float64(l.gain)*sb) / n)
		if moved := l.of(midGrey) - was; moved > -0.25 && moved < 0.25 && spread < 2 {
			return l // an idle scene is done here
		}
		_, spread = residuals(l, frame, background, samples)
	}
	return l
}

// residuals gives the median of what l leaves unexplained and the median
// distance from it, in grey levels.
func residuals(l light, frame, background []float32, samples []int32) (centre, spread float32) {
	const perLevel, zero = 4, 256 * 4
	var bins [2 * zero]uint16
	for _, i := range samples {
		r := int((frame[i]-l.of(background[i]))*perLevel + zero)
		bins[min(max(r, 0), len(bins)-1)]++
	}
	half, mid := len(samples)/2, 0
	for sum := 0; mid < len(bins)-1; mid++ {
		if sum += int(bins[mid]); sum > half {
			break
		}
	}
	away, sum := 0, int(bins[mid])
	for sum <= half && away < len(bins) {
		away++
		if mid-away >= 0 {
			sum += int(bins[mid-away])
		}
		if mid+away < len(bins) {
			sum += int(bins[mid+away])
		}
	}
	return (float32(mid-zero) + 0.5) / perLevel, (float32(away) + 0.5) / perLevel
}
