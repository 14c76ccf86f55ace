package link

import (
	"encoding/json"
	"io"
	"math"
)

// StillCommand is the argument of an eye that is to read one Still, put one picture
// of a camera into the files that it was given, answer with one Shown, and end.
const StillCommand = "still"

// Still is what such an eye is told. What lies outside the setup's zones is blank
// in the picture.
type Still struct {
	Setup Setup `json:"setup"`
}

// Shown is what came of it.
type Shown struct {
	Fault    Fault    `json:"fault"` // why there is no picture; NoFault if there is one
	Encoding Encoding `json:"encoding"`
	Width    int      `json:"width"` // of the camera's picture, pixels
	Height   int      `json:"height"`
}

// StillOutputs is how many files such an eye is given: the first for a JPEG, the second
// for the same picture as a thumb.
const StillOutputs = 2

const maxShown = 1 << 10 // bytes

// WriteStill sends s to the eye.
func WriteStill(w io.Writer, s Still) error {
	body, err := json.Marshal(s)
	if err != nil {
		return malformed("still: %v", err)
	}
	if len(body) > maxBody {
		return malformed("still of %d bytes, %d at the most", len(body), maxBody)
	}
	return writeMessage(w, kindStill, body)
}

// ReadStill reads what an eye is to show.
func ReadStill(r io.Reader) (Still, error) {
	var s Still
	if err := readStrict(r, kindStill, maxBody, "still", &s); err != nil {
		return Still{}, err
	}
	return s, nil
}

// WriteShown answers.
func WriteShown(w io.Writer, v Shown) error {
	body, err := json.Marshal(v)
	if err != nil {
		return malformed("shown: %v", err)
	}
	return writeMessage(w, kindShown, body)
}

// ReadShown reads what came of a Still.
func ReadShown(r io.Reader) (Shown, error) {
	var v Shown
	if err := readStrict(r, kindShown, maxShown, "shown", &v); err != nil {
		return Shown{}, err
	}
	if v.Width < 0 || v.Height < 0 || v.Width > math.MaxUint16 || v.Height > math.MaxUint16 || (v.Fault == NoFault) != (v.Width > 0 && v.Height > 0) {
		return Shown{}, malformed("shown with fault %s, a picture of %d×%d", v.Fault, v.Width, v.Height)
	}
	return v, nil
}
